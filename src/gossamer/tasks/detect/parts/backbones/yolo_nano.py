"""The backbone of YOLO Nano: a Highly Compact You Only Look Once Convolutional Neural Network for Object Detection.

Wong et al., 2019, arXiv 1910.01271, figure 3; channels as in the reimplementation of liux0614 (MIT).
"""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct, SqueezeExcite, init_convolutional
from gossamer.nn.network import Network, StageList

__all__ = ["PEP", "ep", "yolo_nano_backbone"]


def ep(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Expansion and projection: 1x1, depthwise 3x3, linear 1x1, the input added where shapes match."""
    return InvertedResidual(in_channels, out_channels, in_channels, stride=stride, always_expand=True)


class PEP(nn.Module):
    """Projection, expansion, projection: 1x1 to `hidden` channels, then `ep` from there; the input added where shapes match.

    (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: int) -> None:
        super().__init__()
        self.residual = in_channels == out_channels
        self.reduce = ConvNormAct(in_channels, hidden, act=nn.ReLU6)
        self.expand = ep(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand(self.reduce(x))
        return x + y if self.residual else y


def yolo_nano_backbone(*, in_channels: int = 3) -> Network:
    """Stem and stages without a classifier: maps of reductions 2, 4, 8, 16, 32."""
    stem = nn.Sequential(
        ConvNormAct(in_channels, 12, 3, act=nn.ReLU6), ConvNormAct(12, 24, 3, 2, act=nn.ReLU6)
    )
    stages = StageList(24, reduction=2)

    def add(block: nn.Module, channels: int, stride: int = 1) -> None:
        stages.add(block, channels=channels, stride=stride)

    def peps(*hidden: int) -> None:
        for inner in hidden:
            add(PEP(stages.channels, stages.channels, inner), stages.channels)

    peps(7)
    for channels, hidden in ((70, (25, 24)), (150, (56,))):
        stages.end_stage()
        add(ep(stages.channels, channels, 2), channels, 2)
        peps(*hidden)
    add(ConvNormAct(150, 150, act=nn.ReLU6), 150)
    add(SqueezeExcite(150, 150 // 8, gate=nn.Sigmoid), 150)
    peps(73, 71, 75)
    stages.end_stage()
    add(ep(150, 325, 2), 325, 2)
    peps(132, 124, 141, 140, 137, 135, 133, 140)
    stages.end_stage()
    add(ep(325, 545, 2), 545, 2)
    peps(276)
    add(ConvNormAct(545, 230, act=nn.ReLU6), 230)
    add(ep(230, 489), 489)
    add(PEP(489, 469, 213), 469)
    add(ConvNormAct(469, 189, act=nn.ReLU6), 189)
    network = Network(stem, stages.stages(), nn.Identity())
    init_convolutional(network)
    return network
