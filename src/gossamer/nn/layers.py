"""The smallest parts: convolution + norm + activation, channel rounding, squeeze-and-excite."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "Act",
    "ConvNormAct",
    "Norm",
    "SamePadConv2d",
    "SqueezeExcite",
    "channel_shuffle",
    "init_convolutional",
    "make_divisible",
]

Norm = Callable[[int], nn.Module]
Act = Callable[[], nn.Module]


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round a channel count to a multiple of `divisor`, never more than 10 % below the value (MobileNet's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


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
    The bias is there only without a norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        norm: Norm | None = nn.BatchNorm2d,
        act: Act | None = nn.ReLU,
        padding: int | None = None,
        same: bool = False,
    ) -> None:
        conv_type = SamePadConv2d if same and stride > 1 else nn.Conv2d
        pad = (kernel - 1) // 2 if padding is None else padding
        parts: list[nn.Module] = [
            conv_type(in_channels, out_channels, kernel, stride, pad, groups=groups, bias=norm is None)
        ]
        if norm is not None:
            parts.append(norm(out_channels))
        if act is not None:
            parts.append(act())
        super().__init__(*parts)


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


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave `groups` blocks of channels (ShuffleNet, 1707.01083, figure 1): (B, C, H, W) keeps its shape."""
    _, channels, height, width = x.shape
    return (
        x.view(-1, groups, channels // groups, height, width)
        .transpose(1, 2)
        .reshape(-1, channels, height, width)
    )


def init_convolutional(network: nn.Module, *, linear_std: float = 0.01) -> None:
    """He fan-out for convolutions, ones and zeros for norms, N(0, std) for linear layers: in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, linear_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
