"""Norms that were folded into convolutions, made trainable again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gossamer.nn.modes import in_eval, taken_off

__all__ = ["has_plain_norms", "unfold_norms"]


def has_plain_norms(network: nn.Module) -> bool:
    """Whether its norms change nothing but for their biases: what a file without norms leaves of them."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return bool(norms) and all(
        norm.running_mean is not None
        and norm.running_var is not None
        and not bool(norm.running_mean.any())
        and bool((norm.running_var == 1).all())
        for norm in norms
    )


def unfold_norms(network: nn.Module, inputs: Tensor) -> None:
    """Give the norms the statistics of what comes to them for these inputs (N, bands, H, W), outputs as they were: in place.

    A file without norms is read with norms of mean 0 and variance 1, which blow up when they are trained, since what comes
    to them has other statistics. Scale and bias take back what mean and variance take away. Norms that a part of training
    alone runs, and channels that nothing varies in, stay as they are.
    """
    sums: dict[nn.Module, tuple[Tensor, Tensor, int]] = {}

    def seen(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0].detach().double()
        total, squares, count = sums.get(norm, (0.0, 0.0, 0))
        sums[norm] = (
            total + x.sum((0, 2, 3)),
            squares + x.square().sum((0, 2, 3)),
            count + x.numel() // x.shape[1],
        )

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with in_eval(network), torch.no_grad(), taken_off([n.register_forward_pre_hook(seen) for n in norms]):
        for picture in inputs.split(8):
            network(picture)
    for norm, (total, squares, count) in sums.items():
        assert isinstance(norm, nn.BatchNorm2d)
        mean = total / count
        _refit(norm, mean, (squares / count - mean.square()).clamp(min=0))


def _refit(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Other statistics, the same affine map: in place."""
    assert isinstance(norm.running_mean, Tensor)
    assert isinstance(norm.running_var, Tensor)
    old = (norm.running_var.double() + norm.eps).sqrt()
    slope = norm.weight.detach().double() / old
    shift = norm.bias.detach().double() - norm.running_mean.double() * slope
    varies = variance > norm.eps
    mean = torch.where(varies, mean, norm.running_mean.double())
    variance = torch.where(varies, variance, norm.running_var.double())
    norm.weight.data = (slope * (variance + norm.eps).sqrt()).to(norm.weight.dtype)
    norm.bias.data = (shift + mean * slope).to(norm.bias.dtype)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
