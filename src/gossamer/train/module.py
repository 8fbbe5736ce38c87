"""The LightningModule of a classifier: loss, optimiser, schedule by progress, moving average of the weights."""

from __future__ import annotations

import copy
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.data.augment import augment
from gossamer.deploy.contract import InputContract
from gossamer.nn.network import last_layer
from gossamer.train.recipe import Recipe

__all__ = ["ClassifierModule", "distillation_loss"]


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened scores (B, K), times the temperature squared (Hinton et al., 1503.02531, section 2)."""
    log_student = F.log_softmax(student / temperature, 1)
    log_teacher = F.log_softmax(teacher / temperature, 1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


class ClassifierModule(L.LightningModule):
    """Trains `network` on batches (pictures (B, H, W, 3) uint8, labels (B,)); validates its moving average.

    `progress` (0 to 1) is set from outside before each step: by seconds or by steps, whichever the run is bounded by.
    """

    def __init__(
        self,
        network: nn.Module,
        contract: InputContract,
        recipe: Recipe,
        *,
        decay_from: float,
        seed: int,
        teacher: nn.Module | None = None,
        average: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        for part in self.network.modules():
            if isinstance(part, nn.BatchNorm2d) and part.momentum is not None:
                part.momentum = max(part.momentum, recipe.norm_momentum)
        self.average = copy.deepcopy(self.network) if average is None else average
        self.average.requires_grad_(False).eval()
        self.teacher = None if teacher is None else teacher.requires_grad_(False).eval()
        self.contract = contract
        self.recipe = recipe
        self.decay_from = decay_from
        self.seed = seed
        self.progress = 0.0
        self.updates = 0
        self.register_buffer("mean", torch.tensor(contract.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(contract.std).view(1, -1, 1, 1), persistent=False)

    def _normalised(self, pictures: Tensor) -> Tensor:
        scaled = pictures * self.contract.scale + self.contract.offset
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)  # type: ignore[operator]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        pictures, labels = batch
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.updates) % 2**63)
        size = self.recipe.resolution(self.progress, pictures.shape[1])
        moved = augment(pictures.permute(0, 3, 1, 2).float(), self.recipe.augmentation, generator, size=size)
        inputs = self._normalised(moved)
        scores = self.network(inputs)
        loss = F.cross_entropy(scores, labels, label_smoothing=self.recipe.label_smoothing)
        if self.teacher is not None:
            with torch.no_grad():
                target = self.teacher(inputs)
            follow = distillation_loss(scores, target, self.recipe.temperature)
            loss = (1 - self.recipe.teacher_weight) * loss + self.recipe.teacher_weight * follow
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        share = self.recipe.rate(self.progress, decay_from=self.decay_from)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["base_lr"] * share

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        self.updates += 1
        decay = min(self.recipe.ema_decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            ours, theirs = self.average.state_dict(), self.network.state_dict()
            moving = [k for k, v in ours.items() if v.is_floating_point()]
            torch._foreach_lerp_([ours[k] for k in moving], [theirs[k] for k in moving], 1 - decay)
            for key in ours.keys() - set(moving):
                ours[key].copy_(theirs[key])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        pictures, labels = batch
        scores = self.average(self._normalised(pictures.permute(0, 3, 1, 2).float()))
        count = len(labels)
        self.log("val_loss", F.cross_entropy(scores, labels), batch_size=count)
        self.log("val_accuracy", (scores.argmax(1) == labels).float().mean(), batch_size=count)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        head = {id(p) for p in last_layer(self.network)[1].parameters()}
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for parameter in self.network.parameters():
            groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": rate * (1.0 if is_head else self.recipe.body_rate),
                    "base_lr": rate * (1.0 if is_head else self.recipe.body_rate),
                    "weight_decay": decay if decays else 0.0,
                }
                for (is_head, decays), parameters in groups.items()
            ],
            fused=True,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["updates"] = self.updates
        if self.teacher is not None:
            checkpoint["state_dict"] = {
                k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("teacher.")
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.updates = int(checkpoint["updates"])
        if self.teacher is not None:
            checkpoint["state_dict"] |= {f"teacher.{k}": v for k, v in self.teacher.state_dict().items()}
