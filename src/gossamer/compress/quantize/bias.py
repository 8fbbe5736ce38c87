"""Bias correction: rounding moves the mean of what a layer gives, and its bias takes the shift back.

Nagel et al., 1906.04721, section 4.2, the empirical form: E[W x] - E[W~ x~] of each channel on calibration pictures
without labels, layer after layer, x~ from the layers that are corrected already.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gossamer.compress.quantize.flow import Layer
from gossamer.compress.quantize.sweep import INT8, Exact, Rounding, channel_means, sweep

__all__ = ["correct_bias", "correct_biases"]


def correct_biases(network: nn.Module, pictures: Tensor, *, rounding: Rounding = INT8) -> nn.Module:
    """A new network, norms folded, whose biases make up for rounding; its weights are untouched.

    `pictures` (N, C, H, W) are one batch: 32 to 64.

    Raises:
        DataError, ModelError: as `sweep`.
    """
    return sweep(network, pictures, settle=_take_back, rounding=rounding)


def correct_bias(layer: Layer, inputs: Tensor, exact: Exact, rounding: Rounding) -> None:
    """Move a layer's bias such that, rounded, it gives the mean it should: in place; it gets one if it has none."""
    own = layer.weight
    layer.weight = nn.Parameter(rounding.weight(own.detach()))
    try:
        with torch.no_grad():
            _take_back(layer, layer.forward(inputs), exact)
    finally:
        layer.weight = own


def _take_back(layer: Layer, output: Tensor, exact: Exact) -> Tensor:
    """Move the bias by what the mean of the rounded layer's output lacks: in place, the output as well."""
    shift = exact.mean - channel_means(output)
    layer.bias = nn.Parameter(shift if layer.bias is None else layer.bias.detach() + shift)
    return output.add_(shift[:, None, None] if output.dim() == 4 else shift)
