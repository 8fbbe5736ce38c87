"""ResNet for 32 x 32 pictures: Deep Residual Learning for Image Recognition, section 4.2.

He et al., CVPR 2016, arXiv 1512.03385. 6n + 2 layers: 20, 32, 44, 56 (table 6); a stem of 3x3 and three stages of
n basic blocks with 16, 32 and 64 channels; shortcuts without parameters (option A). The paper does not say where
the zero channels go: they are put evenly before and after, as in the published weights of akamaster.
"""

from __future__ import annotations

from gossamer.errors import ModelError
from gossamer.nn.blocks import BasicBlock
from gossamer.nn.layers import ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["resnet_cifar"]

CHANNELS = (16, 32, 64)


def resnet_cifar(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    depth: int = 20,
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """ResNet of a depth 6n + 2 for small pictures: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: a depth that is not 6n + 2.
    """
    if depth < 8 or depth % 6 != 2:
        raise ModelError(f"depth is 6n + 2 with n of at least 1, got {depth}; take 20, 32, 44 or 56")
    stem = ConvNormAct(in_channels, make_divisible(CHANNELS[0] * width), 3)
    stages = StageList(make_divisible(CHANNELS[0] * width), reduction=1)
    for index, c in enumerate(CHANNELS):
        out = make_divisible(c * width)
        for repeat in range((depth - 2) // 6):
            stride = 2 if index > 0 and repeat == 0 else 1
            block = BasicBlock(stages.channels, out, stride=stride, shortcut="pad")
            stages.add(block, channels=out, stride=stride)
        stages.end_stage()
    network = Network(stem, stages.stages(), classifier(stages.channels, num_classes, dropout=dropout))
    init_convolutional(network)
    return network
