"""A merger sequence: one draw a row, isolated galaxies as the simulator's, and each stage what it says."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

pytest.importorskip("galsim")

from galnb import sources  # noqa: E402
from galnb.morphology import measure  # noqa: E402
from galnb.sources.mergers import STAGES, Mergers  # noqa: E402
from galnb.sources.simulator import Simulator  # noqa: E402

N = 24


@pytest.fixture(scope="module")
def sequence():
    """The same rows at every stage, without noise: stage to Images."""
    return {stage: Mergers(N, stage=stage, bands=("g", "r", "i"), seed=4).read() for stage in STAGES}


def nuclei(plane):
    """Peaks (k, 2) of at least a quarter of the highest, the highest first."""
    from skimage.feature import peak_local_max

    return peak_local_max(plane, min_distance=2, threshold_rel=0.25, exclude_border=False)


def test_isolated_galaxies_are_the_simulators():
    options = {"size": 32, "noise": 0.5, "seed": 7}
    mine, theirs = Mergers(5, stage="isolated", **options).read(), Simulator(5, **options).read()
    assert np.array_equal(mine.pixels, theirs.pixels)
    for name in theirs.table.colnames:
        assert np.array_equal(mine.table[name], theirs.table[name]), name


def test_a_row_depends_on_the_seed_and_its_number_alone():
    options = {"size": 32, "noise": 0.5, "seed": 7}
    many, few = Mergers(40, **options).read([3, 31, 12]), Mergers(13, **options).read([12, 3])
    assert np.array_equal(many.pixels[[2, 0]], few.pixels)
    assert [list(row) for row in many.table[[2, 0]]] == [list(row) for row in few.table]
    assert not np.array_equal(Mergers(5, size=32, seed=8).read([3]).pixels, many.pixels[:1])


def test_stages_come_in_their_shares():
    source = Mergers(300, size=8, bands=("r",), shares={"pre": 1, "post": 3})
    names, counts = np.unique(source.read().table["stage"], return_counts=True)
    assert list(names) == ["post", "pre"] and counts[0] / 300 == pytest.approx(0.75, abs=0.08)
    default = Mergers(300, size=8, bands=("r",)).read().table["stage"]
    assert np.mean(default == "isolated") == pytest.approx(0.7, abs=0.08) and set(default) == set(STAGES)


def test_flux_is_that_of_the_isolated_galaxy_and_so_gives_nothing_away(sequence):
    alone = sequence["isolated"].pixels.sum(axis=(2, 3))
    for stage in STAGES[1:]:
        flux = sequence[stage].pixels.sum(axis=(2, 3))
        assert np.median(np.abs(flux / alone - 1)) < 0.03, stage
        assert np.array_equal(sequence[stage].table["flux_r"], sequence["isolated"].table["flux_r"])
        assert ks_2samp(np.log(flux[:, 1]), np.log(alone[:, 1])).pvalue > 0.5, stage


def test_pairs_have_two_nuclei_at_their_separation_and_remnants_one():
    options = {"bands": ("r",), "psf_fwhm_arcsec": 0.8, "seed": 5, "n": N}
    pairs, remnants = (Mergers(stage=stage, **options).read() for stage in ("pre", "post"))
    two = [nuclei(plane)[:2] for plane in pairs.pixels[:, 0]]
    far = 0.4 * np.array([np.hypot(*(peaks[0] - peaks[-1])) for peaks in two])
    assert np.mean(np.abs(far - pairs.table["separation_arcsec"]) < 0.6) > 0.85
    assert np.mean([len(nuclei(plane)) == 1 for plane in remnants.pixels[:, 0]]) > 0.85
    assert np.all(pairs.table["separation_arcsec"] > 0) and np.all(remnants.table["separation_arcsec"] == 0)


def test_truth_says_which_light_is_where(sequence):
    for name in ("separation_arcsec", "mass_ratio", "tail_share", "shell_share"):
        assert np.all(sequence["isolated"].table[name] == 0), name
    for stage in STAGES[1:]:
        ratio = np.asarray(sequence[stage].table["mass_ratio"])
        assert np.all((ratio >= 0.25) & (ratio <= 1)), stage
    tails = {stage: np.mean(images.table["tail_share"]) for stage, images in sequence.items()}
    assert tails["isolated"] == 0 < max(tails["pre"], tails["post"]) < tails["merger"]
    assert np.all((sequence["post"].table["shell_share"] > 0) & (sequence["pre"].table["shell_share"] == 0))
    apart = {stage: np.mean(sequence[stage].table["separation_arcsec"]) for stage in STAGES}
    assert apart["pre"] > 1.3 * apart["merger"] > apart["post"] == 0
    assert str(sequence["pre"].table["separation_arcsec"].unit) == "arcsec"


def test_debris_has_the_share_of_light_that_the_table_says():
    source = Mergers(3, stage="post", bands=("r",), size=96, seed=2)
    clumps = np.array([[0.0, 0.0, 2.0, 0.25], [3.0, -4.0, 1.0, 0.75]])
    drawn = source._clumps(clumps, 40.0)
    assert drawn.sum() == pytest.approx(40, rel=1e-3)
    y, x = (np.indices(drawn.shape) - 47.5) * source.pixel_scale
    assert (drawn * x).sum() / 40 == pytest.approx(0.75 * 3, rel=1e-2)
    assert (drawn * y).sum() / 40 == pytest.approx(0.75 * -4, rel=1e-2)


def test_mergers_are_more_asymmetric_than_isolated_galaxies(sequence):
    median = {stage: np.nanmedian(measure(images)["asymmetry"]) for stage, images in sequence.items()}
    assert median["isolated"] < 0.02 and median["merger"] > 0.1 and median["post"] > 0.03


def test_tails_are_bluer_than_the_rest():
    source = Mergers(12, stage="merger", bulge_fraction=0.0, seed=1)
    blue, _, red = source.read().pixels.transpose(1, 0, 2, 3)
    y, x = np.mgrid[:64, :64] - 31.5
    far = np.hypot(x, y) > 18
    outside, whole = blue[:, far].sum(1) / red[:, far].sum(1), blue.sum((1, 2)) / red.sum((1, 2))
    assert np.median(outside / whole) > 1.05


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "options", [{"size": 9}, {"psf_fwhm_arcsec": 0, "bands": ("r",)}, {"bulge_fraction": 0.0}]
)
def test_small_sharp_and_bulgeless_ones_are_finite(stage, options):
    images = Mergers(2, stage=stage, **{"size": 32} | options).read()
    assert np.isfinite(images.pixels).all() and len(images.table) == 2


def test_a_wrong_stage_or_share_is_refused():
    with pytest.raises(ValueError, match="did you mean 'merger'"):
        Mergers(2, stage="merging")
    for wrong in ({"post": -1}, {"post": 0}, {}):
        with pytest.raises(ValueError, match="wanted numbers of at least 0"):
            Mergers(2, shares=wrong)
    with pytest.raises(ValueError, match="wanted one of them"):
        sources.load("mergers", stage="post", shares={"post": 1})
