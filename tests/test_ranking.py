import time

import numpy as np
import pytest
from scipy.stats import rankdata

from galnb.errors import BadInput
from galnb.ranking import METHODS, STRATEGIES, rank

both = pytest.mark.parametrize("method", METHODS)
WANTED, TRAILS = slice(0, 40), slice(40, 100)


def survey(n=3000, d=12, seed=0):
    """Features of galaxies, of which 40 are wanted, and 60, stranger still, are satellite trails."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d)) * np.linspace(2, 0.5, d)
    toward = rng.normal(size=(2, d))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    z[WANTED] = 7 * toward[0] + 0.5 * rng.normal(size=(40, d))
    z[TRAILS] = 11 * toward[1] + 0.5 * rng.normal(size=(60, d))
    return z, np.linalg.norm(z, axis=1)


def truth(row) -> str:
    return "interesting" if row < 40 else "artefact" if row < 100 else "ordinary"


VOTES = {row: truth(row) for row in (3, 9, 21, 45, 77, 91, 500, 1200, 1800, 2400)}


def found(ranking, k=40) -> int:
    return int((ranking.order[:k] < 40).sum())


@both
@pytest.mark.parametrize("seed", range(3))
def test_ten_votes_bring_the_wanted_before_the_stranger_and_unwanted(method, seed):
    z, scores = survey(seed=seed)
    before, after = rank(z, {}, scores=scores), rank(z, VOTES, scores=scores, method=method, seed=seed)
    assert found(before, 50) == 0 and found(after) >= 38
    assert sorted(after.order) == list(range(3000)) and (np.diff(after.value[after.order]) <= 0).all()


@both
def test_what_is_asked_next_soon_finds_the_wanted(method):
    z, scores = survey()
    votes = {int(row): truth(row) for row in rank(z, {}, scores=scores).ask(100)[::10]}
    while len(votes) < 20:
        asked = rank(z, votes, scores=scores, method=method).ask(2)
        assert not set(asked.tolist()) & set(votes)
        votes |= {int(row): truth(row) for row in asked}
    assert found(rank(z, votes, scores=scores, method=method)) >= 38


@both
def test_one_seed_gives_one_order_however_the_votes_are_sorted(method):
    z, scores = survey(d=25)
    one, two = (
        rank(z, dict(votes), scores=scores, method=method, seed=3)
        for votes in (VOTES.items(), reversed(VOTES.items()))
    )
    for name in ("order", "value", "spread", "artefact"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for strategy in STRATEGIES:
        np.testing.assert_array_equal(one.ask(30, strategy), two.ask(30, strategy))


@both
def test_without_votes_the_order_is_that_of_the_scores_mean_rank(method):
    z, first = survey()
    second = np.random.default_rng(1).normal(size=len(z))
    ranking = rank(z, {}, scores=np.stack([first, second], axis=1), method=method)
    mean = rankdata(first) + rankdata(second)
    np.testing.assert_array_equal(ranking.order, np.argsort(-mean, kind="stable"))
    assert ranking.artefact is None and (ranking.spread == 0.5).all() and ranking.votes == {}
    assert ranking.ask(7).tolist() == ranking.order[:7].tolist()


@both
def test_votes_of_one_kind_move_what_is_near_them(method):
    z, scores = survey()
    before = np.argsort(rank(z, {}, scores=scores).order)
    near = np.argsort(np.linalg.norm(z - z[50], axis=1))[1:11]
    for choice, sign in (("ordinary", 1), ("interesting", -1)):
        after = np.argsort(rank(z, {50: choice}, scores=scores, method=method).order)
        assert sign * np.mean(after[near] - before[near]) > 0


def test_without_scores_what_is_far_from_the_mean_comes_first():
    z, _ = survey()
    far = (((z - z.mean(axis=0)) / z.std(axis=0)) ** 2).sum(axis=1)
    assert rank(z, {}).order[:100].tolist() == np.argsort(-far)[:100].tolist()
    assert found(rank(z, VOTES)) >= 38


def test_a_score_that_is_not_known_says_nothing():
    z, scores = survey(200)
    gaps = np.stack([scores, np.full(200, np.nan)], axis=1)
    np.testing.assert_array_equal(rank(z, {}, scores=gaps).order, rank(z, {}, scores=scores).order)
    scores[7] = np.nan
    assert rank(z, {}, scores=scores).order[-1] == 7


@both
def test_rows_that_are_not_finite_have_no_value_and_are_last(method):
    z, scores = survey(d=25)
    bad = [3, 60, 2999]
    z[3, 4], z[60], z[2999, 0] = np.nan, np.inf, -np.inf
    ranking = rank(z, VOTES, scores=scores, method=method)
    assert sorted(ranking.order[-3:]) == bad and np.isnan(ranking.value[bad]).all()
    assert np.isfinite(np.delete(ranking.value, bad)).all() and np.isnan(ranking.spread[bad]).all()
    assert not np.isin(bad, ranking.ask(3000)).any() and len(ranking.ask(3000)) == 3000 - 3 - len(VOTES) + 1
    assert ranking.explain(60).choices == () and 3 not in ranking.explain(5, k=20).rows
    assert np.isnan(rank(np.full((4, 2), np.nan), {1: "ordinary"}, method=method).value).all()


@both
def test_votes_on_rows_that_are_not_finite_teach_nothing(method):
    z, scores = survey()
    z[[3, 9, 21]] = np.nan
    others = {row: choice for row, choice in VOTES.items() if row not in (3, 9, 21)}
    np.testing.assert_array_equal(
        *(rank(z, votes, scores=scores, method=method).order for votes in (VOTES, others))
    )


@both
def test_artefacts_are_told_from_the_rest(method):
    z, scores = survey()
    artefact = rank(z, VOTES, scores=scores, method=method).artefact
    assert artefact[TRAILS].min() > max(artefact[WANTED].max(), artefact[100:].max()) - 0.3
    assert artefact[TRAILS].mean() > 0.8 and artefact[WANTED].mean() < 0.2 and artefact[100:].mean() < 0.3
    no_trail = {row: choice for row, choice in VOTES.items() if choice != "artefact"}
    assert rank(z, no_trail, scores=scores, method=method).artefact is None


@both
def test_far_from_every_vote_the_scores_decide(method):
    z, scores = survey(d=3)
    z[2000:2010] = [40, 40, 40] + 0.1 * np.arange(10)[:, None]
    ranking = rank(z, VOTES, scores=scores, method=method)
    assert (ranking.trust[2000:2010] < 0.01).all() and (ranking.trust[list(VOTES)] > 0.99).all()
    np.testing.assert_allclose(ranking.value[2000:2010], ranking.prior[2000:2010], atol=0.01)


@both
def test_a_process_and_a_forest_know_least_where_nobody_voted(method):
    z, scores = survey(d=3)
    ranking = rank(z, VOTES, scores=scores, method=method)
    assert (ranking.spread[list(VOTES)] < 0.2).all() and ranking.spread.max() <= 0.5
    asked = ranking.ask(20, "uncertain")
    assert ranking.spread[asked].min() >= np.delete(ranking.spread, [*asked, *VOTES]).max()
    best = ranking.ask(20, "most wanted")
    assert best.tolist() == [row for row in ranking.order if row not in VOTES][:20]


@pytest.mark.parametrize("d", [3, 25])
def test_an_explanation_names_the_nearest_votes_and_adds_up(d):
    z, scores = survey(d=d)
    ranking = rank(z, VOTES, scores=scores)
    why = ranking.explain(30)
    assert set(why.rows) == {3, 9, 21} and why.choices == ("interesting",) * 3
    assert (np.diff(why.distances) >= 0).all()
    assert why.value == pytest.approx(why.trust * why.user + (1 - why.trust) * why.prior)
    assert str(why).startswith(f"row 30: {why.value:.2f} = ") and "(interesting, " in str(why)
    assert 3 not in ranking.explain(3, k=50).rows and len(ranking.explain(3, k=50).rows) == 9
    if d == 3:
        voted, x = np.array(list(VOTES)), (z - z.mean(axis=0)) / z.std(axis=0)
        far = np.sort(np.linalg.norm(x[voted] - x[30], axis=1))[:3]
        np.testing.assert_allclose(why.distances, far, rtol=1e-4)
    with pytest.raises(IndexError, match="row 3000, wanted 0 to 2999"):
        ranking.explain(3000)


@both
def test_units_of_features_and_columns_that_never_change_do_not_matter(method):
    z, scores = survey(600)
    scaled = np.column_stack([z * 10.0 ** np.arange(-6, 6) + 3, np.ones(600)])
    votes = {row: choice for row, choice in VOTES.items() if row < 600}
    one, two = (rank(x, votes, scores=scores, method=method) for x in (z, scaled))
    assert found(one) >= 38 and found(two) >= 38
    assert rank(np.ones((30, 2)), {1: "ordinary", 5: "interesting"}, method=method).value.shape == (30,)


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"z": np.zeros(5)}, r"z: it has shape \(5,\)"),
        ({"z": [["a"]]}, "wanted numbers"),
        ({"scores": np.zeros(4)}, r"scores: they have shape \(4,\).*wanted \(5,\) or \(5, k\)"),
        ({"scores": np.zeros((5, 1, 1))}, "one row a galaxy"),
        ({"votes": {5: "ordinary"}}, r"row 5, wanted 0 to 4; votes.by_row"),
        ({"votes": {"M 31": "ordinary"}}, "row 'M 31', wanted 0 to 4"),
    ],
)
def test_what_cannot_be_ranked_is_one_clear_error(given, reason):
    given = {"z": np.zeros((5, 2)), "votes": {}} | given
    with pytest.raises(BadInput, match=reason):
        rank(given.pop("z"), given.pop("votes"), **given)


def test_misspelt_options_are_refused():
    z, _ = survey(200)
    with pytest.raises(ValueError, match="did you mean 'artefact'"):
        rank(z, {1: "artifact"})
    with pytest.raises(ValueError, match="did you mean 'forest'"):
        rank(z, {}, method="forrest")
    with pytest.raises(ValueError, match="did you mean 'most wanted'"):
        rank(z, {}).ask(3, "wanted")


@pytest.mark.slow
@both
def test_a_hundred_thousand_galaxies_take_seconds(method):
    z = np.random.default_rng(0).normal(size=(100_000, 50)).astype(np.float32)
    votes = {row: ("interesting", "ordinary", "artefact")[row % 3] for row in range(0, 5000, 100)}
    start = time.perf_counter()
    rank(z, votes, method=method)
    assert time.perf_counter() - start < 10


@both
def test_votes_of_human_classes_are_learned_from_real_images(method, shared_data):
    """Blue cores of Hyper Suprime-Cam, by 20 votes, against how many an order by chance would hold."""
    with np.load(shared_data / "hsc_anomalies.npz") as file:
        images, wanted = file["images"] / 255.0, file["group"] == "cosmos_bluecore"
    flat = (images - images.mean(axis=0)).reshape(len(images), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    latents = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :30]
    counts = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = [rng.choice(np.flatnonzero(kind), 10, replace=False) for kind in (wanted, ~wanted)]
        votes = {int(r): c for part, c in zip(rows, ("interesting", "ordinary"), strict=True) for r in part}
        order = rank(latents, votes, method=method, seed=seed).order
        rest = order[~np.isin(order, list(votes))]
        counts.append(wanted[rest[:50]].sum() / (50 * wanted[rest].mean()))
    assert np.mean(counts) > 1.8
