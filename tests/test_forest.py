import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import IsolationForest as Reference
from sklearn.metrics import roc_auc_score

from galnb.errors import BadInput, BadWeights
from galnb.forest import IsolationForest, mean_path
from galnb.latents import Latents


@pytest.fixture(scope="module")
def blob():
    return np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)


def outlier_sets():
    """Benign among malignant tumors, and zeros among a few ones: features, and which rows are outliers."""
    x, y = load_breast_cancer(return_X_y=True)
    sick = np.flatnonzero(y == 0)[:40]
    rows = np.concatenate([np.flatnonzero(y == 1), sick])
    yield x[rows], y[rows] == 0
    x, y = load_digits(return_X_y=True)
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:20]])
    yield x[rows], y[rows] == 1


@pytest.mark.parametrize("n", [2, 3, 10, 256])
def test_the_mean_way_is_that_of_random_search_trees(n):
    rng, cuts = np.random.default_rng(0), 0.0

    def way(rows):
        """Cuts until one of so many rows, each as likely, is alone."""
        if rows <= 1:
            return 0
        left = int(rng.integers(1, rows))
        return 1 + way(left if rng.random() < left / rows else rows - left)

    cuts = np.mean([way(n) for _ in range(4000)])
    assert mean_path(n) == pytest.approx(cuts, rel=0.05)


def test_outliers_are_found_as_by_another_forest():
    for x, outlier in outlier_sets():
        own, other = [], []
        for seed in range(10):
            own.append(roc_auc_score(outlier, IsolationForest(seed=seed).fit(x).score(x)))
            reference = Reference(n_estimators=100, max_samples=min(256, len(x)), random_state=seed).fit(x)
            other.append(roc_auc_score(outlier, -reference.score_samples(x)))
        assert np.mean(own) == pytest.approx(np.mean(other), abs=0.01)


def test_scores_are_those_of_another_forest(blob):
    own = IsolationForest(1000).fit(blob).score(blob)
    other = -Reference(n_estimators=1000, max_samples=256, random_state=0).fit(blob).score_samples(blob)
    assert np.abs(own - other).max() < 0.02


def test_along_a_circle_an_extended_forest_varies_five_times_less():
    """Figures 4 and 8 of Hariri, Carrasco Kind & Brunner 2019: a round blob has round scores."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    x = np.random.default_rng(1).normal(size=(4000, 2))
    variances = []
    for extension in (0, 1):
        forest = IsolationForest(500, extension=extension).fit(x)
        variances.append(
            np.mean([forest.score(r * np.stack([np.cos(angle), np.sin(angle)], 1)).var() for r in (3, 4, 5)])
        )
    assert variances[1] < variances[0] / 5


@pytest.mark.parametrize("extension", [0, 1, "full"])
def test_what_features_save_adds_up_to_the_score(blob, extension):
    forest = IsolationForest(extension=extension).fit(blob)
    saved = forest.attribution(blob[:300])
    expected = 2 ** (saved.sum(1) / mean_path(256) - 1)
    np.testing.assert_allclose(forest.score(blob[:300]), expected, rtol=1e-5)


@pytest.mark.parametrize("extension", [0, "full"])
def test_the_feature_that_is_far_out_is_named(blob, extension):
    far = np.zeros((1, 4))
    far[0, 2] = 8
    saved = IsolationForest(extension=extension).fit(blob).attribution(far)[0]
    assert saved.argmax() == 2 and saved[2] > 2 * np.delete(saved, 2).max()


@pytest.mark.parametrize("extension", [0, 2, "full"])
def test_a_row_has_one_score_whatever_it_is_asked_with(blob, extension):
    forest = IsolationForest(extension=extension).fit(blob)
    many = np.tile(blob, (8, 1))
    whole = forest.score(many)
    assert np.array_equal(whole[:2000], forest.score(blob)) and np.array_equal(whole[:2000], whole[-2000:])
    assert forest.score(blob[7:8])[0] == whole[7]


def test_one_seed_gives_one_forest_and_another_another(blob):
    scores = [IsolationForest(20, seed=seed).fit(blob).score(blob) for seed in (0, 0, 1)]
    assert np.array_equal(scores[0], scores[1]) and not np.array_equal(scores[0], scores[2])


def test_a_feature_that_never_varied_is_cut_by_hyperplanes_alone(blob):
    x = np.column_stack([blob[:, :2], np.zeros(len(blob))])
    off = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    standard, extended = (IsolationForest(extension=e).fit(x).score(off) for e in (0, "full"))
    assert standard[0] == standard[1] and extended[1] > extended[0] + 0.1


def test_rows_that_are_all_alike_are_no_anomalies():
    forest = IsolationForest(10).fit(np.ones((50, 3)))
    assert np.allclose(forest.score(np.ones((2, 3))), 0.5)


def test_it_is_kept_without_a_pickle_and_comes_back_the_same(blob, tmp_path):
    forest = IsolationForest(extension=1, seed=3).fit(blob)
    again = IsolationForest.load(forest.save(tmp_path / "deep" / "forest.safetensors"))
    assert again.config == forest.config
    assert np.array_equal(again.score(blob), forest.score(blob))
    assert np.array_equal(again.attribution(blob[:9]), forest.attribution(blob[:9]))


def test_a_file_that_was_changed_is_refused(blob, tmp_path):
    path = IsolationForest(5).fit(blob).save(tmp_path / "forest.safetensors")
    data = bytearray(path.read_bytes())
    for place in np.linspace(8, len(data) - 1, 40).astype(int):
        spoilt = data.copy()
        spoilt[place] ^= 1
        path.write_bytes(spoilt)
        with pytest.raises(BadWeights):
            IsolationForest.load(path)
    path.write_bytes(b"")
    with pytest.raises(BadWeights, match="not readable"):
        IsolationForest.load(path)


def test_of_a_catalogue_only_some_rows_are_read(blob, tmp_path):
    latents = Latents(np.arange(len(blob)), blob)
    from galnb.catalogue import Catalogue

    catalogue = Catalogue(latents.write(tmp_path / "blob.hats", dtype="float32"))
    scores = np.concatenate([IsolationForest(10).fit(catalogue).score(z) for z in catalogue.chunks()])
    assert scores.shape == (len(blob),) and np.isfinite(scores).all()


def test_bad_input_is_refused_with_what_was_wanted(blob):
    forest = IsolationForest(3)
    with pytest.raises(BadInput, match="fit"):
        forest.score(blob)
    with pytest.raises(BadInput, match=r"wanted \(n, d\)"):
        forest.fit(blob[0])
    with pytest.raises(BadInput, match="NaN or infinity"):
        forest.fit(np.full((9, 2), np.nan))
    forest.fit(blob)
    with pytest.raises(BadInput, match=r"wanted \(n, 4\)"):
        forest.score(blob[:, :3])
    spoilt = blob[:3].copy()
    spoilt[1, 0] = np.nan
    assert np.isnan(forest.score(spoilt)).tolist() == [False, True, False]
    for wrong in ({"trees": 0}, {"psi": 1}, {"extension": -1}, {"extension": "half"}):
        with pytest.raises(ValueError, match="wanted"):
            IsolationForest(**wrong)
