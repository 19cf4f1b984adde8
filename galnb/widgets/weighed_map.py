"""`WeighedMap`: a map that can be colored by a density's log p, and contoured."""

from __future__ import annotations

import numpy as np

from ..contours import Regions
from .latent_map import LatentMap

RADIUS = 0.03  # of the place around what is picked, in widths of the whole map
LOG_P = "log p"


class WeighedMap(LatentMap):
    """A map that can be colored by a density's log p, and contoured."""

    pictures_first = False  # they would hide the colors

    def __init__(self, latents, images=None, **options):
        self.log_p, self.by_log_p, self.regions, self._placed = None, True, None, (None, None)
        super().__init__(latents, images, **options)

    @property
    def color(self) -> str:
        return LOG_P if self.by_log_p and self.log_p is not None else self.session.color

    @property
    def colors(self) -> list[tuple[str, str]]:
        own = [] if self.log_p is None else [(LOG_P, "log p(z)")]
        return [*own, *(pair for pair in super().colors if pair[0] != LOG_P)]

    def state(self) -> dict:
        return super().state() | {"place": self.place()}

    def place(self) -> list[float] | None:
        """The ring around what is picked, where there is no lasso: x, y and its radii."""
        session, spot = self.session, self.session.spot
        if session.polygon is not None:
            return None
        if session.picked_row is not None:
            spot = session.store.place([session.picked_row])[0]
        if spot is None or not np.isfinite(spot).all():
            return None
        return [float(v) for v in (*spot, *self.radii)]

    @property
    def radii(self) -> np.ndarray:
        """Of that ring, (2,) in units of the plane."""
        x0, x1, y0, y1 = self.session.home()
        return RADIUS * np.array([x1 - x0, y1 - y0])

    def show_log_p(self, log_p: np.ndarray) -> None:
        """Color by these log densities (n,), in nats."""
        self.log_p, self.by_log_p = log_p, True
        self.tell("state", changed=["color"], view=None, **self.state())

    def show_regions(self, regions: Regions | None, plane) -> None:
        """Draw the boundaries of regions of a plane; None for none."""
        self.regions = None if regions is None else (regions, plane)
        self.tell_regions()

    def tell_regions(self) -> None:
        if self.regions is None:
            self.tell("contours", [b""], counts=[])
            return
        regions, plane = self.regions
        points = np.concatenate([line for lines in regions.lines for line in lines] or [np.zeros((0, 2))])
        counts = [[len(line) for line in lines] for lines in regions.lines]
        about = {"shares": regions.shares.tolist(), "levels": regions.levels.tolist(), "counts": counts}
        name = plane if isinstance(plane, str) else " × ".join(plane)
        self.tell("contours", [points.astype("<f4").tobytes()], plane=name, **about)

    def on_hello(self, message: dict) -> None:
        super().on_hello(message)
        self.tell_regions()

    def on_color(self, message: dict) -> None:
        self.by_log_p = message.get("name") == LOG_P and self.log_p is not None
        if self.by_log_p:
            self.tell("state", changed=["color"], view=None, **self.state())
        elif message.get("name") == self.session.color:
            self.tell("state", changed=["color"], view=None, **self.state())
        else:
            super().on_color(message)

    def _frame(self, *args):
        self.ready()
        return super()._frame(*args)

    def ready(self) -> None:
        """Have the plane's points know their log p, whichever plane it is now."""
        store = self.session.store
        if self.color == LOG_P and (store is not self._placed[0] or self.log_p is not self._placed[1]):
            store.add(LOG_P, self.log_p, label="log p(z) [nats]")
            self._placed = store, self.log_p
