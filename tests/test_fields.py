import numpy as np
import pytest

from galnb import fields
from galnb.emulator import Emulator, emulation_figure, views
from galnb.errors import BadInput

FAINT = lambda k: 1e-5 * fields.slice_power(k)  # noqa: E731


@pytest.fixture(scope="module")
def slices():
    return fields.simulate(2000, 16, seed=1)


def wanted(power, size, box=fields.BOX):
    """Mean power of the waves in each ring."""
    waves = fields.wave_numbers(size, box)
    ring = np.rint(waves * box / (2 * np.pi)).astype(int)
    return np.array([power(waves[ring == b]).mean() for b in range(1, size // 2)])


def test_the_cold_spectrum_has_the_sigma8_and_the_tilt_that_were_asked_for():
    k = np.geomspace(1e-4, 20, 4000)
    x = 8 * k
    sphere = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    cubic = 50 * fields.slice_power(k)
    sigma = np.sqrt(np.trapezoid(cubic * sphere**2 * k**3, np.log(k)) / (2 * np.pi**2))
    assert sigma == pytest.approx(0.8, rel=1e-3)
    ends = fields.slice_power(np.array([1e-5, 2e-5]), tilt=0.9)
    assert np.log2(ends[1] / ends[0]) == pytest.approx(0.9, abs=2e-3)
    assert fields.slice_power(0.0) == 0


@pytest.mark.parametrize("layers", [1, 3])
def test_simulated_slices_have_the_power_that_was_asked_for(layers):
    _, power, _ = fields.power_spectrum(fields.simulate(1500, 16, layers=layers, seed=2))
    off = power.mean(0) - wanted(fields.slice_power, 16)
    chi2 = off @ np.linalg.solve(fields.covariance(power) / len(power), off)
    assert chi2 < 24  # 7 bins: one in a thousand


def test_one_layer_is_lognormal_and_several_are_not(slices):
    def skewness(x):
        x = x - x.mean()
        return (x**3).mean() / (x**2).mean() ** 1.5

    assert abs(skewness(np.log1p(slices))) < 0.05
    several = fields.simulate(1000, 16, layers=4, seed=3)
    assert skewness(np.log1p(several)) > 0.1


def test_spectra_of_faint_slices_scatter_as_those_of_gaussian_fields_do():
    _, power, modes = fields.power_spectrum(fields.simulate(4000, 16, power=FAINT, seed=4))
    gaussian = 2 * power.mean(0) ** 2 / modes
    found = fields.covariance(power)
    assert np.diag(found) / gaussian == pytest.approx(1, abs=0.12)
    assert np.abs(fields.correlation(found) - np.eye(7)).max() < 0.06


def test_the_power_of_a_plane_wave_is_that_of_its_amplitude():
    x = np.arange(32)
    wave = 0.1 * np.cos(2 * np.pi * 3 * x / 32) * np.ones((1, 32, 1))
    k, power, modes = fields.power_spectrum(wave, box=100.0)
    assert k[2] == pytest.approx(2 * np.pi * 3 / 100, rel=0.02)
    expected = np.where(np.arange(15) == 2, 2 * (0.1 * 100 / 2) ** 2 / modes, 0)
    assert power[0] == pytest.approx(expected, abs=1e-12)


def test_neither_shifts_nor_mirrors_change_a_spectrum_or_a_statistic(slices):
    few = slices[:5]
    moved = views(few, 1, np.random.default_rng(0))
    assert not np.array_equal(moved, few)
    np.testing.assert_allclose(fields.power_spectrum(moved)[1], fields.power_spectrum(few)[1], rtol=1e-4)
    for name, values in fields.statistics(moved).items():
        np.testing.assert_allclose(values, fields.statistics(few)[name], rtol=1e-4, err_msg=name)


def test_one_seed_gives_one_result_however_many_fields(slices):
    np.testing.assert_array_equal(fields.simulate(300, 16, seed=1), slices[:300])
    assert not np.array_equal(fields.simulate(1, 16, seed=2), slices[:1])
    assert fields.simulate(0).shape == (0, 32, 32)


def test_the_error_of_gaussian_spectra_is_one_over_the_root_of_their_number():
    rng, root = np.random.default_rng(0), np.linalg.cholesky(np.diag(np.arange(1, 9.0)) + 1)
    errors = []
    for _ in range(40):
        drawn = rng.normal(size=(100, 8)) @ root.T
        errors.append(fields.difference(fields.covariance(drawn), root @ root.T).error ** 2)
    assert np.sqrt(np.mean(errors)) == pytest.approx(0.1, rel=0.1)


def test_hartlaps_factor_makes_chi2_and_fishers_errors_unbiased():
    rng = np.random.default_rng(1)
    slopes = rng.normal(size=(2, 8))
    found = [
        fields.difference(fields.covariance(rng.normal(size=(60, 8))), np.eye(8), n=60, gradient=slopes)
        for _ in range(300)
    ]
    assert np.mean([d.chi2 for d in found]) == pytest.approx(0, abs=0.02)
    assert np.mean([d.fisher for d in found]) == pytest.approx(0, abs=0.08)


def test_a_covariance_is_no_different_from_itself():
    same = fields.difference(np.diag([1.0, 2.0]), np.diag([1.0, 2.0]), gradient=np.ones((1, 2)))
    assert (same.error, same.diagonal, same.correlation) == pytest.approx((0, 0, 0), abs=1e-12)
    assert (same.chi2, same.fisher[0]) == pytest.approx((0, 0), abs=1e-12)


def test_shrinkage_helps_few_spectra_and_a_blend_knows_a_wrong_target():
    rng = np.random.default_rng(2)
    few = rng.normal(size=(30, 10))
    error = lambda c: fields.difference(c, np.eye(10)).error  # noqa: E731
    assert error(fields.shrunk(few)) < error(fields.covariance(few))
    right, trust = fields.blend(few, np.eye(10))
    wrong, doubt = fields.blend(rng.normal(size=(300, 10)), np.diag(np.arange(1, 11.0)))
    assert error(right) < error(fields.covariance(few)) / 2 and trust > 0.7
    assert doubt < 0.1 and error(wrong) < 0.1


def test_what_cannot_be_is_said():
    with pytest.raises(BadInput, match="cannot have it"):
        fields.simulate(1, power=lambda k: 4e3 * (np.abs(k - 0.2) < 0.02))
    with pytest.raises(BadInput, match="wanted .n, size, size."):
        fields.power_spectrum(np.zeros((8, 8)))
    with pytest.raises(BadInput, match="positive definite"):
        fields.difference(np.zeros((2, 2)), np.eye(2))
    with pytest.raises(ValueError, match="at least 18"):
        fields.hartlap(17, 15)
    with pytest.raises(ValueError, match="even number"):
        fields.simulate(1, 9)
    for bad in (np.zeros((5, 12, 12)), np.full((5, 8, 8), -1.0), np.full((5, 8, 8), np.nan)):
        with pytest.raises(BadInput, match="wanted"):
            Emulator().fit(bad)
    with pytest.raises(BadInput, match="fit it"):
        Emulator().sample(1)


def test_emulated_fields_have_a_better_covariance_than_those_it_learned_from(slices):
    shown = fields.simulate(60, 16, seed=5)
    drawn = Emulator().fit(shown, seed=0).sample(1500, seed=0)
    true, own, found = (fields.power_spectrum(x)[1] for x in (slices, shown, drawn))
    error = lambda p: fields.difference(fields.covariance(p), fields.covariance(true)).error  # noqa: E731
    assert error(found) < 0.6 * error(own)
    assert found.mean(0) / true.mean(0) == pytest.approx(1, abs=0.15)
    skew, truth = (fields.statistics(x)["skewness"] for x in (drawn, slices))
    assert abs(skew.mean() - truth.mean()) < 0.25 * truth.std()


def test_an_emulator_repeats_itself_from_one_seed():
    shown = fields.simulate(60, 8, seed=6)
    ways = [Emulator(views=5).fit(shown, seed=1).sample(4, seed=s) for s in (2, 2, 3)]
    np.testing.assert_array_equal(ways[0], ways[1])
    assert not np.array_equal(ways[0], ways[2])


def test_a_flow_can_be_the_emulators_density():
    shown = fields.simulate(60, 8, seed=6)
    drawn = Emulator("maf", views=5, steps=20, hidden=(8,), transforms=1).fit(shown).sample(10)
    assert drawn.shape == (10, 8, 8) and np.isfinite(drawn).all() and drawn.min() > -1


def test_the_figure_says_how_many_simulations_the_emulator_is_worth(slices):
    shown = fields.simulate(60, 16, seed=5)
    figure = emulation_figure(slices, shown, slices[:500], counts=(50, 100, 200))
    worth = [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().texts]
    assert any(text.startswith("emulator: as about ") for text in worth)
    assert figure._repr_png_().startswith(b"\x89PNG")
