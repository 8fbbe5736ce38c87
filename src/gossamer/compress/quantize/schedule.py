"""Schedules of quantization that work between the steps of a training.

INQ (Zhou et al., 1702.03044, section 3): the largest 50, 75, 87.5 and 100 % of each layer's weights are fixed at powers
of two in turn, and what is still float makes up for them. Binary networks in two stages (Martinez et al., 2003.11535,
section 4.1, and ReActNet): binary activations with float weights first, then binary weights.

What is fixed lies in the layers' `held`, so a training that was killed goes on with the same weights fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.errors import GossamerError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.quantized import FREE, ROUND, QuantizedLayer
from gossamer.nn.quantizers import pot_codes, pot_values
from gossamer.nn.shaping import Shaping, Together

__all__ = ["BinaryStages", "Incremental", "shaping_of"]


@dataclass(frozen=True)
class Incremental:
    """INQ: from each progress in `starts` on, this share of every pot layer's weights is fixed."""

    shares: tuple[float, ...] = (0.5, 0.75, 0.875, 1.0)
    starts: tuple[float, ...] = (0.0, 0.3, 0.55, 0.75)

    def __post_init__(self) -> None:
        """Raises: GossamerError: shares or starts that do not rise, or do not end and begin as they must."""
        rising = all(list(each) == sorted(each) for each in (self.shares, self.starts))
        fits = len(self.shares) == len(self.starts) and self.shares[-1:] == (1.0,)
        if not rising or not fits or not 0 <= min(self.starts) <= max(self.starts) < 1:
            raise GossamerError(
                f"shares rise to 1 and each has a start from 0 to below 1, got {self.shares} and {self.starts}; "
                "give e.g. (0.5, 1.0) and (0.0, 0.6)"
            )

    @property
    def settled(self) -> float:
        """From where on all weights are fixed."""
        return self.starts[-1]

    @torch.no_grad()
    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Fix what is due; the moving average holds the same codes, and both hold their values as weights."""
        due = max((s for s, at in zip(self.shares, self.starts, strict=True) if progress >= at), default=0.0)
        for layer, twin in _pairs(network, average, "pot"):
            if due:
                _fix(layer, due)
            twin.held.copy_(layer.held)
            for each in (layer, twin):
                fixed = each.held > FREE
                values = pot_values(each.held * fixed, each.weight_top, each.bits.bits)
                each.weight.copy_(torch.where(fixed, values, each.weight))


@dataclass(frozen=True)
class BinaryStages:
    """Weights of layers with binary inputs stay float up to a progress of `second`, and are binary from there on."""

    second: float = 0.4

    @property
    def settled(self) -> float:
        """From where on weights are binary too."""
        return self.second

    @torch.no_grad()
    def after_step(self, network: nn.Module, average: nn.Module, progress: float, rate: float) -> None:
        """Say of both networks' layers which stage it is."""
        for layer, twin in _pairs(network, average, "binary"):
            if layer.bits.activation_bits == 1:
                for each in (layer, twin):
                    each.held.fill_(FREE if progress < self.second else ROUND)


def shaping_of(layers: Mapping[str, LayerBits]) -> Shaping | None:
    """What layers of these bits are trained with; None where gradients alone will do."""
    parts: list[Shaping] = []
    if any(bits.weights == "pot" for bits in layers.values()):
        parts.append(Incremental())
    if any((bits.weights, bits.activation_bits) == ("binary", 1) for bits in layers.values()):
        parts.append(BinaryStages())
    return Together(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def _fix(layer: QuantizedLayer, share: float) -> None:
    """Fix the largest weights that are not fixed yet until this share is: in place."""
    fixed: Tensor = layer.held > FREE
    missing = round(share * fixed.numel()) - int(fixed.sum())
    if missing <= 0:
        return
    size = torch.where(fixed, -1.0, layer.weight.abs()).flatten()
    chosen = torch.zeros_like(size, dtype=torch.bool)
    chosen[torch.topk(size, missing).indices] = True
    codes = pot_codes(layer.weight, layer.weight_top, layer.bits.bits).to(torch.int8)
    free = torch.full_like(layer.held, FREE)
    layer.held.copy_(torch.where(chosen.view_as(fixed), codes, torch.where(fixed, layer.held, free)))


def _pairs(
    network: nn.Module, average: nn.Module, kind: str
) -> Iterator[tuple[QuantizedLayer, QuantizedLayer]]:
    """Layers of a kind beside those of the moving average."""
    twins = quantized_layers(average)
    for name, layer in quantized_layers(network).items():
        if layer.bits.weights == kind:
            yield layer, twins[name]
