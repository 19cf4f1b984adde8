"""Whether posteriors mean what they say: draws or densities against what came true."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .errors import BadInput


def ranks(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Rank (n,) or (n, d) of each truth among its draws, 0 to m: uniform where posteriors are right.

    Simulation-based calibration (Talts+2018), where truth and data come from one joint density.

    Parameters
    ----------
    draws : ndarray (n, m) or (n, m, d)
        m draws of each of n posteriors, of d quantities.
    truth : ndarray (n,) or (n, d)
    """
    draws, truth = _pair(draws, truth)
    return (draws < truth[:, None]).sum(1)


def pit(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Probability integral transform (n,) or (n, d): where in its posterior, 0 to 1, each truth lies.

    >>> rng = np.random.default_rng(0)
    >>> uniformity(pit(rng.normal(size=(2000, 500)), rng.normal(size=2000))) < 0.03
    True
    """
    draws, truth = _pair(draws, truth)
    m = draws.shape[1]
    return ((draws < truth[:, None]).sum(1) + 0.5) / (m + 1)


def uniformity(values: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance, 0 to 1, of values (n,) from a uniform distribution on 0 to 1."""
    return float(stats.kstest(np.asarray(values).ravel(), "uniform").statistic)


def coverage(density, truth, given, *, draws: int = 500, seed: int = 0) -> np.ndarray:
    """Highest-density share (n,) of each posterior that one passes on the way to the truth; uniform if right.

    The truth lies in the region of highest density that holds a share a for a share a of the posteriors:
    expected coverage (Hermans+2022), which sees all quantities at once.

    Parameters
    ----------
    density : Density
        p(quantities | given).
    truth : ndarray (n, d)
    given : ndarray (n, c)
    """
    from .density import beside_own

    truth = np.asarray(truth)
    truth = truth[:, None] if truth.ndim == 1 else truth
    likelier = lambda own, log_p: (own > log_p[:, None]).mean(1)  # noqa: E731
    return beside_own(density, truth, given, likelier, each=draws, seed=seed)


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score (n,), in the unit of truth (Gneiting & Raftery 2007, equation 21).

    E|x - truth| - E|x - x'| / 2 of draws (n, m); of one draw it is the absolute error. Smaller is better.
    """
    draws, truth = _pair(draws, truth)
    ordered = np.sort(draws, axis=1).astype(np.float64)
    m = ordered.shape[1]
    weight = (2 * np.arange(1, m + 1) - m - 1) / max(m * (m - 1), 1)
    apart = (ordered * weight.reshape(1, m, *[1] * (ordered.ndim - 2))).sum(1)  # half of E|x - x'|, unbiased
    return np.abs(draws - truth[:, None]).mean(1) - apart


def sigma_68(errors: np.ndarray) -> float:
    """Half of what lies between the 15.85 and 84.15 percentiles of errors (n,)."""
    low, high = np.nanpercentile(errors, [15.85, 84.15])
    return float(high - low) / 2


def photoz_scores(draws: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What is said of redshift posteriors: draws (n, m) against spectroscopic redshifts (n,).

    Returns
    -------
    dict of float
        `pit_ks`, Kolmogorov-Smirnov distance of the PIT from uniform; the mean `crps`; of the medians' errors
        (z - z_spec) / (1 + z_spec): `bias`, their median, `sigma_68`, `outliers`, the share beyond 0.15.
    """
    error = (np.median(draws, axis=1) - truth) / (1 + np.asarray(truth))
    return {
        "pit_ks": uniformity(pit(draws, truth)),
        "crps": float(crps(draws, truth).mean()),
        "bias": float(np.median(error)),
        "sigma_68": sigma_68(error),
        "outliers": float((np.abs(error) > 0.15).mean()),
    }


def figure(values: dict[str, np.ndarray], *, width: float = 7.0):
    """A matplotlib Figure: histograms of PITs (or coverages, or ranks / m), and their shares less the ideal.

    Parameters
    ----------
    values : dict of name to ndarray (n,)
        Between 0 and 1, uniform where posteriors are right. Grey is where 95 % of uniform samples lie.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, 0.45 * width), layout="constrained")
    left, right = drawn.subplots(1, 2)
    n = min(len(v) for v in values.values())
    bins, share = np.linspace(0, 1, 21), np.linspace(0, 1, 201)
    low, high = stats.binom.ppf([0.025, 0.975], n, 1 / 20) * 20 / n
    left.axhspan(low, high, color="0.88", lw=0)
    band = 1.36 / np.sqrt(n)
    right.fill_between(share, -band, band, color="0.88", lw=0)
    for i, (name, v) in enumerate(values.items()):
        v = np.sort(np.asarray(v, dtype=np.float64).ravel())
        color, style = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")[i % 4], ("-", "--", "-.", ":")[i % 4]
        left.hist(v, bins, density=True, histtype="step", color=color, ls=style, lw=1.6, label=name)
        right.plot(
            share, np.searchsorted(v, share, side="right") / len(v) - share, style, color=color, lw=1.6
        )
    left.set(xlabel="share of the posterior below the truth", ylabel="density", xlim=(0, 1))
    right.set(xlabel="share of the posterior", ylabel="share of truths, minus ideal", xlim=(0, 1))
    left.set_ylim(0, 1.6 * left.get_ylim()[1])  # room for the legend above the lines
    left.legend(frameon=False, loc="upper center")
    return drawn


def _pair(draws, truth) -> tuple[np.ndarray, np.ndarray]:
    draws, truth = np.asarray(draws), np.asarray(truth)
    if draws.ndim < 2 or draws.shape[:1] + draws.shape[2:] != truth.shape:
        wanted = "draws (n, m) with truth (n,), or (n, m, d) with (n, d)"
        raise BadInput("calibration", f"draws {draws.shape} and truth {truth.shape} came, wanted {wanted}")
    return draws, truth
