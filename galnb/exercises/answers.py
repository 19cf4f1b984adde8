"""What judges of exercises ask of answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


@cache
def survey():
    """The embedded default survey, made once."""
    from ..demo import default_survey

    return default_survey()


def close(answer: Any, truth: float, within: float = 0.01) -> bool:
    """Whether one number is the truth, but for a share `within` of it."""
    return bool(abs(number(answer) - truth) <= within * abs(truth))


def number(answer: Any) -> float:
    """An answer as one number; raises TypeError for anything else."""
    value = np.asarray(answer)
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise TypeError("not one number")
    return float(value.reshape(()))


def names(answer: Any) -> list[str]:
    """An answer as ids: of one name, or of any series of them."""
    if isinstance(answer, str):
        return [answer]
    found = [str(each) for each in np.asarray(answer).ravel()]
    if not found:
        raise ValueError("no names at all")
    return found


def strangers(answer: Any) -> bool:
    """Whether any of these names is of no galaxy of the default survey."""
    return not set(names(answer)) <= set(map(str, survey().latents.id))


def array(answer: Any) -> np.ndarray:
    """An answer as an array of floats, also of a tensor; raises for what is none, and for no numbers."""
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
    found = np.asarray(answer)
    if found.dtype.kind not in "iuf" or not found.size:
        raise TypeError("not numbers")
    return found.astype(np.float64)


def alike(answer: Any, truth: Any, within: float = 0.01) -> bool:
    """Whether an array is the truth, each of its numbers but for a share `within` of the largest."""
    found, truth = array(answer), array(truth)
    return found.shape == truth.shape and bool((abs(found - truth) <= within * abs(truth).max()).all())


def pictures(answer: Any, *shape: int) -> np.ndarray:
    """Pixels (n, band, y, x) of Images, or of arrays or tensors of one or more pictures of this shape."""
    found = array(getattr(answer, "pixels", answer))
    found = found[None] if found.ndim == len(shape) else found
    if found.shape[1:] != shape:
        raise ValueError(f"its shape is {found.shape}, wanted (n, {', '.join(map(str, shape))})")
    return found
