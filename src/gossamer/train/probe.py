"""A closed-form linear probe on a network's features: in seconds, the figure that training must beat.

Linear probes: Alain and Bengio, 1610.01644. Ridge regression on class indicators with the leave-one-out error in
closed form: Rifkin and Lippert, Notes on Regularized Least Squares, MIT-CSAIL-TR-2007-025, sections 3 and 4 (the
error itself is Allen's PRESS, Technometrics 16, 1974).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.data.cache import Pixels
from gossamer.deploy.contract import InputContract
from gossamer.errors import DataError, ModelError
from gossamer.nn.edits.rescale import Rescale
from gossamer.nn.modes import in_eval
from gossamer.nn.network import last_layer
from gossamer.tasks import Task
from gossamer.train.objective import TrainingObjective

__all__ = ["RIDGES", "Floor", "Probe", "Ridge", "fit_ridge", "floor_of", "linear_probe", "probe_network"]

RIDGES = tuple(10.0**power for power in range(-4, 4))
"""Tried for every probe: weights of the squared norm against the mean squared error over pictures."""

_SCALES = tuple(2.0**power for power in range(9))
_BATCH = 64
_MOST_PICTURES = 20_000
_CONSTANT = 1e-6
"""Deviation over mean below which a feature is constant: float32 sums differ by as much with the batch."""


@dataclass(frozen=True)
class Probe:
    """What the probe found."""

    score: float
    """The headline figure of the task on the validation pictures."""
    seconds: float
    ridge: float
    """Of `RIDGES`."""
    dimensions: int
    """Features a picture."""
    fitted: Ridge
    """From features to encoded targets."""


class Floor(NamedTuple):
    """A network that answers as the probe does, and what it reaches: training is worth nothing that ends below."""

    network: nn.Module
    score: float
    """The headline figure on the validation pictures, measured on the network."""


@dataclass(frozen=True)
class Ridge:
    """Scores are (features - mean) * scale @ weights + bias."""

    mean: Tensor
    """(D,)"""
    scale: Tensor
    """(D,): 1 over the deviation, 0 of constant features."""
    weights: Tensor
    """(D, K)"""
    bias: Tensor
    """(K,)"""
    ridge: float
    errors: tuple[float, ...]
    """Mean squared leave-one-out error a picture, summed over classes, for each of `RIDGES`."""

    def scores(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, K)."""
        return (features.double() - self.mean) * self.scale @ self.weights + self.bias


def linear_probe(
    network: nn.Module,
    contract: InputContract,
    pictures: Pixels,
    targets: NDArray[Any],
    val_pictures: Pixels,
    val_targets: NDArray[Any],
    *,
    task: Task,
    objective: TrainingObjective,
    labels: Sequence[str],
    seed: int = 0,
    prepared: bool = False,
) -> Probe:
    """The score on validation pictures (M, H, W, bands) of ridge regression on features of (N, H, W, bands).

    Features are the means of the last map of a `Network`, and what the last layer of another module takes. Of more
    than 20,000 pictures so many are drawn by `seed`. The network stays as it is. Of
    `prepared` pictures the network takes what they hold, maps (N, H, W, C).

    Raises:
        DataError: fewer than two pictures to learn from, or none to validate on.
    """
    if len(targets) < 2 or not len(val_targets):
        raise DataError(
            "a linear probe needs two training pictures and one to validate on, got "
            f"{len(targets)} and {len(val_targets)}; give it more pictures"
        )
    began = time.perf_counter()
    chosen = np.arange(len(targets))
    if len(targets) > _MOST_PICTURES:
        generator = np.random.default_rng(seed)
        chosen = np.sort(generator.choice(len(targets), _MOST_PICTURES, replace=False))
    made = None if prepared else contract
    features = _features(network, made, pictures, chosen)
    fitted = fit_ridge(features, objective.encode(torch.from_numpy(targets[chosen]), len(labels)))
    scores = fitted.scores(_features(network, made, val_pictures, np.arange(len(val_targets))))
    score = task.worth((objective.of_probe(scores).numpy(),), val_targets, labels)
    return Probe(score, time.perf_counter() - began, fitted.ridge, features.shape[1], fitted)


def floor_of(
    network: nn.Module,
    contract: InputContract,
    fitted: Ridge,
    pictures: Pixels,
    targets: NDArray[Any],
    *,
    task: Task,
    objective: TrainingObjective,
    labels: Sequence[str],
    prepared: bool = False,
) -> Floor | None:
    """The probe as a network, measured on validation pictures (M, H, W, bands); None where it cannot be one.

    Least squares on indicators gives scores between 0 and 1, of which a softmax makes next to nothing: scores of classes
    are multiplied by the power of two that has the least loss, which no answer depends on.
    """
    try:
        probed = probe_network(network, fitted, objective)
    except ModelError:
        return None
    made = None if prepared else contract
    with in_eval(probed), torch.no_grad():
        outputs = torch.cat([probed(inputs).float().cpu() for inputs in _inputs(probed, made, pictures)])
    known = torch.from_numpy(targets)
    scale = 1.0
    if objective.named(outputs) is not None:
        scale = min(_SCALES, key=lambda each: float(objective.loss_sum(each * outputs, known)))
        probed = probe_network(network, fitted, objective, scale=scale)
    return Floor(probed, task.worth(((scale * outputs).numpy(),), targets, labels))


def probe_network(
    network: nn.Module, fitted: Ridge, objective: TrainingObjective, *, scale: float = 1.0
) -> nn.Module:
    """A copy of the network that answers as the probe does: its last layer gives the fitted scores times `scale`.

    Where something that is not linear follows the last layer its answers differ: measure before it ships.

    Raises:
        ModelError: the last layer has no bias to hold the fitted one.
    """
    probed = copy.deepcopy(network)
    layer = last_layer(probed)[1]
    if layer.bias is None:
        raise ModelError("a probe needs a last layer with a bias to become a network, this one has none")
    weights = scale * (fitted.scale[:, None] * fitted.weights).T
    bias = scale * objective.of_probe(fitted.bias) - weights @ fitted.mean
    for part in probed.modules():
        if isinstance(part, Rescale):  # the outputs are its, in the unit of the data
            weights, bias = weights / part.scale[:, None], (bias - part.offset) / part.scale
    with torch.no_grad():
        layer.weight.copy_(weights.reshape(layer.weight.shape))
        layer.bias.copy_(bias)
    return probed.eval()


def fit_ridge(features: Tensor, encoded: Tensor) -> Ridge:
    """Ridge regression from standardised features (N, D) to centred targets (N, K), in float64.

    The ridge is that of `RIDGES` with the least leave-one-out error, for which the mean and scale of the features stay
    and the bias is fitted anew. With X = U S V' the fitted targets are U S^2 / (S^2 + N ridge) U' Y, so U and S^2 from
    the smaller of X'X and XX' are all that is needed.
    """
    features, targets = features.double(), encoded.double()
    mean, bias = features.mean(0), targets.mean(0)
    deviation = features.std(0, correction=0)
    scale = torch.where(deviation > _CONSTANT * mean.abs(), 1 / deviation, 0.0)
    inputs, centred = (features - mean) * scale, targets - bias
    left, squares = _left_vectors(inputs)
    projected = left.T @ centred
    count = len(targets)
    powers = left.square()
    errors = []
    for ridge in RIDGES:
        kept = squares / (squares + count * ridge)
        residuals = centred - left @ (kept[:, None] * projected)
        influence = 1 / count + powers @ kept
        errors.append(float((residuals / (1 - influence)[:, None]).square().sum() / count))
    ridge = RIDGES[int(np.argmin(errors))]
    weights = inputs.T @ (left @ (projected / (squares + count * ridge)[:, None]))
    return Ridge(mean, scale, weights, bias, ridge, tuple(errors))


def _left_vectors(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (N, R) and squares of the R singular values of (N, D) that are not 0."""
    count, dimensions = inputs.shape
    wide = count <= dimensions
    squares, vectors = torch.linalg.eigh(inputs @ inputs.T if wide else inputs.T @ inputs)
    there = squares > squares[-1] * max(count, dimensions) * torch.finfo(squares.dtype).eps
    squares, vectors = squares[there], vectors[:, there]
    return (vectors if wide else inputs @ vectors / squares.sqrt()), squares


def _features(
    network: nn.Module, contract: InputContract | None, pictures: Pixels, chosen: NDArray[np.int64]
) -> Tensor:
    """Features (N, D) of the pictures `chosen`, float32 on the CPU; without a contract they are maps."""
    with in_eval(network), torch.no_grad():
        rows = [
            _pooled(network, inputs).float().cpu() for inputs in _inputs(network, contract, pictures, chosen)
        ]
    return torch.cat(rows)


def _inputs(
    network: nn.Module,
    contract: InputContract | None,
    pictures: Pixels,
    chosen: NDArray[np.int64] | None = None,
) -> Iterator[Tensor]:
    """What the network takes of the pictures (`chosen` ones or all), batch by batch, on its device."""
    device = next(network.parameters()).device
    order = np.arange(len(pictures)) if chosen is None else chosen
    for start in range(0, len(order), _BATCH):
        part = pictures[order[start : start + _BATCH]]
        if contract is None:
            yield torch.from_numpy(part).permute(0, 3, 1, 2).float().to(device)
        else:
            yield torch.from_numpy(contract.normalise(part)).to(device)


def _pooled(network: nn.Module, inputs: Tensor) -> Tensor:
    """(B, bands, H, W) -> (B, D): what the last layer is given, its mean over places."""
    taken: list[Tensor] = []
    hook = last_layer(network)[1].register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    try:
        network(inputs)
    finally:
        hook.remove()
    return taken[0].mean((2, 3)) if taken[0].ndim == 4 else taken[0].flatten(1)
