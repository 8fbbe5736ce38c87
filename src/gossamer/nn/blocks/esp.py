"""Efficient spatial pyramids: dilated convolutions of one reduced map, fused from small to large."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.layers import ConvNormAct, Norm, norm_then

__all__ = ["EESP", "ESP", "EESPDownsampler"]

_BN_PRELU = norm_then(nn.PReLU)


class ESP(nn.Module):
    """Reduce 1x1, 3x3 with dilations 1 to 16, fuse by sums, concatenate (ESPNet, 1803.06815, figure 1).

    (B, in, H, W) -> (B, out, H / stride, W / stride). The first dilation is kept apart from the sums and takes the
    channels that out / 5 leaves over. With `residual` the input is added before norm and activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        residual: bool = True,
        norm: Norm = _BN_PRELU,
    ) -> None:
        super().__init__()
        share = out_channels // 5
        self.residual = residual and stride == 1 and in_channels == out_channels
        kernel, pad = (3, 1) if stride > 1 else (1, 0)
        self.reduce = nn.Conv2d(in_channels, share, kernel, stride, pad, bias=False)
        self.branches = nn.ModuleList(
            nn.Conv2d(
                share,
                out_channels - 4 * share if dilation == 1 else share,
                3,
                padding=dilation,
                dilation=dilation,
                bias=False,
            )
            for dilation in (1, 2, 4, 8, 16)
        )
        self.norm = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        first, *others = (branch(reduced) for branch in self.branches)
        fused = [first, *_running_sums(others)]
        y = torch.cat(fused, 1)
        result: Tensor = self.norm(x + y if self.residual else y)
        return result


class EESP(nn.Module):
    """Grouped reduce 1x1, depthwise 3x3 with growing dilation, fuse by sums, grouped 1x1 (ESPNetv2, 1811.11431).

    (B, in, H, W) -> (B, out, H / stride, W / stride), section 3.1 and figure 1c. Branch i sees `receptive[i]`
    pixels, 3 + 2 (dilation - 1). At stride 1 with in == out the input is added; `act` is the last activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        receptive: Sequence[int],
        stride: int = 1,
        norm: Norm = nn.BatchNorm2d,
        activate: bool = True,
    ) -> None:
        super().__init__()
        branches = len(receptive)
        share = out_channels // branches
        self.residual = stride == 1 and in_channels == out_channels
        activated = norm_then(nn.PReLU, norm)
        self.reduce = ConvNormAct(in_channels, share, groups=branches, norm=activated, act=None)
        dilations = [(size - 1) // 2 for size in sorted(receptive)]
        self.branches = nn.ModuleList(
            nn.Conv2d(share, share, 3, stride, d, dilation=d, groups=share, bias=False) for d in dilations
        )
        self.fused_norm = activated(out_channels)
        self.mix = ConvNormAct(out_channels, out_channels, groups=branches, norm=norm, act=None)
        self.act = nn.PReLU(out_channels) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        fused = _running_sums([branch(reduced) for branch in self.branches])
        y = self.mix(self.fused_norm(torch.cat(fused, 1)))
        result: Tensor = self.act(x + y if self.residual else y)
        return result


class EESPDownsampler(nn.Module):
    """3x3 mean beside an EESP of stride 2, the shrunken picture added (ESPNetv2, 1811.11431, figure 2 and section 3.2).

    (B, in, H, W), and the picture (B, bands, h, w) of any size -> (B, out, H / 2, W / 2). Without `bands` the
    picture is not asked for.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        receptive: Sequence[int],
        bands: int | None,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 2, 1)
        self.work = EESP(
            in_channels,
            out_channels - in_channels,
            receptive=receptive,
            stride=2,
            norm=norm,
            activate=False,
        )
        self.picture: nn.Module | None = None
        if bands is not None:
            self.picture = nn.Sequential(
                ConvNormAct(bands, 3, 3, norm=norm_then(nn.PReLU, norm), act=None),
                ConvNormAct(3, out_channels, norm=norm, act=None),
            )
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        y = torch.cat([self.pool(x), self.work(x)], 1)
        if self.picture is not None and image is not None:
            while image.shape[2] > y.shape[2]:
                image = self.pool(image)
            y = y + self.picture(image)
        result: Tensor = self.act(y)
        return result


def _running_sums(maps: Sequence[Tensor]) -> list[Tensor]:
    """Hierarchical feature fusion (ESPNet, figure 1b): each map plus all before it."""
    sums = [maps[0]]
    for following in maps[1:]:
        sums.append(sums[-1] + following)
    return sums
