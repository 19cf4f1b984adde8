import numpy as np
import pytest
import torch

from galnb import Comparison, backgrounds, compare
from galnb.errors import BadInput, BandMismatch
from galnb.images import Images
from galnb.likelihoods import STATISTICS, likelihoods
from galnb.models import PCA, PixelCNN

SIZE, BANDS = 16, ("r", "g")


def network(seed=0, **options):
    torch.manual_seed(seed)
    model = PixelCNN(
        BANDS, SIZE, levels=16, width=8, vertical=(1,), horizontal=1, mixtures=2, **options
    ).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def galaxies(n, seed=0, radius=(2.5, 3.5), noise=0.03, shift=0):
    """Round galaxies in two bands on a noisy sky."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    width = rng.uniform(*radius, n)[:, None, None, None]
    pixels = 0.8 * np.exp(-(np.hypot(x, y) ** 2) / (2 * width**2)) * np.array([1, 0.7])[:, None, None]
    pixels = pixels + 0.1 + rng.normal(0, noise, (n, 2, SIZE, SIZE))
    return Images(np.clip(pixels, 0, 1), np.arange(n) + shift, BANDS)


@pytest.fixture(scope="module")
def models():
    """A network that has learned galaxies, and one that has learned their sky."""
    trained = []
    for pixels in (galaxies(256).pixels, galaxies(256).pixels[:, :, :1, :1] * 0 + 0.1):
        noise = np.random.default_rng(1).normal(0, 0.03, (256, 2, SIZE, SIZE))
        x = pixels if pixels.shape[-1] == SIZE else np.clip(pixels + noise, 0, 1)
        model = network()
        x = torch.as_tensor(np.asarray(x), dtype=torch.float32)
        model.warm_start([x])
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for k in range(60):
            optimizer.zero_grad()
            model.loss(x[64 * (k % 4) :][:64])["loss"].backward()
            optimizer.step()
        trained.append(model.eval())
    return trained


@pytest.fixture(scope="module")
def found(models):
    sets = {
        "same": galaxies(90, 2),
        "larger": galaxies(80, 3, (4.5, 5.5)),
        "noisier": galaxies(70, 4, noise=0.06),
        "stirred": (same := galaxies(60, 5)).with_pixels(backgrounds.stirred(same.pixels, 0.2)),
    }
    return compare({"observed": galaxies(150, 1)}, sets, *models)


def test_the_network_knows_its_own_and_not_others(found):
    for statistic in ("log_p", "typical"):
        table = found.tests(statistic)
        table.add_index("set")
        assert abs(table.loc["same"]["auroc"] - 0.5) < 0.1 and table.loc["same"]["ks_p"] > 0.01
        assert table.loc["stirred"]["auroc"] > 0.9 and table.loc["stirred"]["ks_p"] < 1e-6
        assert table.loc["same"]["energy_p"] > 0.01 > table.loc["stirred"]["energy_p"] - 1e-3
        assert table.loc["stirred"]["classifier"] > 0.9 > 0.65 > table.loc["same"]["classifier"]
        assert 0.005 < table.loc["same"]["auroc_error"] < 0.08


def test_a_background_takes_away_what_sky_explains(found):
    of = {name: found.tests(name) for name in ("log_p", "ratio", "log_p_background")}
    noisier = list(found.simulated).index("noisier")
    apart = {name: abs(table["auroc"][noisier] - 0.5) for name, table in of.items()}
    assert apart["ratio"] < 0.6 * apart["log_p"] and apart["log_p_background"] > 0.25


def test_numbers_are_those_of_the_models(found, models):
    images = found.sets["larger"]
    with torch.inference_mode():
        log_p, sky = (model.log_prob(model.tensor(images)).numpy() for model in models)
    np.testing.assert_allclose(found.values("larger", "log_p"), log_p, rtol=1e-5)
    np.testing.assert_allclose(found.values("larger"), log_p - sky, rtol=1e-3, atol=0.05)
    rows = found.rows("larger")
    np.testing.assert_allclose(rows["bits"], -log_p / (np.log(2) * 2 * SIZE**2), rtol=1e-5)
    np.testing.assert_allclose(rows["corrected"], log_p + np.log(2) * rows["coded_bits"], rtol=1e-5)


def test_maps_add_up_to_what_they_are_of(found):
    for statistic in ("log_p", "log_p_background", "ratio"):
        maps = found.maps("stirred", [3, 7], of=statistic)
        assert maps.shape == (2, SIZE, SIZE)
        wanted = found.values("stirred", statistic)[[3, 7]]
        np.testing.assert_allclose(maps.sum((1, 2)), wanted, rtol=1e-3, atol=0.05)


def test_a_map_shows_where_the_surprise_is(models):
    images = galaxies(20, 9)
    odd = images.pixels.copy()
    odd[:, :, 3:5, 11:13] = 0.9
    found = compare(images, images.with_pixels(odd), *models)
    less = (found.maps("observed") - found.maps("simulated")).mean(0)
    assert less[3:5, 11:13].mean() > 5 * np.abs(less[9:, :8]).mean()


def test_matching_holds_fixed_what_it_says(found, models):
    # Some of the observed are as large as all simulated ones are: with partners, nothing is left.
    observed = galaxies(300, 1, (2.5, 5.5))
    first = compare(observed, galaxies(80, 3, (4.5, 5.5)), *models)
    second = first.matched(names="half_light_radius", caliper=0.2)
    assert abs(first.balance("half_light_radius")["half_light_radius"][0]) > 0.6
    assert abs(second.balance("half_light_radius")["half_light_radius"][0]) < 0.1
    assert second.held == "matched in half light radius" and len(second.rows("observed")) > 40
    for name in second.sets:
        assert second.sets[name].id.astype(str).tolist() == second.rows(name)["id"].tolist()
    third = first.regressed(("half_light_radius", "flux"))
    assert third.held == "regressed on half light radius and flux"
    far = [abs(each.tests("log_p")["auroc"][0] - 0.5) for each in (first, second, third)]
    assert far[0] > 0.15 and far[1] < 0.1 and far[2] < 0.12
    with pytest.raises(BadInput, match="partner.*widen the caliper"):
        found.matched("larger", "half_light_radius", caliper=0.01)
    with pytest.raises(BadInput, match="wanted one of same, larger"):
        found.matched()


def test_bands_of_a_distribution_hold_another_sample(found):
    curves = found.curves("log_p", bins=12)
    for curve in curves.values():
        assert (curve.density * np.diff(curve.edges)).sum() == pytest.approx(1)
        assert (curve.low <= curve.density + 1e-12).all() and (curve.density <= curve.high + 1e-12).all()
    assert all((c.edges == curves["observed"].edges).all() for c in curves.values())
    one, other = curves["observed"], curves["same"]
    wide = np.hypot(one.high - one.low, other.high - other.low) / 2
    assert (np.abs(one.density - other.density) <= 3 * wide + 1e-9).mean() > 0.8


def test_a_summary_has_medians_and_their_errors(found):
    table = found.summary("log_p")
    values = found.values("same", "log_p")
    row = table[list(found.sets).index("same")]
    assert row["n"] == 90 and row["median"] == pytest.approx(np.median(values))
    assert row["error"] == pytest.approx(1.2533 * values.std() / 90**0.5, rel=0.5)


def test_another_set_can_be_the_observed_one(found):
    other = found.against("same", "stirred")
    assert (other.observed, other.simulated) == ("same", ("stirred",)) and len(other.table) == 150
    assert np.median(other.values("same", "typical")) == pytest.approx(
        np.median(found.values("observed", "typical")), abs=0.2
    )
    assert found.against("same").simulated[0] == "observed"


def test_numbers_are_kept_in_a_file_and_images_are_not(found, tmp_path):
    again = Comparison.read(found.write(tmp_path / "numbers.parquet"))
    assert tuple(again.sets) == tuple(found.sets) and again.table["id"].tolist() == found.table["id"].tolist()
    for statistic in found.statistics:
        np.testing.assert_allclose(
            again.values("same", statistic), found.values("same", statistic), rtol=1e-6
        )
    assert len(again.matched("same").rows("same")) > 10
    with pytest.raises(BadInput, match="images are not kept"):
        again.maps("same")
    latents = found.latents()
    assert latents.id[0] == "observed/0" and latents["set"][0] == "observed"
    latents.select(["same/3"]).write(tmp_path / "other.parquet")
    assert Comparison.read(tmp_path / "other.parquet").table["id"].tolist() == ["3"]


def test_the_figure_shows_every_set(found):
    axis = found.figure("ratio").axes[0]
    assert [t.get_text() for t in axis.get_legend().get_texts()] == [
        f"{name} ({len(found.sets[name])})" for name in found.sets
    ]
    assert axis.get_xlabel() == STATISTICS["ratio"]


def test_a_gaussian_of_pixels_can_be_asked_too():
    pca = PCA(BANDS, SIZE, 5)
    pca.fit([torch.from_numpy(galaxies(60).pixels)])
    found = compare(galaxies(30, 1), galaxies(30, 2, (4, 5)), pca, None)
    assert found.statistics == ("log_p", "corrected", "typical") and found.values("observed").shape == (30,)
    with pytest.raises(BadInput, match="no log_prob_map"):
        found.maps("observed", of="log_p")


def test_more_levels_than_eight_bits_are_coded_in_sixteen(models):
    fine = likelihoods(galaxies(3), PixelCNN(BANDS, SIZE, levels=1024, width=8, vertical=(1,)).eval())
    coarse = likelihoods(galaxies(3), models[0])
    assert (fine["coded_bits"] > 1.5 * coarse["coded_bits"]).all()


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda a: ({"x": a}, {"x": a}), BadInput, "other names"),
        (lambda a: ({"x": a, "y": a}, a), BadInput, "one observed"),
        (lambda a: (a, {}), BadInput, "simulated ones of other"),
        (lambda a: (a, a[:0]), BadInput, "no galaxies"),
        (lambda a: (a, a.pixels), TypeError, "wanted Images"),
        (lambda a: (a, a.crop(8)), BadInput, "8 x 8 px"),
        (lambda a: (a, a["r"]), BandMismatch, "r"),
        (lambda a: (a, a.with_pixels(np.where(a.pixels > 0.5, np.nan, a.pixels))), BadInput, "NaN|finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(models, change, error, reason):
    with pytest.raises(error, match=reason):
        compare(*change(galaxies(12)), *models)


def test_a_misspelt_question_is_refused(found):
    with pytest.raises(ValueError, match="did you mean 'log_p'"):
        found.values("same", "logp")
    with pytest.raises(ValueError, match="did you mean 'same'"):
        found.maps("sam")
    with pytest.raises(BadInput, match="at least two"):
        found.against("same", "same")
