"""The embedded default survey, prepared once, and a report on it that needs no browser to be made."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import figures, metrics, stamps, weights
from .disk import cache_folder, write
from .encoding import encode, reconstruct
from .errors import BadInput
from .images import Images
from .latents import Latents
from .models.base import Model
from .morphology import measure
from .provenance import array_hash
from .sources.hubble import Hubble
from .tasks import one_thread

WEIGHTS = "ae16-hubble"
MEASURED = ("concentration", "asymmetry")


@dataclass(frozen=True)
class Survey:
    """Galaxies, their latents, and the model between them; unpacks as a tuple of the three."""

    images: Images
    latents: Latents
    model: Model

    def __iter__(self):
        return iter((self.images, self.latents, self.model))


def default_survey(*, progress: bool = True) -> Survey:
    """Real galaxies of the Hubble eXtreme Deep Field, their latents and their model, without a download.

    Prepared once and kept (see `disk.cache_folder`): cut out, measured and encoded with the shipped weights.

    Examples
    --------
    >>> images, latents, model = default_survey(progress=False)
    >>> len(images) == len(latents), latents.latent_dim
    (True, 16)
    """
    from tqdm.auto import tqdm

    with tqdm(total=3, disable=not progress, desc="cutting galaxies", unit="step") as bar:
        images = Hubble().read()
        images.table.remove_columns(["is_star", "at_edge"])  # all False: those objects are left out
        bar.update()
        model = weights.load(WEIGHTS)
        key = array_hash(images.pixels)[:12] + weights.card(WEIGHTS)["sha256"][:12]
        path = cache_folder() / f"hubble-{key}.parquet"
        bar.set_description("measuring and encoding")
        columns = (*images.table.colnames, *MEASURED)
        latents = _kept(path, columns)
        table = measure(images) if latents is None else latents.table
        for name in MEASURED:
            images.table[name] = np.asarray(table[name], dtype=np.float32)
        if latents is None:
            with one_thread():
                latents = encode(images, model)
            latents.write(path)
        bar.update()
        bar.set_description(f"{len(images)} galaxies ready")
        bar.update()
    return Survey(images, latents, model)


def _kept(path: Path, columns: tuple[str, ...]) -> Latents | None:
    """The prepared latents, or None where they are missing or damaged."""
    try:
        latents = Latents.read(path)
    except BadInput:
        return None
    return latents if latents.columns == columns else None


def report(out: str | Path = "demo", *, progress: bool = True) -> Path:
    """A folder with latents, map, reconstructions and neighbors of the default survey, and a page of them.

    Returns
    -------
    Path
        Of index.html, one file that refers to nothing outside itself.
    """
    from sklearn.neighbors import NearestNeighbors

    from .session import Session

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    images, latents, model = default_survey(progress=progress)
    latents.write(out / "latents.parquet")

    session = Session(latents)
    session.set_view(session.home(900, 600))
    frame = session.frame(900, 600)
    axes = session.axes
    pictures = {
        "map.png": (
            figures.to_png(figures.map_figure(frame, axes=axes, title="The latent space of the survey")),
            figures.alt_text(frame, n=len(latents), axes=axes),
        )
    }
    shown = images[:: max(len(images) // 12, 1)][:12]
    again = reconstruct(shown, model)
    misses = [stamps.residual(a, b)[0] for a, b in zip(shown.pixels, again.pixels, strict=True)]
    rows = np.concatenate([stamps.to_rgb(shown), stamps.to_rgb(again), np.array(misses)])
    pictures["reconstructions.png"] = (
        stamps.png(_larger(stamps.tile(rows, columns=12, gap=1))),
        f"Twelve galaxies, their reconstructions from {latents.latent_dim} numbers, and what those miss",
    )
    _, near = NearestNeighbors(n_neighbors=9).fit(latents.z).kneighbors(latents.select(shown.id[:6]).z)
    pictures["neighbors.png"] = (
        stamps.png(_larger(stamps.tile(stamps.to_rgb(images)[near.ravel()], columns=9, gap=1))),
        "Six galaxies, each followed by the eight galaxies nearest to it in latent space",
    )
    for name, (data, _) in pictures.items():
        write(out / name, data)
    scores = metrics.fidelity(images, reconstruct(images, model))
    page = out / "index.html"
    return write(page, _page(images, latents, scores, pictures).encode())


def _larger(picture: np.ndarray, times: int = 3) -> np.ndarray:
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _page(images: Images, latents: Latents, scores: dict, pictures: dict) -> str:
    from . import __version__

    ratios = metrics.ratios(images.pixels.shape[1:], latents.latent_dim)
    size = images.shape[0]
    words = (
        f"{len(images)} galaxies of the Hubble eXtreme Deep Field, {size} x {size} x {len(images.bands)} "
        f"pixels each, as {latents.latent_dim} numbers each: {ratios['count']:.0f} times fewer numbers, "
        f"{ratios['bytes_float32']:.0f} times fewer bytes (float32 latents of 8-bit pixels). "
        f"Mean squared error {scores['mse']:.2e} on a scale from 0 to 1; median errors: half-light radius "
        f"{100 * scores['half_light_radius']:.1f} %, flux {100 * scores['flux']:.1f} %, "
        f"ellipticity {scores['ellipticity']:.3f}. Most of these galaxies were seen in training: "
        "the held-out scores are on the weights' card."
    )
    shown = ((base64.b64encode(data).decode(), html.escape(alt)) for data, alt in pictures.values())
    figures_html = "".join(
        f'<figure><img src="data:image/png;base64,{data}" alt="{alt}"><figcaption>{alt}</figcaption></figure>'
        for data, alt in shown
    )
    credit = html.escape(weights.card(WEIGHTS)["credit"])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>galnb demo</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#222}"
        "img{max-width:100%;image-rendering:pixelated}figure{margin:2rem 0}figcaption{color:#666}</style>"
        f"<h1>A survey in {latents.latent_dim} numbers a galaxy</h1><p>{html.escape(words)}</p>{figures_html}"
        f"<p>Credit: {credit}. Made by galnb {__version__}.</p></html>"
    )
