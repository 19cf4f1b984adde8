import numpy as np
import pytest
import torch
from astropy.table import Table
from scipy.spatial.distance import cdist, mahalanobis
from scipy.stats import multivariate_normal, spearmanr
from sklearn.metrics import roc_auc_score

from galnb import anomaly, metrics
from galnb.anomaly import KINDS, Scorer
from galnb.encoding import encode, reconstruct
from galnb.errors import BadInput, CannotDo
from galnb.images import Images
from galnb.models import PCA, WGAN

FEW = {"flow": {"steps": 60}}


@pytest.fixture(scope="module")
def cloud():
    """Correlated latents of very different scales, float32 (1000, 4)."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 4)) @ rng.normal(size=(4, 4)) * [1, 10, 0.1, 1] + 5
    return z.astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28] - 13.5
    blob = rng.uniform(0.2, 0.8, (60, 1, 1)) * np.exp(
        -(x**2 + y**2) / (2 * rng.uniform(2, 5, (60, 1, 1)) ** 2)
    )
    return Images(blob[:, None] + rng.normal(0, 0.01, (60, 1, 28, 28)), bands=("r",))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_finds_what_lies_far_out(cloud, kind):
    rng = np.random.default_rng(1)
    far = cloud[:50] + 6 * cloud.std(0) * rng.choice([-1, 1], (50, 4))
    scorer = Scorer(kind, **FEW.get(kind, {})).fit(cloud)
    score = scorer.score(np.concatenate([cloud, far]))
    assert roc_auc_score(np.arange(1050) >= 1000, score) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_latents_change_nothing_and_one_seed_gives_one_result(cloud, kind):
    options = FEW.get(kind, {})
    one, other = (Scorer(kind, **options).fit(z).score(z) for z in (cloud, cloud * [1, 1e3, 1, 1e-2]))
    assert spearmanr(one, other).statistic > 0.99
    assert np.array_equal(one, Scorer(kind, **options).fit(cloud).score(cloud))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_not_finite_have_no_score_and_spoil_no_other(cloud, kind):
    spoilt = cloud.copy()
    spoilt[3, 1], spoilt[5, 0] = np.nan, np.inf
    scorer = Scorer(kind, **FEW.get(kind, {})).fit(spoilt)
    score = scorer.score(spoilt)
    assert np.flatnonzero(np.isnan(score)).tolist() == [3, 5] and np.isnan(scorer.score(spoilt[3:4])).all()
    assert scorer.score(cloud[:0]).shape == (0,)


def test_mahalanobis_is_the_one_of_the_textbook(cloud):
    inverse = np.linalg.inv(np.cov(cloud.T.astype(float)))
    truth = [mahalanobis(z, cloud.mean(0), inverse) for z in cloud[:50]]
    np.testing.assert_allclose(Scorer("mahalanobis").fit(cloud).score(cloud[:50]), truth, rtol=1e-3)


def test_neighbors_are_those_of_brute_force_without_the_galaxy_itself(cloud):
    scaled = (cloud - cloud.mean(0)) / cloud.std(0)
    truth = np.sort(cdist(scaled, scaled), axis=1)[:, 1:11].mean(1)
    np.testing.assert_allclose(Scorer("neighbors").fit(cloud).score(cloud), truth, rtol=1e-3)
    off = scaled[:5] + 3
    truth = np.sort(cdist(off, scaled), axis=1)[:, :10].mean(1)
    found = Scorer("neighbors").fit(cloud).score(off * cloud.std(0) + cloud.mean(0))
    np.testing.assert_allclose(found, truth, rtol=1e-2)


def test_a_mixture_of_one_gaussian_gives_its_density():
    mixed = np.random.default_rng(0).normal(size=(1000, 3)) @ [[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]]
    cloud = mixed.astype(np.float32)
    scaled = (cloud - cloud.mean(0)) / cloud.std(0)
    truth = -multivariate_normal(scaled.mean(0), np.cov(scaled.T, bias=True)).logpdf(scaled)
    np.testing.assert_allclose(
        Scorer("gmm", components=1).fit(cloud).score(cloud), truth, rtol=0.01, atol=0.01
    )


def test_a_table_has_every_score_and_their_mean_rank(pictures):
    model = PCA(("r",), 28, 6)
    model.fit([torch.from_numpy(pictures.pixels)])
    torch.manual_seed(0)
    gan = WGAN(("r",), 28, 8, (16, 16, 16), (16, 16), linear=4).eval()
    latents = encode(pictures, model)
    scores = anomaly.table(latents, pictures, model, gan, kinds=("mahalanobis", "forest"))
    assert scores.colnames == ["id", "mahalanobis", "forest", "reconstruction", "G", "C", "ensemble"]
    assert anomaly.names(scores) == scores.colnames[1:-1]
    error = metrics.mse(pictures.pixels, reconstruct(pictures, model).pixels)
    np.testing.assert_allclose(np.square(scores["reconstruction"]), error, rtol=1e-3)
    truth = [np.argsort(np.argsort(scores[name])) / 59 for name in anomaly.names(scores)]
    np.testing.assert_allclose(scores["ensemble"], np.mean(truth, axis=0), atol=1e-9)


def test_agreement_is_spearmans():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    square = anomaly.agreement(Table({"id": np.arange(200), "a": a, "b": b, "up": a**3, "down": -a}))
    assert square["score"].tolist() == ["a", "b", "up", "down"]
    assert square["a"].tolist() == pytest.approx([1, spearmanr(a, b).statistic, 1, -1])


def test_sigma_is_that_of_what_is_usual_whatever_else_is_there():
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(10, 2, 5000), np.full(50, 1000.0), [np.nan]])
    sigma = anomaly.in_sigma(score)
    assert sigma[5000] == pytest.approx((1000 - 10) / 2, rel=0.05) and np.isnan(sigma[-1])
    assert np.allclose(anomaly.in_sigma(np.ones(4)), 0)


def test_the_blend_goes_from_features_alone_to_pixels_alone():
    rng = np.random.default_rng(0)
    g, c = rng.normal(3, 2, 300), rng.normal(size=300)
    assert np.array_equal(anomaly.blend(g, c, 1), anomaly.in_sigma(g))
    assert np.array_equal(anomaly.blend(g, c, 0), anomaly.in_sigma(c))
    half = anomaly.blend(g, c, 0.25)
    np.testing.assert_allclose(half, 0.25 * anomaly.in_sigma(g) + 0.75 * anomaly.in_sigma(c))
    with pytest.raises(ValueError, match="wanted 0"):
        anomaly.blend(g, c, 1.1)


def test_a_score_is_mapped_to_where_its_latents_draw(pictures):
    model = PCA(("r",), 28, 6)
    model.fit([torch.from_numpy(pictures.pixels)])
    latents = encode(pictures, model)
    usual, parts = np.median(latents.z, axis=0), np.array([0.0, 2.0, 0.0, -1.0, 0.5, 0.0])
    found = anomaly.pixel_map(model, latents.z[0], parts, usual)
    assert found.shape == (28, 28) and found.sum() == pytest.approx(2.5)
    only = anomaly.pixel_map(model, latents.z[0], np.array([0, 1.0, 0, 0, 0, 0]), usual)
    truth = np.abs(model.components[1].numpy().reshape(28, 28))
    np.testing.assert_allclose(only, truth / truth.sum(), rtol=1e-2, atol=1e-6)


def test_residual_images_are_gray_where_nothing_is_missed(pictures):
    model = PCA(("r",), 28, 20)
    model.fit([torch.from_numpy(pictures.pixels)])
    left = anomaly.residuals(pictures, model)
    assert left.pixels.min() >= 0 and left.pixels.max() <= 1 and abs(np.median(left.pixels) - 0.5) < 0.01
    assert np.array_equal(left.id, pictures.id)


def test_a_forest_says_which_latents_its_score_comes_from_and_others_do_not(cloud):
    far = cloud.mean(0, keepdims=True)
    far[0, 2] += 8 * cloud[:, 2].std()
    assert Scorer("forest").fit(cloud).attribution(far)[0].argmax() == 2
    with pytest.raises(CannotDo, match="take a forest"):
        Scorer("kmeans").fit(cloud).attribution(far)


def test_bad_input_is_refused_with_what_was_wanted(cloud):
    with pytest.raises(ValueError, match="did you mean 'forest'"):
        Scorer("forrest")
    with pytest.raises(BadInput, match="fit it"):
        Scorer("kmeans").score(cloud)
    with pytest.raises(BadInput, match=r"wanted \(n, d\)"):
        Scorer("kmeans").fit(cloud[0])
    with pytest.raises(BadInput, match="at least 2"):
        Scorer("kmeans").fit(np.full((5, 2), np.nan))
    with pytest.raises(BadInput, match=r"wanted \(n, 4\)"):
        Scorer("kmeans").fit(cloud).score(cloud[:, :2])
