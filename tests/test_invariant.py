import numpy as np
import pytest
import torch
from skimage.transform import rotate

from galnb import weights
from galnb.encoding import encode
from galnb.errors import CannotDo
from galnb.models import AE, PCA, Invariant
from tests.bench.bench_invariance import SIZE, copies, ranks, stepwise, survey

SMALL = {"options": {"widths": [16, 16, 16]}}


def galaxies(n=60, size=48, *, seed=0, turned=0.0, mirrored=False, scale=1.0):
    """Discs with two arms and a clump, float32 (n, 2, size, size), drawn and not interpolated."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) / scale
    x, y = np.cos(turned) * x + np.sin(turned) * y, np.cos(turned) * y - np.sin(turned) * x
    y = -y if mirrored else y
    drawn = []
    for _ in range(n):
        tilt, q, length = rng.uniform(0, np.pi), rng.uniform(0.4, 0.8), size * rng.uniform(0.07, 0.1)
        u, v = np.cos(tilt) * x + np.sin(tilt) * y, (np.cos(tilt) * y - np.sin(tilt) * x) / q
        r = np.hypot(u, v) / length
        pitch, arms, color = rng.uniform(1, 3), rng.uniform(0, 0.5), rng.uniform(0.4, 1)
        disc = np.exp(-(r**2) / 2) * (1 + arms * np.cos(2 * np.arctan2(v, u) - pitch * r) * r / (1 + r))
        a, b = rng.uniform(-1.5, 1.5, 2) * length
        clump = rng.uniform(0.1, 0.4) * np.exp(-((u - a) ** 2 + (v - b) ** 2) / (0.6 * length) ** 2)
        drawn.append([disc / 1.5 + color * clump, color * disc / 1.5 + clump])
    return torch.from_numpy(np.array(drawn, dtype=np.float32))


@pytest.fixture(scope="module")
def model():
    model = Invariant(("g", "r"), 48, 16).eval()
    model.warm_start([galaxies(100)])
    return model


def moves(model, seen, other):
    """How far each galaxy's latents move, as a share of the distance to those of the next galaxy."""
    z = model.encode(seen)
    apart = torch.cdist(z, z).fill_diagonal_(torch.inf).min(1).values
    return (model.encode(other) - z).norm(dim=1) / apart


@pytest.mark.parametrize("base", ["pca", "ae"])
@pytest.mark.parametrize("size", [28, 45, 64])
def test_quarter_turns_and_mirrors_change_nothing(base, size):
    torch.manual_seed(0)
    model = Invariant(("g", "r"), size, 8, base, SMALL["options"] if base == "ae" else None).eval()
    x = galaxies(40, size)
    model.warm_start([x])
    with torch.no_grad():
        z = model.encode(x)
        for other in (x.flip(2), x.flip(3), x.mT, *(x.rot90(k, (2, 3)) for k in (1, 2, 3))):
            torch.testing.assert_close(model.encode(other), z, rtol=0, atol=2e-3 * float(z.std()))


def test_a_galaxy_drawn_at_another_angle_and_in_a_mirror_keeps_its_latents(model):
    for angle in (0.3, 1.0, 4.0):
        moved = moves(model, galaxies(), galaxies(turned=angle, mirrored=angle > 0.5))
        assert moved.max() < 0.3 and moved.median() < 0.06


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_a_galaxy_drawn_larger_or_smaller_is_nearest_to_itself(model, scale):
    seen, other = galaxies(), galaxies(scale=scale, turned=2.0)
    found = torch.cdist(model.encode(other), model.encode(seen)).argmin(1)
    assert (found == torch.arange(60)).all() and moves(model, seen, other).median() < 0.3


@pytest.mark.parametrize("order, most", [(1, 0.35), (3, 0.06)])
@pytest.mark.parametrize("border", ["constant", "edge", "reflect"])
def test_borders_do_not_count_and_interpolation_little(model, border, order, most):
    x = galaxies()
    turned = [rotate(p, 33, order=order, mode=border) for p in x.permute(0, 2, 3, 1).numpy()]
    moved = moves(model, x, torch.from_numpy(np.array(turned)).permute(0, 3, 1, 2))
    assert moved.max() < 1 and moved.median() < most


def test_a_posed_galaxy_is_level_and_of_the_wanted_width(model):
    posed = model.pose(galaxies(turned=0.7, scale=1.2))
    y, x = torch.meshgrid(*2 * [torch.arange(48) - 23.5], indexing="ij")
    light = posed.mean(1)
    width = model._find_width(light.flatten(1))
    weight = light * torch.exp(-(x**2 + y**2) / (2 * width[:, None, None] ** 2))
    angle = 0.5 * torch.atan2((weight * 2 * x * y).sum((1, 2)), (weight * (x**2 - y**2)).sum((1, 2)))
    torch.testing.assert_close(width, torch.full_like(width, 0.14 * 48), rtol=0.08, atol=0)
    assert angle.abs().median() < 0.03 and angle.abs().max() < 0.3


@pytest.mark.parametrize("sigma", [3.0, 5.0])
def test_the_width_of_a_gaussian_is_its_own(model, sigma):
    y, x = torch.meshgrid(*2 * [torch.arange(48) - 23.5], indexing="ij")
    light = torch.exp(-(x**2 + y**2) / (2 * sigma**2)).flatten()[None]
    # A window w shows a Gaussian s as 1 / (1 / s^2 + 1 / w^2), two axes twice that: w = s sqrt(2 k^2 - 1).
    wanted = sigma * (2 * 0.9**2 - 1) ** 0.5
    torch.testing.assert_close(model._find_width(light), torch.tensor([wanted]), rtol=0.03, atol=0)


def test_fitted_latents_are_centered_and_alike_in_no_direction(model):
    z = model.encode(galaxies(100))
    covariance = torch.cov(z.T, correction=0)
    assert z.mean(0).abs().max() < 1e-3 * z.std()
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3 * covariance.max()
    assert (covariance.diag().diff() <= 1e-4 * covariance.max()).all()  # the largest first


def test_what_it_wraps_is_averaged_over_four_pictures():
    torch.manual_seed(0)
    network, x = AE(("g", "r"), 48, 8, (16, 16, 16), moments=1.0).eval(), galaxies(30)
    network.warm_start([x])
    wrapped = Invariant.of(network)
    posed = wrapped.pose(x)
    views = [network.encode(torch.flip(posed, which)) for which in ((), (2,), (3,), (2, 3))]
    torch.testing.assert_close(wrapped.encode(x), torch.stack(views).mean(0))
    assert wrapped.config["options"]["moments"] == 1.0 and not wrapped.training


def test_a_wrapped_network_comes_back_from_its_file(tmp_path):
    torch.manual_seed(0)
    wrapped = Invariant.of(AE(("g", "r"), 48, 8, (16, 16, 16)), [galaxies(30)], aperture=(0.2, 0.4))
    again = weights.load(weights.save(wrapped, tmp_path / "wrapped"))
    assert again.config == wrapped.config
    assert torch.equal(again.encode(galaxies(5)), wrapped.encode(galaxies(5)))


def test_empty_sky_and_flat_light_have_latents_too(model):
    x = torch.stack([torch.zeros(2, 48, 48), torch.ones(2, 48, 48), -torch.ones(2, 48, 48)])
    assert torch.isfinite(model.encode(x)).all()


def test_galaxies_that_are_all_the_same_can_be_fitted():
    model = Invariant(("g", "r"), 48, 4)
    model.warm_start([galaxies(1).repeat(10, 1, 1, 1)])
    assert torch.isfinite(model.encode(galaxies(3))).all()


def test_a_model_without_latents_is_refused(monkeypatch):
    monkeypatch.delattr(PCA, "encode")
    with pytest.raises(CannotDo, match="cannot encode"):
        Invariant(("g", "r"), 48, 4)


@pytest.mark.parametrize("wrong", [{"width": 0.9}, {"aperture": (0.4, 0.3)}])
def test_a_pose_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="wanted shares"):
        Invariant(**wrong)


@pytest.mark.parametrize("make, wide", [(copies, True), (stepwise, False)])
def test_real_galaxies_are_found_by_their_copies(shared_data, make, wide):
    images, mask = survey("ae50-sdss", path=shared_data / "gz2_7704.npz", whole=True)
    images = images[mask][:800]
    seen = make(images[:200] if wide else images[:200].crop(SIZE), "all three")
    model = weights.load("similar-sdss")
    pool = encode(images.crop(SIZE), model).z
    assert np.mean(ranks(encode(seen, model).z, pool, np.arange(200)) < 5) >= 0.98
