# %% 13.1
import pyarrow.parquet as pq

expected = np.diff(np.sin(np.radians([-20, 0])))[0] / np.diff(np.sin(np.radians([-60, -40])))[0]
files = survey.path.rglob("Npix=*.parquet")
dec = np.concatenate([pq.read_table(file, columns=["dec"])["dec"].to_numpy() for file in files])
north, south = (((dec > low) & (dec < low + 20)).sum() for low in (-20, -60))
answer = north / south
print(f"expected {expected:.4f}, counted {answer:.4f} ± {answer * (1 / north + 1 / south) ** 0.5:.4f}")

# %% 13.2
circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
low, high = 0.0, 10.0
for _ in range(20):
    radius = (low + high) / 2
    session.select_polygon(radius * circle)
    low, high = (radius, high) if session.n_selected < len(survey) / 10 else (low, radius)
print(f"a circle of radius {radius:.3f} holds {session.n_selected:,} galaxies")
answer = session


# %% 13.3
def recall(found, exact):
    """The share of the true neighbors (m, k) that were found (m, k), in any order."""
    return np.mean([np.isin(true, named).mean() for named, true in zip(found, exact, strict=True)])


queries = survey[:50].z
exact = Neighbors(survey, kind="exact").search(queries, k=10).rows
print(f"recall of ten neighbors, for 50 galaxies: {recall(index.search(queries, k=10).rows, exact):.3f}")


answer = recall


# %% 13.4
def finish(work, n, folder):
    """The results of work(0), ..., work(n - 1), each of which is kept in the folder once it is there."""
    for i in range(n):
        file = Path(folder) / f"{i}.npy"
        if not file.exists():
            done = work(i)
            np.save(file.with_suffix(".part.npy"), done)
            file.with_suffix(".part.npy").rename(file)  # a file of this name is whole
    return [np.load(Path(folder) / f"{i}.npy") for i in range(n)]


answer = finish
