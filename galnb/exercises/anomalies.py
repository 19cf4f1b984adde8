"""Exercises of notebook 04, Anomaly hunting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from . import exercise
from .answers import alike, array, pictures, survey

MOST_VOTES, WANTED = 10, 30
AWAY = 4.0  # from every point


@cache
def blobs():
    """Two blobs, two forests that have learned them, and the scores that one point in a hundred exceeds."""
    from ..anomaly import Scorer

    rng = np.random.default_rng(0)
    cloud = np.concatenate([rng.normal((0, 10), 1, (1000, 2)), rng.normal((10, 0), 1, (1000, 2))])
    forests = [Scorer(kind, trees=200).fit(cloud) for kind in ("forest", "extended")]
    return cloud, forests, [np.quantile(forest.score(cloud), 0.99) for forest in forests]


@exercise(
    "04.1",
    "a place: (x, y)",
    "the standard forest sees one coordinate at a time: which pair of coordinates is usual, each by itself?",
    "look at the middle of the picture's second row, or score a grid of places, and leave out those near to "
    "a point.",
    why="A score answers for its own shape, too: where no data are, it is the method that one sees.",
)
def ghost(answer):
    place = array(answer).reshape(-1)
    if place.shape != (2,) or not np.isfinite(place).all():
        return "wanted two finite numbers: x and y."
    cloud, (standard, extended), (usual, _) = blobs()
    near = np.linalg.norm(cloud - place, axis=1).min()
    if near < AWAY:
        return f"a point of the cloud is {near:.1f} away, wanted {AWAY:.0f} at least."
    scores = [float(forest.score(place[None])[0]) for forest in (standard, extended)]
    if usual < scores[0] < 1.03 * usual and scores[0] < scores[1]:
        return "this is nearly a ghost: go on a little."
    return bool(scores[0] <= usual)


@exercise(
    "04.2",
    "an array (n,): a score for each galaxy",
    "np.cov(latents.z.T) has variances and covariances; their inverse weighs two differences from the mean.",
    "d**2 = (z - mean) @ inverse @ (z - mean) for each galaxy, which is "
    "np.einsum('ij,jk,ik->i', away, inverse, away).",
    why="This is -log p of one Gaussian, but for a constant and a square: each score stands for a density.",
)
def mahalanobis(answer):
    z = survey().latents.z.astype(np.float64)
    away, covariance = z - z.mean(axis=0), np.cov(z.T)
    inverse = np.linalg.inv(covariance)
    length = lambda x, weight: np.sqrt(np.einsum("ij,jk,ik->i", x, weight, x))  # noqa: E731
    truth, found = length(away, inverse), array(answer)
    if found.shape != truth.shape:
        return f"its shape is {found.shape}, wanted one number for each galaxy, {truth.shape}."
    mistakes = {
        "these are the squares: take the root.": truth**2,
        "this is measured from 0, wanted from the mean.": length(z, inverse),
        "the covariance is there, and wanted is its inverse.": length(away, covariance),
        "this is the plain distance: divide what varies much by how much it does.": length(away, np.eye(16)),
        "close: each latent is in its own units, but that two of them vary together is left out.": length(
            away, np.diag(1 / np.diag(covariance))
        ),
    }
    if alike(found, truth, 0.002):
        return True
    return next((said for said, wrong in mistakes.items() if alike(found, wrong, 0.002)), False)


@exercise(
    "04.3",
    "one picture: pixels (3, 32, 32) from 0 to 1",
    "a trail is straight, bright in all bands, goes from border to border, and is at least two pixels wide.",
    "lines are looked for where no galaxy is, with sky on both sides: stay some pixels away from the center "
    "and from the borders.",
    why="Flags can be tested as any score can: plant what is known, and count how much of it is found.",
)
def planted(answer):
    from ..artefacts import flags
    from ..images import Images

    picture = pictures(answer, 3, 32, 32)
    if len(picture) != 1 or not (np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1):
        return f"wanted one picture with pixels from 0 to 1, {len(picture)} came."
    images = survey().images
    same = (abs(images.pixels - picture) < 0.01).mean(axis=(1, 2, 3))
    galaxy = int(same.argmax())
    if same[galaxy] < 0.6:
        return "three pixels in five must be left as they are in a galaxy of the survey."
    both = Images(np.concatenate([images.pixels[[galaxy]], picture]).astype(np.float32), bands=images.bands)
    found = flags(both)
    if found["artefact"][0]:
        return f"{images.id[galaxy]} is flagged as it is: take a galaxy that is not."
    return bool(found["trail"][1])


@exercise(
    "04.4",
    f"votes: a dictionary of rows or ids to 'interesting' or 'ordinary', {MOST_VOTES} at most",
    "it learns a contrast: five galaxies that are wanted and none that are not say little.",
    "np.argsort(latents['color']) has the bluest first and the reddest last: vote on some of both ends.",
    why="Few votes teach most where they are far apart, and all of them must be paid for by a person's eyes.",
)
def taught(answer):
    from ..ranking import rank

    latents = survey().latents
    votes = answer.by_row(latents.id) if hasattr(answer, "by_row") else answer
    if not isinstance(votes, Mapping):
        return f"this is a {type(answer).__name__}, wanted a dictionary of votes, or a Votes."
    if not 1 <= len(votes) <= MOST_VOTES:
        return f"these are {len(votes)} votes on galaxies of the survey, wanted 1 to {MOST_VOTES}."
    rows = {str(name): row for row, name in enumerate(latents.id)}
    votes = {rows[key] if isinstance(key, str) else int(key): str(vote) for key, vote in votes.items()}
    color = np.asarray(latents["color"])
    wanted = color > np.quantile(color, 0.95)
    found = int(wanted[rank(latents.z, votes).order[:50]].sum())
    if found >= WANTED:
        return True
    swapped = {"interesting": "ordinary", "ordinary": "interesting"}
    other = {row: swapped.get(vote, vote) for row, vote in votes.items()}
    if wanted[rank(latents.z, other).order[:50]].sum() >= WANTED:
        return "the other way round: the red ones are interesting."
    return False
