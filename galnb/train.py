"""Training as a generator of steps, which can stop at any step and resume bit-identically."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor

from . import augment, checkpoints
from .batches import Batches, Seen, as_tensor
from .errors import BadInput, BadWeights, enough_memory, one_line, one_of
from .models.base import Model
from .provenance import array_hash

NO_ROOM = "the last checkpoint is kept: free memory and run it again, or begin anew with a smaller batch"


@dataclass(frozen=True)
class Settings:
    """How to train; every field may be set in a recipe's [train] table.

    One cycle: the learning rate warms up for `warm_up` steps, then falls as a cosine to 2 %.
    `average` is the decay of the averaged weights that are evaluated and kept (Polyak 1992).
    `patience` epochs without a better held-out loss end the training; 0 never does.
    Parameters whose names begin as one of `freeze` stay as they are.
    """

    epochs: int = 40
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    warm_up: int = 200
    average: float = 0.999
    augment: tuple[str, ...] = ("dihedral",)
    patience: int = 0
    freeze: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch", "warm_up", "patience", "seed"):
            value, least = getattr(self, name), int(name in ("epochs", "batch"))
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name}={value!r}, wanted a whole number of at least {least}")
        for name in ("learning_rate", "weight_decay", "clip", "average"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r}, wanted a number that is not negative")
        for name in ("augment", "freeze"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name}={getattr(self, name)!r}, wanted a list of names")
        for name in self.augment:
            one_of("augment", name, augment.TRAINING)


@dataclass(frozen=True)
class Step:
    """What one step did: the terms of its loss, and at an epoch's end the held-out loss."""

    step: int
    epoch: int
    steps: int
    terms: dict[str, float]
    held_out: float | None = None
    done: bool = False


def train(
    model: Model,
    images: np.ndarray,
    *,
    held_out: np.ndarray | None = None,
    labels: Table | None = None,
    held_out_labels: Table | None = None,
    settings: Settings = Settings(),
    checkpoint: str | Path | None = None,
    warm_start: bool = True,
    device: str = "cpu",
) -> Iterator[Step]:
    """Train `model` in place, one step at each `next`.

    All randomness of step k derives from (seed, k) alone, so a run that was stopped, after any
    step, goes on from its checkpoint to the same bits as one that was not (same machine, same
    number of threads).

    Parameters
    ----------
    images : ndarray (n, band, y, x)
        Training images: float32 in 0 to 1, or uint8 that stands for 0 to 1 (a quarter of the memory).
    held_out : ndarray (m, band, y, x), optional
        Images on which each epoch's averaged weights are judged; the best are kept, the last where a
        model is not `judged`.
    labels, held_out_labels : Table, optional
        Numbers of each image, NaN where unknown, handed to `loss` as y (n, column). A position_angle turns
        with its image.
    checkpoint : path, optional
        Written atomically after every epoch and when the generator is closed; resumed from if there.
    warm_start : bool
        Whether the model looks at the images once before the first step; False to train it further.

    Yields
    ------
    Step
        After the last, `model` holds the kept weights in evaluation mode.

    Raises
    ------
    BadWeights
        If the checkpoint is damaged or belongs to another model, other settings or other images.
    CannotWrite
        If the disk is full or gone, or the folder read-only; the last checkpoint is kept.
    OutOfMemory
        If a step wants more memory than there is; the last checkpoint is kept.
    """
    names, y = _numbers(labels, len(images))
    _, y_held = _numbers(held_out_labels, 0 if held_out is None else len(held_out))
    of = array_hash(images, *([] if y is None else [y]))
    if not warm_start:
        of += array_hash(*(value.detach().cpu().numpy() for value in model.state_dict().values()))
    run = _Run(model.to(device, memory_format=torch.channels_last), settings, len(images), of)
    if checkpoint is not None and checkpoints.there(Path(checkpoint)):
        run.restore(Path(checkpoint))
    elif run.step == 0:
        if warm_start:
            model.warm_start(Batches(images, 512, device), y)
        run.begin()
    whole = True  # no step is half done
    run.freeze(True)
    try:
        if run.finished:  # a model without parameters to train, or a run that ended before
            score = run.judge(held_out, y_held, device) if run.step == 0 else run.best
            yield Step(run.step, run.epoch, run.steps, {}, score, True)
        while not run.finished:
            whole, score = False, None
            with _uninterrupted(), enough_memory("train", NO_ROOM):
                terms = run.advance(images, y, names, device)
                if run.step % run.steps_an_epoch == 0 or run.step == run.steps:
                    score = run.judge(held_out, y_held, device)
                    if checkpoint is not None:
                        run.store(Path(checkpoint))
                whole = True
            yield Step(run.step, run.epoch, run.steps, terms, score, run.finished)
    finally:
        if checkpoint is not None and run.begun and whole:  # else the last epoch's serves
            run.store(Path(checkpoint))
        run.freeze(False)
        if run.finished:
            run.keep_best()
            seen = Seen(Batches(images, 512, device), y, names, settings.augment, model.views)
            model.finish(seen, seen.y)
    model.eval()


def fit(model: Model, images: np.ndarray, *, progress: bool = True, **options) -> list[Step]:
    """Train to the end with a progress bar; returns each epoch's last step. Arguments as `train`."""
    from tqdm.auto import tqdm

    history = []
    with tqdm(disable=not progress, unit="step") as bar:
        for step in train(model, images, **options):
            bar.total, bar.n = step.steps, step.step
            if step.held_out is not None:
                history.append(step)
                bar.set_postfix(epoch=step.epoch, held_out=f"{step.held_out:.3e}")
            bar.update(0)
    return history


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, where that can be: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    before = signal.signal(signal.SIGINT, lambda *about: held.append(about))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if held:
            signal.raise_signal(signal.SIGINT)


def _numbers(labels: Table | None, n: int) -> tuple[list[str], Tensor | None]:
    """Names of a table's columns, and its numbers (n, column), float32."""
    if labels is None:
        return [], None
    if len(labels) != n:
        raise BadInput("labels", f"{len(labels)} rows came for {n} images, wanted one for each")
    columns = [np.ma.asarray(labels[name], dtype=np.float32).filled(np.nan) for name in labels.colnames]
    return labels.colnames, torch.from_numpy(np.stack(columns, axis=1))


class _Run:
    """The state of a training run: what a checkpoint holds, and the step that changes it."""

    def __init__(self, model: Model, settings: Settings, n: int, of: str):
        if n < 2:
            raise BadInput("train", f"{n} images came, wanted at least 2")
        self.model, self.settings, self.n, self.of = model, settings, n, of
        self.step, self.best, self.stale, self.begun = 0, math.inf, 0, False
        self.batch = min(settings.batch, n)
        self.steps_an_epoch = n // self.batch
        named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        for start in settings.freeze:
            if not any(name.startswith(start) for name, _ in named):
                raise BadInput("freeze", f"no trained parameter's name begins with {start!r}")
        self.frozen = [value for name, value in named if name.startswith(tuple(settings.freeze))]
        trainable = [value for name, value in named if not name.startswith(tuple(settings.freeze))]
        self.steps = settings.epochs * self.steps_an_epoch if trainable else 0
        self.optimizer = torch.optim.AdamW(
            trainable or [torch.zeros(1)],
            lr=settings.learning_rate,
            betas=model.betas,
            weight_decay=settings.weight_decay,
        )

    def begin(self) -> None:
        """Averaged and best weights start as the model's own."""
        self.averaged = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.kept = {k: v.clone() for k, v in self.averaged.items()}
        self.begun = True

    def freeze(self, yes: bool) -> None:
        for value in self.frozen:
            value.requires_grad_(not yes)

    @property
    def epoch(self) -> int:
        return -(-self.step // self.steps_an_epoch)

    @property
    def finished(self) -> bool:
        patience = self.settings.patience
        return self.step >= self.steps or (patience > 0 and self.stale >= patience)

    def advance(
        self, images: np.ndarray, y: Tensor | None, names: list[str], device: str
    ) -> dict[str, float]:
        settings, step = self.settings, self.step
        epoch, place = divmod(step, self.steps_an_epoch)
        order = np.random.default_rng([settings.seed, 1, epoch]).permutation(self.n)
        rows = np.sort(order[place * self.batch : (place + 1) * self.batch])
        rng = np.random.default_rng([settings.seed, 2, step])
        x = as_tensor(images[rows], device)
        y = None if y is None else y[torch.from_numpy(rows)].to(device)
        angle = y[:, names.index("position_angle")] if "position_angle" in names else None
        for name in settings.augment:
            x = augment.TRAINING[name](x, rng, angle)
        rise = min(1.0, (step + 1) / settings.warm_up) if settings.warm_up else 1.0
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * rise * fall
        self.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**62)))
            x = x.contiguous(memory_format=torch.channels_last)
            terms = self.model.update(x, y, self.optimizer, clip=settings.clip)
        self.step += 1
        self._average()
        return {name: float(value.detach()) for name, value in terms.items()}

    def _average(self) -> None:
        # Early on the decay is small, so that the first weights are forgotten (as in TensorFlow's).
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value.detach(), 1 - decay)
            else:
                self.averaged[name].copy_(value)

    @torch.no_grad()
    def judge(self, held_out: np.ndarray | None, y: Tensor | None, device: str) -> float:
        """The averaged weights' loss on held-out images; they are kept if it is the best so far."""
        own = {k: v.clone() for k, v in self.model.state_dict().items()}
        score = math.nan
        try:
            self.model.load_state_dict(self.averaged)
            self.model.eval()
            if held_out is not None:
                with torch.random.fork_rng():
                    torch.manual_seed(self.settings.seed)
                    labels = [None] * len(held_out) if y is None else y.to(device).split(256)
                    score = sum(
                        float(self.model.loss(x, part)["loss"]) * len(x)
                        for x, part in zip(Batches(held_out, 256, device), labels, strict=False)
                    ) / len(held_out)
        finally:
            self.model.load_state_dict(own)
        if held_out is None or not self.model.judged or score < self.best:
            self.best, self.stale = score, 0
            self.kept = {k: v.clone() for k, v in self.averaged.items()}
        else:
            self.stale += 1
        return score

    def keep_best(self) -> None:
        self.model.load_state_dict(self.kept)
        self.model.eval()

    def store(self, path: Path) -> None:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"averaged/{k}": v for k, v in self.averaged.items()}
        tensors |= {f"kept/{k}": v for k, v in self.kept.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{k}": v for k, v in state.items()}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        counters = {"step": self.step, "best": self.best, "stale": self.stale}
        checkpoints.write(path, tensors, run=json.dumps(counters), of=self._identity())

    def _identity(self) -> str:
        config = {"class": type(self.model).__name__, **self.model.config}
        return json.dumps([config, asdict(self.settings), self.n, self.of], sort_keys=True)

    def restore(self, path: Path) -> None:
        tensors, described = checkpoints.read(path)
        if described["of"] != self._identity():
            raise BadWeights(
                path, "it is of another model, other settings or other data; choose another path"
            )
        try:
            self._take(tensors, json.loads(described["run"]))
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"its tensors are not those of the run ({one_line(error)}); delete it to start anew"
            raise BadWeights(path, reason) from error

    def _take(self, tensors: dict[str, Tensor], counters: dict) -> None:
        part = lambda name: {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}/")}  # noqa: E731
        device, own = self.model.device, self.model.state_dict()
        for name in ("averaged", "kept", "model"):
            found = {key: (value.shape, value.dtype) for key, value in part(name).items()}
            if found != {key: (value.shape, value.dtype) for key, value in own.items()}:
                raise ValueError(f"{name} is of another shape")
        self.step, self.best, self.stale = (counters[name] for name in ("step", "best", "stale"))
        if type(self.step) is not int or type(self.stale) is not int or not 0 <= self.step <= self.steps:
            raise ValueError(f"step {self.step!r} of {self.steps}")
        self.best += 0.0
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part("optimizer").items():
            index, _, key = name.partition("/")
            state.setdefault(int(index), {})[key] = value
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, values in state.items():
            shapes = {value.shape for value in values.values() if value.ndim}
            if shapes - {parameters[index].shape} or set(values) != {"step", "exp_avg", "exp_avg_sq"}:
                raise ValueError(f"the optimizer's {index} is of another shape")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.model.load_state_dict(part("model"))
        self.averaged = {k: v.to(device) for k, v in part("averaged").items()}
        self.kept = {k: v.to(device) for k, v in part("kept").items()}
        self.begun = True
