"""What is asked of densities, against analytic answers."""

import numpy as np
import pytest
from scipy import stats

from galnb import Latents, annotate, density, read, weights
from galnb.errors import BadInput
from tests.bench.truths import TRUTHS


@pytest.fixture(scope="module")
def normal():
    """A density of 8 standard normal columns, as they nearly are."""
    return density.fit(np.random.default_rng(0).normal(size=(20_000, 8)), "gmm", components=1)


def test_rarity_is_uniform_on_what_the_density_draws(normal):
    shares = density.rarity(normal, normal.sample(3000, seed=7))
    assert stats.kstest(shares, "uniform").statistic < 0.03


def test_rarity_of_a_gaussian_is_the_tail_of_chi_square(normal):
    z = np.zeros((3, 8))
    z[:, 0] = [1.5, 3.0, 4.0]
    assert density.rarity(normal, z, draws=40_000) == pytest.approx(stats.chi2(8).sf(z[:, 0] ** 2), abs=0.012)


def test_rarity_under_conditions_has_draws_of_its_own():
    rng = np.random.default_rng(0)
    c = rng.uniform(-2, 2, 4000)
    z = c[:, None] + 0.1 * rng.normal(size=(4000, 1))
    found = density.fit(z, "gmm", given=c, components=16)
    shares = density.rarity(found, [[0.0], [0.0]], given=[[0.0], [1.5]])
    assert shares[0] > 0.5 and shares[1] < 0.02
    shares = density.rarity(found, z[:3], given=[0.0, np.nan, 1.5])
    assert np.isnan(shares).tolist() == [False, True, False]


@pytest.fixture(scope="module")
def conditional():
    """p(z | c) of a normal about c, whose sigma is 0.5, and such z and c."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=20_000)
    z = c[:, None] + 0.5 * rng.normal(size=(20_000, 1))
    return density.fit(z, "gmm", given=c, components=1), z, c


def test_typicality_under_conditions_is_that_of_the_distance_to_them(conditional):
    """-log p is half the square of the distance, a chi-square law of one degree whatever the conditions."""
    found, _, _ = conditional
    low, middle, high = stats.chi2(1).ppf([0.1585, 0.5, 0.8415])
    away, c = np.array([0.0, 1.0, 2.0]), np.array([-1.0, 0.0, 2.0])
    z = (c + 0.5 * away)[:, None]
    truth = np.abs(away**2 - middle) / (0.5 * (high - low))
    own = np.mean([density.typicality(found, z, c, seed=seed) for seed in range(20)], axis=0)
    assert own == pytest.approx(truth, rel=0.15)
    usual = np.random.default_rng(1).normal(size=5000)
    points = (usual + 0.5 * np.random.default_rng(2).normal(size=5000))[:, None]
    shared = density.typicality(found, z, c, usual=points, usual_given=usual)
    assert shared == pytest.approx(truth, rel=0.1)


def test_a_ratio_under_conditions_tells_what_they_add(conditional):
    found, z, c = conditional
    alone = density.fit(z, "gmm", components=1)
    truth = stats.norm(c, 0.5).logpdf(z[:, 0]) - stats.norm(0, 1.25**0.5).logpdf(z[:, 0])
    assert np.abs(density.ratio(found, alone, z, c) - truth).max() < 0.3
    assert not density.ratio(found, found, z, c).any()


def test_draws_of_many_conditions_are_weighed_some_at_a_time(conditional, monkeypatch):
    """No more than a block of points is drawn at once, and what comes is what all draws at once say."""
    from galnb.densities import base

    found, z, c = conditional
    at_once = found.sample(200, c[:100])
    own = found.log_prob(at_once.reshape(-1, 1), np.repeat(c[:100], 200)).reshape(100, 200)
    truth = (own <= found.log_prob(z[:100], c[:100])[:, None]).mean(1)
    sizes, whole = [], type(found).draw
    monkeypatch.setattr(
        type(found), "draw", lambda self, c, n, rng: (sizes.append(n), whole(self, c, n, rng))[1]
    )
    assert np.array_equal(density.rarity(found, z[:100], c[:100]), truth)
    assert sum(sizes) == 20_000 and max(sizes) <= base.BLOCK


def test_the_likeliest_point_is_not_typical(normal):
    """The peak of a Gaussian in many dimensions: likelier than all that is drawn, and nowhere near it."""
    peak, usual = np.zeros((1, 8)), normal.sample(500, seed=3)
    assert density.rarity(normal, peak)[0] == 1.0
    assert density.typicality(normal, peak)[0] > 1.8
    assert np.median(density.typicality(normal, usual)) < 1


def test_a_ratio_takes_away_what_both_know(normal):
    wide = density.fit(3 * np.random.default_rng(1).normal(size=(20_000, 8)), "gmm", components=1)
    z = normal.sample(2000, seed=5)
    truth = stats.norm.logpdf(z).sum(1) - stats.norm(0, 3).logpdf(z).sum(1)
    assert np.abs(density.ratio(normal, wide, z) - truth).mean() < 0.1


def test_levels_hold_their_share(normal):
    log_p = normal.log_prob(normal.sample(20_000, seed=1))
    again = normal.log_prob(normal.sample(20_000, seed=2))
    for level, share in zip(density.levels(log_p), (0.5, 0.9, 0.99), strict=True):
        assert (again > level).mean() == pytest.approx(share, abs=0.01)
    with pytest.raises(BadInput, match="between 0 and 1"):
        density.levels(log_p, [0.5, 1.0])


def test_draws_lie_where_they_are_wanted(normal):
    there = density.draw_where(normal, lambda z: z[:, 0] > 2, 300)
    assert len(there) == 300 and (there[:, 0] > 2).all()
    assert there[:, 0].mean() == pytest.approx(stats.truncnorm(2, np.inf).mean(), abs=0.05)
    assert len(density.draw_where(normal, lambda z: z[:, 0] > 9, 10, batch=100)) == 0


def test_draws_lie_where_they_are_wanted_under_a_condition(conditional):
    found, z, c = conditional
    there = density.draw_where(found, lambda z: z[:, 0] > 0, 100, given=c[0])
    free = found.sample(2000, c[:1])[0]
    assert len(there) == 100 and (there[:, 0] > 0).all()
    assert there[:, 0].mean() == pytest.approx(free[free[:, 0] > 0, 0].mean(), rel=0.2)


def test_conditions_may_be_named_columns():
    rng = np.random.default_rng(0)
    redshift = rng.uniform(0, 1, 900)
    latents = Latents(
        np.arange(900), redshift[:, None] + 0.1 * rng.normal(size=(900, 2)), {"redshift": redshift}
    )
    found = density.fit(latents, "gmm", given="redshift")
    again = density.fit(latents, "gmm", given=redshift)
    assert np.array_equal(found.log_prob(latents, redshift), again.log_prob(latents, redshift))
    with pytest.raises(KeyError, match="redshfit"):
        density.fit(latents, "gmm", given=["redshfit"])
    with pytest.raises(BadInput, match="the name 'redshift' came, and an array has no names; hand Latents"):
        density.fit(latents.z, "gmm", given="redshift")


def test_a_mixture_is_scikit_learns(normal):
    from sklearn.mixture import GaussianMixture

    z = TRUTHS["8 Gaussians"].sample(4000, 0)
    found = density.fit(z, "gmm")
    assert found.config["components"] == 8
    asked = TRUTHS["8 Gaussians"].sample(2000, 1)
    theirs = GaussianMixture(8, random_state=0, n_init=5).fit(z)
    assert found.log_prob(asked).mean() == pytest.approx(theirs.score(asked), abs=0.01)


@pytest.mark.parametrize("components", [3, 5, 7])
def test_a_mixture_finds_how_many_blobs_there_are(components):
    rng = np.random.default_rng(0)
    middles = 8 * rng.permutation(np.stack(np.mgrid[:3, :3], -1).reshape(9, 2))[:components]
    z = middles[rng.integers(0, components, 6000)] + rng.normal(size=(6000, 2))
    assert density.fit(z, "gmm").config["components"] == components


@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
def test_the_best_covariance_is_found_by_the_criterion(covariance):
    """Of whitened points: two round blobs are "diag", two equally tilted ones "tied", two others "full"."""
    rng = np.random.default_rng(0)
    tilted = {"full": ([[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]), "tied": 2 * ([[1, 0.9], [0.9, 1]],)}
    spreads = tilted.get(covariance, (np.eye(2), 4 * np.eye(2)))
    z = np.concatenate(
        [rng.multivariate_normal((s, 0), c, 3000) for s, c in zip((-6, 6), spreads, strict=True)]
    )
    found = density.fit(z, "gmm", covariance="best")
    assert found.config["covariance"] == covariance and found.config["components"] == 2


@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
def test_a_mixture_of_many_points_reads_all_of_them(covariance):
    truth = TRUTHS["8 Gaussians"]
    z, asked = truth.sample(60_000, 0), truth.sample(5000, 1)
    found = density.fit(z, "gmm", components=8, covariance=covariance)
    below = (truth.log_prob(asked) - found.log_prob(asked)).mean()
    assert 0 <= below + 0.001 and below < 0.01
    assert found.mixture.weights.numpy() == pytest.approx(np.full(8, 1 / 8), abs=0.004)


def test_a_mixture_streams_through_a_catalogue(tmp_path, monkeypatch):
    """A block is read at a time, of all points; the result is that of the same points in memory."""
    from galnb.densities import base, gmm

    monkeypatch.setattr(base, "MOST", 3000)
    monkeypatch.setattr(gmm, "SEEN", 1000)
    truth = TRUTHS["8 Gaussians"]
    latents = Latents(np.arange(12_000), truth.sample(12_000, 0))
    survey = read(latents.write(tmp_path / "survey.hats", dtype="float32"))
    found, sizes = density.fit(survey, "gmm", components=8), []
    whole = gmm.GMM.blocks
    monkeypatch.setattr(
        gmm.GMM, "blocks", lambda self, z, c: (sizes.append(len(b[0])) or b for b in whole(self, z, c))
    )
    again = density.fit(survey.z[:], "gmm", components=8)
    assert sum(sizes) == 10 * 12_000 and max(sizes) <= base.BLOCK
    asked = truth.sample(3000, 1)
    assert found.log_prob(asked) == pytest.approx(again.log_prob(asked), abs=1e-3)
    assert (truth.log_prob(asked) - found.log_prob(asked)).mean() < 0.01


def test_a_kernel_density_is_scikit_learns():
    from sklearn.neighbors import KernelDensity

    z, asked = TRUTHS["ring"].sample(1000, 0), TRUTHS["ring"].sample(300, 1)
    found = density.fit(z, "kde", bandwidth=0.1)
    white = np.linalg.solve(found.root.numpy().astype(float), (z - found.center.numpy()).T).T
    at = np.linalg.solve(found.root.numpy().astype(float), (asked - found.center.numpy()).T).T
    theirs = KernelDensity(bandwidth=0.1).fit(white).score_samples(at)
    theirs = theirs - np.log(found.root.diagonal().numpy().astype(float)).sum()
    assert found.log_prob(asked) == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("wrong", [{"bandwidth": -1}, {"bandwidth": 0}, {"bandwidth": np.nan}, {"points": 0}])
def test_a_kernel_density_refuses_what_is_no_width_and_no_number_of_points(wrong):
    with pytest.raises(ValueError, match=f"{list(wrong)[0]}=.*, wanted"):
        density.fit(np.zeros((9, 2)), "kde", **wrong)


def test_densities_stream_into_a_catalogue(normal, tmp_path):
    z = np.random.default_rng(2).normal(size=(500, 8)).astype(np.float32)
    survey = Latents(np.arange(500), z).write(tmp_path / "survey.hats", dtype="float32")
    annotate.annotate(read(survey), tmp_path / "scored.hats", {"log_p": normal.log_prob})
    scored = read(tmp_path / "scored.hats")
    assert np.asarray(scored.table["log_p"]) == pytest.approx(normal.log_prob(scored.z[:]), abs=1e-4)


def test_weights_of_a_model_are_no_density():
    with pytest.raises(BadInput, match="it holds a AE|it holds an? AE"):
        density.load("ae16-hubble")


def test_a_misspelt_kind_names_the_right_one():
    with pytest.raises(ValueError, match="realnvp"):
        density.fit(np.zeros((9, 2)), "realnvpp")


@pytest.mark.parametrize("name", [n for n in weights.names() if "densit" in n])
def test_shipped_densities_weigh_the_shipped_latents(name):
    from galnb.provenance import held_out

    latents = Latents.read(weights.ASSETS / "sdss-latents.parquet")
    found, held = density.load(name), latents.z[held_out(latents.id)]
    assert found.log_prob(held).mean() == pytest.approx(weights.card(name)["held_out"]["nats"], abs=0.01)
