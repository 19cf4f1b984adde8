"""Galaxies that do not exist, without a notebook: they change and stay themselves; copies are found out."""

import numpy as np
import pytest
import torch

from galnb.conditions import measure
from galnb.errors import BadInput, CannotDo
from galnb.imagined import Imagined
from galnb.known import Known
from galnb.latents import Latents
from galnb.models import AE
from tests.imaginary import BANDS, DIM, NAMES, SIZE, labels, model, survey


def imagined(kind="cvae", **options):
    return Imagined(model(kind), **{"n": 8, **options})


@pytest.mark.parametrize("kind", ["cvae", "mvae"])
def test_what_is_asked_for_is_there_and_grows_as_it_is_asked(kind):
    here, fluxes = imagined(kind), []
    for flux in (15.0, 30.0, 55.0):
        here.ask(flux=flux)
        table = here.images.table
        assert (table["flux_asked"] == np.float32(flux)).all() and np.isnan(table["color_asked"]).all()
        fluxes.append(np.asarray(table["flux_measured"]))
    assert (np.diff(fluxes, axis=0) > 0).all()
    assert np.abs(np.median(fluxes, axis=1) / (15, 30, 55) - 1).max() < 0.5


@pytest.mark.parametrize("kind", ["cvae", "mvae"])
def test_a_condition_changes_and_all_else_stays(kind):
    here = imagined(kind)
    before, z = here.features(), here.z.clone()
    here.ask(flux=40.0)
    after = here.features()
    assert np.allclose(after["flux"], 40, rtol=1e-3)
    for name in ("ellipticity", "color"):
        assert np.allclose(after[name], before[name], atol=1e-3)
    here.ask(flux=None)
    assert torch.equal(here.z, z)
    here.move([0.5, -1.0])
    assert not torch.equal(here.z, z)
    for name in before.colnames:  # the axes are those of the style
        turned = np.abs(np.asarray(here.features()[name] - before[name]))
        assert (np.minimum(turned, 180 - turned) if name == "position_angle" else turned).max() < 0.05


def test_ellipticity_and_angle_can_each_be_asked_for_alone():
    here = imagined()
    angles = np.asarray(here.features()["position_angle"])
    here.ask(ellipticity=0.5)
    assert np.allclose(here.features()["ellipticity"], 0.5, atol=1e-3)
    apart = np.abs(here.features()["position_angle"] - angles)
    assert np.minimum(apart, 180 - apart).max() < 0.1
    own = np.asarray(imagined().features()["ellipticity"])
    here.ask(ellipticity=None, position_angle=30.0)
    assert np.allclose(here.features()["position_angle"], 30, atol=0.1)
    assert np.allclose(here.features()["ellipticity"], own, atol=1e-3)


@pytest.mark.parametrize("kind", ["vae", "cvae", "mvae", "pca"])
def test_one_seed_gives_one_wall(kind):
    one, two = imagined(kind, seed=3), imagined(kind, seed=4)
    assert not np.array_equal(one.pictures().pixels, two.pictures().pixels)
    two.draw(3)
    assert np.array_equal(one.pictures().pixels, two.pictures().pixels)
    assert one.z.shape == (8, DIM)


def test_a_draw_is_under_what_is_asked_and_a_condition_that_is_left_is_drawn_anew():
    here = imagined(seed=1)
    free = here.z.clone()
    here.ask(flux=50.0)
    here.draw(1)
    assert here.made()["drawn_under"] == {"flux": 50.0}
    here.ask(flux=None)
    assert torch.equal(here.z, free) and here.made()["drawn_under"] == {}


def test_without_noise_pictures_are_decoded_and_with_it_each_keeps_its_own():
    quiet, loud = imagined(noise=False), imagined()
    decoded = model("cvae").decode(quiet.z).detach().clamp(0, 1)
    assert np.allclose(quiet.pictures(corrected=False).pixels, decoded)
    noise = loud.pictures(corrected=False).pixels - quiet.pictures(corrected=False).pixels
    assert noise.std() > 0.003
    assert np.array_equal(loud.pictures().pixels, imagined().pictures().pixels)


def test_pictures_are_corrected_towards_what_is_asked():
    here = imagined()
    here.ask(flux=float(here.ranges[NAMES.index("flux")].mean()))
    missed = [
        np.abs(np.asarray(measure(here.pictures(corrected=how))["flux"]) / here.asked["flux"] - 1).mean()
        for how in (False, True)
    ]
    assert missed[1] < 0.7 * missed[0]


# out of range, and bad input


def test_a_condition_outside_the_training_range_says_how_far():
    here = imagined()
    low, high = here.ranges[NAMES.index("flux")]
    here.ask(flux=float(high - 1), color=0.3)
    assert here.warnings == {}
    here.ask(flux=float(high + 0.25 * (high - low)))
    assert list(here.warnings) == ["flux"] and here.warnings["flux"].endswith("by 0.25 of that range")
    bottom, top = here.scales[NAMES.index("flux")]
    assert 0 < bottom < low and np.isclose(top, high + 0.3 * (high - low))
    assert (here.scales[NAMES.index("position_angle")] == (0, 180)).all()


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"redshift": 0.1}, "condition 'redshift': the model does not know it; it knows flux, ellipticity"),
        ({"flux": float("nan")}, "condition 'flux': nan came, wanted a finite number"),
        ({"flux": float("inf")}, "condition 'flux': inf came"),
        ({"flux": "big"}, "condition 'flux': big came"),
        ({"flux": 20.0, "readshift": None}, "condition 'readshift'"),
    ],
)
def test_what_cannot_be_asked_for_is_one_clear_error_and_changes_nothing(asked, words):
    here = imagined()
    z = here.z.clone()
    with pytest.raises(BadInput, match=words):
        here.ask(**asked)
    assert here.asked == {} and torch.equal(here.z, z)


def test_a_modality_that_does_not_fit_or_none_at_all_is_one_clear_error():
    here, image = imagined("mvae"), survey()[:1]
    for given, words in [
        ((), "neither a picture nor conditions came"),
        ((None, {}), "neither a picture nor conditions came"),
        ((survey()[:2],), "2 pictures came, wanted one"),
        ((image.crop(30),), "30 x 30 px, the model was made for 32 x 32"),
        ((image.with_pixels(np.full_like(image.pixels, np.nan)),), "NaN or infinite pixels"),
        ((None, {"flux": np.ones(3)}), "wanted a finite number"),
    ]:
        with pytest.raises(BadInput, match=words):
            here.take(*given)
    with pytest.raises(BadInput, match=r"shape \(1, 3\), wanted \(n, 12\)"):
        here.begin(np.zeros(3))
    with pytest.raises(BadInput, match="at most 6 finite numbers"):
        here.move(np.zeros(7))
    with pytest.raises(BadInput, match="it knows none; choose one with conditions"):
        imagined("vae").ask(flux=1.0)


# real galaxies


def test_missing_numbers_are_found_from_the_picture_and_the_picture_from_numbers():
    here, pixels, seen = imagined("mvae"), survey().pixels, labels().numpy()
    guessed, decoded = [], []
    for row in range(20):
        here.take(survey()[[row]])
        guessed.append(here.features()["flux"][0])
        assert here.origin and here.truth["flux"][0] == pytest.approx(seen[row, 0], rel=1e-4)
        here.take(y=dict(zip(NAMES, seen[row].tolist(), strict=True)))
        decoded.append(here.pictures().pixels.mean(axis=0))
    assert np.corrcoef(np.log(guessed), np.log(seen[:20, 0]))[0, 1] > 0.95
    error = np.square(decoded - pixels[:20]).mean()
    assert error < 0.35 * np.square(pixels[:20] - pixels.mean(axis=0)).mean()


def test_numbers_alone_leave_more_open_than_a_picture_does():
    here, spread = imagined("mvae", n=32), {}
    y = dict(zip(NAMES, labels()[0].tolist(), strict=True))
    for name, given in {"picture": (survey()[:1],), "numbers": (None, y), "both": (survey()[:1], y)}.items():
        here.take(*given)
        spread[name] = float(here.z.std(0).mean())
    assert spread["both"] <= spread["picture"] < 0.5 * spread["numbers"]


def test_one_attribute_of_a_real_galaxy_is_changed():
    here = imagined("mvae", noise=False)
    here.take(survey()[:1], name="g000")
    before = here.features()
    here.ask(color=0.7)
    assert np.allclose(here.features()["color"], 0.7, atol=1e-3)
    assert np.allclose(here.features()["flux"], before["flux"], rtol=1e-3)
    found = measure(here.pictures())["position_angle"][0] - labels()[0, 2].item()
    assert abs((found + 90) % 180 - 90) < 15


def test_a_model_that_cannot_sample_draws_real_galaxies_or_says_what_it_needs():
    torch.manual_seed(0)
    ae = AE(BANDS, SIZE, DIM, (16, 16, 16))
    with pytest.raises(CannotDo, match="AE cannot sample"):
        Imagined(ae)
    z = np.random.default_rng(1).normal(size=(50, DIM)).astype("f4")
    here = Imagined(ae, Latents(np.arange(50), z), n=4)
    assert (np.abs(z[None] - here.z.numpy()[:, None]).max(2) == 0).any(1).all()
    assert here.names == () and len(here.axes) == DIM and not here.noisy
    here.take(survey()[:1])
    assert len(here.pictures()) == 1


# copies


def test_the_nearest_known_galaxy_is_that_of_a_search_over_all_views():
    known, made = survey(), imagined(n=16).pictures()
    rows, distances = Known(known).nearest(made, batch=5)
    bin_ = lambda pixels: pixels.reshape(*pixels.shape[:-2], SIZE // 2, 2, SIZE // 2, 2).mean((-3, -1))
    mine, apart = bin_(made.pixels.astype(float)), []
    for k in range(8):
        view = np.rot90(bin_(known.pixels.astype(float)), k % 4, (2, 3))
        view = view[..., ::-1] if k >= 4 else view
        apart.append([np.sqrt(np.square(view - one).mean((1, 2, 3))) for one in mine])
    slow = np.min(apart, axis=0)  # (made, known)
    slow_rows, slow = slow.argmin(1), slow.min(1)
    assert (rows == slow_rows).all() and np.allclose(distances, slow, atol=1e-6)


def test_a_copy_shows_even_when_it_is_turned_and_the_picture_beside_it_is_turned_too():
    known = Known(survey())
    copies = survey()[[5, 9, 11]]
    turned = np.stack([np.rot90(copies.pixels[0], 1, (1, 2)), copies.pixels[1][..., ::-1],
                       np.rot90(copies.pixels[2][..., ::-1], 3, (1, 2))])  # fmt: skip
    rows, distances, beside = known.beside(copies.with_pixels(turned))
    assert rows.tolist() == [5, 9, 11] and distances.max() < 1e-6
    assert np.array_equal(beside.pixels, turned)
    assert 0.005 < known.usual < 0.2
