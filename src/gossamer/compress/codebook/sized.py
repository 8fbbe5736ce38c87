"""Steps for a whole network so that its file has a wanted size: every layer with weights takes part (torch).

Dense layers are rounded by the second moments of their inputs (`calibrate`, `steps`). Depthwise and grouped layers,
and those too wide for moments, go by one sensitivity each: measured where there are pictures, else every layer's
relative error counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.compress.codebook.calibrate import bias_names, divergence_from, measure_moments
from gossamer.compress.codebook.steps import (
    LayerMoments,
    Loss,
    StepChoice,
    coarsest,
    measured_sensitivities,
    plan_steps,
)
from gossamer.deploy.runtimes.packed.integers import Coder
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["Calibrated", "calibrated", "choose_steps", "coarsest_steps"]

Array = NDArray[Any]
MOST_COLUMNS = 2400
"""Weights a filter up to which moments are kept: they are the square of it, in double precision."""
MOMENT_PICTURES, LOSS_PICTURES = 128, 48
_BATCH = 16


class Calibrated(NamedTuple):
    """What is known of each layer's sensitivity, once for every size that is tried."""

    moments: dict[str, LayerMoments]
    biases: dict[str, str]
    """Weight tensor -> bias tensor, of layers with moments of their inputs."""
    loss: Loss | None


def calibrated(
    network: nn.Module,
    weights: Mapping[str, Array],
    batches: Sequence[Tensor],
    seed: int,
    objective: Objective = CLASS_SCORES,
) -> Calibrated:
    """Sensitivities of the named weight tensors; `batches` are prepared pictures (B, C, H, W), or none."""
    if not batches:
        return Calibrated({name: _relative(tensor) for name, tensor in weights.items()}, {}, None)
    pictures = torch.cat(list(batches))
    moments = measure_moments(
        network,
        pictures[:MOMENT_PICTURES].split(_BATCH),
        seed=seed,
        most_columns=MOST_COLUMNS,
        objective=objective,
    )
    moments = {name: each for name, each in moments.items() if name in weights}
    biases = {name: bias for name, bias in bias_names(network).items() if name in moments}
    loss = divergence_from(
        network, pictures[:: max(1, len(pictures) // LOSS_PICTURES)].split(_BATCH), objective
    )
    own = {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}
    others = [name for name in weights if name not in moments]
    moments |= measured_sensitivities(weights, others, lambda each: loss({**own, **each}), seed=seed)
    return Calibrated(moments, biases, loss)


def _relative(tensor: Array) -> LayerMoments:
    """An error costs its share of the tensor's own energy."""
    energy = float(np.square(tensor.astype(np.float64)).sum())
    return LayerMoments.alike(tensor.size, 1 / energy if energy else 1.0)


def choose_steps(
    tensors: Mapping[str, Array],
    target_bytes: int,
    known: Calibrated,
    metadata: Mapping[str, Any],
    coder: Coder = "rans",
) -> tuple[StepChoice, bool]:
    """(steps for tensors and metadata of at most so many bytes, whether they reach it).

    Where even the coarsest steps are larger, the least multiple of the size (by doubling) that they reach.

    Raises:
        ModelError: weights that are not finite.
    """
    wanted = max(1, target_bytes)
    floor = coarsest_steps(tensors, known, metadata, coder).size_bytes
    while wanted < floor:
        wanted *= 2
    choice = plan_steps(
        tensors,
        wanted,
        known.moments,
        biases=known.biases,
        loss=known.loss,
        metadata=metadata,
        coder=coder,
    )
    return choice, wanted <= target_bytes


def coarsest_steps(
    tensors: Mapping[str, Array], known: Calibrated, metadata: Mapping[str, Any], coder: Coder = "rans"
) -> StepChoice:
    """Every tensor that is rounded is zero: no choice of steps has a smaller file."""
    return coarsest(tensors, known.moments, known.biases, metadata=metadata, coder=coder)
