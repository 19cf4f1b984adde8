"""Checks of exercises: nothing that is handed in stops a notebook, and hints come one after the other."""

import numpy as np
import pytest

from galnb import BadInput, check, exercises
from galnb.exercises.answers import survey

STRANGE = (0, -1, np.nan, "", "nobody", b"x", [], {}, None, object(), np.zeros((2, 3)), lambda z: z, 10**400)


@pytest.mark.parametrize("notebook", exercises.PARTS)
def test_nothing_that_is_handed_in_stops_a_notebook(notebook):
    for exercise in exercises.of(notebook):
        for answer in (..., *STRANGE):
            verdict = check(exercise.number, answer)
            assert not verdict and verdict.said.endswith(".")


def test_hints_come_one_after_the_other_and_the_last_one_stays():
    exercises._wrong.clear()
    wrong, hints = str(survey().latents.id[-1]), exercises.of("00")[0].hints
    assert [check("00.1", wrong).said for _ in range(4)] == [*hints, hints[-1], hints[-1]]


def test_a_right_answer_says_what_it_has_shown():
    latents = survey().latents
    verdict = check("00.1", latents.id[np.nanargmax(latents["half_light_radius"])])
    assert verdict and repr(verdict) == f"00.1 ✓ right: {exercises.of('00')[0].why}"
    assert verdict.said in verdict._repr_markdown_()


def test_an_exercise_that_is_not_there_is_one_clear_error():
    with pytest.raises(BadInput, match=r"there is no '00.9', wanted one of 00.1, 00.2, 00.3"):
        check("00.9", 1)
    with pytest.raises(BadInput, match="no notebook '99' has exercises"):
        check("99.1", 1)
