"""Whether a network can learn one batch by heart: asked before a long run whose figures stay at nothing for its first passes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from gossamer.data.batches import TrainBatches
from gossamer.train.module import TrainingModule
from gossamer.train.optimisers import make_optimiser
from gossamer.train.training import Training

__all__ = ["Overfit", "overfit"]

_STEPS = 12
_BATCH = 8
_LEARNS = 0.9
"""Share of the first loss below which the last ones are of a network that learns."""


@dataclass(frozen=True)
class Overfit:
    """Losses of one batch of whole pictures."""

    first: float
    last: float
    """The least of the last four."""
    steps: int
    pictures: int

    @property
    def learns(self) -> bool:
        """Whether the loss fell, and is a number."""
        return self.last < _LEARNS * self.first

    @property
    def told(self) -> str:
        """For a person."""
        moved = (
            f"loss {self.first:.3g} to {self.last:.3g} in {self.steps} steps on one batch of {self.pictures}"
        )
        if self.learns:
            return f"it learns: {moved}"
        return (
            f"it does not learn: {moved}; look at the boxes (gossamer check), at the input (are they there at this size?), or "
            "take a lower rate, --set learning_rate=1e-4"
        )


def overfit(training: Training) -> Overfit:
    """Take some steps on one batch, nothing augmented, with a copy of the network: the training itself is as it was."""
    data, recipe = training.pictures, training.recipe
    count = min(_BATCH, len(data.train))
    names = training.names
    with TemporaryDirectory(prefix="gossamer-overfit-") as folder:
        trial = replace(training, network=copy.deepcopy(training.network), folder=Path(folder), teaching=None)
        module = TrainingModule(
            trial.network,
            trial.contract,
            recipe,
            task=trial.task,
            objective=trial.objective,
            labels=names,
            bands=data.bands,
            prepared=training.prepared,
        )
        optimiser = make_optimiser(module.network, recipe)
        batches = TrainBatches(data.train, data.train_targets, batch=count, chunk=1, seed=0, first=lambda: 0)
        batch = next(iter(batches))
        inputs = module.normalised(batch.pictures.permute(0, 3, 1, 2).float())
        wanted = trial.objective.encode(batch.targets, len(names))
        losses = []
        for _ in range(_STEPS):
            loss = trial.objective.losses(module.network(inputs), wanted, None).mean()
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip_norm:
                torch.nn.utils.clip_grad_norm_(module.network.parameters(), recipe.clip_norm)
            optimiser.step()
            losses.append(float(loss.detach()))
    return Overfit(losses[0], min(losses[-4:]), _STEPS, count)
