"""What a person would try by hand: the learning rate at which the loss falls fastest, the batch that fits and pays.

Learning rate: the range test of Smith, 1506.01186, section 3.3, with rates that rise geometrically. Nothing here
touches the weights of the network that is given, nor torch's global random numbers.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.data.augment import Greys, augment_raw
from gossamer.data.bands import Bands
from gossamer.data.batches import Batch, TrainBatches
from gossamer.data.cache import Pixels
from gossamer.data.draws import Draws
from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError, ModelError
from gossamer.train.mixing import mix
from gossamer.train.objective import TrainingObjective
from gossamer.train.optimisers import make_optimiser
from gossamer.train.recipe import Recipe
from gossamer.types import Size

__all__ = ["LearningRateCurve", "find_batch", "find_learning_rate", "steepest"]

_SMOOTHING = 0.9
"""Share of the smoothed loss that stays with every batch."""
_DIVERGED = 4.0
"""Smoothed loss over its best at which the test ends."""
_FIRST_BATCH = 8
_GAIN = 1.05
"""Pictures a second over those of half the batch, from which a larger batch pays."""
_TIMES = 3
"""Steps timed for each batch, the fastest of which counts: other work only slows."""


@dataclass(frozen=True)
class LearningRateCurve:
    """Losses over rates."""

    rates: tuple[float, ...]
    """Of the last layer, geometrically rising; other layers take the recipe's shares of them."""
    losses: tuple[float, ...]
    """Smoothed: moving averages over batches, corrected for their short past."""
    suggestion: float
    """What `steepest` says of these, or the recipe's own rate where that says nothing."""

    def to_json(self) -> dict[str, Any]:
        """The curve as a JSON object."""
        return asdict(self)


def find_learning_rate(
    network: nn.Module,
    contract: InputContract,
    recipe: Recipe,
    pictures: Pixels,
    targets: NDArray[Any],
    *,
    objective: TrainingObjective,
    width: int,
    bands: Bands | None = None,
    seed: int = 0,
    steps: int = 60,
    low: float = 1e-6,
    high: float = 1.0,
) -> LearningRateCurve:
    """Train a copy of `network` for `steps` batches of pictures (N, H, W, bands) at rates from `low` to `high`.

    `targets` (N, ...) are the objective's, the network gives `width` numbers; `bands`
    say what values mean that are no bytes.
    Optimiser, augmentation and mixing are the recipe's, at full resolution. The test ends before `high` where the
    smoothed loss is four times its best or no number.

    Raises:
        GossamerError: `low` is not between 0 and `high`, or there are fewer than 10 steps.
    """
    if not 0 < low < high or steps < 10:
        raise GossamerError(
            "a range test goes from a rate above 0 to a higher one in 10 steps or more, got "
            f"low={low:g}, high={high:g}, steps={steps}; write e.g. low=1e-6, high=1, steps=60"
        )
    trained = _copy(network, recipe)
    optimiser = make_optimiser(trained, recipe)
    shares = objective.shares(targets) if recipe.balance == "sampling" else None
    batches = TrainBatches(
        pictures, targets, batch=recipe.batch, chunk=steps, seed=seed, first=lambda: 0, shares=shares
    )
    weights = objective.weights(targets, width, balance=recipe.balance == "loss")
    greys = Greys.of(bands)
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with _own_random_numbers(next(trained.parameters()).device, seed):
        for step, batch in enumerate(batches):
            rate = low * (high / low) ** (step / (steps - 1))
            for group in optimiser.param_groups:
                group["lr"] = rate * group["base_lr"] / recipe.learning_rate
            generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**62)
            loss = _step(
                trained, contract, recipe, optimiser, batch, generator, objective, width, weights, greys
            )
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smoothed = average / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _DIVERGED * min(losses)):
                break
            rates.append(rate)
            losses.append(smoothed)
    found = steepest(rates, losses)
    return LearningRateCurve(tuple(rates), tuple(losses), recipe.learning_rate if found is None else found)


def steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the loss falls fastest over the logarithm of the rate, up to its least; None if it never falls.

    The first tenth of the rates is left out: a moving average of a few batches falls and rises by chance.
    """
    start, end = len(losses) // 10, int(np.argmin(losses)) + 1 if losses else 0
    if end - start < 3:
        return None
    slopes = np.gradient(losses[start:end], np.log(rates[start:end]))
    return float(rates[start + int(np.argmin(slopes))]) if slopes.min() < 0 else None


def find_batch(network: nn.Module, contract: InputContract, *, size: Size, most: int = 1024) -> int:
    """The batch of pictures of `size` pixels beyond which training a copy of `network` is not 5 % faster a picture.

    Batches double from 8 (from `most` where that is less) to `most` or until memory is short: what an optimiser keeps
    comes on top. Seconds are of the clock on a GPU and of the processor on a CPU, where others may be at work.

    Raises:
        ModelError: not even the smallest batch fits into memory.
    """
    trained = copy.deepcopy(network).train().requires_grad_(True)
    device = next(trained.parameters()).device
    batch, best, fastest, room = max(1, min(_FIRST_BATCH, most)), 0, 0.0, math.inf
    with _own_random_numbers(device, 0):
        while batch <= most and batch <= room:
            speed = _pictures_per_second(trained, (batch, len(contract.bands), *size), device)
            if speed < _GAIN * fastest or not speed:
                break
            if not best and device.type == "cpu":
                inputs = torch.zeros(batch, len(contract.bands), *size)
                room = _free_bytes() * batch / max(1, _kept_bytes(trained, inputs))
            best, fastest, batch = batch, speed, batch * 2
    if not best:
        raise ModelError(
            f"a batch to train with fits into memory, and {batch} pictures of {size.height} x {size.width} pixels do not; "
            "choose a smaller size or a smaller network"
        )
    return best


def _pictures_per_second(network: nn.Module, shape: tuple[int, ...], device: torch.device) -> float:
    """Of forward and backward on inputs of `shape`, the fastest of some; 0 where memory is short."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    fastest = math.inf
    try:
        inputs = torch.zeros(shape, device=device)
        for _ in range(1 + _TIMES):
            network.zero_grad()
            began = clock()
            torch.stack(
                [part.float().square().mean() for part in _learning(network(inputs))]
            ).sum().backward()
            if on_gpu:
                torch.cuda.synchronize(device)
            fastest = min(fastest, clock() - began)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        network.zero_grad()
        return 0.0
    return len(inputs) / max(fastest, 1e-9)


def _learning(outputs: Any) -> list[Tensor]:
    """The tensors with a gradient in what a network gives: one, or parts of parts."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.requires_grad else []
    if is_dataclass(outputs):
        return _learning([getattr(outputs, part.name) for part in fields(outputs)])
    if isinstance(outputs, (list, tuple)):
        return [tensor for part in outputs for tensor in _learning(part)]
    return []


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory was short, of a GPU (whose error is a RuntimeError too) or of the machine."""
    text = str(error)
    on_cpu = "not enough memory" in text or "DefaultCPUAllocator" in text
    return isinstance(error, torch.OutOfMemoryError) or on_cpu


def _free_bytes() -> int:
    """Memory that can be had without swapping: Linux kills who takes more, and raises nothing."""
    import psutil

    return int(psutil.virtual_memory().available)


def _kept_bytes(network: nn.Module, inputs: Tensor) -> int:
    """What a forward pass keeps for the backward pass, without parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(inputs)
    return sum(kept.values())


def _copy(network: nn.Module, recipe: Recipe) -> nn.Module:
    """A copy set up as the recipe trains it."""
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    copied = copy.deepcopy(network).to(memory_format=layout).train()
    for part in copied.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            if part.momentum is not None:
                part.momentum = max(part.momentum, recipe.norm_momentum)
            if recipe.freeze_norm:
                part.eval().requires_grad_(False)
    return copied


def _step(
    network: nn.Module,
    contract: InputContract,
    recipe: Recipe,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    generator: torch.Generator,
    objective: TrainingObjective,
    width: int,
    weights: Tensor | None,
    greys: Greys | None,
) -> float:
    """One update; the loss before it."""
    device = next(network.parameters()).device
    draws = Draws.whole_batch(generator, len(batch.targets))
    raw = batch.pictures.to(device).permute(0, 3, 1, 2).float()
    size = Size(int(raw.shape[2]), int(raw.shape[3]))
    moved, places = augment_raw(raw, recipe.augmentation, draws, greys=greys, size=size)
    moved_targets = objective.moved(batch.targets.to(device), places, size, size)
    inputs, targets = mix(
        _normalised(moved, contract),
        objective.encode(moved_targets, width, recipe.label_smoothing),
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        draws=draws,
    )
    losses = objective.losses(network(inputs), targets, None if weights is None else weights.to(device))
    loss = losses.mean()
    optimiser.zero_grad()
    loss.backward()
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    optimiser.step()
    return loss.item()


def _normalised(pictures: Tensor, contract: InputContract) -> Tensor:
    """(B, bands, H, W) of 0 to 255 -> what the network takes."""
    mean, std = (
        torch.tensor(values, device=pictures.device).view(1, -1, 1, 1)
        for values in (contract.mean, contract.std)
    )
    return (pictures * contract.scale + contract.offset - mean) / std


@contextmanager
def _own_random_numbers(device: torch.device, seed: int) -> Iterator[None]:
    """What layers draw inside comes from `seed`; torch's generators are as before after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
