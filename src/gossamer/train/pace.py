"""What happens around each step of a training: progress, the clock, validations, checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn

from gossamer._files import atomic_path, write_json
from gossamer.data.batches import TrainBatches
from gossamer.errors import ModelError
from gossamer.train.module import TrainingModule
from gossamer.train.training import Point, Pulse, Seconds, Training, TrainResult
from gossamer.train.watch import Problem, Seen, Watch

__all__ = ["Listener", "Pace", "save_average"]

_COOL_FROM = 0.8
"""Share of the schedule to which a plateau skips."""
_PULSE_SECONDS = 0.25


class Listener:
    """Hears how a training goes; the methods do nothing by themselves."""

    def pulse(self, now: Pulse) -> None:
        """A few times a second at most."""

    def point(self, point: Point) -> None:
        """After each validation."""

    def problem(self, problem: Problem) -> None:
        """Once for each thing that goes wrong in learning."""


class Pace(L.Callback):
    """Counts steps and training seconds, sets the schedule's progress, stops at the bound, saves after validations."""

    def __init__(
        self, training: Training, until: float, state: TrainResult, batches: TrainBatches, listener: Listener
    ) -> None:
        self.training, self.until, self.state = training, until, state
        self.batches, self.listener = batches, listener
        self.before = state.seconds
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.pictures = 0
        self.last_pulse = 0.0
        labels, objective, pictures = training.names, training.objective, training.pictures
        counts = objective.bearers(pictures.val_targets, len(labels))
        self.watch = Watch(
            training.task,
            labels,
            seen=[] if counts is None else [i for i, count in enumerate(counts) if count],
            guess=objective.guess(pictures.train_targets, len(labels)),
        )

    @property
    def seconds(self) -> float:
        """Of training, those before an interruption among them."""
        return self.before + time.monotonic() - self.started

    def position(self, trainer: L.Trainer, updates: int) -> float:
        """How far into the schedule, in its unit; the same in every process."""
        length = self.training.length
        if not isinstance(length, Seconds):
            return updates + self.state.skipped
        seconds = self.seconds
        if trainer.world_size > 1:
            seconds = trainer.strategy.broadcast(seconds)
        return seconds + self.state.skipped

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starting other processes is no training."""
        self.started = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        position = self.position(trainer, pl_module.updates)
        pl_module.progress = min(1.0, position / self.training.length.count)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        loss = float(outputs["loss"]) * self.training.recipe.accumulate
        if not math.isfinite(loss):
            raise ModelError(
                f"training diverged (loss {loss} after {pl_module.updates} steps); lower the learning rate of "
                f"{self.training.recipe.learning_rate:g}, e.g. --set learning_rate={self.training.recipe.learning_rate / 5:g}"
            )
        self.losses.append(loss)
        self.pictures += batch.whole
        if self.position(trainer, pl_module.updates + 1) >= self.until:
            trainer.should_stop = True
        if self.seconds - self.last_pulse >= _PULSE_SECONDS:
            self.last_pulse = self.seconds
            self.listener.pulse(self._pulse(pl_module))

    def _elapsed(self) -> float:
        return max(1e-6, time.monotonic() - self.started)

    def _pulse(self, module: TrainingModule) -> Pulse:
        points = self.state.points
        return Pulse(
            self.seconds,
            module.updates,
            module.updates / self.batches.steps_per_pass,
            self.pictures / self._elapsed(),
            float(np.mean(self.losses[-20:])),
            points[-1].val_score if points else None,
            self.batches.seconds / self._elapsed(),
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        if trainer.sanity_checking:
            return
        figures = trainer.callback_metrics
        state, folder = self.state, self.training.folder
        point = Point(
            self.seconds,
            pl_module.updates / self.batches.steps_per_pass,
            self._mean_loss(trainer),
            float(figures["val_loss"]),
            float(figures[f"val_{self.training.task.headline.name}"]),
            {name: float(figures[f"val_{name}"]) for name in pl_module.figures},
        )
        self.losses.clear()
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        for logger in trainer.loggers:
            logger.log_metrics(
                {"train_loss": point.train_loss, "learning_rate": rate, "passes": point.passes},
                pl_module.updates,
            )
        state.seconds, state.steps = point.seconds, pl_module.updates
        better = self._is_better(point, pl_module.progress)
        state.points.append(point)
        if better:
            state.best_at = len(state.points) - 1
        self._shorten_on_plateau()
        if trainer.is_global_zero:
            if better:
                save_average(folder / "best.safetensors", pl_module.average)
            with atomic_path(folder / "last.ckpt") as temporary:
                trainer.save_checkpoint(temporary)
            write_json(folder / "progress.json", state.to_json())
        else:
            trainer.save_checkpoint(folder / "last.ckpt")  # takes part in gathering, writes nothing
        self.listener.point(point)
        for problem in self.watch.look(self._seen(point, pl_module)):
            self.listener.problem(problem)

    def _is_better(self, point: Point, progress: float) -> bool:
        """Whether to keep these weights: those of a network that is still being shaped only until there are newer ones."""
        state, shaping, metric = self.state, self.training.shaping, self.training.metric
        if shaping is not None and state.counts_from is None:
            if progress >= shaping.settled:
                state.counts_from = len(state.points)
            return True
        return not state.points or point.worth(metric) > state.best.worth(metric)

    def _mean_loss(self, trainer: L.Trainer) -> float:
        """Of the steps since the last validation, over all processes."""
        own = torch.tensor(np.mean(self.losses) if self.losses else 0.0, dtype=torch.float64)
        return float(trainer.strategy.reduce(own, reduce_op="mean"))

    def _seen(self, point: Point, module: TrainingModule) -> Seen:
        return Seen(
            step=module.updates,
            passes=point.passes,
            train_loss=point.train_loss,
            val_loss=point.val_loss,
            val_score=point.val_score,
            predicted=module.named.tolist(),
            loader_share=self.batches.seconds / self._elapsed(),
        )

    def _shorten_on_plateau(self) -> None:
        """Early stopping that keeps the decay: the rate must still fall for the network to be worth keeping."""
        state, length = self.state, self.training.length
        since_best = len(state.points) - 1 - state.best_at
        if since_best >= self.training.recipe.patience and state.position(length) < _COOL_FROM * length.count:
            state.skipped += _COOL_FROM * length.count - state.position(length)

    def state_dict(self) -> dict[str, Any]:
        """The result so far, inside the checkpoint: both are then of the same moment."""
        return {"result": self.state.to_json()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to do: `train_until` has read the result before."""

    @property
    def state_key(self) -> str:
        """Under which the result lies in the checkpoint."""
        return STATE_KEY


STATE_KEY = "gossamer.train.pace"


def save_average(path: Path, network: nn.Module) -> None:
    """Write the weights as safetensors, whole or not at all."""
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, temporary)
