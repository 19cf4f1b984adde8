"""`Evidence`: pictures of one galaxy that say why it scores as it does."""

from __future__ import annotations

import numpy as np

from .. import anomaly
from ..encoding import decode, reconstruct
from ..errors import CannotDo
from ..images import Images
from ..stamps import Stamps, residual, to_rgb
from .board import BLEND, Board
from .decoder import matched

FORESTS = ("forest", "extended")
MAPPED = ("reconstruction", "G", "C", BLEND, *FORESTS)


class Evidence:
    """Pictures of one galaxy that say why it scores as it does.

    Parameters
    ----------
    board : Board
    stamps : Stamps, optional
    model : Model, optional
        One that encodes and decodes: of "reconstruction", and of forests where it made the latents.
    gan : WGAN, optional
        Of "G", "C" and their blend.

    Raises
    ------
    CannotDo
        If the model lacks one of both, or the gan has no misfit.
    """

    def __init__(self, board: Board, stamps: Stamps | None, model=None, gan=None):
        for lacking in () if model is None else ("encode", "decode"):
            model.demand(lacking)
        if gan is not None and not callable(getattr(gan, "misfit", None)):
            raise CannotDo(f"gan is a {type(gan).__name__}, wanted a galnb.models.WGAN, which has a misfit")
        self.board, self.stamps = board, stamps
        self.model, self.gan = (None if one is None else one.eval() for one in (model, gan))
        self._scorers: dict[str, anomaly.Scorer] = {}

    def read(self, row: int) -> Images | None:
        """The galaxy's image, None where there is none."""
        return self.stamps.read([row]) if self.stamps is not None and self.stamps.has([row])[0] else None

    def pictures(self, row: int, name: str) -> tuple[list[tuple[str, np.ndarray]], list[str], float | None]:
        """Galaxy, reconstruction, residual, and where score `name` comes from, with labels; and words.

        The last is the share of the score of a pixel that is white in the map, None where there is no map.
        """
        image, found, words, top = self.read(row), [], [], None
        again = self.model or self.gan
        if image is not None:
            found.append(("Galaxy", to_rgb(image)[0]))
            if again is not None:
                seen = matched(image, again)
                drawn = reconstruct(seen, again)
                missed, scale = residual(seen[list(again.bands)].pixels[0], drawn.pixels[0])
                found += [("Reconstruction", to_rgb(drawn)[0]), ("Residual", missed)]
                words.append(f"Residual: orange is missed light, blue is added, to ±{scale:.2g}.")
        elif again is not None and again.config["latent_dim"] == self.board.latents.latent_dim:
            found.append(("Decoded", to_rgb(self._drawn(row, again))[0]))
        reason = self.lacks(name) or ("" if image is not None else "This galaxy has no image.")
        if name in MAPPED and not reason:
            shares = self.map(row, name, image)
            top = float(np.percentile(shares, 99.5)) or 1.0
            found.append((f"Where {name} comes from", heat(shares / top)))
        elif reason:
            words.append(reason)
        return found, words, top

    def lacks(self, name: str) -> str:
        """Why there is no map of a score, in words; empty where there is one."""
        if name not in MAPPED:
            return f"No map for this score: {name} has no parts in pixels."
        if self.stamps is None:
            return "Give images=… to see the galaxies, and where a score comes from."
        if name in FORESTS:
            model = self._decoder()
            return (
                ""
                if model is not None
                else f"No map for this score: {name} needs the model that made the latents."
            )
        wanted = self.model if name == "reconstruction" else self.gan
        word = "model" if name == "reconstruction" else "gan"
        return "" if wanted is not None else f"No map for this score: {name} needs {word}=…"

    def _decoder(self):
        """The model that decodes these latents, by its length of them."""
        length = self.board.latents.latent_dim
        return next((m for m in (self.model, self.gan) if m and m.config["latent_dim"] == length), None)

    def _drawn(self, row: int, model) -> Images:
        return Images(decode(self.board.latents.z[[row]], model), bands=model.bands)

    def map(self, row: int, name: str, image: Images) -> np.ndarray:
        """The share (y, x) of a galaxy's score that each pixel has, 1 in sum."""
        if name in FORESTS:
            return shares(self._forest_map(row, name))
        if name == "reconstruction":
            return shares(anomaly.residual_maps(matched(image, self.model), self.model)[0].mean(axis=0))
        seen = matched(image, self.gan)
        g = shares(anomaly.residual_maps(seen, self.gan)[0].mean(axis=0)) if name != "C" else 0
        c = shares(anomaly.critic_map(seen, self.gan)) if name != "G" else 0
        if name != BLEND:
            return g if name == "G" else c
        share, (of_g, of_c) = self.board.share, (max(float(self.board.by(n).sigma[row]), 0) for n in "GC")
        return shares(share * of_g * g + (1 - share) * of_c * c)

    def _forest_map(self, row: int, name: str) -> np.ndarray:
        latents = self.board.latents
        if name not in self._scorers:
            self._scorers[name] = anomaly.Scorer(name, seed=self.board.seed).fit(latents)
        scorer, z = self._scorers[name], latents.z[[row]]
        return anomaly.pixel_map(self._decoder(), z[0], scorer.attribution(z)[0], scorer.center)


def shares(found: np.ndarray) -> np.ndarray:
    """A map that is 1 in sum; where there is nothing, 0."""
    found = np.nan_to_num(np.asarray(found, dtype=np.float64))
    return found / (found.sum() or 1.0)


def heat(values: np.ndarray) -> np.ndarray:
    """Values (y, x) from 0 to 1 as a picture (y, x, 3) uint8 from black through red to white."""
    from matplotlib import colormaps

    return np.rint(255 * colormaps["afmhot"](np.clip(values, 0, 1))[..., :3]).astype(np.uint8)
