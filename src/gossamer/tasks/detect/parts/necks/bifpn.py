"""BiFPN: paths down and up over five levels, with learnt weights where they meet (EfficientDet, 1911.09070, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm
from gossamer.tasks.detect.parts.necks.neck import Neck, fitted, upsampled

__all__ = ["BiFPN"]

_FEW = 1e-4


class _Meeting(nn.Module):
    """Maps of one shape summed, each with a learnt share where `weighted`; activation, parted 3x3, norm."""

    def __init__(self, count: int, channels: int, *, weighted: bool, norm: Norm, act: Act) -> None:
        super().__init__()
        self.shares = nn.Parameter(torch.ones(count)) if weighted else None
        self.act = act()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = ConvNormAct(channels, channels, norm=norm, act=None)

    def forward(self, *maps: Tensor) -> Tensor:
        if self.shares is None:
            total = sum(maps[1:], start=maps[0])
        else:
            shares = self.shares.relu()
            shares = shares / (shares.sum() + _FEW)
            parts = [each * shares[index] for index, each in enumerate(maps)]
            total = sum(parts[1:], start=parts[0])
        y: Tensor = self.pointwise(self.depthwise(self.act(total)))
        return y


class _Cell(nn.Module):
    """One pass down and one up: five levels of `channels` in and out.

    The first cell takes maps of the backbone: they come to `channels` by a 1x1 each time they are used.
    """

    def __init__(
        self, channels: int, levels: int, resample: Sequence[int], *, weighted: bool, norm: Norm, act: Act
    ) -> None:
        super().__init__()

        def taken(index: int) -> nn.Module:
            if index >= len(resample):
                return nn.Identity()
            return ConvNormAct(resample[index], channels, norm=norm, act=None)

        def meeting(count: int) -> nn.Module:
            return _Meeting(count, channels, weighted=weighted, norm=norm, act=act)

        self.pool = nn.MaxPool2d(3, 2, 1)
        self.taken_down = nn.ModuleList(taken(index) for index in range(levels))
        self.taken_up = nn.ModuleList(taken(index) if index else nn.Identity() for index in range(levels - 1))
        self.down = nn.ModuleList(meeting(2) for _ in range(levels - 1))
        self.up = nn.ModuleList(meeting(3 if index < levels - 2 else 2) for index in range(levels - 1))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        own = [take(level) for take, level in zip(self.taken_down, levels, strict=True)]
        inner = [own[-1]]
        for index in range(len(own) - 2, -1, -1):
            finer = own[index]
            inner.insert(0, self.down[index](finer, upsampled(inner[0], finer)))
        outputs = [inner[0]]
        for index in range(1, len(own)):
            shrunk = fitted(self.pool(outputs[-1]), own[index])
            if index == len(own) - 1:
                outputs.append(self.up[index - 1](own[index], shrunk))
            else:
                again = self.taken_up[index](levels[index])
                outputs.append(self.up[index - 1](again, inner[index], shrunk))
        return outputs


class BiFPN(Neck):
    """Three maps of reductions 8, 16, 32 -> five levels of `channels`, of reductions 8 to 128."""

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 64,
        cells: int = 3,
        weighted: bool = True,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.SiLU,
    ) -> None:
        super().__init__()
        self.strides = (8, 16, 32, 64, 128)
        self.channels = (channels,) * len(self.strides)
        self.reduce = ConvNormAct(in_channels[-1], channels, norm=norm, act=None)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.cells = nn.ModuleList(
            _Cell(
                channels,
                len(self.strides),
                in_channels if index == 0 else (),
                weighted=weighted,
                norm=norm,
                act=act,
            )
            for index in range(cells)
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        sixth = self.pool(self.reduce(pyramid[-1]))
        levels = [*pyramid, sixth, self.pool(sixth)]
        for cell in self.cells:
            levels = cell(levels)
        return levels
