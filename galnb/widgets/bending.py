"""`Bending`: a Gaussian that one bends through coupling layers, to see what a change of variables is."""

from __future__ import annotations

import time

import numpy as np

from .. import bending
from ..bending import KINDS, TARGETS, Bend, Coupling
from ..errors import BadInput, one_of
from ..latents import Latents
from .base import (
    HERE,
    BadMessage,
    Panel,
    Part,
    Worker,
    check_options,
    module,
    number,
    one_thread_each,
    option,
)

CELLS, EXTENT, CLOUD, SCORED = 36, 3.0, 500, 1000
MOST_LAYERS, SIDE = 6, 0.3
RANGES = {"shift": (-3.0, 3.0), "scale": (-1.5, 1.5), "wiggle": (0.0, 3.0)}
START = ({"shift": 1.0, "scale": 0.4}, {"shift": 0.8, "scale": -0.3})
STEPS, PACE = 800, 0.1  # of learning; seconds between its frames at least


class Stopped(Exception):
    """A person stopped the learning."""


class Bender(Part):
    """What `Bending` shows: the bend in use, how deep it is drawn, its target."""

    _esm = module("palettes.js", "dom.js", "plane.js", "bending.js")
    _css = Part._css + (HERE / "bending.css").read_text(encoding="utf-8")
    hears = ("hello", "set", "probe", "target", "learn", "stop", "reset")

    def __init__(self, latents, *, layers=None, target="moons", columns=(0, 1), kind="realnvp", worker=None):
        super().__init__(latents, worker=worker)
        self.slow = Worker()
        one_thread_each(self.worker, self.slow)
        rng = np.random.default_rng(self.session.seed)
        self.corners = bending.mesh(cells=CELLS, extent=EXTENT)
        self.middles = (self.corners[:-1, :-1] + self.corners[1:, 1:]) / 2
        self.cloud = rng.normal(size=(CLOUD, 2))
        self.targets = {name: bending.target(name, seed=self.session.seed) for name in TARGETS}
        if (own := _columns(self.session.latents, columns, rng)) is not None:
            self.targets[f"latents {columns[0]} and {columns[1]}"] = own
        one_of("target", target, self.targets)
        one_of("kind", kind, KINDS)
        self.target, self.kind = target, kind
        self.first = [Coupling(**given, moves=1 - k % 2) for k, given in enumerate(layers or START)]
        self.layers, self.learned, self.depth = list(self.first), None, float(len(self.first))
        self.learning, self._stop, self._asked, self.curve = False, False, False, []

    @property
    def bend(self) -> Bend:
        """The one that is drawn: learned, or set by hand."""
        return Bend(self.layers) if self.learned is None else self.learned

    @property
    def points(self) -> np.ndarray:
        return self.targets[self.target]

    def score(self) -> float:
        """Mean log density of the target under the bend as deep as it is drawn, in nats."""
        return float(self.bend.log_prob(self.points[:SCORED], self.depth).mean())

    # what Python and the browser ask for

    def set(self, layers=None, depth: float | None = None) -> None:
        """Have other layers, by hand, or go to another depth."""
        n = len(self.bend if layers is None else layers)
        if not 1 <= n <= MOST_LAYERS:
            raise ValueError(f"{n} layers, wanted 1 to {MOST_LAYERS}")
        depth = n if depth is None else depth
        if not 0 <= depth <= n:
            raise ValueError(f"depth={depth:g}, wanted 0 to {n} layers")
        if layers is not None:
            self.halt()
            self.layers, self.learned = list(layers), None
        self.depth = float(depth)

    def aim(self, name: str) -> None:
        one_of("target", name, self.targets)
        self.halt()
        self.target = name

    def learn(self, kind: str, layers: int, steps: int = STEPS) -> None:
        """Learn the target in the background; `slow` is done when it is."""
        one_of("kind", kind, KINDS)
        if not 1 <= int(layers) <= MOST_LAYERS:
            raise ValueError(f"{layers} layers, wanted 1 to {MOST_LAYERS}")
        self.halt()
        self.kind, self.learning, self._stop, self.curve = kind, True, False, []
        self.tell_state()
        work = lambda: self._learn(kind, int(layers), steps)  # noqa: E731
        self.later("learn", work, lambda _: self._rest(), worker=self.slow)

    def halt(self) -> None:
        """Stop learning; what was learned so far stays."""
        if self.learning:
            self._stop = True
            self.slow.wait()

    def reset(self) -> None:
        """The layers that one began with."""
        self.halt()
        self.layers, self.learned, self.curve = list(self.first), None, []
        self.depth = float(len(self.layers))

    def _learn(self, kind: str, layers: int, steps: int) -> None:
        due = 0.0

        def watch(flow, step):
            nonlocal due
            if self._stop:
                raise Stopped
            if time.monotonic() >= due:
                began = time.monotonic()
                self._know(bending.layers_of(flow), step)
                self.tell_frame(step=step, steps=steps)
                due = time.monotonic() + max(PACE, 2 * (time.monotonic() - began))

        try:
            points = self.points.astype(np.float32)
            made = bending.learn(
                points, kind, layers=layers, steps=steps, seed=self.session.seed, watch=watch
            )
            self._know(made, steps)
        except Stopped:
            pass
        finally:
            self.learning = False

    def _know(self, bend: Bend, step: int) -> None:
        follow = self.learned is None or len(self.learned) != len(bend) or self.depth == len(self.learned)
        self.learned = bend
        self.depth = float(len(bend)) if follow else min(self.depth, float(len(bend)))
        self.curve.append((step, float(bend.log_prob(self.points[:300]).mean())))

    def _rest(self) -> None:
        self.tell_state()
        self.tell_frame()

    # what the browser hears

    def tell_state(self) -> None:
        rows = [{"shift": one.shift, "scale": one.scale, "wiggle": one.wiggle} for one in self.layers]
        self.tell(
            "state", targets=list(self.targets), target=self.target, kinds=list(KINDS), chosen=self.kind,
            layers=rows, ranges=RANGES, most=MOST_LAYERS, learning=self.learning,
            learned=0 if self.learned is None else len(self.learned), cells=CELLS, extent=EXTENT,
        )  # fmt: skip

    def tell_target(self) -> None:
        self.tell("target", [self.points[:SCORED].astype("<f4").tobytes()])

    def tell_frame(self, seq: int = 0, step: int = 0, steps: int = 0) -> None:
        """Send grid, cells and cloud at this depth, and then the target's mean log density."""
        if not self._asked:
            return
        bend, depth = self.bend, self.depth
        flat = np.concatenate([self.corners.reshape(-1, 2), self.cloud])
        at = bend.forward(flat, depth)
        log_det = bend.log_det(self.middles, depth)
        most = next((m for m in (0.5, 1.0, 2.0, 4.0) if np.percentile(np.abs(log_det), 98) <= m), 8.0)
        wide = float(np.percentile(np.abs(at[-CLOUD:]), 95))
        view = next((v for v in (4.0, 6.0, 9.0) if wide < v), 14.0)
        buffers = [a.astype("<f4").tobytes() for a in (at, log_det, self.cloud)]
        about = {"seq": seq, "depth": depth, "of": len(bend), "most": most, "view": view}
        about |= {
            "learned": self.learned is not None,
            "step": step,
            "steps": steps,
            "curve": self.curve[-400:],
        }
        self.tell("frame", buffers, **about)
        if step:
            self.tell("score", mean=self.curve[-1][1], depth=depth)
        else:
            self.later("score", self.score, lambda mean: self.tell("score", mean=mean, depth=depth))

    def probe(self, x: float, y: float, side: str = "u") -> dict:
        """What a small square at a place does: "u" before, "x" after the layers."""
        one_of("side", side, ("u", "x"))
        bend, depth = self.bend, self.depth
        u = np.array([x, y], dtype=np.float64)
        u = bend.inverse(u, depth) if side == "x" else u
        outline = bending.square(u, SIDE)
        bent, jacobian = bend.forward(outline, depth), bend.jacobian(u, depth)
        det = float(np.linalg.det(jacobian))
        log_u = float(bending.normal_log_prob(u))
        log_x = log_u - float(np.log(det))
        return {
            "u": u.tolist(), "x": bend.forward(u, depth).tolist(), "jacobian": jacobian.tolist(), "det": det,
            "before": SIDE**2, "after": bending.area(bent), "log_u": log_u, "log_x": log_x,
            "square": outline.tolist(), "bent": bent.tolist(),
        }  # fmt: skip

    # what the browser says

    def on_hello(self, message: dict) -> None:
        self._asked = True
        self.tell_state()
        self.tell_target()
        self.tell_frame()

    def on_set(self, message: dict) -> None:
        rows, depth = message.get("layers"), number(message, "depth", 0, MOST_LAYERS)
        if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            raise BadMessage("layers are no list of objects; reload the page to make both match")
        layers = None if rows is None else [
            Coupling(**{name: number(row, name, *ends) for name, ends in RANGES.items()}, moves=1 - k % 2)
            for k, row in enumerate(rows)
        ]  # fmt: skip
        if layers is None:
            depth = min(depth, len(self.bend))
        self.set(layers, depth)
        self.tell_frame(int(number(message, "seq", 0, 1e15)))

    def on_probe(self, message: dict) -> None:
        x, y = number(message, "x", -50, 50), number(message, "y", -50, 50)
        self.tell("probe", **self.probe(x, y, option(message, "side", ("u", "x"))))

    def on_target(self, message: dict) -> None:
        self.aim(option(message, "name", self.targets))
        self.curve = []
        self.tell_target()
        self.tell_frame()

    def on_learn(self, message: dict) -> None:
        self.learn(option(message, "kind", KINDS), int(number(message, "layers", 1, MOST_LAYERS)))

    def on_stop(self, message: dict) -> None:
        self._stop = True

    def on_reset(self, message: dict) -> None:
        self.reset()
        self._rest()


def _columns(latents, columns, rng) -> np.ndarray | None:
    """Two columns of latents, as a target; None where they cannot be one."""
    a, b = columns
    if not (0 <= a < latents.latent_dim and 0 <= b < latents.latent_dim and a != b):
        return None
    rows = np.sort(rng.permutation(min(len(latents), 100_000))[:2000])
    try:
        return rng.permutation(bending.white(np.asarray(latents.z[rows], dtype=np.float64)[:, [a, b]]))
    except BadInput:
        return None


class Bending(Panel):
    """A Gaussian that one bends through coupling layers, beside its grid, its Jacobian and its likelihood.

    Parameters
    ----------
    latents : Latents or Session
        Two of their columns are one of the targets.
    layers : list of dict, optional
        To begin with: {"shift": ..., "scale": ..., "wiggle": ...} each, 1 to 6.
    target : str
        "ring", "moons", "spiral", or "latents 0 and 1".
    columns : pair of int
        Of z, for that target.
    kind : "realnvp" or "nsf"
        Of what is learned.

    Attributes
    ----------
    bend : galnb.bending.Bend
        The layers that are drawn, set by hand or learned.
    depth : float
        Of how many of them.
    mean_log_p : float
        Of the target under them, in nats; -2.84 of the unbent Gaussian.

    Examples
    --------
    >>> panel = Bending(Latents(np.arange(9), np.zeros((9, 2))), target="ring")
    >>> panel.set([Coupling(shift=1.5)], depth=0.5)
    >>> panel.bend.forward(np.zeros((1, 2)), panel.depth).tolist(), round(panel.mean_log_p) < 0
    ([[0.0, 0.75]], True)
    """

    def build(self, *, layers=None, target="moons", columns=(0, 1), kind="realnvp") -> tuple:
        if layers is not None and not 1 <= len(layers) <= MOST_LAYERS:
            raise ValueError(f"{len(layers)} layers, wanted 1 to {MOST_LAYERS}")
        options = {"layers": layers, "target": target, "columns": columns, "kind": kind}
        self.bender = Bender(self.session, worker=self.worker, **options)
        return (self.bender,)

    @property
    def bend(self) -> Bend:
        return self.bender.bend

    @property
    def depth(self) -> float:
        return self.bender.depth

    @property
    def mean_log_p(self) -> float:
        return self.bender.score()

    def set(self, layers=None, *, depth: float | None = None) -> None:
        """Have these `galnb.bending.Coupling` layers, or go to another depth."""
        self.bender.set(layers, depth)
        self.bender._rest()

    def aim(self, target: str) -> None:
        """Have another target."""
        self.bender.aim(target)
        self.bender.tell_target()
        self.bender._rest()

    def learn(self, kind: str = "realnvp", *, layers: int = 4, steps: int = STEPS, wait: bool = True) -> None:
        """Let it learn the target, and watch it."""
        self.bender.learn(kind, layers, steps)
        if wait:
            self.bender.slow.wait()

    def reset(self) -> None:
        """The layers that one began with."""
        self.bender.reset()
        self.bender._rest()

    def figure(self):
        """Both sides as they are drawn, as a Figure."""
        return bending.figure(self.bend, self.depth, self.bender.points, seed=self.session.seed)

    def words(self) -> str:
        n = len(self.session.latents)
        words = (
            f"A Gaussian and its grid, bent by {self.depth:g} coupling layers towards {self.bender.target}"
        )
        return f"{words}; {n:,} of {n:,} galaxies may be a target"

    def pictured(self):
        return self.figure()


def bend(latents=None, **options) -> Bending:
    """A Gaussian to bend through coupling layers, by hand or by learning; see `Bending` for the options.

    Where latents are given, two of their columns are one of the targets.

    Examples
    --------
    >>> here = bend(target="spiral")
    >>> len(here.bend), here.depth
    (2, 2.0)
    """
    check_options(options, ("layers", "target", "columns", "kind", "plane", "seed"))
    if latents is None:
        latents = Latents(np.arange(2), np.eye(2, dtype=np.float32))
    return Bending(latents, **options)
