"""Exercises of the notebooks: `galnb.check("00.1", answer)` says whether it is right, and else gives a hint.

One file a notebook. What is right is found by computing, when it is asked for; a hint never says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import BadInput

PARTS = {  # notebook -> file here
    "00": "start",
    "01": "compression",
    "02": "similarity",
    "03": "sampling",
    "04": "anomalies",
    "05": "flows",
    "06": "likelihoods",
    "07": "conditions",
    "08": "words",
    "09": "restoration",
    "10": "surveys",
    "13": "scale",
    "14": "figures",
}


@dataclass(frozen=True)
class Exercise:
    """What an exercise wants, how it judges an answer, and what it says.

    Attributes
    ----------
    number : str
        Of the notebook and of the exercise in it: "00.1".
    wants : str
        What kind of thing an answer is.
    hints : tuple of str
        One more is given with each wrong answer; the last one from then on.
    why : str
        What a right answer has shown.
    judge : callable
        Of an answer: True, False, or a hint for just this mistake. What it raises says that the answer is
        not of the kind that it wants.
    """

    number: str
    wants: str
    hints: tuple[str, ...]
    why: str
    judge: Callable[[Any], bool | str]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what there is to say; true where it is right."""

    number: str
    right: bool
    said: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"{self.number} {'✓ right' if self.right else '✗ not yet'}: {self.said}"

    def _repr_markdown_(self) -> str:
        color, word = ("#1a7f37", "✓ right") if self.right else ("#b35900", "✗ not yet")
        return f'<b style="color:{color}">{self.number} {word}.</b> {self.said}'


_known: dict[str, Exercise] = {}
_wrong: Counter[str] = Counter()


def exercise(number: str, wants: str, *hints: str, why: str) -> Callable:
    """Make a judge of answers an exercise."""

    def keep(judge: Callable[[Any], bool | str]) -> Callable[[Any], bool | str]:
        _known[number] = Exercise(number, wants, hints, why, judge)
        return judge

    return keep


def of(notebook: str) -> list[Exercise]:
    """The exercises of a notebook, by its number: "00"."""
    if notebook not in PARTS:
        wanted = ", ".join(PARTS)
        raise BadInput("exercise", f"no notebook {notebook!r} has exercises, wanted one of {wanted}")
    import_module(f"{__name__}.{PARTS[notebook]}")
    return [_known[number] for number in sorted(_known) if number.startswith(f"{notebook}.")]


def check(number: str, answer: Any = ...) -> Verdict:
    """Whether an answer is right; if not, a hint, which is another one the next time.

    Parameters
    ----------
    number : str
        Of the exercise, as the notebook has it: "00.1".
    answer : object
        What the exercise asks for. The dots that the notebook comes with are no answer.

    Raises
    ------
    BadInput
        For an exercise that is not there. A wrong answer, of whatever kind, raises nothing.

    Examples
    --------
    >>> check("00.1", "nobody")
    00.1 ✗ not yet: there is no galaxy of this name; ids look like those in latents.id.
    """
    known = {each.number: each for each in of(str(number).partition(".")[0])}
    if number not in known:
        raise BadInput("exercise", f"there is no {number!r}, wanted one of {', '.join(known)}")
    asked = known[number]
    if answer is ...:
        return Verdict(number, False, f"put {asked.wants} in place of the dots.")
    try:
        judged = asked.judge(answer)
    except Exception as error:  # whatever a student hands in, the notebook goes on
        came = f"a {type(answer).__name__}, which cannot be judged ({type(error).__name__}: {error})"
        return Verdict(number, False, f"this is {came}; wanted {asked.wants}.")
    if isinstance(judged, str):
        return Verdict(number, False, judged)
    if judged:
        return Verdict(number, True, asked.why)
    _wrong[number] += 1
    return Verdict(number, False, asked.hints[min(_wrong[number], len(asked.hints)) - 1])
