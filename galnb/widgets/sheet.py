"""`Sheet`: sliders, galaxies that do not exist, and what is measured in them beside what was asked."""

from __future__ import annotations

import tempfile
import time
from copy import copy
from pathlib import Path

import numpy as np

from .. import film, models, weights
from ..conditions import CONDITIONS, POSITIVE, measure
from ..errors import GalnbError, one_of
from ..export import KINDS, export
from ..figures import to_png, wall_figure
from ..images import Images
from ..imagined import Imagined
from ..known import Known
from ..stamps import to_rgb
from .base import HERE, BadMessage, Part, Worker, as_stamps, finite, module, number, one_thread_each, option
from .decoder import matched

GIVEN = ("picture", "numbers", "both")
REST = 0.06  # seconds without a change before pictures are measured: the next picture comes first
MOST = 10_000  # galaxies among which the nearest is looked for


class Sheet(Part):
    """Sliders, the wall of galaxies and the one that is picked; `imagined` is what they show."""

    _esm = module("dom.js", "scales.js", "sampler.js")
    _css = Part._css + (HERE / "sampler.css").read_text(encoding="utf-8")
    hears = ("hello", "ask", "draw", "noise", "model", "given", "pick", "start", "walk", "save")

    def __init__(self, latents, images=None, model=None, *, n=16, seed=0, noise=True, worker=None):
        super().__init__(latents, seed=seed, worker=worker)
        self.stamps, self._asked = as_stamps(images, self.session), False
        self.slow, self.slowest = Worker(patient=True), Worker(patient=True)
        one_thread_each(self.worker, self.slow, self.slowest)
        self.options = {"n": n, "noise": noise}
        self.imagined: Imagined | None = None
        self.row, self.given, self.picked, self.turn = None, "picture", 0, 0
        self._real, self._known, self._from, self._film = None, None, None, None
        self.choices = {} if model is None else {name_of(model): model}
        self.choices |= {name: None for name in shipped(self.session.latents) if name not in self.choices}
        if model is not None:
            self.use(name_of(model))

    # what Python and the browser ask for

    def use(self, name: str) -> None:
        """Imagine galaxies with another model: shipped weights, by name, or the one that was given."""
        one_of("model", name, self.choices)
        model = self.choices[name] or weights.load(name)
        imagined = Imagined(model, self.session.latents, seed=self.session.seed, **self.options)
        self.choices[name], self.name, self.imagined = model, name, imagined
        self.row, self._real, self._known, self._from, self._film = None, None, None, None, None
        self.tell_state()
        self.show()

    def need(self) -> Imagined:
        if self.imagined is None:
            raise GalnbError("no model is chosen yet; choose one first, or give model=…")
        return self.imagined

    def take(self, row: int, given: str | None = None) -> None:
        """Begin from a real galaxy: its picture, its measured conditions ("numbers"), or both."""
        imagined = self.need()
        one_of("given", given := given or self.given, GIVEN)
        name = str(self.session.latents.id[row])
        if self.stamps is None or not self.stamps.has([row])[0]:
            imagined.begin(self.session.latents.z[row], name=name)
            picture = None
        else:
            picture = matched(self.stamps.read([row]), imagined.model)
            truth = measure(picture)
            found = truth[0]
            y = {k: float(found[k]) for k in imagined.names if k in found.colnames and np.isfinite(found[k])}
            imagined.take(
                None if given == "numbers" else picture, None if given == "picture" else y, name=name
            )
            imagined.truth = truth
        self.row, self._real, self.given, self.picked = row, picture, given, 0
        self.show()

    def show(self, seq: int = 0) -> None:
        """Send the galaxies; then what is measured in them, once corrected; then the nearest known ones."""
        self.turn += 1
        if not self._asked:
            return
        turn, now = self.turn, copy(self.need())  # its attributes are replaced, never written to
        self.later("wall", lambda: self._wall(now, turn, seq), lambda found: self._tell_wall(now, *found))

    def _wall(self, imagined: Imagined, turn: int, seq: int):
        pictures, features = imagined.pictures(corrected=False), imagined.features()
        own = {name: float(np.median(features[name])) for name in features.colnames}
        about = {
            "turn": turn, "seq": seq, "n": len(pictures), "size": pictures.shape[0], "seed": imagined.seed,
            "noise": imagined.noise, "asked": imagined.asked, "sigmas": imagined.sigmas.tolist(), "own": own,
            "warnings": imagined.warnings, "origin": imagined.origin, "given": self.given,
            "picked": min(self.picked, len(pictures) - 1), "under": imagined.under,
        }  # fmt: skip
        return about, pictures

    def _tell_wall(self, imagined: Imagined, about: dict, pictures: Images) -> None:
        real = [] if self._real is None else [to_rgb(self._real).tobytes()]
        self.tell("wall", [to_rgb(pictures).tobytes(), *real], **about)
        work = lambda: self._measured(imagined, about["turn"], pictures)  # noqa: E731
        self.later("measure", work, self._tell_measured, worker=self.slow)

    def _tell_measured(self, found) -> None:
        if found is None:
            return
        content, pictures = found
        self.tell("measured", [to_rgb(pictures).tobytes()], **content)
        if self.stamps is not None:
            work = lambda: self._nearest(content["turn"], pictures)  # noqa: E731
            self.later("nearest", work, self._tell_nearest, worker=self.slowest)

    def _tell_nearest(self, found) -> None:
        if found is not None:
            content, pictures = found
            self.tell("nearest", [to_rgb(pictures).tobytes()], **content)

    def _measured(self, imagined: Imagined, turn: int, pictures: Images):
        time.sleep(REST)
        if turn != self.turn:
            return None
        if imagined.corrects:
            pictures = imagined.pictures()
        found = measure(pictures)
        plain = lambda table: {n: [finite(v) for v in table[n]] for n in CONDITIONS}  # noqa: E731
        truth = {} if imagined.truth is None else {k: v[0] for k, v in plain(imagined.truth).items()}
        return {"turn": turn, "values": plain(found), "truth": truth}, pictures

    def _nearest(self, turn: int, pictures: Images):
        known = self.known() if turn == self.turn else None
        if turn != self.turn:
            return None
        rows, distances, near = known.beside(pictures)
        usual, names = finite(known.usual), known.images.id[rows].astype(str).tolist()
        content = {"distances": distances.tolist(), "names": names, "usual": usual, "of": len(known.images)}
        return {"turn": turn, **content}, near

    def known(self) -> Known:
        """The given galaxies, at most 10,000 of them evenly chosen, to compare with; made on first use."""
        if self._known is None:
            source, model = self.stamps.images, self.need().model
            rows = np.unique(np.linspace(0, len(source) - 1, min(len(source), MOST)).astype(int))
            read = source.__getitem__ if isinstance(source, Images) else source.read
            parts = [matched(read(part), model) for part in np.array_split(rows, -(-len(rows) // 500))]
            pixels = np.concatenate([model.tensor(part).numpy() for part in parts])
            ids = np.concatenate([part.id for part in parts])
            self._known = Known(Images(pixels, id=ids, bands=model.bands))
        return self._known

    def draw(self, changed: set[str]) -> None:
        if "picked" in changed and self.imagined is not None and self.session.picked_row is not None:
            self.take(self.session.picked_row)

    # what the browser says

    def tell_state(self) -> None:
        """Say which models there are, and what the chosen one can do."""
        state = {
            "models": list(self.choices),
            "model": None,
            "real": self.stamps is not None,
            "units": CONDITIONS,
        }
        if (imagined := self.imagined) is not None:
            rows = zip(imagined.names, imagined.ranges.tolist(), imagined.scales.tolist(), strict=True)
            state |= {
                "model": self.name, "noisy": imagined.noisy, "shares": imagined.shares.tolist(),
                "impute": bool(imagined.names) and imagined.model.can("encode"),
                "conditions": [
                    {"name": name, "unit": CONDITIONS.get(name, ""), "log": name in POSITIVE and scale[0] > 0,
                     "range": range_, "scale": scale} for name, range_, scale in rows
                ],
            }  # fmt: skip
        self.tell("state", **state)

    def on_hello(self, message: dict) -> None:
        self._asked = True
        self.tell_state()
        if self.imagined is not None:
            self.show()

    def on_ask(self, message: dict) -> None:
        imagined, asked, sigmas = self.need(), message.get("asked"), message.get("sigmas")
        if not isinstance(asked, dict) or not isinstance(sigmas, list) or len(asked) > len(CONDITIONS):
            raise BadMessage("asked and sigmas are no object and list; reload the page to make both match")
        imagined.ask(**{name: None for name in imagined.names} | asked)
        imagined.move([number({"sigma": value}, "sigma", -10, 10) for value in sigmas])
        self.show(int(number(message, "seq", 0, 1e15)))

    def on_draw(self, message: dict) -> None:
        self.new_draw(None if message.get("seed") is None else int(number(message, "seed", 0, 2**53)))

    def new_draw(self, seed: int | None = None) -> None:
        self.need().draw(seed)
        self.row, self._real, self.picked = None, None, 0
        self.show()

    def on_noise(self, message: dict) -> None:
        self.need().noise = bool(message.get("on"))
        self.show()

    def on_model(self, message: dict) -> None:
        name = option(message, "name", self.choices)
        self.later("model", lambda: self.use(name), lambda _: None)

    def on_given(self, message: dict) -> None:
        self.given = option(message, "given", GIVEN)
        if self.row is not None:
            self.take(self.row)

    def on_pick(self, message: dict) -> None:
        self.pick(int(number(message, "k", 0, self.options["n"] - 1)))

    def pick(self, k: int) -> None:
        if not 0 <= k < len(self.need().z):
            raise ValueError(f"galaxy {k}, wanted 0 to {len(self.imagined.z) - 1}")
        self.picked = k
        self.tell("picked", k=k)

    def on_start(self, message: dict) -> None:
        self._from = self.need().z[self.picked]
        self.tell("start", k=self.picked)

    def on_walk(self, message: dict) -> None:
        if self._from is None:
            raise GalnbError(
                "a walk has two ends and only one is set; press Walk from here at another galaxy"
            )
        start, end = self._from, self.need().z[self.picked]
        self.later("walk", lambda: self.imagined.walk(start, end), self._tell_film)

    def _tell_film(self, pictures: np.ndarray) -> None:
        self._film = pictures
        self.tell("film", [pictures.tobytes()], frames=len(pictures), size=pictures.shape[1])

    def on_save(self, message: dict) -> None:
        kind = option(message, "kind", (*KINDS, ".png", *film.KINDS))
        name = "walk" if kind in film.KINDS else "imagined"
        self.later(
            "save", lambda: self.as_file(kind), lambda data: self.tell("file", [data], name=name + kind)
        )

    def as_file(self, kind: str) -> bytes:
        """The wall (".png"), its table (".csv", ".vot", ".parquet") or the walk (".gif", ".mp4") as bytes."""
        imagined = self.need()
        if kind == ".png":
            return to_png(self.figure(), dpi=150)
        if kind in film.KINDS and self._film is None:
            raise GalnbError(
                "there is no walk to save yet; press Walk from here at one galaxy, then at another"
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"file{kind}"
            if kind in film.KINDS:
                film.save(self._film, path, made=imagined.made())
            else:
                export(imagined.images.table, path)
            return path.read_bytes()

    def figure(self):
        """The wall as a Figure; a caption says what was measured of what was asked."""
        imagined = self.need()
        images = imagined.images
        captions = [
            ", ".join(f"{name} {row[f'{name}_measured']:.3g}" for name in imagined.asked) or str(k)
            for k, row in enumerate(images.table)
        ]
        return wall_figure(list(to_rgb(images)), captions, columns=4, size=1.6)


def shipped(latents) -> list[str]:
    """Names of the shipped weights whose models can imagine: those that sample, or made these latents."""
    able, names = {row["name"]: row for row in models.capabilities()}, []
    for name in weights.names():
        card = weights.card(name)
        fits = card["config"].get("latent_dim") == latents.latent_dim
        can = able.get(card["model"], {"decode": False})  # a density draws latents, not pictures
        if can["decode"] and (can["sample"] or fits):
            names.append(name)
    return names


def name_of(model) -> str:
    return getattr(model, "weights", {}).get("name") or type(model).__name__
