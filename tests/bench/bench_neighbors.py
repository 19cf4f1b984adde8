"""Neighbors among 1e7 latents: recall, time, memory; against exact search in the same run.

python tests/bench/bench_neighbors.py [rows] [--data mixture | isotropic] [--kind auto | ivf | pq]

The rows are drawn, 100,000 at a time, from eight Gaussians with full covariances that were fitted to the
latents of real SDSS galaxies, or are isotropic noise: the worst case. Nothing keeps them in memory but the
exact search, which comes last. Queries are new galaxies: drawn like the rows, but none of them.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from galnb.neighbors import Neighbors

ROOT, LAB = Path(__file__).parents[2], Path(tempfile.gettempdir(), "galnb-bench")
CHUNK, DIM, QUERIES, SEED = 100_000, 50, 200, 7


def real_latents() -> np.ndarray:
    """Latents (7704, 50) of SDSS galaxies, encoded once and kept."""
    path = LAB / "gz2_latents50.npy"
    if not path.exists():
        from galnb import recipe, weights
        from galnb.encoding import encode

        plan = recipe.read(ROOT / "recipes" / "ae50-sdss.toml")
        if "GALNB_DATA" in os.environ:
            plan["data"]["path"] = str(Path(os.environ["GALNB_DATA"], "gz2_7704.npz").resolve())
        images, _ = recipe.load_data(plan, ROOT / "recipes")
        LAB.mkdir(parents=True, exist_ok=True)
        np.save(path, encode(images, weights.load("ae50-sdss")).z)
    return np.load(path)


class Survey:
    """Latents that are made when they are read, as a catalogue's are; `z[rows]` is slow."""

    latent_dim, columns = DIM, ()

    def __init__(self, n: int, data: str):
        self.n, self.data, self.id, self.z = n, data, range(n), self
        if data == "mixture":
            from sklearn.mixture import GaussianMixture

            fitted = GaussianMixture(8, reg_covar=1e-4, random_state=0).fit(real_latents())
            self.roots = np.linalg.cholesky(fitted.covariances_).astype(np.float32)
            self.means, self.weights = fitted.means_.astype(np.float32), fitted.weights_

    def __len__(self) -> int:
        return self.n

    def hash(self) -> str:
        told = hashlib.sha256(f"{self.n} {self.data}".encode())
        if self.data == "mixture":
            told.update(self.means.tobytes())
        return told.hexdigest()

    def draw(self, seed: int, n: int) -> np.ndarray:
        rng = np.random.default_rng([SEED, seed])
        if self.data == "isotropic":
            return rng.standard_normal((n, DIM), dtype=np.float32)
        counts = rng.multinomial(n, self.weights)
        z = [
            rng.standard_normal((count, DIM), dtype=np.float32) @ root.T + mean
            for count, root, mean in zip(counts, self.roots, self.means, strict=True)
        ]
        return np.concatenate(z)[rng.permutation(n)]

    def chunks(self):
        for start in range(0, self.n, CHUNK):
            yield self.draw(start, min(CHUNK, self.n - start))

    def __getitem__(self, rows) -> np.ndarray:
        rows = np.asarray(rows)
        starts = rows // CHUNK * CHUNK
        z = np.empty((len(rows), DIM), dtype=np.float32)
        for start in np.unique(starts):
            z[starts == start] = self.draw(int(start), min(CHUNK, self.n - start))[
                rows[starts == start] - start
            ]
        return z


def resident() -> float:
    """MB of this process's memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(search, queries: np.ndarray) -> tuple[np.ndarray, list]:
    """Milliseconds of each query, one at a time, and what was found."""
    times, found = [], []
    for i in range(len(queries)):
        start = time.perf_counter()
        found.append(search(queries[i : i + 1]))
        times.append(1e3 * (time.perf_counter() - start))
    return np.array(times), found


def main() -> None:
    import faiss

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--data", choices=("mixture", "isotropic"), default="mixture")
    parser.add_argument("--kind", choices=("auto", "ivf", "pq"), default="auto")
    parser.add_argument("--folder", type=Path, default=LAB / "neighbors", help="where the index is kept")
    parser.add_argument("--build", action="store_true", help="only build it")
    given = parser.parse_args()
    survey = Survey(given.rows, given.data)
    options = {"kind": given.kind, "folder": given.folder}
    if given.build:
        before = resident()
        Neighbors(survey, **options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(f"building: {peak - before:,.0f} MB more than before at the most")
        return
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--build"], check=True)  # its memory is its own
    print(f"building, or finding it built: {time.perf_counter() - start:.0f} s")
    queries = survey.draw(-1 % 2**32, 5 * QUERIES)
    before, start = resident(), time.perf_counter()
    index = Neighbors(survey, **options)
    opened = time.perf_counter() - start
    times, found = timed(lambda z: index.search(z, 10), queries)
    grown = resident() - before
    wide = [index.search(z, 100).rows[0] for z in queries[:50]]

    matrix = np.empty((given.rows, DIM), dtype=np.float32)
    for i, z in enumerate(survey.chunks()):
        matrix[i * CHUNK : i * CHUNK + len(z)] = z
    exact, _ = timed(lambda z: faiss.knn(z, matrix, 10), queries[:20])
    truth = np.concatenate([faiss.knn(queries[i : i + 10], matrix, 100)[1] for i in range(0, QUERIES, 10)])
    pairs = zip(found[:QUERIES], truth, strict=True)
    recall = np.mean([np.isin(one.rows[0], true[:10]).mean() for one, true in pairs])
    recall_wide = np.mean([np.isin(rows, true).mean() for rows, true in zip(wide, truth[:50], strict=True)])
    one = found[0]
    apart = np.sqrt(((matrix[one.rows[0]].astype(float) - queries[0]) ** 2).sum(axis=1))
    print(f"{index.receipt()}\n")
    threads = faiss.omp_get_max_threads()
    print(f"{given.rows:,} {given.data} rows, d = {DIM}, {threads} threads; with queries that are no rows:")
    print(f"recall@10                  {recall:8.4f}   {QUERIES} queries; wanted >= 0.95")
    print(f"recall@100                 {recall_wide:8.4f}")
    print(
        f"median, p90 of a query     {np.median(times):8.2f}, {np.quantile(times, 0.9):.2f} ms; wanted < 10"
    )
    print(f"exact search, in memory    {np.median(exact):8.1f} ms")
    print(f"faster than exact          {np.median(exact) / np.median(times):8.0f}x  wanted >= 50")
    print(f"memory, index and searching{grown:8.0f} MB; wanted < 1200")
    print(f"opening                    {opened:8.1f} s")
    print(f"distances differ by        {np.abs(apart - one.distances[0]).max():8.1e}")


if __name__ == "__main__":
    main()
