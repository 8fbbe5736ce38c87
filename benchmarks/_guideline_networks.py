"""Networks of equal macs that differ in one thing each: the guidelines of ShuffleNet V2, and channel snapping.

Ma et al., ECCV 2018, arXiv 1807.11164, section 3, tables 1 to 4: ten building blocks stacked on a 56x56 map. The
mean over pixels ends each network here, so that little leaves the runtime. The paper's widths are seldom multiples
of a vector, which costs time by itself; the series "full vectors" repeats a guideline with multiples of 16 only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, init_convolutional

__all__ = ["GROUPS", "SIDE", "Case", "Group", "built"]

SIDE, BLOCKS = 56, 10
PAPER, FULL = "paper's widths", "full vectors"
SNAPPED = (30, 31, 32, 33, 34, 36, 40, 47, 48, 49, 63, 64, 65)
MULTIPLE = 16
"""Channels in one block of ONNX Runtime's layout on AVX-512; 8 on AVX2 and 4 on NEON divide it."""


class Case(NamedTuple):
    """One network of a group."""

    name: str
    base: str
    """The network of the group its time is held against."""
    channels: int
    """Of the input."""
    block: Callable[[], nn.Module]
    """(B, C, H, W) keeps its shape; stacked `BLOCKS` times."""
    stem: Callable[[], nn.Module] = nn.Identity
    """(B, channels, H, W) -> (B, C, H, W)."""


class Group(NamedTuple):
    """Networks that are timed in the same rounds."""

    guideline: str
    series: str
    cases: tuple[Case, ...]


class _Parallel(nn.Module):
    """The sum of branches that look at the same input: (B, C, H, W) keeps its shape."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return functools.reduce(torch.add, (branch(x) for branch in self.branches))


class _Bottleneck(nn.Module):
    """1x1 to a quarter, 3x3, 1x1 back, as in ResNet; activation and shortcut may be left out."""

    def __init__(self, channels: int, act: Act | None, shortcut: bool) -> None:
        super().__init__()
        inner = channels // 4
        self.body = nn.Sequential(
            ConvNormAct(channels, inner, act=act),
            ConvNormAct(inner, inner, 3, act=act),
            ConvNormAct(inner, channels, act=None),
        )
        self.act = nn.Identity() if act is None else act()
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x)
        activated: Tensor = self.act(out + x if self.shortcut else out)
        return activated


def built(case: Case, *, seed: int = 0) -> nn.Module:
    """The whole network in eval mode, random weights: (B, channels, H, W) -> (B, C)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            case.stem(), *(case.block() for _ in range(BLOCKS)), nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
        )
        init_convolutional(network)
    return network.eval()


def _widths(series: str, *pairs: tuple[str, int, int]) -> Group:
    """G1, table 1: two 1x1 convolutions, c1 -> c2 -> c1 channels."""

    def case(ratio: str, outer: int, inner: int) -> Case:
        def block() -> nn.Module:
            return nn.Sequential(ConvNormAct(outer, inner), ConvNormAct(inner, outer))

        return Case(f"{ratio} ({outer}, {inner})", f"1:1 ({pairs[0][1]}, {pairs[0][2]})", outer, block)

    return Group("G1", series, tuple(case(*pair) for pair in pairs))


def _groups(series: str, *pairs: tuple[int, int]) -> Group:
    """G2, table 2: one 1x1 convolution in so many groups."""

    def case(groups: int, channels: int) -> Case:
        def block() -> nn.Module:
            return ConvNormAct(channels, channels, groups=groups)

        return Case(f"g={groups} ({channels})", f"g=1 ({pairs[0][1]})", channels, block)

    return Group("G2", series, tuple(case(*pair) for pair in pairs))


def _fragments(series: str, *rows: tuple[int, str, int]) -> Group:
    """G3, table 3: one to four 1x1 convolutions, one after the other or summed side by side."""

    def case(count: int, order: str, channels: int) -> Case:
        def block() -> nn.Module:
            parts = [ConvNormAct(channels, channels) for _ in range(count)]
            return _Parallel(parts) if order == "parallel" else nn.Sequential(*parts)

        name = f"{count} {order} ({channels})" if count > 1 else f"1 fragment ({channels})"
        return Case(name, f"1 fragment ({rows[0][2]})", channels, block)

    return Group("G3", series, tuple(case(*row) for row in rows))


def _elementwise(series: str, channels: int, act: type[nn.Module]) -> Group:
    """G4, table 4: a bottleneck with and without activation and shortcut.

    A stem from 3 channels stands before the blocks: an input of the network itself is never in the blocked layout, and
    the first addition to it would take all others out of it.
    """

    def stem() -> nn.Module:
        return ConvNormAct(3, channels, act=None)

    def case(name: str, used: Act | None, shortcut: bool) -> Case:
        return Case(name, "neither", 3, lambda: _Bottleneck(channels, used, shortcut), stem)

    name = act.__name__
    cases = (
        case("neither", None, False),
        case(name, act, False),
        case("shortcut", None, True),
        case(f"{name} + shortcut", act, True),
    )
    return Group("G4", series, cases)


def _snapping(series: str, *, depthwise: bool) -> Group:
    """G5, not of the paper: widths beside a multiple of the vector, each held against the nearest multiple."""

    def case(channels: int) -> Case:
        def block() -> nn.Module:
            pointwise = ConvNormAct(channels, channels)
            if not depthwise:
                return pointwise
            return nn.Sequential(pointwise, ConvNormAct(channels, channels, 3, groups=channels))

        nearest = MULTIPLE * -(-(channels - MULTIPLE // 2) // MULTIPLE)
        return Case(str(channels), str(nearest), channels, block)

    return Group("G5", series, tuple(case(channels) for channels in SNAPPED))


GROUPS: tuple[Group, ...] = (
    _widths(PAPER, ("1:1", 128, 128), ("1:2", 90, 180), ("1:6", 52, 312), ("1:12", 37, 444)),
    _widths(FULL, ("1:1", 64, 64), ("1:4", 32, 128), ("1:16", 16, 256)),
    _groups(PAPER, (1, 128), (2, 180), (4, 256), (8, 360)),
    _groups(FULL, (1, 64), (4, 128), (16, 256)),
    _fragments(
        PAPER, (1, "", 128), (2, "series", 90), (4, "series", 64), (2, "parallel", 90), (4, "parallel", 64)
    ),
    _fragments(FULL, (1, "", 64), (4, "series", 32), (4, "parallel", 32)),
    _elementwise(FULL, 128, nn.ReLU),
    _elementwise("full vectors, Hardswish", 128, nn.Hardswish),
    _snapping("pointwise", depthwise=False),
    _snapping("pointwise and depthwise", depthwise=True),
)
