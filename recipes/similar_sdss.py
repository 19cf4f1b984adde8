"""The weights `similar-sdss`: python -m recipes.similar_sdss [gz2_7704.npz], two minutes on a core.

A PCA of posed SDSS galaxies, on the training galaxies of ae50-sdss; no random number is drawn for it.
"""

import sys

import numpy as np
import torch

from galnb import weights
from galnb.encoding import encode
from galnb.models import Invariant
from galnb.provenance import array_hash
from tests.bench.bench_invariance import SIZE, copies, ranks, stepwise, survey


def main(path: str | None) -> None:
    wide, mask = survey(path)
    images, held = wide.crop(SIZE), np.flatnonzero(mask)
    model = Invariant(images.bands, SIZE, 50).eval()
    model.warm_start(torch.from_numpy(images[~mask].pixels).split(512))
    place = weights.ASSETS / "similar-sdss"
    model = weights.load(weights.save(model, place, half=True))  # scored as it is shipped
    with torch.inference_mode():
        error = model.loss(torch.from_numpy(images[mask].pixels))["loss"]
    pool, scores = encode(images, model).z, {"mse": float(error)}
    made = {"one_interpolation": copies(wide[mask], "all three")}
    made["black_borders"] = stepwise(images[mask], "all three")
    for name, queries in made.items():
        near = ranks(encode(queries, model).z, pool, held)
        scores[f"first_{name}"] = float(np.mean(near < 1))
        scores[f"in_five_{name}"] = float(np.mean(near < 5))
    card = {
        "recipe": "python -m recipes.similar_sdss",
        "credit": weights.card("ae50-sdss")["credit"],
        "seed": 0,
        "n_train": int((~mask).sum()),
        "n_held_out": len(held),
        "data_sha256": array_hash(images.pixels),
        "held_out": scores,
        "held_out_says": "mse: of posed galaxies by the base; else the share of galaxies that are nearest "
        "to, or among the five nearest to, their turned, mirrored and (by 0.8 to 1.25) scaled copies",
    }
    print(weights.save(model, place, card=card, half=True), scores)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
