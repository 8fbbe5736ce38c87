"""ResNet: Deep Residual Learning for Image Recognition.

He et al., CVPR 2016, arXiv 1512.03385. Stages: table 1; projection shortcuts where the shape changes (option B). The
bottlenecks of `form="paper"` stride in their first 1x1 convolution, those of `form="torchvision"` in the 3x3 (later
"v1.5": 6 % more multiply-accumulates at depth 50). Depths 18 and 34 have no bottlenecks, so only one form.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import BasicBlock, Bottleneck
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["resnet"]

CHANNELS = (64, 128, 256, 512)
"""3x3 channels of conv2_x to conv5_x; bottlenecks make EXPANSION times as many."""
EXPANSION = 4
TABLE_1: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Depth -> blocks of conv2_x to conv5_x; bottlenecks from 50 on."""


def resnet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    depth: Literal[18, 34, 50, 101, 152] = 50,
    form: Literal["paper", "torchvision"] = "paper",
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """ResNet of a depth: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such depth or form.
    """
    if depth not in TABLE_1:
        raise ModelError(f"depth is one of {', '.join(map(str, TABLE_1))}, got {depth}; take 18 or 50")
    if form not in ("paper", "torchvision"):
        raise ModelError(f"form is paper or torchvision, got {form!r}; leave it out for the paper's")
    stem_channels = make_divisible(64 * width)
    stem = nn.Sequential(ConvNormAct(in_channels, stem_channels, 7, 2), nn.MaxPool2d(3, 2, 1))
    stages = StageList(stem_channels, reduction=4)
    for index, (c, repeats) in enumerate(zip(CHANNELS, TABLE_1[depth], strict=True)):
        channels = make_divisible(c * width)
        for repeat in range(repeats):
            stride = 2 if index > 0 and repeat == 0 else 1
            block: nn.Module
            if depth < 50:
                out = channels
                block = BasicBlock(stages.channels, out, stride=stride)
            else:
                out = channels * EXPANSION
                block = Bottleneck(
                    stages.channels, out, channels, stride=stride, stride_first=form == "paper"
                )
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network
