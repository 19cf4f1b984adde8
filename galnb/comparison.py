"""Does a network that knows one survey know other galaxies? Observed and simulated ones, compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from . import confounders, twosample, weights
from .confounders import CALIPER, CONFOUNDERS
from .errors import BadInput, one_of
from .images import Images
from .latents import Latents
from .likelihoods import STATISTICS, likelihoods, maps, typical
from .models.base import Model

OF = "ratio"
BINS = 8, 30


@dataclass(frozen=True, eq=False)
class Curve:
    """A distribution: its density between `edges` (k + 1,), and where 68 % of bootstraps lie, (k,) each."""

    edges: np.ndarray
    density: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """Observed galaxies and simulated ones, as a network of the observed sees them: made by `compare`.

    Attributes
    ----------
    sets : dict of str to Images
        The first is the observed one. None instead of images in what was `read`, where only numbers are kept.
    table : Table
        One row a galaxy, set after set: set, id, the `STATISTICS`, bits (per dimension), coded_bits (of a
        lossless code), and the `confounders`.
    model, background : Model
        Of galaxies; of sky, or None. Neither is kept in a file.
    held : str
        What is held fixed, in words; empty where nothing is.
    """

    sets: dict[str, Images | None]
    table: Table
    model: Model | None = None
    background: Model | None = None
    held: str = ""

    @property
    def observed(self) -> str:
        return next(iter(self.sets))

    @property
    def simulated(self) -> tuple[str, ...]:
        return tuple(self.sets)[1:]

    @property
    def statistics(self) -> tuple[str, ...]:
        """Those that there are: "ratio" and "log_p_background" want a background."""
        return tuple(name for name in STATISTICS if name in self.table.colnames)

    def rows(self, name: str) -> Table:
        """The table's rows of one set."""
        one_of("set", name, self.sets)
        return self.table[np.asarray(self.table["set"]) == name]

    def values(self, name: str, statistic: str | None = None) -> np.ndarray:
        """A statistic (n,) of one set; "ratio" where not said and there is a background, else "log_p"."""
        return np.asarray(self.rows(name)[self._named(statistic)])

    def summary(self, statistic: str | None = None, *, seed: int = 0) -> Table:
        """Median of each set with its bootstrap error, and the central 68 %."""
        rows = []
        for name in self.sets:
            values = _finite(self.values(name, statistic))
            error = twosample.bootstrap(values, seed=seed).std() if len(values) else np.nan
            low, middle, high = np.percentile(values, [15.85, 50, 84.15]) if len(values) else 3 * [np.nan]
            rows.append((name, len(values), middle, error, low, high))
        return Table(rows=rows, names=["set", "n", "median", "error", "p16", "p84"])

    def curves(
        self, statistic: str | None = None, *, bins: int | None = None, draws: int = 500, seed: int = 0
    ) -> dict[str, Curve]:
        """The distribution of a statistic in each set, with bootstrap bands, over the same bins.

        Bins are 8 to 30, fewer for smaller sets, where not said.
        """
        each = {name: _finite(self.values(name, statistic)) for name in self.sets}
        bins = bins or int(np.clip(2 * min(map(len, each.values())) ** 0.5, *BINS))
        both = np.concatenate(list(each.values()))
        low, high = np.percentile(both, [0.5, 99.5]) if len(both) else (0.0, 1.0)
        edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
        found = {}
        for name, values in each.items():
            inside = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
            marks = np.eye(bins)[inside]  # beyond the ends counts at the ends
            norm = np.diff(edges)
            again = twosample.bootstrap(marks, np.mean, draws=draws, seed=seed) / norm
            found[name] = Curve(edges, marks.mean(0) / norm, *np.percentile(again, [15.85, 84.15], axis=0))
        return found

    def tests(self, statistic: str | None = None, *, joint: bool = True, seed: int = 0) -> Table:
        """Whether each simulated set differs from the observed one.

        Parameters
        ----------
        joint : bool
            False: only the tests of the statistic itself, which take a tenth of the time.

        Returns
        -------
        Table, one row a simulated set
            auroc: the chance that a simulated galaxy has less of the statistic than an observed one, and its
            bootstrap error; ks and ks_p: Kolmogorov-Smirnov. Of log_p, log_p_background and coded_bits
            together: energy and energy_p, energy distance by permutation; classifier and its error, how well
            boosted trees tell the sets apart, 0.5 where they cannot.
        """
        names = ["set", "n", "n_observed", "auroc", "auroc_error", "ks", "ks_p"]
        names += ["energy", "energy_p", "classifier", "classifier_error"] if joint else []
        together = [n for n in ("log_p", "log_p_background", "coded_bits") if n in self.table.colnames]
        rows = []
        for name in self.simulated:
            drawn, real = (_finite(self.values(each, statistic)) for each in (name, self.observed))
            row = [name, len(drawn), len(real), twosample.auroc(drawn, real), _error(drawn, real, seed)]
            row += twosample.ks(drawn, real)
            if joint:
                both = [_joint(self.rows(each), together) for each in (name, self.observed)]
                row += [*twosample.energy(*both, seed=seed), *twosample.told_apart(*both, seed=seed)]
            rows.append(row)
        return Table(rows=rows, names=names)

    def balance(self, names=tuple(CONFOUNDERS)) -> Table:
        """How far each simulated set is from the observed one in each confounder: see `confounders`."""
        usual = self.rows(self.observed)
        rows = [
            {"set": name, **confounders.balance(usual, self.rows(name), names)} for name in self.simulated
        ]
        return Table(rows)

    def against(self, observed: str, *simulated: str) -> Comparison:
        """The same with another set as the observed one, and of the others those named; all, if none are.

        A second set of observed galaxies, prepared as the simulated ones, is the control that this is for.
        """
        for name in (observed, *simulated):
            one_of("set", name, self.sets)
        names = (observed, *(simulated or (name for name in self.sets if name != observed)))
        if len({*names}) < max(len(names), 2):
            raise BadInput("the sets", f"{', '.join(names)} came, wanted at least two, each once")
        found = replace(
            self,
            sets={name: self.sets[name] for name in names},
            table=vstack([self.rows(name) for name in names]),
        )
        found.table["typical"] = typical(found.table["log_p"], found.values(observed, "log_p"))
        return found

    def matched(
        self, name: str | None = None, names=tuple(CONFOUNDERS), *, caliper: float = CALIPER
    ) -> Comparison:
        """Observed galaxies and simulated ones, as many, pair by pair alike in the confounders.

        Parameters
        ----------
        name : str
            The simulated set; may be left out where there is one.
        names : of confounders
        caliper : float
            Scatters of the observed by which partners may differ in each; see `confounders.pairs`.

        Raises
        ------
        BadInput
            Where fewer than ten galaxies have a partner.
        """
        name = self._only(name)
        one_of("set", name, self.simulated)
        a, b = (self.rows(each) for each in (self.observed, name))
        left, right = confounders.pairs(a, b, names, caliper=caliper)
        if len(left) < twosample.FEWEST:
            todo = f"{len(left)} of {len(b)} galaxies of {name!r} have an observed partner"
            raise BadInput("matched", f"{todo}, wanted at least {twosample.FEWEST}; widen the caliper")
        names = [names] if isinstance(names, str) else list(names)
        sets = {}
        for each, rows in ((self.observed, left), (name, right)):
            sets[each] = None if self.sets[each] is None else self.sets[each][rows]
        return replace(self, sets=sets, table=vstack([a[left], b[right]]), held=f"matched in {_and(names)}")

    def regressed(self, names=tuple(CONFOUNDERS), *, seed: int = 0) -> Comparison:
        """Each statistic less what an observed galaxy of the same confounders has, plus the usual value.

        See `confounders.expected`. Galaxies beyond what the observed span are compared with their border.
        """
        names = [names] if isinstance(names, str) else list(names)
        usual, others = self.rows(self.observed), [self.rows(name) for name in self.simulated]
        table = self.table.copy()
        for statistic in (*self.statistics, "coded_bits"):
            if statistic == "typical":
                continue
            values = np.asarray(usual[statistic], dtype=np.float64)
            own, rest = confounders.expected(values, usual, others, names, seed=seed)
            expected = np.concatenate([own, *rest])
            table[statistic] = np.asarray(table[statistic]) - expected + np.nanmedian(values)
        found = replace(self, table=table, held=f"regressed on {_and(names)}")
        table["typical"] = typical(table["log_p"], found.values(self.observed, "log_p"))
        return found

    def maps(self, name: str, rows=None, *, of: str | None = None) -> np.ndarray:
        """Where galaxies are as the network expects, or not: nats (n, y, x) of each pixel, bands added up.

        Their sum is the galaxy's "log_p", "log_p_background" or "ratio" (where not said and there is a
        background): what surprises is where they are lowest.
        """
        of = self._named(of)
        one_of("map", of, ("log_p", "log_p_background", "ratio"))
        one_of("set", name, self.sets)
        if self.sets[name] is None:
            raise BadInput(f"set {name!r}", "its images are not kept in the file; compare them again")
        images = self.sets[name] if rows is None else self.sets[name][np.atleast_1d(rows)]
        if of == "log_p":
            return maps(images, self.model)
        known = maps(images, self.background)
        return known if of == "log_p_background" else maps(images, self.model) - known

    def latents(self) -> Latents:
        """All galaxies as Latents, for maps and panels: z are the statistics, ids are "SET/id"."""
        ids = np.array([f"{row['set']}/{row['id']}" for row in self.table])
        z = np.stack([np.asarray(self.table[name]) for name in self.statistics], axis=1)
        table = self.table.copy()
        del table["id"]
        return Latents(ids, z, table, {"made_by": "galnb.compare", "held": self.held})

    def write(self, path: str | Path) -> Path:
        """Keep the numbers, and neither images nor models, as a Parquet file of `latents`."""
        return self.latents().write(path, dtype="float32")

    @classmethod
    def read(cls, path: str | Path) -> Comparison:
        """What `write` kept: all but maps can be asked of it. BadInput for another file."""
        latents = Latents.read(path)
        if latents.meta.get("made_by") != "galnb.compare":
            raise BadInput(path, "it holds other latents, wanted a file that Comparison.write made")
        table = latents.table.copy()
        names = [str(name) for name in table["set"]]
        ids = [str(one)[len(name) + 1 :] for one, name in zip(latents.id, names, strict=True)]
        table["set"] = names
        table.add_column(ids, 1, "id")
        return cls(dict.fromkeys(names), table, held=latents.meta["held"])

    def judge(self, images: Images) -> Table:
        """The `STATISTICS` of further galaxies, such as the model's own draws, one row each."""
        table = likelihoods(images, self.model, self.background)
        table["typical"] = typical(np.asarray(table["log_p"]), self.values(self.observed, "log_p"))
        return table

    def figure(self, statistic: str | None = None, *, width: float = 7.0, seed: int = 0):
        """The distributions of a statistic, with bootstrap bands, as a Figure."""
        from .figures import OKABE_ITO, blank

        statistic = self._named(statistic)
        figure = blank(width, 0.5 * width)
        axis = figure.add_subplot()
        for color, (name, curve) in zip(
            8 * OKABE_ITO, self.curves(statistic, seed=seed).items(), strict=False
        ):
            label = f"{name} ({len(self.rows(name)):,})"
            axis.stairs(curve.density, curve.edges, color=color, lw=2, label=label)
            axis.fill_between(
                curve.edges, *(np.append(v, v[-1]) for v in (curve.low, curve.high)),
                step="post", color=color, alpha=0.25, lw=0,
            )  # fmt: skip
        axis.set(xlabel=STATISTICS[statistic], ylabel="share of galaxies per unit", title=self.held)
        axis.legend()
        return figure

    def _named(self, statistic: str | None) -> str:
        if statistic is None:
            return OF if OF in self.table.colnames else "log_p"
        one_of("statistic", statistic, self.statistics)
        return statistic

    def _only(self, name: str | None) -> str:
        if name is None and len(self.simulated) != 1:
            raise BadInput("name", f"none came, wanted one of {', '.join(self.simulated)}")
        return self.simulated[0] if name is None else name


def compare(
    observed: Images | Mapping[str, Images],
    simulated: Images | Mapping[str, Images],
    model: Model | str = "pixelcnn32-sdss",
    background: Model | str | None = "sky32-sdss",
) -> Comparison:
    """Does a network that knows observed galaxies know simulated ones? Their exact likelihoods, and tests.

    Parameters
    ----------
    observed : Images, or a mapping of one name to Images
        That the network has not seen in training; 10 at least.
    simulated : Images, or a mapping of names to Images
        One or more sets, prepared as the observed ones: the same bands, size, stretch and 8 bits. `ladder`
        does that, and shows what each step of it matters.
    model : Model or str
        With `log_prob` and, for maps, `log_prob_map`, such as a PixelCNN; or the name of shipped weights.
    background : Model or str, optional
        Knows what is common to everything: of sky (Zanisi+2021), or of stirred pixels (Ren+2019). Without,
        there is no "ratio".

    Returns
    -------
    Comparison
        Its table has, of each galaxy: log_p; ratio, log p less that of the background, which both know how
        noisy and how faint a picture is; corrected, log p plus the length of a lossless code in nats, since
        a simple picture is likely whatever it shows (Serra+2020, equation 3, with the sign changed); typical,
        minus the distance of log p from the observed median in sigma, since galaxies can be too likely, too
        (Nalisnick+2019); and what else sets may differ in, to be matched or regressed out.

    Raises
    ------
    BadInput
        For images of another size, with other bands or with NaN, and for an empty set.

    Examples
    --------
    >>> from galnb.models import PixelCNN
    >>> model = PixelCNN(("r",), 8, levels=4, width=8, vertical=(1,), horizontal=1).eval()
    >>> draw = lambda seed: Images(np.random.default_rng(seed).random((20, 1, 8, 8)), bands=("r",))
    >>> found = compare(draw(0), {"other noise": draw(1)}, model, background=None)
    >>> found.statistics, found.maps("other noise").shape
    (('log_p', 'corrected', 'typical'), (20, 8, 8))
    """
    observed = observed if isinstance(observed, Mapping) else {"observed": observed}
    simulated = simulated if isinstance(simulated, Mapping) else {"simulated": simulated}
    if len(observed) != 1 or not simulated or set(observed) & set(simulated):
        came = f"{', '.join(observed)} and {', '.join(simulated)}"
        raise BadInput("the sets", f"{came} came, wanted one observed, and simulated ones of other names")
    model, background = (weights.load(m) if isinstance(m, str) else m for m in (model, background))
    sets = {**observed, **simulated}
    tables = []
    for name, images in sets.items():
        if not isinstance(images, Images):
            raise TypeError(f"set {name!r} is a {type(images).__name__}, wanted Images")
        if not len(images):
            raise BadInput(f"set {name!r}", "it has no galaxies")
        tables.append(likelihoods(images, model, background))
        tables[-1].add_columns(list(confounders.measure(images).columns.values()))
        tables[-1].add_column(np.full(len(images), name), 0, "set")
        tables[-1]["id"] = images.id.astype(str)
    for table in tables:
        table["typical"] = typical(table["log_p"], tables[0]["log_p"])
    return Comparison(sets, vstack(tables, metadata_conflicts="silent"), model, background)


def _error(drawn: np.ndarray, real: np.ndarray, seed: int) -> float:
    """Of the area under the ROC curve, by bootstrap of both samples."""
    rng = np.random.default_rng(seed)
    again = lambda values: values[rng.integers(0, len(values), len(values))]  # noqa: E731
    return float(np.std([twosample.auroc(again(drawn), again(real)) for _ in range(200)]))


def _joint(table: Table, names) -> np.ndarray:
    x = np.stack([np.asarray(table[name]) for name in names], axis=1)
    return x[np.isfinite(x).all(axis=1)]


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _and(names) -> str:
    names = [name.replace("_", " ") for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
