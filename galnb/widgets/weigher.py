"""`Weigher`: a density that is learned beside all else, what it says of a picked galaxy, and its draws."""

from __future__ import annotations

import time

import numpy as np

from .. import contours, densities
from .. import density as questions
from ..densities.base import MOST, Density
from ..densities.flow import Flow
from ..errors import BadInput, GalnbError, one_of
from ..latents import Latents
from ..stamps import png, to_rgb
from ..weighing import Draws, Weighed, around, draw_here, weighed, within
from .base import HERE, Part, Worker, as_stamps, finite, module, number, one_thread_each, option
from .decoder import checked
from .gallery import about, decoded, name_of

KINDS = {  # the others weigh 10,000 points in minutes; give one of them as density=…
    "gmm": "Gaussian mixture",
    "kde": "kernels (KDE)",
    "nice": "flow: NICE",
    "realnvp": "flow: RealNVP",
    "nsf": "flow: splines (NSF)",
    "maf": "flow: MAF",
    "arnsf": "flow: autoregressive splines",
}
GIVEN = "given"
STEPS = 500  # of a flow, where not said: a minute or two
BINS = 48  # of the histogram


class Superseded(Exception):
    """Another density is wanted."""


class Weigher(Part):
    """What `DensityPanel` shows beside its map; `weighed` is the density and what it says of all galaxies."""

    _esm = module("palettes.js", "dom.js", "likelihoods.js", "weigher.js")
    _css = Part._css + (HERE / "weigher.css").read_text(encoding="utf-8")
    hears = ("hello", "kind", "draw", "pick")

    def __init__(self, map, images=None, model=None, density=None, *, kind="gmm", learning=None, n=6):
        super().__init__(map.session, worker=map.worker)
        self.map, self.stamps = map, as_stamps(images, self.session)
        self.model = checked(model, self.session.latents.latent_dim)
        self.slow = Worker(patient=True)
        one_thread_each(self.worker, self.slow)
        self.given = None if density is None else fitting(density, self.session.latents)
        self.kinds = {GIVEN: f"as given ({type(density).__name__})"} if self.given is not None else {}
        self.kinds |= KINDS
        one_of("kind", kind, self.kinds)
        self.kind, self.learning, self.n = GIVEN if self.given is not None else kind, learning or {}, n
        self.weighed: Weighed | None = None
        self.drawn: Latents | None = None
        self.busy, self._turn, self._begun, self._seed = "", 0, False, self.session.seed
        self._draw_turn = 0

    # the density

    def begin(self) -> None:
        """Learn the density, and draw contours, unless that was begun."""
        if not self._begun:
            self.use(self.kind, **self.learning)
            self.contour()

    def use(self, kind: str, **learning) -> None:
        """Learn another density, in the background."""
        one_of("kind", kind, self.kinds)
        self._turn, self._begun, self.kind, self.learning = self._turn + 1, True, kind, learning
        turn = self._turn
        n = min(len(self.session.latents), MOST)
        self.say(f"Fitting {self.kinds[kind]} to {n:,} galaxies")
        self.later("weigh", lambda: self._weigh(kind, learning, turn), self._take, worker=self.slow)

    def need(self) -> Weighed:
        """The density and what it says, once it is learned."""
        self.begin()
        self.slow.wait()
        if self.weighed is None:
            raise GalnbError(f"there is no density: {self.problem}")
        return self.weighed

    def _weigh(self, kind: str, learning: dict, turn: int):
        try:
            fitted = self.given if kind == GIVEN else self._fit(kind, learning, turn)
            self.say(f"Weighing {len(self.session.latents):,} galaxies")
            return turn, weighed(fitted, self.session.latents, seed=self.session.seed)
        except Superseded:
            return None
        finally:
            if turn == self._turn:
                self.busy = ""

    def _fit(self, kind: str, learning: dict, turn: int) -> Density:
        options = dict(learning)
        if issubclass(densities.member(kind), Flow):
            options = {"steps": STEPS, **options}
            told = time.monotonic()

            def watch(flow, step):
                nonlocal told
                if turn != self._turn:
                    raise Superseded
                if time.monotonic() - told > 0.5:
                    told = time.monotonic()
                    self.say(f"Learning {self.kinds[kind]}: step {step:,} of {options['steps']:,}")

            options["watch"] = watch
        latents = self.session.latents
        step = -(-len(latents) // MOST)
        z = np.concatenate([z[np.isfinite(z).all(axis=1)][::step] for z in latents.chunks("z")])
        return questions.fit(z, kind, seed=self.session.seed, **options)

    def _take(self, found) -> None:
        if found is None or found[0] != self._turn:
            return
        self.weighed, self.problem = found[1], ""
        self.map.show_log_p(self.weighed.log_p)
        self.tell_state()
        self.stand()

    def contour(self) -> None:
        """Draw the regions that hold most galaxies over the map."""
        with self.session.lock:
            plane, key = self.session.projection(), self.session.plane

        def work():
            try:
                return contours.regions(plane.xy, seed=self.session.seed), key
            except BadInput:  # of a plane that has no area there are no contours
                return None, key

        self.later("contours", work, lambda found: self.map.show_regions(*found), worker=self.slow)

    # the galaxy that is picked

    def draw(self, changed: set[str]) -> None:
        if not self._begun:
            return
        if "plane" in changed:
            self.contour()
        if changed & {"picked", "spot", "plane"}:
            self.stand()
        if changed & {"picked", "spot", "plane", "selection", "polygon"}:
            self.tell_place()

    def stand(self) -> None:
        """Say how unlikely the picked galaxy is, or what would live in an empty spot."""
        with self.session.lock:
            row, spot = self.session.picked_row, self.session.spot
        if self.weighed is None or (row is None and spot is None):
            self.tell("standing", title="")
            return
        self.tell("waits")
        now = self.weighed
        self.later("stand", lambda: self._standing(now, row, spot), self._tell_standing)

    def standing(self, row: int) -> dict:
        """What is said of a galaxy: log_p, rarity, sigmas, and both in words."""
        return _said(self.need(), row)

    def _standing(self, now: Weighed, row: int | None, spot):
        if row is not None:
            said = _said(now, row) | {"title": f"Galaxy {name_of(self.session, row)}"}
            said["about"] = about(self.session, row)
            if self.stamps is not None and self.stamps.has([row])[0]:
                return said, to_rgb(self.stamps.read([row]))[0]
            z = self.session.latents.z[[row]]
        else:
            z = self.session.projection().inverse([spot])
            there = Weighed(now.density, now.density.log_prob(z), now.drawn)
            said = _said(there, 0) | {"title": "Empty space"}
            said["about"] = "no galaxy of the catalogue is here; this is what would be"
        good = self.model is not None and np.isfinite(z).all()
        return said, to_rgb(decoded(self.model, z))[0] if good else None

    def _tell_standing(self, found) -> None:
        said, picture = found
        plain = {name: finite(said[name]) for name in ("log_p", "rarity", "sigmas")}
        self.tell("standing", [] if picture is None else [png(picture)], **(said | plain))

    # draws from a place

    def place(self):
        """What is meant by "here": words, which positions of the plane are in it, and real rows there."""
        with self.session.lock:
            session, ring = self.session, self.map.place()
            if session.polygon is not None:
                return "inside the lasso", within(session.polygon), session.store.lasso(session.polygon)
            if ring is not None:
                words = "around this spot" if session.picked_row is None else "around this galaxy"
                at, radii = np.reshape(ring, (2, 2))
                turn = np.linspace(0, 2 * np.pi, 65)[:-1]
                outline = at + radii * np.stack([np.cos(turn), np.sin(turn)], axis=1)
                return words, around([at], radii), session.store.lasso(outline)
            if session.n_selected:
                rows = session.chosen.page(0, MOST)
                at = session.store.place(rows)
                near = around(at[np.isfinite(at).all(axis=1)], self.map.radii)
                return "around the selected galaxies", near, rows
        return None

    def chosen(self):
        """The place, which there must be."""
        if (here := self.place()) is None:
            raise GalnbError("no place is chosen; lasso one on the map, or click a galaxy or an empty spot")
        return here

    def draws(self, n: int | None = None, seed: int | None = None) -> Draws:
        """What the density draws in the place that is selected or picked."""
        _, where, _ = self.chosen()
        seed = self._seed if seed is None else seed
        found = draw_here(self.need().density, self.session.projection(), where, n or self.n, seed=seed)
        self.drawn = found.latents()
        return found

    def tell_place(self) -> None:
        here = self.place()
        self.tell("place", words="" if here is None else here[0])

    def _drawn(self, turn: int):
        (words, where, rows), now = self.chosen(), self.weighed

        def still(xy):
            if turn != self._draw_turn:
                raise Superseded
            return where(xy)

        try:
            found = draw_here(now.density, self.session.projection(), still, self.n, seed=self._seed)
        except Superseded:
            return None
        self._seed += 1
        pictures = [] if self.model is None or not len(found.z) else to_rgb(decoded(self.model, found.z))
        rows = np.random.default_rng(self._seed).permutation(rows)[: self.n]
        if self.stamps is not None:
            rows = rows[self.stamps.has(rows)]
        return words, found, pictures, rows, self._real(rows)

    def _real(self, rows) -> list:
        if not len(rows):
            return []
        if self.stamps is not None:
            return list(to_rgb(self.stamps.read(rows)))
        return [] if self.model is None else list(to_rgb(decoded(self.model, self.session.latents.z[rows])))

    def _tell_drawn(self, found) -> None:
        if found is None:
            return
        words, draws, pictures, rows, real = found
        self.drawn = draws.latents()
        names = [name_of(self.session, row) for row in rows]
        log_p = [finite(v) for v in self.drawn["log_p"]]
        own = [finite(v) for v in self.weighed.log_p[rows]]
        self.tell(
            "drawn", [png(picture) for picture in [*pictures, *real]],
            words=draws.words, where=words, n=len(draws.z), wanted=self.n, pictures=len(pictures),
            log_p=log_p, rows=[int(row) for row in rows], names=names, own=own, real=len(real),
            decoded=self.model is not None, imaged=self.stamps is not None,
        )  # fmt: skip

    # what the browser says

    def say(self, words: str) -> None:
        self.busy = words
        self.tell("busy", text=words)

    def tell_state(self) -> None:
        """Say which densities there are, and what the one in use says of all galaxies together."""
        state = {"kinds": list(self.kinds.items()), "chosen": self.kind, "busy": self.busy, "histogram": None}
        if (now := self.weighed) is not None:
            log_p = now.log_p[np.isfinite(now.log_p)]
            state["histogram"] = _histogram(now.drawn[now.drawn > -questions.LEAST], log_p)
            state |= {"mean": finite(log_p.mean()) if len(log_p) else None, "dim": now.density.dim}
        self.tell("state", **state)

    def on_hello(self, message: dict) -> None:
        self.begin()
        self.tell_state()
        self.tell_place()
        self.stand()

    def on_kind(self, message: dict) -> None:
        self.use(option(message, "name", self.kinds))

    def on_draw(self, message: dict) -> None:
        self._draw_turn += 1
        turn = self._draw_turn
        if self.weighed is None:
            raise GalnbError("the density is not ready yet; wait for it, then draw")
        self.later("draw", lambda: self._drawn(turn), self._tell_drawn)

    def on_pick(self, message: dict) -> None:
        self.session.pick_row(int(number(message, "row", 0, len(self.session.latents) - 1)))


def fitting(density: Density, latents) -> Density:
    """A density of latents like these; BadInput for another one."""
    if not isinstance(density, Density):
        raise TypeError(
            f"density is a {type(density).__name__}, wanted what density.fit or density.load gives"
        )
    if density.dim != latents.latent_dim or density.given:
        given = f" given {density.given} columns" if density.given else ""
        came = f"it is of {density.dim} numbers{given}, the latents have {latents.latent_dim}"
        raise BadInput("the density", f"{came}; fit one with density.fit(latents)")
    return density


def _said(now: Weighed, row: int) -> dict:
    return {
        "log_p": float(now.log_p[row]), "rarity": float(now.rarity[row]), "sigmas": float(now.sigmas[row]),
        "rare": now.rarity_words(row), "typical": now.typicality_words(row),
    }  # fmt: skip


def _histogram(drawn: np.ndarray, real: np.ndarray) -> dict:
    """Shares of draws and of galaxies by log p, from the lowest but for 0.2 % of each."""
    both = [values for values in (drawn, real) if len(values)]
    low = min(np.quantile(values, 0.002) for values in both)
    ends = np.linspace(low, max(values.max() for values in both) + 1e-6, BINS + 1)
    share = lambda values: (np.histogram(values, ends)[0] / max(len(values), 1)).tolist()  # noqa: E731
    return {"low": float(ends[0]), "high": float(ends[-1]), "drawn": share(drawn), "real": share(real)}
