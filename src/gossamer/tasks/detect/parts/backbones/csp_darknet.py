"""CSPDarknet: the backbone of YOLOX (Ge et al., 2107.08430; the layers of YOLOv5 by its description).

Four stages, each a 3x3 of stride 2 and a cross-stage-partial layer. The stem is a 6x6 of stride 2: a 3x3 on pixels of
2x2 laid side by side ("focus") is the same convolution, kernel for kernel.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from gossamer.nn.blocks import CSPLayer, DepthwiseSeparable, PyramidPooling
from gossamer.nn.layers import ConvNormAct, Norm
from gossamer.nn.network import Network, StageList

__all__ = ["NORM", "csp_darknet"]

CHANNELS = (64, 128, 256, 512, 1024)
REPEATS = (3, 9, 9, 3)
"""Bottlenecks of each stage before `depth`: YOLOX' figures; the v5 style has 3, 6, 9, 3."""
NORM: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


def csp_darknet(
    *,
    in_channels: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    depthwise: bool = False,
    repeats: tuple[int, ...] = REPEATS,
    pool_last: bool = False,
) -> Network:
    """Stem and stages without a classifier: maps of reductions 4, 8, 16, 32.

    Spatial pyramid pooling stands before the last cross-stage layer, which has no shortcuts then; with `pool_last` its
    chained form stands behind it. `depthwise` parts every 3x3 but the stem.
    """
    stem_channels, *widths = (int(channels * width) for channels in CHANNELS)
    stages = StageList(stem_channels, reduction=2)
    for index, (channels, count) in enumerate(zip(widths, repeats, strict=True)):
        last = index == len(widths) - 1
        down: nn.Module = (
            DepthwiseSeparable(stages.channels, channels, stride=2, norm=NORM, act=nn.SiLU)
            if depthwise
            else ConvNormAct(stages.channels, channels, 3, 2, norm=NORM, act=nn.SiLU)
        )
        stages.add(down, channels=channels, stride=2)
        if last and not pool_last:
            stages.add(PyramidPooling(channels, channels, norm=NORM))
        stages.add(
            CSPLayer(
                channels,
                channels,
                depth=max(1, round(count * depth)),
                shortcut=pool_last or not last,
                depthwise=depthwise,
                norm=NORM,
            )
        )
        if last and pool_last:
            stages.add(PyramidPooling(channels, channels, (5, 5, 5), chained=True, norm=NORM))
        stages.end_stage()
    stem = ConvNormAct(in_channels, stem_channels, 6, 2, padding=2, norm=NORM, act=nn.SiLU)
    return Network(stem, stages.stages(), nn.Identity())
