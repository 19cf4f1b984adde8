"""The latents that `galnb mock` samples from: python recipes/sdss_latents.py [gz2_7704.npz]

Encodes the SDSS galaxies that ae50-sdss was trained and scored on, with what `measure` finds on their
pictures, into galnb/assets/sdss-latents.parquet.
"""

import sys
from pathlib import Path

import numpy as np

import galnb
from galnb import weights

ROOT = Path(__file__).parents[1]
WEIGHTS, COLUMNS = "ae50-sdss", ("flux", "half_light_radius", "concentration", "asymmetry", "ellipticity")


def main(path: Path) -> None:
    model = weights.load(WEIGHTS)
    images = galnb.Folder(path, bands=model.bands, size=model.size).read()
    latents = galnb.encode(images, model)
    measured = galnb.measure(images)
    for name in COLUMNS:
        latents.table[name] = np.asarray(measured[name], dtype=np.float32)
        latents.table[name].unit = measured[name].unit
    card = weights.card(WEIGHTS)
    latents.meta.update(
        weights=weights.made_of(model), data_sha256=card["data_sha256"], credit=card["credit"]
    )
    z = latents.z.astype(np.float16).astype(np.float32)  # half the bytes; 1e-3 of each number
    print(
        galnb.Latents(latents.id, z, latents.table, latents.meta).write(
            weights.ASSETS / "sdss-latents.parquet"
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "gz2_7704.npz")
