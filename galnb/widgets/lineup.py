"""`Lineup`: the galaxies of a comparison in the order of one statistic."""

from __future__ import annotations

import numpy as np

from ..comparison import STATISTICS, Comparison
from ..latents import Latents


class Lineup:
    """Who is in a range of a statistic, who is at its ends, and where one galaxy stands.

    Parameters
    ----------
    comparison : Comparison
    statistic : str
    latents : Latents
        Of these galaxies and, where some were left out by matching, others.

    Attributes
    ----------
    rows : ndarray (n,)
        In the latents.
    values : ndarray (n,)
        Of the statistic.
    of : ndarray (n,)
        The number of each galaxy's set; `names` has their names.
    """

    def __init__(self, comparison: Comparison, statistic: str, latents: Latents):
        self.names, self.statistic = tuple(comparison.sets), statistic
        table = comparison.table
        self.rows = latents.rows_of(ids_of(table))
        self.values = np.asarray(table[statistic], dtype=np.float64)
        self.of = np.argmax([np.asarray(table["set"]) == name for name in self.names], axis=0)
        self._place = np.full(len(latents), -1)
        self._place[self.rows] = np.arange(len(self.rows))

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        known = self.values[np.isfinite(self.values)]
        return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)

    def value(self, row: int) -> float:
        """Of one of the latents' rows; NaN for one that was left out."""
        return float(self.values[self._place[row]]) if self._place[row] >= 0 else np.nan

    def places(self, rows) -> np.ndarray:
        """Where rows of the latents stand in this line-up; those that were left out are not told."""
        places = self._place[np.asarray(rows, dtype=int)]
        return places[places >= 0]

    def within(self, low: float, high: float) -> np.ndarray:
        """Places of the galaxies from low to high, ends included."""
        return np.flatnonzero((self.values >= low) & (self.values <= high))

    def nearest(self, places, middle: float, n: int, *, seed: int | None = None) -> list[np.ndarray]:
        """At most n of these places of each set, nearest to a value first; or, with a seed, at random."""
        places = np.asarray(places, dtype=int)
        found = []
        for k in range(len(self.names)):
            own = places[self.of[places] == k]
            far = np.nan_to_num(np.abs(self.values[own] - middle), nan=np.inf)
            order = np.argsort(far, kind="stable")
            if seed is not None:
                order = np.random.default_rng((seed, k)).permutation(len(own))
            found.append(own[order[:n]])
        return found

    def ends(self, n: int) -> list[np.ndarray]:
        """Places of the n // 2 lowest of each set, lowest first, and of the others highest, highest last."""
        found = []
        for k in range(len(self.names)):
            own = np.flatnonzero((self.of == k) & np.isfinite(self.values))
            own = own[np.argsort(self.values[own], kind="stable")]
            low = own[: n // 2]
            found.append(np.concatenate([low, own[len(low) :][-(n - n // 2) :]]))
        return found

    def words(self, value: float, row: int | None = None) -> str:
        """Where a value stands among the observed; a `row` is not compared with itself.

        For example, "less likely than 97 % of SDSS"; empty for NaN.
        """
        usual = self.values[(self.of == 0) & np.isfinite(self.values) & (self.rows != row)]
        if not len(usual) or np.isnan(value):
            return ""
        above, below = float((usual > value).mean()), float((usual < value).mean())
        less = above >= below
        share = max(above, below)
        often = "all" if share == 1 else f"{100 * share:.3g} %" if share > 0.99 else f"{100 * share:.0f} %"
        how = ("less likely", "more likely") if self.statistic == "log_p" else ("lower", "higher")
        return f"{how[0] if less else how[1]} than {often} of {self.names[0]}"


def ids_of(table) -> np.ndarray:
    """What galaxies of a comparison's table are called in its `latents`: "SET/id".

    >>> ids_of({"set": np.array(["SDSS"]), "id": np.array(["587"])}).tolist()
    ['SDSS/587']
    """
    return np.char.add(
        np.char.add(np.asarray(table["set"]).astype(str), "/"), np.asarray(table["id"]).astype(str)
    )


def unit(statistic: str) -> str:
    """Of a statistic: "nats", or "sigma".

    >>> unit("log_p")
    'nats'
    """
    return STATISTICS[statistic].rsplit("(", 1)[-1].rstrip(")")
