"""The LightningModule of every task: loss, optimiser, schedule by progress, moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from gossamer.data.augment import Greys, augment_raw
from gossamer.data.bands import Bands
from gossamer.data.batches import Batch
from gossamer.data.draws import Draws
from gossamer.data.geometry import GREY
from gossamer.deploy.contract import InputContract
from gossamer.nn.network import Network
from gossamer.nn.shaping import Shaping
from gossamer.tasks import Score, Task
from gossamer.train.mixing import mix
from gossamer.train.objective import TrainingObjective
from gossamer.train.optimisers import make_optimiser, set_rates
from gossamer.train.recipe import Recipe
from gossamer.train.teachers import Teaching
from gossamer.types import Size

__all__ = ["TrainingModule"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class TrainingModule(L.LightningModule):
    """Trains `network` on batches of uint8 pictures; validates its moving average.

    `progress` (0 to 1) is set from outside before each step: by seconds or by steps, whichever the run is bounded by.
    `updates` counts batches, and every random draw is a function of it. `labels` (D) name the numbers that the network
    gives, `weights` (D,) are those of the objective.
    """

    named: Tensor
    """How often the last validation said each label, (D,)."""

    def __init__(
        self,
        network: nn.Module,
        contract: InputContract,
        recipe: Recipe,
        *,
        task: Task,
        objective: TrainingObjective,
        labels: Sequence[str],
        decay_from: float = 0.0,
        seed: int = 0,
        teaching: Teaching | None = None,
        shaping: Shaping | None = None,
        weights: Tensor | None = None,
        bands: Bands | None = None,
        prepared: bool = False,
    ) -> None:
        super().__init__()
        self.prepared = prepared
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.network = network.to(memory_format=layout)
        for part in network.modules():
            if isinstance(part, Network):
                part.hold(recipe.hold)
        self._layout = layout
        for part in self.network.modules():
            if isinstance(part, _NORMS) and part.momentum is not None:
                part.momentum = max(part.momentum, recipe.norm_momentum)
        self.average = copy.deepcopy(self.network)
        self.average.requires_grad_(False).eval()
        if recipe.freeze_norm:
            for norm in self._norms():
                norm.requires_grad_(False)
        self.teaching, self.shaping = teaching, shaping
        self.contract, self.recipe = contract, recipe
        self.task, self.objective, self.labels = task, objective, tuple(labels)
        self.decay_from, self.seed = decay_from, seed
        self.progress = 0.0
        self.updates = 0
        self.score: Score = task.score(labels)
        """Of the last validation."""
        self.figures: tuple[str, ...] = ()
        """Names of what validation gives beside `val_loss`, each logged as `val_NAME`."""
        self._callable = (torch.compile(self.network) if recipe.compile else self.network,)
        self.register_buffer("weights", weights, persistent=False)
        greys = Greys.of(bands)
        self.register_buffer("dark", None if greys is None else greys.dark, persistent=False)
        self.register_buffer("grey", None if greys is None else greys.step, persistent=False)
        self.register_buffer("mean", torch.tensor(contract.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(contract.std).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("named", torch.zeros(len(labels), dtype=torch.int64), persistent=False)
        self.register_buffer("_loss_sum", torch.zeros(()), persistent=False)
        self.train()  # Lightning leaves modes as they are, and a network that was loaded is in eval mode

    def _norms(self) -> list[nn.Module]:
        return [part for part in self.network.modules() if isinstance(part, _NORMS)]

    def train(self, mode: bool = True) -> TrainingModule:
        """As torch's; the average, the teacher and frozen norms stay in eval mode."""
        super().train(mode)
        self.average.eval()
        if self.teaching is not None:
            self.teaching.teacher.eval()
        if self.recipe.freeze_norm:
            for norm in self._norms():
                norm.eval()
        return self

    def normalised(self, pictures: Tensor) -> Tensor:
        """(B, bands, H, W) of raw values -> what the network takes; maps that were prepared as they are."""
        if self.prepared:
            return pictures.contiguous(memory_format=self._layout)
        scaled = pictures * self.contract.scale + self.contract.offset
        return ((scaled - self.mean) / self.std).contiguous(memory_format=self._layout)  # type: ignore[operator]

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        draws = self._draws(batch)
        raw = batch.pictures.permute(0, 3, 1, 2).float()
        raw_targets = batch.targets
        if not self.prepared:
            raw, raw_targets = self._augmented(raw, raw_targets, draws)
        encoded = self.objective.encode(raw_targets, len(self.labels), self.recipe.label_smoothing)
        inputs, targets = mix(
            self.normalised(raw),
            encoded,
            mixup=self.recipe.mixup,
            cutmix=self.recipe.cutmix,
            draws=draws,
        )
        if self.teaching is None:
            losses = self.objective.losses(self._callable[0](inputs), targets, self._weights)
        else:
            outputs, follow = self.teaching.follow(
                self._callable[0], inputs, targets, self.updates, batch.start
            )
            own = self.objective.losses(outputs, targets, self._weights)
            losses = self.recipe.distillation.labels * own + follow
        return losses.sum() * (self.trainer.world_size / batch.whole)

    def _augmented(self, raw: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Raw pictures at the size of this step, and their targets as they lie there."""
        how = self.recipe.augmentation
        if how.mosaic and self.progress < self.recipe.mosaic_until:
            grey = torch.tensor(float(GREY)) if self._greys is None else self._greys.middle
            raw, targets = self.objective.composed(
                raw,
                targets,
                how.mosaic,
                grey.to(raw.device).reshape(1, -1, 1, 1).expand(1, raw.shape[1], 1, 1),
                draws,
            )
        before = Size(int(raw.shape[2]), int(raw.shape[3]))
        size = self._size(before, draws)
        pictures, places = augment_raw(raw, how, draws, greys=self._greys, size=size)
        return pictures, self.objective.moved(targets, places, before, size)

    def _draws(self, batch: Batch) -> Draws:
        """All random numbers of this step; dropped paths and units draw from torch's own generator."""
        seed = (self.seed * 1_000_003 + self.updates) % 2**62
        torch.manual_seed(seed + self.trainer.global_rank)
        part = slice(batch.start, batch.start + len(batch.targets))
        return Draws(torch.Generator().manual_seed(seed), batch.whole, part)

    @property
    def _greys(self) -> Greys | None:
        return None if self.dark is None else Greys(self.dark, self.grey)  # type: ignore[arg-type]

    @property
    def _weights(self) -> Tensor | None:
        return self.weights  # type: ignore[return-value]

    def _size(self, full: Size, draws: Draws) -> Size:
        """The size of this step: the recipe's side for the longer one, the shorter in its share, in multiples of 16."""
        longest = max(full)
        side = self.recipe.resolution(self.progress, longest)
        if self.recipe.multi_scale:
            share = self.recipe.multi_scale
            side = max(32, round(side * draws.shared(1 - share, 1 + share) / 16) * 16)
        if side == longest:
            return full
        height, width = (
            side if each == longest else max(32, round(each * side / longest / 16) * 16) for each in full
        )
        return Size(height, width)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        set_rates(self.trainer.optimizers[0], self.recipe, self.progress, self.decay_from)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        self.updates += 1
        decay = min(self.recipe.ema_decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            ours, theirs = self.average.state_dict(), self.network.state_dict()
            moving = [k for k, v in ours.items() if v.is_floating_point()]
            torch._foreach_lerp_([ours[k] for k in moving], [theirs[k] for k in moving], 1 - decay)
            for key in ours.keys() - set(moving):
                ours[key].copy_(theirs[key])
            if self.shaping is not None:
                rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
                self.shaping.after_step(self.network, self.average, self.progress, rate)

    def on_validation_epoch_start(self) -> None:
        self.score = self.task.score(self.labels)
        self.named.zero_()
        self._loss_sum.zero_()  # type: ignore[operator]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        pictures, targets = batch
        outputs = self.average(self.normalised(pictures.permute(0, 3, 1, 2).float()))
        self._loss_sum.add_(self.objective.loss_sum(outputs, targets, self._weights))  # type: ignore[operator]
        if (named := self.objective.named(outputs)) is not None:
            self.named.add_(named)
        self.score.update((outputs.float().cpu().numpy(),), targets.cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        loss = self.trainer.strategy.reduce(self._loss_sum, reduce_op="sum")
        self.named = self.trainer.strategy.reduce(self.named, reduce_op="sum")
        self.score = _together(self.score, self.trainer.world_size)
        figures = self.score.figures()
        self.figures = tuple(figures)
        self.log("val_loss", loss / max(1, self.score.count), rank_zero_only=True)
        for name, value in figures.items():
            self.log(f"val_{name}", value, rank_zero_only=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        extra = None if self.teaching is None else self.teaching.adaptors
        return make_optimiser(self.network, self.recipe, extra=extra)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["updates"] = self.updates
        checkpoint["state_dict"] = {
            k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("teaching.teacher.")
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.updates = int(checkpoint["updates"])
        if self.teaching is not None:
            checkpoint["state_dict"] |= {
                f"teaching.teacher.{k}": v for k, v in self.teaching.teacher.state_dict().items()
            }


def _together(score: Score, world: int) -> Score:
    """The scores of all processes as one."""
    if world == 1:
        return score
    parts: list[Any] = [None] * world
    torch.distributed.all_gather_object(parts, score)
    first, *others = parts
    for other in others:
        first.merge(other)
    whole: Score = first
    return whole
