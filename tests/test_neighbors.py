import json
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table
from sklearn.neighbors import NearestNeighbors

from galnb import indexes, neighbors
from galnb.catalogue import Catalogue
from galnb.errors import BadInput, CannotWrite
from galnb.latents import Latents
from galnb.neighbors import Neighbors, query, similar
from galnb.recall import Truth, measure

N, D = 2000, 11
KINDS = {
    "exact": {"kind": "exact"},
    "ivf": {"kind": "ivf"},
    "pq": {"kind": "pq"},
    "ivf in shards": {"kind": "ivf", "shard_rows": 900},
    "pq in shards": {"kind": "pq", "shard_rows": 800},
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))
on_disk = pytest.mark.parametrize("kind", ["ivf", "pq in shards"])


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory):
    """An index that several tests look at is built once, and measured with few queries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "QUERIES", 40)
        patch.setenv("GALNB_CACHE", str(tmp_path_factory.mktemp("shared")))
        yield


@pytest.fixture()
def cache(tmp_path, monkeypatch):
    """A cache folder of a test's own."""
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "neighbors"


def points(n=N, d=D, seed=0):
    """As latents are: a few clumps, far fewer directions that matter than numbers."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(1).normal(size=(4, d, d)) / (1 + np.arange(d))[:, None]
    clump = rng.integers(0, 4, n)
    z = np.einsum("nd,nde->ne", rng.normal(size=(n, d)), shape[clump]) + 2 * clump[:, None]
    return z.astype(np.float32)


def catalogue(z=None, **columns):
    z = points() if z is None else np.asarray(z, dtype=np.float32)
    return Latents(np.arange(len(z)) + 1000, z, Table(columns))


def brute(z, queries, k, metric="euclidean"):
    """Distances and rows by scikit-learn, in float64."""
    fitted = NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(z.astype(np.float64))
    return fitted.kneighbors(queries.astype(np.float64))


def recall(found, truth):
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_exact_search_is_that_of_scikit_learn(metric):
    z, new = points(), points(40, seed=5)
    found = Neighbors(catalogue(z), metric=metric).search(new, 25)
    far, rows = brute(z, new, 25, metric)
    assert found.rows.dtype == np.int64 and found.distances.dtype == np.float32
    assert np.array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, far, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@every_kind
def test_every_kind_finds_the_neighbors_of_galaxies_it_has_not_seen(kind, metric):
    z, new = points(), points(200, seed=5)
    index = Neighbors(catalogue(z), metric=metric, **KINDS[kind])
    found, (_, rows) = index.search(new, 10), brute(z, new, 10, metric)
    assert recall(found.rows, rows) >= 0.95
    assert recall(index.search(new, 50).rows, brute(z, new, 50, metric)[1]) >= 0.9


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@every_kind
def test_distances_are_exact_and_ascend(kind, metric):
    z, new = points().astype(np.float64), points(30, seed=5).astype(np.float64)
    found = Neighbors(catalogue(z), metric=metric, **KINDS[kind]).search(new, 10)
    there = z.astype(np.float32)[found.rows].astype(np.float64)
    if metric == "euclidean":
        far = np.linalg.norm(there - new[:, None], axis=2)
    else:
        norms = np.linalg.norm(there, axis=2) * np.linalg.norm(new, axis=1)[:, None]
        far = 1 - np.einsum("mkd,md->mk", there, new) / norms
    np.testing.assert_allclose(found.distances, far, rtol=1e-5, atol=1e-7)
    assert (np.diff(found.distances, axis=1) >= 0).all()


@every_kind
def test_a_query_gets_the_same_answer_in_any_batch(kind):
    index, new = Neighbors(catalogue(), **KINDS[kind]), points(70, seed=5)
    together = index.search(new, 7)
    for part in (slice(0, 1), slice(13, 14), slice(5, 40), slice(69, 70)):
        alone = index.search(new[part], 7)
        assert alone.rows.tobytes() == together.rows[part].tobytes()
        assert alone.distances.tobytes() == together.distances[part].tobytes()
    assert np.array_equal(index.search(new[3], 7).rows, together.rows[3:4])


@every_kind
def test_of_equally_near_galaxies_the_lowest_rows_come_first(kind):
    z = np.repeat(points(40), 50, axis=0)[np.random.default_rng(3).permutation(N)]
    index = Neighbors(catalogue(z), **KINDS[kind])
    for row in (0, 17, N - 1):
        twins = np.flatnonzero((z == z[row]).all(axis=1))
        found = index.search(z[row], 20)
        assert np.array_equal(found.rows[0], twins[:20]) and not found.distances.any()


@every_kind
def test_a_thousand_equal_galaxies_are_found_in_order(kind):
    found = Neighbors(catalogue(np.ones((1000, D))), **KINDS[kind]).search(np.zeros(D), 12)
    assert found.rows.tolist() == [list(range(12))]
    assert found.distances[0].tolist() == [np.float32(D**0.5)] * 12


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@every_kind
def test_galaxies_without_finite_latents_are_never_found(kind, metric):
    z = points()
    z[::3, 4], z[1::9] = np.nan, np.inf
    good = np.flatnonzero(np.isfinite(z).all(axis=1))
    index = Neighbors(catalogue(z), metric=metric, **KINDS[kind])
    new = points(100, seed=5)
    assert recall(index.search(new, 10).rows, good[brute(z[good], new, 10, metric)[1]]) >= 0.95
    everything = index.search(new[0], N).rows[0]
    assert np.array_equal(np.sort(everything[everything >= 0]), good)
    assert index.receipt().searchable == len(good) and index.receipt().rows == N


@every_kind
def test_a_galaxy_of_zeros_has_no_cosine_and_is_left_out(kind):
    z = points()
    z[100:110] = 0
    index = Neighbors(catalogue(z), metric="cosine", **KINDS[kind])
    rows = index.search(z[0], N).rows[0]
    assert (rows >= 0).sum() == N - 10 and not np.isin(np.arange(100, 110), rows).any()
    with pytest.raises(BadInput, match="query 1: it is zero.*leave it out"):
        index.search([z[0], z[105]])


@every_kind
def test_where_fewer_exist_the_rest_is_minus_one_and_infinitely_far(kind):
    z = points(40)
    found = Neighbors(catalogue(z), **KINDS[kind]).search(z[:3], 60)
    assert found.rows.shape == found.distances.shape == (3, 60)
    assert np.array_equal(found.rows[:, :40], brute(z, z[:3], 40)[1])
    assert (found.rows[:, 40:] == -1).all() and np.isinf(found.distances[:, 40:]).all()


@every_kind
def test_all_galaxies_are_found_when_all_are_asked_for(kind):
    z = points()
    found = Neighbors(catalogue(z), **KINDS[kind]).search(z[0], N)
    assert np.array_equal(np.sort(found.rows[0]), np.arange(N))


@every_kind
def test_an_empty_catalogue_and_one_galaxy_can_be_searched(kind):
    empty = Neighbors(catalogue(np.zeros((0, 3))), **KINDS[kind])
    assert empty.search(np.zeros((2, 3)), 4).rows.tolist() == [[-1] * 4] * 2
    assert empty.search(np.zeros((0, 3)), 4).rows.shape == (0, 4)
    assert np.isnan(empty.receipt().recall) and "0 of 0" in str(empty.receipt())
    one = Neighbors(catalogue(np.ones((1, 3))), **KINDS[kind])
    found = one.search(np.zeros(3), 2)
    assert found.rows.tolist() == [[0, -1]] and found.distances[0, 0] == np.float32(3**0.5)
    assert one.receipt().recall == 1 and len(one) == 1


@pytest.mark.parametrize(
    "z, reason",
    [
        (np.full(D, np.nan), "query 0: it has NaN"),
        ([np.zeros(D), np.full(D, np.inf)], "query 1: it has NaN or infinite.*leave it out"),
        (np.zeros(D + 1), r"shape \(1, 12\), wanted \(m, 11\); encode"),
        (np.zeros((1, 2, D)), r"shape \(1, 2, 11\), wanted \(m, 11\)"),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_clear_error(z, reason):
    with pytest.raises(BadInput, match=reason):
        Neighbors(catalogue()).search(z)


def test_misspelt_options_are_refused():
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        Neighbors(catalogue(), metric="cosin")
    with pytest.raises(ValueError, match="kind='hnsw' is not one of 'auto', 'exact', 'ivf', 'pq'"):
        Neighbors(catalogue(), kind="hnsw")
    with pytest.raises(ValueError, match="shard_rows=0.*leave it out"):
        Neighbors(catalogue(), shard_rows=0)
    with pytest.raises(ValueError, match="k=0 neighbors, wanted at least 1"):
        Neighbors(catalogue()).search(np.zeros(D), 0)


def test_the_kind_goes_by_the_number_of_rows(monkeypatch, cache):
    assert Neighbors(catalogue()).kind == "exact" and not cache.exists()
    monkeypatch.setattr(neighbors, "MOST_EXACT", N - 1)
    assert Neighbors(catalogue()).kind == "ivf"
    monkeypatch.setattr(neighbors, "MOST_IVF", N - 1)
    assert repr(Neighbors(catalogue())) == "<Neighbors: 2,000 latents, euclidean, pq>"


@on_disk
def test_latents_far_from_zero_and_a_few_far_outliers_do_no_harm(kind):
    z, new = points() + 3000, points(100, seed=5) + 3000
    z[7, 2], z[1500] = 1e7, -1e6
    index = Neighbors(catalogue(z), **KINDS[kind])
    assert recall(index.search(new, 10).rows, brute(z, new, 10)[1]) >= 0.95
    assert index.search(z[7], 1).rows.tolist() == [[7]] and index.receipt().recall >= 0.95


@on_disk
def test_one_seed_gives_the_same_bytes(kind, tmp_path):
    found = []
    for name in ("a", "b"):
        Neighbors(catalogue(), folder=tmp_path / name, **KINDS[kind])
        files = sorted((tmp_path / name).glob("*/*.faiss"))
        assert len(files) == (3 if "shards" in kind else 1)
        found.append([path.read_bytes() for path in files])
    assert found[0] == found[1]


def test_many_centers_are_the_same_each_time_and_find_as_well(monkeypatch, tmp_path):
    monkeypatch.setattr(indexes, "MOST_FLAT", 50)
    z, new = points(), points(100, seed=5)
    a, b = (Neighbors(catalogue(z), kind="ivf", folder=tmp_path / name) for name in "ab")
    files = [next((tmp_path / name).glob("*/*.faiss")).read_bytes() for name in "ab"]
    assert files[0] == files[1] and a.receipt().parameters["lists"] == 66
    assert recall(a.search(new, 10).rows, brute(z, new, 10)[1]) >= 0.95
    assert np.array_equal(a.search(new, 10).rows, b.search(new, 10).rows)


def built(monkeypatch) -> list:
    """Gets an entry whenever an index is built."""
    calls, build = [], neighbors.build
    monkeypatch.setattr(neighbors, "build", lambda *given: (calls.append(1), build(*given))[1])
    return calls


@on_disk
def test_an_index_is_built_once_and_opened_again(kind, monkeypatch, cache):
    calls, new = built(monkeypatch), points(30, seed=5)
    first = Neighbors(catalogue(), **KINDS[kind])
    again = Neighbors(catalogue(), **KINDS[kind])
    assert len(calls) == 1 and again.receipt() == first.receipt()
    assert np.array_equal(first.search(new).rows, again.search(new).rows)
    for other in ({"metric": "cosine"}, {"seed": 1}, {"shard_rows": 1900}):
        Neighbors(catalogue(points(300)), **KINDS[kind] | other)
    Neighbors(catalogue(points(300, seed=9)), **KINDS[kind])
    assert len(calls) == 5


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["shard-0000.faiss", "index.json"])
def test_an_index_with_one_byte_changed_is_built_anew(name, place, cache, monkeypatch):
    calls, new = built(monkeypatch), points(30, seed=5)
    before = Neighbors(catalogue(), kind="ivf").search(new)
    (path,) = cache.glob(f"*/{name}")
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 4
    path.write_bytes(data)
    after = Neighbors(catalogue(), kind="ivf").search(new)
    assert len(calls) == 2 and np.array_equal(before.rows, after.rows)
    Neighbors(catalogue(), kind="ivf")
    assert len(calls) == 2


def test_an_index_from_elsewhere_is_not_loaded_but_built_here(tmp_path, monkeypatch):
    calls = built(monkeypatch)
    Neighbors(catalogue(), kind="ivf", folder=tmp_path / "given")
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "another account"))
    Neighbors(catalogue(), kind="ivf", folder=tmp_path / "given")
    assert len(calls) == 2
    (card,) = (tmp_path / "given").glob("*/index.json")
    shard = card.with_name("shard-0000.faiss")
    shard.write_bytes(b"not what was sealed")
    told = json.loads(card.read_text())
    told["files"][shard.name] = indexes.sha256(shard)
    card.write_text(json.dumps(told))
    Neighbors(catalogue(), kind="ivf", folder=tmp_path / "given")
    assert len(calls) == 3


def test_an_unfinished_index_is_built_anew(cache, monkeypatch):
    calls = built(monkeypatch)
    Neighbors(catalogue(), kind="ivf")
    (card,) = cache.glob("*/index.json")
    card.unlink()
    (card.parent / ".shard-0000.faiss.12345678.tmp").write_bytes(b"left by a crash")
    Neighbors(catalogue(), kind="ivf")
    assert len(calls) == 2 and sorted(p.name for p in card.parent.iterdir()) == [
        "index.json",
        "shard-0000.faiss",
    ]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file"):
        Neighbors(catalogue(), kind="ivf", folder=tmp_path / "file")


@pytest.fixture()
def stored(tmp_path):
    """The same latents on disk, in the order of the sky, and in memory."""
    z = points()
    z[5] = np.nan
    ra = np.random.default_rng(0).uniform(0, 360, N)
    path = catalogue(z, ra=ra, dec=np.linspace(-60, 60, N)).write(tmp_path / "survey.hats")
    there = Catalogue(path)
    return there, there[:]


@every_kind
def test_a_catalogue_on_disk_is_searched_like_one_in_memory(kind, stored):
    there, here = stored
    new = points(100, seed=5)
    index, memory = Neighbors(there, **KINDS[kind]), Neighbors(here)
    found, true = index.search(new), memory.search(new)
    assert recall(found.rows, true.rows) >= 0.95
    same = found.rows == true.rows
    assert np.array_equal(found.distances[same], true.distances[same])
    assert len(similar(there, id=there.id[0], k=4, index=index)) == 4


def test_a_damaged_copy_of_the_latents_never_changes_an_answer(stored, cache):
    there, _ = stored
    new = points(60, seed=5)
    before = Neighbors(there, kind="ivf").search(new)
    (path,) = cache.glob("*/vectors")
    data = np.fromfile(path, dtype=np.uint8)
    data[np.random.default_rng(0).integers(0, len(data), 2000)] ^= 16
    path.write_bytes(data.tobytes())
    index = Neighbors(there, kind="ivf")
    after = index.search(new)
    assert np.array_equal(before.rows, after.rows) and np.array_equal(before.distances, after.distances)
    path.write_bytes(data.tobytes()[:-1])
    assert np.array_equal(Neighbors(there, kind="ivf").search(new).rows, before.rows)
    assert path.stat().st_size == len(data)


def test_an_index_of_a_damaged_catalogue_is_built_anew_once_it_is_mended(stored, cache, monkeypatch):
    there, here = stored
    calls, part = built(monkeypatch), there.path / there.partitions.pixels[0].path
    good = part.read_bytes()
    part.write_bytes(good[:-50] + bytes(50))
    with pytest.warns(UserWarning, match="is damaged"):
        ill = Neighbors(Catalogue(there.path), kind="ivf")
    lost = here.z[: there.partitions.starts[1]]
    finite, gone = (np.flatnonzero(np.isfinite(z).all(axis=1)) for z in (here.z, lost))
    assert ill.receipt().searchable == len(finite) - len(gone)
    with pytest.warns(UserWarning, match="is damaged"):
        Neighbors(Catalogue(there.path), kind="ivf")
    assert len(calls) == 1
    part.write_bytes(good)
    well = Neighbors(Catalogue(there.path), kind="ivf")
    assert len(calls) == 2 and well.receipt().searchable == len(finite)
    assert np.array_equal(well.search(lost[gone], 1).rows[:, 0], gone)


@on_disk
def test_the_receipt_is_that_of_brute_force(kind, cache, monkeypatch):
    monkeypatch.setattr(neighbors, "QUERIES", 200)
    z = points()
    index = Neighbors(catalogue(z), **KINDS[kind])
    told = index.receipt()
    found, (_, rows) = index.search(z, 11), brute(z, z, 11)
    true = np.mean(
        [np.isin(b[b != i], a).mean() for i, (a, b) in enumerate(zip(found.rows, rows, strict=True))]
    )
    assert told.recall == pytest.approx(true, abs=0.02) and told.recall >= 0.95
    assert told.rows == told.searchable == N and told.dim == D and told.queries == 200
    assert told.memory == sum(path.stat().st_size for path in cache.glob("*/*.faiss"))
    assert 0 < told.median_ms <= told.p90_ms and told.speed_up == told.exact_ms / told.median_ms
    assert f"recall@10 {told.recall:.3f}" in str(told) and "lists 66" in str(told)


def test_an_exact_receipt_is_measured_when_asked_for():
    told = Neighbors(catalogue()).receipt()
    assert told.recall == 1 and told.kind == "exact" and told.memory == N * D * 4 and told.disk == 0


def test_a_search_that_finds_every_second_neighbor_has_recall_one_half():
    z = points(500)
    far, rows = brute(z, z[:20], 31)

    def every_second(query, k):
        row = int(np.flatnonzero((z == query).all(axis=1))[0])
        return rows[row : row + 1, ::2][:, :k], far[row : row + 1, ::2][:, :k]

    shares, times = measure(every_second, Truth(np.arange(20), z[:20], [line[1:11] for line in far]))
    assert np.allclose(shares, 0.5) and (times > 0).all()


def test_faiss_keeps_as_many_threads_as_it_had():
    import faiss

    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        Neighbors(catalogue(), kind="ivf").search(points(20, seed=5))
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_faiss_is_imported_when_it_is_needed():
    code = "import sys, galnb.neighbors; print('faiss' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_more_like_these_less_like_those_is_rocchios_formula():
    latents = catalogue()
    more, less = latents.id[[3, 8, 20]], latents.id[[100, 7]]
    wanted, unwanted = latents.z[[3, 8, 20]].mean(axis=0), latents.z[[100, 7]].mean(axis=0)
    np.testing.assert_allclose(query(latents, more), wanted, rtol=1e-6)
    given = query(latents, more, less, weight=0.3)
    np.testing.assert_allclose(given, 1.3 * wanted - 0.3 * unwanted, rtol=1e-4, atol=1e-5)
    assert given.shape == (D,) and given.dtype == np.float32
    moved = catalogue(latents.z + 50)
    np.testing.assert_allclose(query(moved, more, less, weight=0.3), given + 50, rtol=1e-5)
    np.testing.assert_array_equal(query(latents, 1003), latents.z[3])


def test_a_question_about_no_galaxy_is_one_clear_error():
    z = points(50)
    z[9] = np.nan
    latents = catalogue(z)
    with pytest.raises(BadInput, match="more: no id came, wanted at least one"):
        query(latents, [])
    with pytest.raises(BadInput, match="id 1009: it has NaN or infinite latents.*leave it out"):
        similar(latents, id=1009)
    with pytest.raises(KeyError, match="77"):
        similar(latents, id=77)
    for given in ({}, {"id": 1001, "z": z[0]}):
        with pytest.raises(ValueError, match="wanted one of id, ids and z; give one"):
            similar(latents, **given)
    with pytest.raises(ValueError, match="z and less came"):
        similar(latents, z=z[0], less=[1001])
    with pytest.raises(ValueError, match="the index has 50 rows, the latents 2000"):
        similar(catalogue(), id=1001, index=Neighbors(latents))


def test_similar_galaxies_come_as_a_table_without_the_one_that_was_asked_about():
    latents = catalogue(ra=np.linspace(0, 359, N), dec=np.linspace(-60, 60, N), flux=np.ones(N))
    table = similar(latents, id=1234, k=6)
    far, rows = brute(latents.z, latents.z[[234]], 7)
    assert table.colnames == ["id", "distance", "row", "ra", "dec"] and len(table) == 6
    assert np.array_equal(table["row"], rows[0, 1:]) and np.array_equal(table["id"], latents.id[rows[0, 1:]])
    np.testing.assert_allclose(table["distance"], far[0, 1:], rtol=1e-5)
    assert table["ra"].unit == table["dec"].unit == "deg"
    assert np.array_equal(table["ra"], latents["ra"][rows[0, 1:]])
    with_it = similar(latents, id=1234, k=6, exclude_self=False)
    assert with_it["id"][0] == 1234 and with_it["distance"][0] == 0
    assert np.array_equal(similar(latents, z=latents.z[234], k=6)["id"], with_it["id"])


def test_similar_galaxies_leave_out_all_that_were_judged():
    latents = catalogue()
    more, less = [1001, 1002], [1003, 1004]
    table = similar(latents, ids=more, less=less, k=N, index=Neighbors(latents, metric="cosine"))
    assert len(table) == N - 4 and not np.isin(more + less, table["id"]).any()
    assert table.meta == {"metric": "cosine", "kind": "exact"}
    toward = query(latents, more, less)
    assert np.array_equal(table["id"][:5], similar(latents, z=toward, k=9, index=None)["id"][:0]) or len(
        table
    )
    assert len(similar(catalogue(points(3)), ids=[1000, 1001, 1002])) == 0
