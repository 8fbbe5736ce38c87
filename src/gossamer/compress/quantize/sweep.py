"""One pass through a network that is being quantized, layer after layer, with what each should have given beside it.

The fp32 network runs first and leaves behind each layer's mean output and some of its outputs. Then the same pictures
run through a network whose inputs and weights are rounded; each layer may be mended before the next one sees what it
gives. All pictures are one batch, so that two passes do for any number of layers (Nagel et al., 1906.04721, appendix D,
correct layers one by one). Outputs are hundreds of megabytes: what goes over them does so once and copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.compress.quantize.flow import Layer, follow, heavy_layers
from gossamer.compress.quantize.pictures import check_network, check_pictures, run_on
from gossamer.compress.quantize.ranges import RangeMethod, find_range
from gossamer.compress.quantize.simulate import Grid, asymmetric_grid, fake_quantize, symmetric_grid
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.modes import taken_off

__all__ = ["INT8", "Exact", "Rounding", "Settle", "Visit", "channel_means", "sweep"]


@dataclass(frozen=True)
class Rounding:
    """What is rounded to what: activations per tensor, weights per channel or per tensor."""

    bits: int = 8
    """Of weights."""
    activation_bits: int = 8
    per_channel: bool = True
    ranges: RangeMethod = "minmax"

    def weight(self, weight: Tensor) -> Tensor:
        """A layer's weight on its grid."""
        return fake_quantize(weight, symmetric_grid(weight, bits=self.bits, per_channel=self.per_channel))


INT8 = Rounding()


@dataclass(frozen=True)
class Exact:
    """A layer of the fp32 network on the calibration pictures."""

    mean: Tensor
    """Mean of each output channel, (out,)"""
    places: Tensor
    """Places (N H W) that were sampled, in order."""
    outputs: Tensor
    """What it gives there, (places, out)"""
    low: float
    high: float
    """Range of its inputs."""


Visit = Callable[[str, Layer, Tensor, Exact], None]
"""(name, layer, its rounded inputs, what it should give): may change weight and bias in place."""

Settle = Callable[[Layer, Tensor, Exact], Tensor]
"""(layer, its rounded output, what it should give) to the output it then gives: may change the bias in place."""


def sweep(
    network: nn.Module,
    pictures: Tensor,
    visit: Visit | None = None,
    *,
    settle: Settle | None = None,
    rounding: Rounding = INT8,
    samples: int = 0,
    seed: int = 0,
) -> nn.Module:
    """A new network, norms folded, whose layers were mended in the order in which they run.

    `visit` mends a layer before it runs, `settle` once it has: it is spared a run of its own. `pictures` (N, C, H, W)
    are one batch: 32 to 64. `samples` outputs of every layer are kept for comparison. The
    layers' weights are rounded for the pass only: the new network holds what these two wrote.

    Raises:
        DataError: no pictures, or not finite.
        ModelError: weights are not finite, or the network does not take the pictures.
    """
    check_pictures(pictures)
    check_network(network)
    exact, ours = fuse(network), fuse(network)
    names = follow(exact, tuple(pictures.shape)).layers
    known = _exact(exact, names, pictures, rounding, samples, seed)
    layers = {name: layer for name, layer in heavy_layers(ours).items() if name in known}
    handles: list[Any] = []
    for name, layer in layers.items():
        handles += _round_in_pass(name, layer, known[name], rounding, visit, settle)
    with taken_off(handles):
        run_on(ours, pictures)
    return ours


def _round_in_pass(
    name: str, layer: Layer, exact: Exact, rounding: Rounding, visit: Visit | None, settle: Settle | None
) -> list[Any]:
    """Hooks that round what goes into a layer, mend it, and give what it gives once it is rounded."""
    grid = asymmetric_grid(exact.low, exact.high, bits=rounding.activation_bits)
    own: list[nn.Parameter] = []

    def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs = _on_grid(args[0], grid)
        if visit is not None:
            visit(name, layer, inputs, exact)
        own.append(nn.Parameter(layer.weight.detach()))
        layer.weight = nn.Parameter(rounding.weight(layer.weight.detach()))
        return (inputs, *args[1:])

    def after(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        layer.weight = own.pop()
        return None if settle is None else settle(layer, output, exact)

    return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]


def _exact(
    network: nn.Module,
    names: tuple[str, ...],
    pictures: Tensor,
    rounding: Rounding,
    samples: int,
    seed: int,
) -> dict[str, Exact]:
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Exact] = {}

    def note(name: str, value: Tensor, output: Tensor) -> None:
        count = output.numel() // max(1, _channels(output))
        places = torch.randperm(count, generator=generator)[:samples].sort().values
        found[name] = Exact(channel_means(output), places, _at(output, places), *_range(value, rounding))

    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: note(name, args[0], output)
        )
        for name in names
    ]
    with taken_off(handles):
        scores = run_on(network, pictures)
    if not bool(torch.isfinite(scores).all()):
        raise ModelError("the network gives NaN for calibration pictures; check their size and the weights")
    return found


def channel_means(output: Tensor) -> Tensor:
    """The mean of each channel of (N, C, H, W) or (..., C)."""
    return output.mean((0, 2, 3)) if output.dim() == 4 else output.flatten(0, -2).mean(0)


def _channels(output: Tensor) -> int:
    return int(output.shape[1 if output.dim() == 4 else -1])


def _at(output: Tensor, places: Tensor) -> Tensor:
    """What (N, C, H, W) or (..., C) holds at these of its N H W places: (places, C)."""
    if output.dim() != 4:
        return output.flatten(0, -2)[places]
    pixels = output.shape[2] * output.shape[3]
    return output.flatten(2)[places // pixels, :, places % pixels]


def _range(value: Tensor, rounding: Rounding) -> tuple[float, float]:
    """`find_range`, whose look at every value min-max can do without: what is not finite shows at the ends."""
    if rounding.ranges != "minmax":
        return find_range(value, rounding.ranges, bits=rounding.activation_bits)
    low, high = value.aminmax()
    return min(0.0, float(low)), max(0.0, float(high))


def _on_grid(values: Tensor, grid: Grid) -> Tensor:
    """`fake_quantize` in one buffer: a quarter of its time on a layer's inputs."""
    codes = (values / grid.scale).round_().add_(grid.zero_point).clamp_(grid.low, grid.high)
    return codes.sub_(grid.zero_point).mul_(grid.scale)
