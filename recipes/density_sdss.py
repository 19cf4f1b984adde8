"""The weights `density50-sdss`: python -m recipes.density_sdss, two minutes on a core.

A RealNVP of the latents that ae50-sdss makes of SDSS galaxies, which are shipped; it learns from the galaxies
that ae50-sdss learned from, and is scored on the others.
"""

from galnb import Latents, density, weights
from galnb.provenance import held_out

LEARNING = {"transforms": 8, "steps": 1500, "weight_decay": 1.0}


def main() -> None:
    latents = Latents.read(weights.ASSETS / "sdss-latents.parquet")
    mask = held_out(latents.id)
    found = density.fit(latents.z[~mask], "realnvp", progress=True, **LEARNING)
    card = {
        "recipe": "python -m recipes.density_sdss",
        "credit": weights.card("ae50-sdss")["credit"],
        "seed": 0,
        "steps": LEARNING["steps"],
        "n_train": int((~mask).sum()),
        "n_held_out": int(mask.sum()),
        "data_sha256": latents.hash(),
        "of": {"weights": "ae50-sdss", "sha256": weights.card("ae50-sdss")["sha256"]},
    }
    place = weights.ASSETS / "density50-sdss"
    found = density.load(weights.save(found, place, half=True))  # scored as it is shipped
    mixture = density.fit(latents.z[~mask], "gmm").log_prob(latents.z[mask])
    scores = {"nats": float(found.log_prob(latents.z[mask]).mean()), "nats_of_gmm": float(mixture.mean())}
    print(weights.save(found, place, card=card | {"held_out": scores}, half=True), scores)


if __name__ == "__main__":
    main()
