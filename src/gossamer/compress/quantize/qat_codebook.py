"""Shared values without training: each layer's weights become the nearest of 2^bits of its own, by k-means.

Deep Compression's codebook (Han et al., 1510.00149, section 3), and what repairs it most cheaply: the statistics of
batch norms, taken again from pictures. That costs a healthy network points and wins a damaged one many, so statistics
move only as far as a metric on other pictures says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch import nn

from gossamer.compress.prune.repair import reestimate_norms
from gossamer.compress.prune.scores import Batches
from gossamer.compress.quantize.pictures import check_network
from gossamer.deploy.runtimes.packed.kmeans import cluster_values, nearest_values
from gossamer.errors import DataError, ModelError

__all__ = ["better_norms", "share_weights"]

_BITS = range(1, 9)


@torch.no_grad()
def share_weights(network: nn.Module, bits: int, *, skip: Collection[str] = ()) -> nn.Module:
    """A copy in which every convolution and linear layer but those of `skip` has at most 2^bits different weights.

    Raises:
        ModelError: bits outside 1 to 8, or weights that are not finite.
    """
    if bits not in _BITS:
        raise ModelError(f"a codebook of a layer has 1 to 8 bits, got {bits}; give e.g. 4")
    check_network(network)
    shared = copy.deepcopy(network)
    for name, layer in shared.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and name not in skip:
            values = layer.weight.detach().cpu().double().numpy().ravel()
            centres = cluster_values(values, 2**bits)
            found = centres[nearest_values(values, centres)].astype(np.float32)
            layer.weight.copy_(torch.from_numpy(found).view_as(layer.weight))
    return shared


def better_norms(
    network: nn.Module,
    batches: Batches,
    metric: Callable[[nn.Module], float],
    *,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
) -> tuple[nn.Module, float]:
    """(the network, or a copy whose norms' statistics went this share of the way to those of the pictures, that share).

    The share is 0 where no other has a better metric; `metric` looks at pictures other than `batches`.

    Raises:
        DataError: no pictures.
    """
    if not batches:
        raise DataError("statistics of norms are taken from pictures, got none; give a few hundred")
    best, kept, score = network, 0.0, metric(network)
    fresh = reestimate_norms(network, batches)
    for share in shares:
        mixed = _between(network, fresh, share)
        found = metric(mixed)
        if found > score:
            best, kept, score = mixed, share, found
    return best, kept


@torch.no_grad()
def _between(before: nn.Module, after: nn.Module, share: float) -> nn.Module:
    """A copy whose running statistics lie between those of two networks."""
    mixed = copy.deepcopy(after)
    old = dict(before.named_buffers())
    for name, buffer in mixed.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.lerp(old[name], buffer, share))
    return mixed
