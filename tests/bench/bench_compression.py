"""AE-50 against PCA-50 on held-out SDSS galaxies: `python -m tests.bench.bench_compression`.

Both see the same training galaxies and the same held-out fifth (sorted sha1 of ids) of gz2_7704.
"""

import argparse

from galnb import metrics, weights
from galnb.encoding import reconstruct
from galnb.models import PCA
from galnb.train import Settings, fit

from .sdss import survey


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="ae50-sdss", help="a shipped name or a .safetensors file")
    chosen = parser.parse_args().weights
    images, mask = survey("ae50-sdss")
    model = weights.load(chosen)
    pca = PCA(model.bands, model.size, model.config["latent_dim"])
    fit(pca, images[~mask].pixels, settings=Settings(), progress=False)
    scores = {
        name: metrics.fidelity(images[mask], reconstruct(images[mask], m))
        for name, m in {"PCA-50": pca, "AE-50": model}.items()
    }
    columns = list(scores["PCA-50"])
    print(f"{mask.sum()} held-out galaxies, {(~mask).sum()} for training; medians of |error|")
    print(f"{'':8}" + "".join(f"{column:>20}" for column in columns))
    for name, row in scores.items():
        print(f"{name:8}" + "".join(f"{row[column]:>20.4g}" for column in columns))
    ratio = [scores["AE-50"][c] / scores["PCA-50"][c] for c in columns]
    print(f"{'ratio':8}" + "".join(f"{value:>20.3f}" for value in ratio))
    for shape in ((3, 64, 64), (3, 220, 220)):
        ratios = ", ".join(f"{name} {value:,.0f}x" for name, value in metrics.ratios(shape, 50).items())
        print(f"{shape[1]} x {shape[2]} x {shape[0]} to 50 numbers: {ratios}")


if __name__ == "__main__":
    main()
