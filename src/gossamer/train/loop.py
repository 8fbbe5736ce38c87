"""Training one network for so many seconds, in pieces that can be continued: a rung now, the rest later."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray
from torch import nn

from gossamer._files import atomic_path, write_json
from gossamer.data.batches import EvalBatches, TrainBatches
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.train.module import ClassifierModule
from gossamer.train.recipe import Recipe

__all__ = ["Pictures", "Point", "Pulse", "TrainResult", "Training", "train_until"]

_CHUNK_SECONDS = 20.0
_COOL_FROM = 0.8
"""Share of the schedule to which a plateau skips."""


@dataclass(frozen=True)
class Pictures:
    """Training and validation pictures of one size, (N, S, S, 3) uint8, with labels (N,)."""

    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    val: NDArray[np.uint8]
    val_labels: NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """One validation."""

    seconds: float
    passes: float
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Pulse:
    """How a running training stands, a few times a second at most: for progress bars."""

    seconds: float
    passes: float
    pictures_per_second: float
    loss: float
    val_accuracy: float | None


@dataclass(frozen=True)
class Training:
    """One network's training as a whole, of which `train_until` does a piece."""

    network: nn.Module
    contract: InputContract
    recipe: Recipe
    pictures: Pictures
    folder: Path
    """Checkpoints and logs."""
    total_seconds: float
    """Length of the schedule."""
    decay_from: float
    """Share of the schedule after which the rate falls."""
    seed: int = 0
    teacher: nn.Module | None = None
    threads: int = 1


@dataclass
class TrainResult:
    """Where a training stands: the curve so far and the best validation."""

    seconds: float = 0.0
    steps: int = 0
    best_accuracy: float = 0.0
    best_loss: float = math.inf
    skipped: float = 0.0
    """Seconds of the schedule that were left out: a plateau goes straight to the last fifth of the decay."""
    points: list[Point] = field(default_factory=list)

    @property
    def position(self) -> float:
        """Seconds into the schedule."""
        return self.seconds + self.skipped

    @property
    def stopped_early(self) -> bool:
        """Whether a plateau shortened the schedule."""
        return self.skipped > 0

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        document = asdict(self)
        document["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TrainResult:
        """Read what `to_json` wrote."""
        points = [Point(**point) for point in document["points"]]
        loss = document["best_loss"]
        return cls(**{**document, "points": points, "best_loss": math.inf if loss is None else loss})


class _Pace(L.Callback):
    """Counts training seconds, sets the schedule's progress, stops at the bound, saves after each validation."""

    def __init__(
        self,
        training: Training,
        until: float,
        state: TrainResult,
        pulse: Callable[[Pulse], None] | None,
        tell: Callable[[Point], None] | None,
    ) -> None:
        self.training, self.until, self.state = training, until, state
        self.pulse, self.tell = pulse, tell
        self.before = state.seconds
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.pictures = 0
        self.last_pulse = 0.0

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    @property
    def position(self) -> float:
        """Seconds into the schedule."""
        return self.seconds + self.state.skipped

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ClassifierModule)
        pl_module.progress = min(1.0, self.position / self.training.total_seconds)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ClassifierModule)
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise ModelError(
                f"training diverged (loss {loss} after {pl_module.updates} steps); lower the learning rate of {self.training.recipe.learning_rate}"
            )
        self.losses.append(loss)
        self.pictures += len(batch[1])
        if self.position >= self.until:
            trainer.should_stop = True
        if self.pulse is not None and self.seconds - self.last_pulse >= 0.25:
            self.last_pulse = self.seconds
            self.pulse(self._pulse(pl_module.updates))

    def _passes(self, steps: int) -> float:
        count = len(self.training.pictures.train_labels)
        return steps * min(self.training.recipe.batch, count) / count

    def _pulse(self, steps: int) -> Pulse:
        elapsed = max(1e-6, time.monotonic() - self.started)
        accuracy = self.state.points[-1].val_accuracy if self.state.points else None
        return Pulse(
            self.seconds,
            self._passes(steps),
            self.pictures / elapsed,
            float(np.mean(self.losses[-20:])),
            accuracy,
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ClassifierModule)
        if trainer.sanity_checking:
            return
        loss, accuracy = (
            float(trainer.callback_metrics["val_loss"]),
            float(trainer.callback_metrics["val_accuracy"]),
        )
        state = self.state
        state.seconds, state.steps = self.seconds, pl_module.updates
        train_loss = float(np.mean(self.losses)) if self.losses else 0.0
        state.points.append(Point(state.seconds, self._passes(state.steps), train_loss, loss, accuracy))
        self.losses.clear()
        if len(state.points) == 1 or (accuracy, -loss) > (state.best_accuracy, -state.best_loss):
            state.best_accuracy, state.best_loss = accuracy, loss
            _save_average(self.training.folder / "best.safetensors", pl_module.average)
        self._shorten_on_plateau()
        with atomic_path(self.training.folder / "last.ckpt") as temporary:
            trainer.save_checkpoint(temporary)
        write_json(self.training.folder / "progress.json", state.to_json())
        if self.tell is not None:
            self.tell(state.points[-1])

    def _shorten_on_plateau(self) -> None:
        """Early stopping that keeps the decay: the rate must still fall for the network to be worth keeping."""
        state, total = self.state, self.training.total_seconds
        first = next(i for i, p in enumerate(state.points) if p.val_accuracy >= state.best_accuracy)
        since_best = len(state.points) - 1 - first
        if since_best >= self.training.recipe.patience and state.position < _COOL_FROM * total:
            state.skipped = _COOL_FROM * total - state.seconds


def train_until(
    training: Training,
    seconds: float,
    *,
    pulse: Callable[[Pulse], None] | None = None,
    tell: Callable[[Point], None] | None = None,
) -> TrainResult:
    """Train until `seconds` of training time have been spent in all, continuing what the folder holds.

    The folder gets last.ckpt (everything needed to go on), best.safetensors (the moving average that validated
    best), progress.json, and Lightning's CSV and TensorBoard logs. Killed at any point, a later call goes on from
    the last validation.

    `pulse` hears how it goes a few times a second, `tell` hears each new validation.

    Raises:
        ModelError: the loss is no longer a number.
        RunFolderError: the folder cannot be written.
    """
    folder = training.folder
    folder.mkdir(parents=True, exist_ok=True)
    state = _resumable(folder)
    if state.position >= seconds:
        return state
    if state.steps == 0:
        for name in ("last.ckpt", "progress.json", "best.safetensors"):
            (folder / name).unlink(missing_ok=True)
    torch.set_num_threads(training.threads)
    _keep_freed_memory()
    module = ClassifierModule(
        training.network,
        training.contract,
        training.recipe,
        decay_from=training.decay_from,
        seed=training.seed,
        teacher=training.teacher,
    )
    data = training.pictures
    batches = TrainBatches(
        data.train,
        data.train_labels,
        batch=training.recipe.batch,
        chunk=_chunk_steps(module, data, training.recipe.batch, seconds - state.position),
        seed=training.seed,
        first=lambda: module.updates,
    )
    pace = _Pace(training, seconds, state, pulse, tell)
    trainer = _trainer(training, pace)
    with warnings.catch_warnings(), _interruptible(trainer):
        warnings.simplefilter("ignore")  # Lightning advises on worker counts and log intervals
        trainer.fit(
            module,
            batches,
            EvalBatches(data.val, data.val_labels),
            ckpt_path=str(folder / "last.ckpt") if state.steps else None,
            weights_only=True,
        )
    return state


def _keep_freed_memory() -> None:
    """Ask glibc not to hand large blocks back after each use: training takes the same ones again at every step.

    Without it a fifth of the processor time goes into mapping and clearing pages (measured: 1.3 times the pictures a
    second on two cores). Other C libraries have no such call and are left alone.
    """
    mmap_threshold, trim_threshold, never = -3, -1, 1 << 30
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, never)
        libc.mallopt(trim_threshold, never)


@contextlib.contextmanager
def _interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Give Ctrl-C back: Lightning turns it into sys.exit(1) and leaves the signal ignored."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error


def _resumable(folder: Path) -> TrainResult:
    try:
        document = json.loads((folder / "progress.json").read_text())
        if not ((folder / "last.ckpt").is_file() and (folder / "best.safetensors").is_file()):
            return TrainResult()
        return TrainResult.from_json(document)
    except (OSError, ValueError, KeyError, TypeError):
        return TrainResult()


def _chunk_steps(module: ClassifierModule, data: Pictures, batch: int, seconds: float) -> int:
    """Steps between two validations: 20 seconds' worth, less in a short run, never less than ten validations take."""
    probe = TrainBatches(data.train, data.train_labels, batch=batch, chunk=3, seed=0, first=lambda: 0)
    twin = copy.deepcopy(module.network).train()
    step_times: list[float] = []
    score_times: list[float] = []
    for pictures, labels in probe:
        start = time.monotonic()
        inputs = module._normalised(pictures.permute(0, 3, 1, 2).float())
        nn.functional.cross_entropy(twin(inputs), labels).backward()
        step_times.append(time.monotonic() - start)
        start = time.monotonic()
        with torch.no_grad():
            module.average(inputs)
        score_times.append(time.monotonic() - start)
    validation = min(score_times) * len(data.val_labels) / min(batch, len(data.train_labels))
    return max(1, int(max(min(_CHUNK_SECONDS, seconds / 8), 10 * validation) / max(1e-4, min(step_times))))


def _trainer(training: Training, pace: _Pace) -> L.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return L.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=-1,
            callbacks=[pace],
            logger=[
                CSVLogger(training.folder, name="logs", version="csv"),
                TensorBoardLogger(training.folder, name="logs", version="tensorboard"),
            ],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=training.recipe.clip_norm,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,
            use_distributed_sampler=False,
        )


def _save_average(path: Path, network: nn.Module) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, temporary)
