"""The laws of the densities: every member of the list keeps them, a newcomer too."""

import math

import numpy as np
import pytest
import torch

from galnb import densities, density, weights
from galnb.densities.flow import Flow
from galnb.errors import BadInput
from tests.bench.truths import energy

FLOWS = [name for name in densities.MEMBERS if issubclass(densities.member(name), Flow)]
QUICK = {name: {"steps": 120, "batch": 256} for name in FLOWS} | {"ffjord": {"steps": 25, "batch": 128}}
SMALL = {"hidden": (32, 32)}


def bent(n, seed=0, dim=2):
    """Points (n, dim) along an arc, whose first two coordinates hang on each other."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, dim))
    z[:, 1] = 0.5 * z[:, 1] + z[:, 0] ** 2 - 1
    return 3 + z * np.geomspace(0.1, 10, dim)


def build(name, dim=2, given=0):
    torch.manual_seed(0)
    return densities.load(name, dim=dim, given=given, **(SMALL if name in FLOWS else {}))


@pytest.fixture(params=sorted(densities.MEMBERS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fitted():
    known = {}

    def fit(name, given=0, dim=2, learned=True):
        """With weights drawn at random, where it is not learned."""
        if not learned:
            found = build(name, dim, given).eval()
            found.fitted.fill_(True)
            return found
        if (name, given, dim) not in known:
            z = bent(3000, dim=dim + given)
            options = QUICK.get(name, {})
            c = z[:, dim:] if given else None
            known[name, given, dim] = build(name, dim, given).fit(z[:, :dim], given=c, **options)
        return known[name, given, dim]

    return fit


def grid(z, cells=301):
    """Points on a grid five sigma about the points z, and the sides (2,) of its cells."""
    low, high = z.mean(0) - 5 * z.std(0), z.mean(0) + 5 * z.std(0)
    x, y = (np.linspace(a, b, cells) for a, b in zip(low, high, strict=True))
    return np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2), np.array([x[1] - x[0], y[1] - y[0]])


@pytest.fixture(
    params=[*((name, True) for name in sorted(densities.MEMBERS)), *((name, False) for name in FLOWS)]
)
def found(request, fitted):
    """Every density as it learned, and flows with weights drawn at random, too."""
    name, learned = request.param
    return lambda given=0, dim=2: fitted(name, given, dim, learned)


def test_it_adds_up_to_one(found):
    found = found()
    points, cell = grid(found.sample(6000))
    assert np.exp(found.log_prob(points).astype(float)).sum() * cell.prod() == pytest.approx(1, abs=0.01)


def test_under_conditions_it_adds_up_to_one(found):
    found = found(given=1, dim=1)
    z = np.linspace(-8, 14, 20_001)
    mass = np.exp(found.log_prob(z[:, None], np.full((len(z), 1), 4.0)).astype(float))
    assert mass.sum() * (z[1] - z[0]) == pytest.approx(1, abs=0.01)


def test_it_learns(name, fitted):
    points = bent(2000, seed=1)
    from scipy.stats import multivariate_normal

    one = multivariate_normal(points.mean(0), np.cov(points.T)).logpdf(points).mean()
    worst = -0.05 if name in ("nice", "ffjord") else 0.1  # what shifts alone, or 25 steps, can do
    assert fitted(name).log_prob(points).mean() > one + worst


def test_what_it_draws_is_distributed_as_it_weighs(found):
    """Against draws from the density on a fine grid, which know nothing of `sample`: within the error of the
    energy distance, as the scatter of two such draws tells."""
    found = found()
    points, cell = grid(found.sample(6000))
    mass = np.exp(found.log_prob(points).astype(float))
    scale = found.sample(1500).std(0)

    def weighed(seed):
        rng = np.random.default_rng(seed)
        there = points[rng.choice(len(points), 600, p=mass / mass.sum())]
        return (there + cell * (rng.random((600, 2)) - 0.5)) / scale

    apart = [energy(found.sample(600, seed=k) / scale, weighed(k)) for k in range(24)]
    twins = [energy(weighed(100 + k), weighed(200 + k)) for k in range(24)]
    assert abs(np.mean(apart)) < 3 * np.std(twins) / 24**0.5


def test_units_enter_by_their_jacobian_alone(name, fitted):
    z = bent(800)
    options = QUICK.get(name, {})
    here = build(name).fit(z, **options).log_prob(z[:50])
    there = build(name).fit(z * [1000, 0.01] + 7, **options).log_prob(z[:50] * [1000, 0.01] + 7)
    assert np.allclose(here, there + math.log(10), atol=0.06)  # training repeats float32 rounding


def test_a_row_does_not_hang_on_its_neighbors(name, fitted):
    points = bent(60, seed=2)
    together = fitted(name).log_prob(points)
    alone = np.concatenate([fitted(name).log_prob(points[i : i + 1]) for i in range(20)])
    assert np.allclose(together[:20], alone, atol=2e-3)


def test_one_seed_gives_one_density_and_one_draw(name):
    z = bent(400)
    options = {**QUICK.get(name, {}), **({"steps": 10} if name in FLOWS else {})}
    torch.manual_seed(5)
    once = density.fit(z, name, seed=3, **options)
    torch.manual_seed(6)
    again = density.fit(z, name, seed=3, **options)
    assert all(
        torch.equal(a, b)
        for a, b in zip(once.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert np.array_equal(once.sample(7, seed=1), again.sample(7, seed=1))
    assert not np.array_equal(once.sample(7, seed=1), once.sample(7, seed=2))


def test_saving_and_loading_changes_nothing(name, fitted, tmp_path):
    for given in (0, 1):
        found = fitted(name, given, 2 - given)
        again = density.load(weights.save(found, tmp_path / f"toy{given}"))
        c = np.full((9, 1), 4.0) if given else None
        assert again.config == found.config
        assert np.array_equal(
            again.log_prob(bent(9)[:, : 2 - given], c), found.log_prob(bent(9)[:, : 2 - given], c)
        )


def test_conditions_are_heard(name, fitted):
    found = fitted(name, given=1, dim=1)
    drawn = found.sample(300, [[0.5], [12.0]], seed=0)
    assert drawn.shape == (2, 300, 1)
    log_p = found.log_prob([[3.0], [3.0]], [[0.5], [40.0]])
    assert log_p[0] != log_p[1]


def test_a_row_with_nan_is_nan_and_the_others_are_not(name, fitted):
    points = bent(10)
    points[3, 1] = np.nan
    log_p = fitted(name).log_prob(points)
    assert np.isnan(log_p[3]) and np.isfinite(np.delete(log_p, 3)).all()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda z: z.__setitem__((5, 1), np.nan), "NaN or infinity in 1 of 300 rows, first row 5"),
        (lambda z: z.__setitem__((5, 1), np.inf), "first row 5"),
        (lambda z: z.__setitem__((slice(None), 1), 3.0), "column 1 is constant"),
        (lambda z: z.__setitem__((slice(None), 2), z[:, 0] - 2 * z[:, 1]), "follow from the others"),
    ],
)
def test_what_has_no_density_is_one_clear_error(name, spoil, message):
    z = np.random.default_rng(0).normal(size=(300, 3))
    spoil(z)
    with pytest.raises(BadInput, match=message):
        build(name, 3).fit(z)


def test_too_few_rows_missing_conditions_and_wrong_shapes_are_clear_errors(name, fitted):
    with pytest.raises(BadInput, match="12 rows came for 20 dimensions"):
        build(name, 20).fit(bent(12, dim=20))
    with pytest.raises(BadInput, match=r"conditional on 1 columns; hand them as given="):
        fitted(name, given=1, dim=1).log_prob([[1.0]])
    with pytest.raises(BadInput, match="conditional on 1 columns"):
        fitted(name, given=1, dim=1).sample(3)
    with pytest.raises(BadInput, match="learned without"):
        fitted(name).log_prob([[1.0, 2.0]], given=[[1.0]])
    with pytest.raises(BadInput, match=r"wanted \(n, 2\)"):
        fitted(name).log_prob([[1.0, 2.0, 3.0]])
    with pytest.raises(BadInput, match="fit it"):
        build(name).log_prob([[1.0, 2.0]])


def test_what_cannot_be_drawn_or_weighed_is_one_clear_error(name, fitted):
    conditional = fitted(name, given=1, dim=1)
    with pytest.raises(BadInput, match="given: NaN or infinity in 1 of 2 rows, first row 1"):
        conditional.sample(3, [[4.0], [np.nan]])
    for n in (-1, 2.5):
        with pytest.raises(BadInput, match=f"{n} came, wanted a whole number of points"):
            fitted(name).sample(n)
    with pytest.raises(BadInput, match="latents: .*wanted an array of numbers"):
        fitted(name).log_prob([["spiral", "bar"]])
    with pytest.raises(BadInput, match="given: .*wanted an array of numbers"):
        conditional.log_prob([[1.0]], ["red"])
    with pytest.raises(BadInput, match="only 2 of its 200 rows are distinct"):
        build(name, 3).fit(np.repeat([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0]], 100, axis=0))
    assert fitted(name).sample(0).shape == (0, 2) and conditional.sample(0, [[4.0]]).shape == (1, 0, 1)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("given", [0, 1])
@pytest.mark.parametrize("learned", [False, True])
def test_a_flows_determinant_is_autograds_and_its_inverse_inverts(name, given, learned):
    found, points = build(name, 4, given), bent(500, dim=4 + given)
    if learned:
        found.fit(points[:, :4], given=points[:, 4:] if given else None, **QUICK[name] | {"steps": 15})
    flow = found.eval().double().flow
    if hasattr(flow.transform, "atol"):
        flow.transform.atol = flow.transform.rtol = 1e-10
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)))
    transform = flow(torch.tensor([[0.7]], dtype=z.dtype) if given else None).transform
    y, log_det = transform.call_and_ladj(z)
    for i in range(len(z)):
        jacobian = torch.autograd.functional.jacobian(lambda x: transform(x[None])[0], z[i])
        assert float(log_det[i].detach()) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-5)
    assert torch.allclose(transform.inv(y), z, atol=1e-4)


@pytest.mark.parametrize("name", ["ffjord", "matching"])
def test_hutchinsons_trace_is_on_average_the_exact_one(name, fitted):
    transform = fitted(name, dim=4).flow().transform
    z = torch.from_numpy(bent(1, dim=4).astype(np.float32) * 0.1).repeat(4000, 1)
    try:
        exact = transform.call_and_ladj(z[:1])[1]
        transform.exact = False
        torch.manual_seed(0)
        guesses = transform.call_and_ladj(z)[1]
    finally:
        transform.exact = True
    assert guesses.std() > 0.01  # one direction alone is a guess
    assert float(guesses.mean()) == pytest.approx(float(exact), abs=4 * float(guesses.std()) / 4000**0.5)


def test_a_misspelt_option_is_refused(name):
    with pytest.raises(ValueError, match="option of density"):
        density.fit(bent(100), name, stepps=3)
