"""Blocks that widen, convolve depthwise and narrow again: inverted residual and its universal form."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import Act, ConvNormAct, DropPath, Excite, MixedConv2d, Norm, channel_shuffle

__all__ = ["InvertedResidual", "UniversalInvertedBottleneck"]


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, [squeeze-excite], project 1x1 linear (MobileNetV2, 1801.04381, table 1).

    (B, in, H, W) -> (B, out, H / stride, W / stride). The expansion is left out where hidden == in, unless
    `always_expand`; the input is added where stride is 1 and in == out. The gate of `excite` sits after the
    depthwise activation (MobileNetV3, 1905.02244, figure 4). Several kernels share the channels (MixConv,
    1907.09595). `expand_groups` and `project_groups` group the 1x1 convolutions; `shuffle` mixes the groups
    after the expansion (FBNet, 1812.03443, figure 3). `bias` adds one to every convolution beside its norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        kernel: int | Sequence[int] = 3,
        stride: int = 1,
        excite: Excite | None = None,
        expand_groups: int = 1,
        project_groups: int = 1,
        shuffle: bool = False,
        always_expand: bool = False,
        drop_path: float = 0.0,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
        same: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        self.expand: nn.Module = nn.Identity()
        if always_expand or hidden_channels != in_channels:
            self.expand = ConvNormAct(
                in_channels, hidden_channels, groups=expand_groups, norm=norm, act=act, bias=bias
            )
        self.shuffle_groups = expand_groups if shuffle else 1
        kernels = [kernel] if isinstance(kernel, int) else list(kernel)
        self.depthwise: nn.Module
        if len(kernels) == 1:
            self.depthwise = ConvNormAct(
                hidden_channels,
                hidden_channels,
                kernels[0],
                stride,
                groups=hidden_channels,
                norm=norm,
                act=act,
                same=same,
                bias=bias,
            )
        else:
            mixed = MixedConv2d(hidden_channels, kernels, stride, same=same)
            self.depthwise = nn.Sequential(mixed, norm(hidden_channels), act())
        self.excite = nn.Identity() if excite is None else excite(hidden_channels)
        self.project = ConvNormAct(
            hidden_channels, out_channels, groups=project_groups, norm=norm, act=None, bias=bias
        )
        self.drop_path = DropPath(drop_path) if drop_path and self.residual else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(x)
        if self.shuffle_groups > 1:
            y = channel_shuffle(y, self.shuffle_groups)
        y = self.project(self.excite(self.depthwise(y)))
        return x + self.drop_path(y) if self.residual else y


class UniversalInvertedBottleneck(nn.Module):
    """[Depthwise], expand 1x1, [depthwise], project 1x1 linear (MobileNetV4, 2404.10518, figure 4).

    (B, in, H, W) -> (B, out, H / stride, W / stride). A kernel of 0 leaves that depthwise convolution out: both
    is the extra depthwise form, the middle alone an inverted bottleneck, the first alone ConvNext-like, none a
    feed-forward layer. The stride is on the middle one where there is one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        start_kernel: int,
        middle_kernel: int,
        stride: int = 1,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        if stride > 1 and not (start_kernel or middle_kernel):
            raise ModelError(
                f"a stride needs a depthwise convolution to take it, got stride={stride} and kernels of 0"
            )
        self.residual = stride == 1 and in_channels == out_channels
        self.start: nn.Module = nn.Identity()
        if start_kernel:
            start_stride = 1 if middle_kernel else stride
            self.start = ConvNormAct(
                in_channels,
                in_channels,
                start_kernel,
                start_stride,
                groups=in_channels,
                norm=norm,
                act=None,
            )
        self.expand = ConvNormAct(in_channels, hidden_channels, norm=norm, act=act)
        self.middle: nn.Module = nn.Identity()
        if middle_kernel:
            self.middle = ConvNormAct(
                hidden_channels,
                hidden_channels,
                middle_kernel,
                stride,
                groups=hidden_channels,
                norm=norm,
                act=act,
            )
        self.project = ConvNormAct(hidden_channels, out_channels, norm=norm, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.middle(self.expand(self.start(x))))
        return x + y if self.residual else y
