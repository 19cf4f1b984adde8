import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from galnb import twosample
from galnb.errors import BadInput

RNG = np.random.default_rng(0)


def normal(n, shift=0.0, dims=1, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, dims))


def test_p_values_are_uniform_where_both_samples_are_of_one_distribution():
    p = np.array(
        [
            [test(normal(60, seed=2 * k), normal(80, seed=2 * k + 1))[1] for k in range(120)]
            for test in (twosample.ks, lambda a, b: twosample.energy(a, b, draws=99))
        ]
    )
    assert (stats.kstest(p[1], "uniform").pvalue > 0.01) and 0.01 <= (p[1] <= 0.1).mean() <= 0.2
    assert (p[0] <= 0.1).mean() <= 0.2  # of ks they are a little too large, by its discreteness


def test_the_energy_distance_is_that_of_its_definition_and_nothing_in_the_mean():
    a, b = normal(30, 0.3, 2), normal(40, 0, 2, 1)
    scale = b.std(axis=0)
    inside = [cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a / scale, b / scale)]
    truth = 2 * cdist(a / scale, b / scale).mean() - sum(inside)
    assert twosample.energy(a, b, draws=9)[0] == pytest.approx(truth)
    again = [twosample.energy(normal(50, seed=k), normal(50, seed=99 + k), draws=1)[0] for k in range(100)]
    assert abs(np.mean(again)) < 3 * np.std(again) / 10


def test_the_energy_distance_sees_what_no_single_column_shows():
    a = RNG.normal(size=(400, 2)) @ np.array([[1, 0.9], [0, 0.44]])
    b = RNG.normal(size=(400, 2)) * a.std(axis=0)
    assert min(twosample.ks(a[:, k], b[:, k])[1] for k in (0, 1)) > 0.01
    assert twosample.energy(a, b)[1] < 0.01 and twosample.told_apart(a, b)[0] > 0.65


def test_the_area_under_the_curve_is_that_of_two_gaussians():
    a, b = normal(20_000), normal(20_000, 1.0, seed=1)
    assert twosample.auroc(a, b) == pytest.approx(stats.norm.cdf(1 / 2**0.5), abs=0.005)
    assert twosample.auroc(b, a) == pytest.approx(1 - twosample.auroc(a, b))
    assert twosample.auroc([1, 1], [1, 1]) == 0.5


def test_a_classifier_does_as_well_as_could_be_and_says_how_sure_it_is():
    a, b = normal(600, 0, 3), normal(600, [1.0, 0, 0], 3, 1)
    area, error = twosample.told_apart(a, b)
    assert abs(area - stats.norm.cdf(1 / 2**0.5)) < 0.06 and 0.002 < error < 0.04
    a[:50, 0] = np.nan
    assert np.isfinite(twosample.told_apart(a, b)[0])
    assert twosample.told_apart(a, b, seed=3) == twosample.told_apart(a, b, seed=3)


def test_bootstraps_scatter_as_a_mean_and_a_median_do():
    again = [(twosample.bootstrap(v, np.mean), twosample.bootstrap(v)) for v in RNG.normal(size=(8, 500))]
    means, medians = (np.mean([each[k].std() for each in again]) for k in (0, 1))
    assert means == pytest.approx(500**-0.5, rel=0.1)
    assert medians == pytest.approx((np.pi / 2 / 500) ** 0.5, rel=0.25)  # of a Gaussian


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (normal(5), normal(50), "sample a.*5 points, wanted at least 10"),
        (normal(50, dims=2), normal(50), "2 and 1 columns"),
        (np.full(20, np.nan), normal(50), "sample a.*NaN"),
        (np.zeros((2, 20, 2)), normal(50), r"shape \(2, 20, 2\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, reason):
    with pytest.raises(BadInput, match=reason):
        twosample.energy(a, b)
