import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galnb.spans import Bits, Spans
from tests.often import often

N = 70_000  # more than two of the blocks that `Bits` counts by
places = st.sets(st.one_of(st.integers(0, 60), st.integers(0, N - 1)), max_size=40)
stretches = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=8)


def of(numbers):
    return Spans.of(np.array(sorted(numbers), dtype=int))


def bits_of(numbers):
    bits = Bits(N)
    bits.put(np.array(list(numbers), dtype=int))
    return bits


def runs_of(pairs):
    """Stretches that ascend and keep apart, from gaps and lengths."""
    edges = np.cumsum([[gap + 1, length] for gap, length in pairs]) if pairs else np.zeros(0, int)
    return edges.reshape(-1, 2)


@often(150)
@given(places, places)
def test_they_are_sets(a, b):
    for make, every in ((of, Spans.positions), (bits_of, lambda bits: bits.page(0, N))):
        one, two = make(a), make(b)
        assert every(one | two).tolist() == sorted(a | b) and every(one - two).tolist() == sorted(a - b)
        assert (len(one), len(one | two), len(one - two)) == (len(a), len(a | b), len(a - b))
    assert (of(a) & of(b)).positions().tolist() == sorted(a & b)


@often(150)
@given(places, stretches, st.lists(st.integers(0, N), max_size=30))
def test_both_tell_what_is_in_stretches_and_what_comes_before(numbers, pairs, asked):
    runs = runs_of(pairs)
    inside = np.concatenate([np.arange(a, b) for a, b in runs] or [np.zeros(0, int)])
    for known in (of(numbers), bits_of(numbers)):
        assert known.mask(runs).tolist() == [k in numbers for k in inside.tolist()]
        for positions in (asked, sorted(asked)):
            before = known.before(np.array(positions, dtype=int)).tolist()
            assert before == [sum(n < p for n in numbers) for p in positions]
        here = [p for p in asked if p < N]
        assert known.has(np.array(here, dtype=int)).tolist() == [p in numbers for p in here]


@often(100)
@given(places, st.integers(-3, 45), st.integers(-3, 45))
def test_a_page_is_a_slice_of_all(numbers, start, stop):
    wanted = sorted(numbers)[max(start, 0) : max(stop, 0)]
    assert of(numbers).page(start, stop).positions().tolist() == wanted
    assert bits_of(numbers).page(start, stop).tolist() == wanted


@often(50)
@given(stretches, st.randoms())
def test_stretches_in_any_order_are_joined(pairs, shuffled):
    runs = runs_of(pairs)
    cut = [[a, b] for first, last in runs.tolist() for a, b in ((first, first + 1), (first + 1, last))]
    shuffled.shuffle(cut)
    assert Spans.union(np.array(cut, dtype=int).reshape(-1, 2)).runs.tolist() == runs.tolist()


def test_many_positions_are_as_few():
    rng = np.random.default_rng(0)
    chosen = rng.random(200_000) < 0.3
    bits = Bits(len(chosen))
    bits.put(np.flatnonzero(chosen))
    spans = Spans.of(np.flatnonzero(chosen))
    asked = np.sort(rng.integers(0, len(chosen) + 1, 5000))
    counts = np.r_[0, np.cumsum(chosen)]
    assert np.array_equal(bits.before(asked), counts[asked])
    assert np.array_equal(spans.before(asked[::-1]), counts[asked[::-1]])
    assert np.array_equal(np.concatenate(list(bits.pages())), np.flatnonzero(chosen))
    assert np.array_equal(spans.pick(np.arange(len(spans))), np.flatnonzero(chosen))


def test_a_set_follows_its_entries_to_where_they_are():
    order = np.random.default_rng(1).permutation(1000)
    rows, here = Bits(1000), Bits(1000)
    rows.put(np.arange(0, 1000, 3))
    for start in (0, 400, 800):
        here.follow(rows, order[start : start + 400], start)
    assert np.array_equal(here.page(0, 1000), np.flatnonzero(order % 3 == 0))


@pytest.mark.parametrize("none", [Spans([]), Bits(10)])
def test_none_is_a_set_too(none):
    assert len(none) == 0 and len(none.page(0, 5)) == 0
    assert not none.has(np.array([3])).any() and not none.mask(np.array([[0, 9]])).any()
    assert none.before(np.array([0, 9])).tolist() == [0, 0]
