"""The bottleneck turned round: wide ends, depthwise convolutions where the channels are many."""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["Sandglass"]


class Sandglass(nn.Module):
    """[Depthwise], reduce 1x1 linear, expand 1x1, [depthwise linear] (MobileNeXt, 2007.02269, figure 3c).

    (B, in, H, W) -> (B, out, H / stride, W / stride). `first` and `last` say which depthwise 3x3 there are; the
    stride is on the last. With `residual` and where the shape is kept the first `identity_channels` (all without) of the input are added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        stride: int = 1,
        first: bool = True,
        last: bool = True,
        residual: bool = True,
        identity_channels: int | None = None,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
    ) -> None:
        super().__init__()
        if stride > 1 and not last:
            raise ModelError(
                f"the stride is on the last depthwise convolution, got stride={stride} without it"
            )
        self.residual = residual and stride == 1 and in_channels == out_channels
        self.identity_channels = in_channels if identity_channels is None else identity_channels
        self.first: nn.Module = nn.Identity()
        if first:
            self.first = ConvNormAct(in_channels, in_channels, 3, groups=in_channels, norm=norm, act=act)
        self.reduce = ConvNormAct(in_channels, hidden_channels, norm=norm, act=None)
        self.expand = ConvNormAct(hidden_channels, out_channels, norm=norm, act=act)
        self.last: nn.Module = nn.Identity()
        if last:
            self.last = ConvNormAct(
                out_channels, out_channels, 3, stride, groups=out_channels, norm=norm, act=None
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.expand(self.reduce(self.first(x))))
        if not self.residual:
            return y
        if self.identity_channels >= x.shape[1]:  # more only where channels were pruned from both
            return x + y
        pad = (0, 0, 0, 0, 0, int(x.shape[1]) - self.identity_channels)
        return y + nn.functional.pad(x[:, : self.identity_channels], pad)
