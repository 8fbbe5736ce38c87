"""A standard convolution taken apart: one filter a channel, then 1x1 across channels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Excite, Norm

__all__ = ["DepthwiseSeparable", "XceptionBlock"]


class DepthwiseSeparable(nn.Module):
    """Depthwise k x k, [norm, activation, squeeze-excite], pointwise 1x1, norm, [activation].

    (B, in, H, W) -> (B, out, H / stride, W / stride). MobileNet (1704.04861, figure 3) has norm and activation
    after both (`between`), Xception (1610.02357, section 2) nothing between them. No residual.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        excite: Excite | None = None,
        between: bool = True,
        norm: Norm = nn.BatchNorm2d,
        act: Act | None = nn.ReLU,
        same: bool = False,
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            in_channels,
            in_channels,
            kernel,
            stride,
            groups=in_channels,
            norm=norm if between else None,
            act=act if between else None,
            same=same,
            bias=False,
        )
        self.excite = nn.Identity() if excite is None else excite(in_channels)
        self.pointwise = ConvNormAct(in_channels, out_channels, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.excite(self.depthwise(x)))
        return y


class XceptionBlock(nn.Module):
    """Separable 3x3 convolutions in a row, each after an activation, [3x3 maximum], a shortcut (1610.02357, figure 5).

    (B, in, H, W) -> (B, channels[-1], H / stride, W / stride). Where the shape changes the shortcut is a 1x1
    convolution with a norm. Nothing is activated at the end; `first_act=False` leaves out the leading activation,
    which the first block does not have.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        stride: int = 1,
        first_act: bool = True,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels[-1] != in_channels:
            self.shortcut = ConvNormAct(in_channels, channels[-1], 1, stride, norm=norm, act=None)
        parts: list[nn.Module] = []
        for index, out_channels in enumerate(channels):
            if index > 0 or first_act:
                parts.append(act())
            parts.append(DepthwiseSeparable(in_channels, out_channels, between=False, norm=norm, act=None))
            in_channels = out_channels
        if stride != 1:
            parts.append(nn.MaxPool2d(3, stride, 1))
        self.branch = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x) + self.shortcut(x)
        return y
