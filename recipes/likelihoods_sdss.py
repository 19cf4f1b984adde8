"""The numbers `sdss-likelihoods.parquet`: python -m recipes.likelihoods_sdss, five minutes on a core.

What pixelcnn32-sdss and sky32-sdss say of SDSS galaxies that they have not seen, of the same made again in
the way of the other sets, of other SDSS pictures, of Illustris mocks, and of GalSim galaxies with ever more
of SDSS in them. Numbers only: no pixel is kept.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from galnb import Images, compare, recipe, weights
from galnb.ladder import ladder, sdss_like
from galnb.observing import SDSS_PICTURES
from galnb.sky import SkyStock
from galnb.weights import ASSETS

HERE = Path(__file__).parent
FOLDER = HERE / "../../shared/data"
FILE = ASSETS / "sdss-likelihoods.parquet"
BANDS = ("i", "r", "g")
SURVEY = "SDSS"
AGAIN = "SDSS, resampled"
OTHERS = {"SDSS, other pictures": "sloan", "Illustris mocks": "illustris"}
SIMULATED = 300  # GalSim galaxies
MIDDLE = 62  # of 128 pixels: the field of gz2_7704, 207 of 424 pixels of Galaxy Zoo's pictures
BLACK = 0.02  # share of pixels without any light above which a picture ends at the border of an exposure


def sets(folder: str | Path = FOLDER) -> dict[str, Images]:
    """Galaxies as the recipe of pixelcnn32-sdss prepares them, SDSS' held-out ones first."""
    folder = Path(folder).resolve()
    plan = recipe.read(HERE / "pixelcnn32-sdss.toml")
    plan["data"]["path"] = str(folder / "gz2_7704.npz")
    whole = {key: value for key, value in plan["data"].items() if key not in ("crop", "bin")}
    images, mask = recipe.load_data({**plan, "data": whole}, HERE)
    held = images[mask]
    ready = lambda found: found.crop(plan["data"]["crop"]).bin(plan["data"]["bin"])  # noqa: E731
    # Pictures of 128 pixels lost what is finer, and so does this one on its way there and back.
    found = {SURVEY: ready(held), AGAIN: ready(held.resize(MIDDLE).resize(69))}
    for name, survey in OTHERS.items():
        found[name] = ready(zoo(folder, survey).crop(MIDDLE).resize(69))
    galaxies = sdss_like(SIMULATED)
    radius = galaxies.table["half_light_radius_arcsec"]
    stock = SkyStock(held, stretch=SDSS_PICTURES)  # sky that the network has not seen either
    for rung, pictures in ladder(galaxies, sky=stock, half_light_radius_arcsec=radius).items():
        found[f"GalSim, {rung}"] = ready(pictures[list(BANDS)])
    return found


def zoo(folder: Path, survey: str) -> Images:
    """Color pictures (n, 3, 128, 128) of galaxies that Galaxy Zoo shows as examples, of one survey."""
    with open(folder / "galaxy_zoo_examples.csv") as file:
        names = [row["file"].removesuffix(".jpg") for row in csv.DictReader(file) if row["survey"] == survey]
    pixels = np.load(folder / "galaxy_zoo_examples.npz")[survey]
    # Not those of one band, nor what volunteers called a star or an artefact (task 0, answer 2).
    good = [("singleband" not in name) and "-0_a-2_" not in name for name in names]
    dark = (pixels.max(axis=-1) == 0).mean(axis=(1, 2)) > BLACK
    keep = np.array(good) & ~dark
    pixels = pixels[keep].transpose(0, 3, 1, 2) / np.float32(255)
    return Images(pixels, np.array(names)[keep], BANDS)


def main() -> None:
    found = sets(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
    comparison = compare({SURVEY: found.pop(SURVEY)}, found)
    comparison.summary().pprint(max_width=-1)
    print(comparison.write(FILE), weights.card("pixelcnn32-sdss")["credit"])


if __name__ == "__main__":
    main()
