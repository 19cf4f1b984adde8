"""`Decoder`: the picked galaxy beside what the model makes of it, or what would live in an empty spot."""

from __future__ import annotations

import numpy as np

from ..errors import BadInput, CannotDo
from ..images import Images
from ..stamps import png, residual, scale_bar, to_rgb
from .base import Part, as_stamps, module
from .gallery import about, decoded, name_of


class Decoder(Part):
    """Image, reconstruction and residual of the picked galaxy; for an empty spot, the galaxy decoded from it.

    Parameters
    ----------
    latents : Latents or Session
    images : Images or Source, optional
    model : Model, optional
        Put in eval mode. It decodes the catalogue's own latents, so it must be the model that made them.

    Raises
    ------
    CannotDo
        If the model cannot decode.
    BadInput
        If its latents have another length than the catalogue's.
    """

    _esm = module("dom.js", "decoder.js")
    hears = ("hello",)

    def __init__(self, latents, images=None, model=None, *, plane=None, seed=0, worker=None):
        super().__init__(latents, plane=plane, seed=seed, worker=worker)
        self.stamps = as_stamps(images, self.session)
        self.model = checked(model, self.session.latents.latent_dim)

    def draw(self, changed: set[str]) -> None:
        if changed & {"picked", "spot", "plane"}:
            self.show()

    def on_hello(self, message: dict) -> None:
        self.show()

    def show(self) -> None:
        """Send the pictures of what is picked, when the worker comes to it."""
        with self.session.lock:
            picked, spot = self.session.picked_row, self.session.spot
        if picked is None and spot is None:
            blanks = 3 if self.model and self.stamps else int(bool(self.model or self.stamps))
            can = "Click a galaxy to see it" + (" and its reconstruction" if self.model else "")
            can += ", or empty space to see what would live there" if self.model else ""
            self.later("show", lambda: None, lambda _: self.tell("empty", text=can, blanks=blanks))
            return
        self.tell("busy")
        work = self._galaxy if picked is not None else self._spot
        self.later("show", lambda: work(picked if picked is not None else spot), self._tell_pictures)

    def _tell_pictures(self, found) -> None:
        title, text, pictures, bar = found
        labels = [{"label": label, "alt": f"{label} of {title}"} for label, _ in pictures]
        bar = bar and {"share": bar[0], "label": bar[1]}
        self.tell(
            "pictures", [png(rgb) for _, rgb in pictures], title=title, text=text, pictures=labels, bar=bar
        )

    def _galaxy(self, row: int):
        session = self.session
        words, pictures, bar = [about(session, row)], [], None
        image = self.stamps.read([row]) if self.stamps is not None and self.stamps.has([row])[0] else None
        if image is not None:
            pictures.append(("Galaxy", to_rgb(image)[0]))
            bar = scale_bar(image.pixel_scale, image.shape[1])
        if self.model is not None:
            again = decoded(self.model, session.latents.z[[row]])
            pictures.append(("Reconstruction", to_rgb(again)[0]))
            if image is not None:
                seen = matched(image, self.model)
                missed, scale = residual(seen.pixels[0], again.pixels[0])
                pictures.append(("Residual", missed))
                error = float(np.sqrt(np.mean(np.square(seen.pixels[0] - again.pixels[0]))))
                words.append(f"rms error {error:.3g} of 1")
                words.append(f"residual: orange is missed light, blue is added, to ±{scale:.2g}")
        if not pictures:
            words.append("Give images=… or model=… to see it")
        return f"Galaxy {name_of(session, row)}", "; ".join(word for word in words if word), pictures, bar

    def _spot(self, spot):
        x, y = spot
        across, up = (label.split(" (")[0] for label in self.session.axes)
        place = f"{across} = {x:.3g}, {up} = {y:.3g}"
        if self.model is None:
            words = f"{place}: no galaxy here. Give model=… to decode the one that would live here"
            return "Empty space", words, [], None
        z = self.session.projection().inverse([spot])
        picture = to_rgb(decoded(self.model, z))[0]
        scale = self.stamps.pixel_scale if self.stamps is not None else None
        words = f"Decoded at {place}: no galaxy of the catalogue is here, this is what would be"
        return "Empty space", words, [("Imagined", picture)], scale_bar(scale, picture.shape[1])


def checked(model, latent_dim: int):
    """A model that decodes latents of this length, in eval mode; or None."""
    if model is None:
        return None
    if not callable(getattr(model, "decode", None)):
        raise CannotDo(f"{type(model).__name__} cannot decode; give a model that can, or none")
    own = getattr(model, "config", {}).get("latent_dim", latent_dim)
    if own != latent_dim:
        raise BadInput(
            "model", f"it decodes latents of {own} numbers, the catalogue's have {latent_dim}; "
            "give the model that made them",
        )  # fmt: skip
    return model.eval()


def matched(images: Images, model) -> Images:
    """Images in a model's bands and size, by cropping the middle where they are larger."""
    if images.bands != model.bands and set(model.bands) <= set(images.bands):
        images = images[list(model.bands)]
    return images.crop(model.size) if min(images.shape) > model.size else images
