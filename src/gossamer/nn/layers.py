"""The smallest parts: convolution + norm + activation, channel rounding, squeeze-and-excite, pooling to a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.plain_pools import grid_means

__all__ = [
    "Act",
    "ConvNormAct",
    "DropPath",
    "Excite",
    "GridPool",
    "MixedConv2d",
    "Norm",
    "ResponseNorm",
    "SamePadConv2d",
    "SqueezeExcite",
    "channel_shuffle",
    "init_convolutional",
    "make_divisible",
    "norm_then",
    "split_evenly",
]

Norm = Callable[[int], nn.Module]
"""Channels -> a module that keeps the shape."""
Act = Callable[[], nn.Module]
Excite = Callable[[int], nn.Module]
"""Channels -> a gate that keeps the shape, such as squeeze-and-excite."""


def make_divisible(value: float, divisor: int = 8, *, keep: float = 0.9) -> int:
    """Round a channel count to a multiple of `divisor`, never below `keep` of the value (MobileNet's rule).

    Raises:
        ModelError: less than one channel is left.
    """
    if value < 1:
        raise ModelError(f"a layer has at least 1 channel, this width leaves {value:g}; use a larger width")
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < keep * value else rounded


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: at stride 2 the odd pixel goes right and below.

    (B, C, H, W) -> (B, out, ceil(H / stride), ceil(W / stride)).
    """

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-int(size) // stride) - 1) * stride + kernel - int(size), 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(
            F.pad(input, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


class ConvNormAct(nn.Sequential):
    """Convolution, then norm, then activation; either may be left out.

    (B, in, H, W) -> (B, out, H / stride, W / stride). `same=True` pads as TensorFlow does where stride > 1.
    The bias is there only without a norm, unless `bias` says so.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        norm: Norm | None = nn.BatchNorm2d,
        act: Act | None = nn.ReLU,
        padding: int | None = None,
        same: bool = False,
        bias: bool | None = None,
    ) -> None:
        conv_type = SamePadConv2d if same and stride > 1 else nn.Conv2d
        pad = dilation * (kernel - 1) // 2 if padding is None else padding
        biased = norm is None if bias is None else bias
        parts: list[nn.Module] = [
            conv_type(
                in_channels, out_channels, kernel, stride, pad, dilation=dilation, groups=groups, bias=biased
            )
        ]
        if norm is not None:
            parts.append(norm(out_channels))
        if act is not None:
            parts.append(act())
        super().__init__(*parts)


class MixedConv2d(nn.Module):
    """Depthwise convolutions of several kernel sizes side by side, each on its share of the channels.

    (B, C, H, W) -> (B, C, H / stride, W / stride). MixConv (Tan & Le, 1907.09595, equation 2): the channels are
    split as evenly as they go, what is left over goes to the first kernel.
    """

    def __init__(self, channels: int, kernels: Sequence[int], stride: int = 1, *, same: bool = False) -> None:
        super().__init__()
        self.shares = split_evenly(channels, len(kernels))
        conv_type = SamePadConv2d if same and stride > 1 else nn.Conv2d
        self.branches = nn.ModuleList(
            conv_type(share, share, kernel, stride, (kernel - 1) // 2, groups=share, bias=False)
            for share, kernel in zip(self.shares, kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.shares, 1)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], 1)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., 1709.01507): global mean, reduce, activation, expand, gate. Shape is kept."""

    def __init__(
        self, channels: int, squeeze_channels: int, *, act: Act = nn.ReLU, gate: Act = nn.Hardsigmoid
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.act = act()
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * weights


class GridPool(nn.Module):
    """Means over a fixed grid of cells: (B, C, H, W) -> (B, C, side, side), as `nn.AdaptiveAvgPool2d(side)` gives.

    Written as two small matrix products where the map is not a multiple of the grid, which every runtime can
    run; the adaptive pooling operator can be exported for multiples only.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return grid_means(x, (self.side, self.side))


class ResponseNorm(nn.Module):
    """x / (k + alpha * sum of x^2 over the `size` nearest channels)^beta; the shape is kept.

    Local response normalisation (Krizhevsky et al., NeurIPS 2012, section 3.3). `alpha` is not divided by the size as
    in torch and Caffe. torch's own goes through a 3-D pool, which the exporter cannot write.
    """

    def __init__(self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        rows = x.square().transpose(1, 2)  # (B, H, C, W): a pool along C
        means = F.avg_pool2d(rows, (self.size, 1), 1, (self.size // 2, 0)).transpose(1, 2)
        return x / (self.k + self.alpha * self.size * means) ** self.beta


class DropPath(nn.Module):
    """Drops a whole residual branch per picture while training (Huang et al., 1603.09382); keeps the mean."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device, dtype=x.dtype) >= self.rate
        return x * kept / (1 - self.rate)


def norm_then(act: Callable[[int], nn.Module], norm: Norm = nn.BatchNorm2d) -> Norm:
    """A norm followed by an activation that has a parameter a channel, such as PReLU."""
    return lambda channels: nn.Sequential(norm(channels), act(channels))


def split_evenly(channels: int, parts: int) -> list[int]:
    """Sizes of so many shares of the channels; what is left over goes to the first."""
    share = channels // parts
    return [channels - share * (parts - 1), *[share] * (parts - 1)]


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave `groups` blocks of channels (ShuffleNet, 1707.01083, figure 1): (B, C, H, W) keeps its shape."""
    channels, height, width = (int(size) for size in x.shape[1:])  # constants for whoever traces this
    return (
        x.view(-1, groups, channels // groups, height, width)
        .transpose(1, 2)
        .reshape(-1, channels, height, width)
    )


def init_convolutional(
    network: nn.Module,
    *,
    conv: Callable[[Tensor], object] = lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out"),
    linear: Callable[[Tensor], object] | None = None,
    linear_std: float = 0.01,
) -> None:
    """Convolutions by `conv` (He fan-out), linear layers by `linear` (N(0, std)), biases zero: in place.

    Norms are made as ones and zeros and stay so. On the meta device there is nothing to do.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.is_meta:
            continue
        if isinstance(module, nn.Conv2d):
            conv(module.weight)
        elif isinstance(module, nn.Linear):
            if linear is None:
                nn.init.normal_(module.weight, 0.0, linear_std)
            else:
                linear(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
