"""Calibration of posteriors, against posteriors that are right, too wide and too narrow by construction."""

import numpy as np
import pytest
from scipy import stats

from galnb import calibration, density
from galnb.errors import BadInput


def posteriors(width, n=3000, m=400, seed=0):
    """Truth N(0, 1) seen with noise 1: the posterior is N(x / 2, 1 / 2), with `width` times its sigma."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    seen = truth + rng.normal(size=n)
    return seen[:, None] / 2 + width * np.sqrt(0.5) * rng.normal(size=(n, m)), truth


def test_right_posteriors_are_flat_and_wrong_ones_are_not():
    apart = {w: calibration.uniformity(calibration.pit(*posteriors(w))) for w in (0.6, 1.0, 1.7)}
    assert apart[1.0] < 1.63 / 3000**0.5 and apart[0.6] > 0.05 and apart[1.7] > 0.05


def test_ranks_are_uniform_where_posteriors_are_right():
    draws, truth = posteriors(1.0, m=19)
    counts = np.bincount(calibration.ranks(draws, truth), minlength=20)
    assert stats.chisquare(counts).pvalue > 0.001
    counts = np.bincount(calibration.ranks(*posteriors(0.5, m=19)), minlength=20)
    assert counts[0] > 2 * counts[10] and counts[-1] > 2 * counts[10]


def test_several_quantities_are_ranked_each():
    draws, truth = posteriors(1.0)
    both = calibration.ranks(np.stack([draws, -draws], 2), np.stack([truth, -truth], 1))
    assert (both.sum(1) == draws.shape[1]).all()


def test_crps_of_a_gaussian_is_its_closed_form():
    """Gneiting & Raftery 2007, after equation 21."""
    rng = np.random.default_rng(0)
    truth = np.linspace(-3, 3, 13)
    draws = rng.normal(size=(13, 20_000))
    closed = truth * (2 * stats.norm.cdf(truth) - 1) + 2 * stats.norm.pdf(truth) - 1 / np.sqrt(np.pi)
    assert calibration.crps(draws, truth) == pytest.approx(closed, abs=0.02)


def test_crps_of_one_draw_is_the_absolute_error_and_the_best_posterior_has_the_least():
    assert calibration.crps(np.array([[2.0]]), np.array([-1.0])).tolist() == [3.0]
    means = {w: calibration.crps(*posteriors(w)).mean() for w in (0.5, 1.0, 2.0)}
    assert means[1.0] < means[0.5] and means[1.0] < means[2.0]


def test_coverage_sees_a_density_that_is_too_narrow():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 2))
    seen = truth + rng.normal(size=(4000, 2))
    right = density.fit(truth, "gmm", given=seen, components=1)
    narrow = density.fit(0.5 * (truth - seen / 2) + seen / 2, "gmm", given=seen, components=1)
    asked = slice(0, 800)
    apart = [
        calibration.uniformity(calibration.coverage(d, truth[asked], seen[asked])) for d in (right, narrow)
    ]
    assert apart[0] < 0.06 < 0.2 < apart[1]


def test_photoz_scores_are_those_of_the_medians():
    truth = np.full(2000, 1.0)
    error = np.random.default_rng(0).normal(0, 0.05, 2000)
    error[:100] = 1.0
    found = calibration.photoz_scores(np.repeat((truth + 2 * error)[:, None], 5, 1), truth)
    assert found["outliers"] == pytest.approx(0.05 + 0.95 * 2 * stats.norm.sf(3), abs=0.004)
    assert found["sigma_68"] == pytest.approx(0.053, abs=0.004) and abs(found["bias"]) < 0.01


def test_the_figure_has_a_line_for_each():
    draws, truth = posteriors(1.0)
    drawn = calibration.figure(
        {"right": calibration.pit(draws, truth), "half": calibration.pit(draws / 2, truth)}
    )
    left, right = drawn.axes
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["right", "half"] and len(
        right.lines
    ) == 2


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(BadInput, match=r"draws \(3, 4\) and truth \(4,\)"):
        calibration.pit(np.zeros((3, 4)), np.zeros(4))
