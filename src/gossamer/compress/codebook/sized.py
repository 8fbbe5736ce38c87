"""Steps for a whole network so that its file has a wanted size: every layer with weights takes part (torch).

Dense layers are rounded by the second moments of their inputs (`calibrate`, `steps`). Depthwise and grouped layers,
and those too wide for moments, go by one sensitivity each: measured where there are pictures, else every layer's
relative error counts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    measured_sensitivities,
    plan_steps,
)
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.errors import GoalNotMetError
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["Calibrated", "calibrated", "choose_steps"]

Array = NDArray[Any]
MOST_COLUMNS = 2400
"""Weights a filter up to which moments are kept: they are the square of it, in double precision."""
MOMENT_PICTURES, LOSS_PICTURES = 128, 48
_BATCH = 16
_PLAIN_COLUMNS = 64


class Calibrated(NamedTuple):
    """What is known of each layer's sensitivity, once for every size that is tried."""

    moments: dict[str, LayerMoments]
    biases: dict[str, str]
    """Weight tensor -> bias tensor, of layers with moments of their inputs."""
    loss: Loss | None
    shapes: dict[str, tuple[int, ...]]
    """Of layers without such moments: theirs are of rows of `_PLAIN_COLUMNS`."""


def calibrated(
    network: nn.Module,
    weights: Mapping[str, Array],
    batches: Sequence[Tensor],
    seed: int,
    objective: Objective = CLASS_SCORES,
) -> Calibrated:
    """Sensitivities of the named weight tensors; `batches` are prepared pictures (B, C, H, W), or none."""
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    if not batches:
        plain = {name: _relative(tensor) for name, tensor in weights.items()}
        return Calibrated(plain, {}, None, shapes)
    pictures = torch.cat(list(batches))
    moments = measure_moments(
        network,
        pictures[:MOMENT_PICTURES].split(_BATCH),
        seed=seed,
        most_columns=MOST_COLUMNS,
        objective=objective,
    )
    moments = {name: each for name, each in moments.items() if name in weights}
    loss = divergence_from(
        network, pictures[:: max(1, len(pictures) // LOSS_PICTURES)].split(_BATCH), objective
    )
    for name in moments:
        del shapes[name]
    rows = {name: _as_rows(weights[name]) for name in shapes}
    own = {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}
    moments |= measured_sensitivities(
        rows, list(rows), lambda each: loss({**own, **_shaped(each, shapes)}), seed=seed
    )
    biases = {
        name: bias for name, bias in bias_names(network).items() if name in moments and name not in shapes
    }
    return Calibrated(moments, biases, loss, shapes)


def _relative(tensor: Array) -> LayerMoments:
    """An error costs its share of the tensor's own energy."""
    energy = float(np.square(tensor.astype(np.float64)).sum())
    return LayerMoments.plain(_as_rows(tensor).shape[1], 1 / energy if energy else 1.0)


def _as_rows(tensor: Array) -> Array:
    """The numbers in rows that a plain moment is small for."""
    flat = tensor.reshape(-1)
    columns = next(size for size in range(min(_PLAIN_COLUMNS, len(flat)), 0, -1) if len(flat) % size == 0)
    return flat.reshape(-1, columns)


def _shaped(tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    return {name: tensor.reshape(shapes.get(name, tensor.shape)) for name, tensor in tensors.items()}


def choose_steps(
    tensors: Mapping[str, Array],
    target_bytes: int,
    known: Calibrated,
    metadata: Mapping[str, Any],
) -> tuple[StepChoice, bool]:
    """(steps for tensors and metadata of at most so many bytes, whether they reach it).

    Where the size is out of reach, the least multiple of it (by doubling) that is reached.

    Raises:
        ModelError: weights that are not finite.
    """
    rows = {name: _as_rows(tensor) if name in known.shapes else tensor for name, tensor in tensors.items()}
    loss = known.loss

    def felt(each: Mapping[str, Array]) -> float:
        return 0.0 if loss is None else loss(_shaped(each, known.shapes))

    gone = {*known.moments, *known.biases.values()}
    nothing = {name: np.zeros_like(tensor) if name in gone else tensor for name, tensor in rows.items()}
    floor, wanted = len(pack(nothing, metadata=metadata)), max(1, target_bytes)
    while True:
        try:
            if wanted > floor:
                choice = plan_steps(
                    rows,
                    wanted,
                    known.moments,
                    biases=known.biases,
                    loss=None if loss is None else felt,
                    metadata=metadata,
                )
                return replace(choice, tensors=_shaped(choice.tensors, known.shapes)), wanted <= target_bytes
        except GoalNotMetError:
            floor = wanted
        wanted *= 2
