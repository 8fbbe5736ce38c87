"""ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices.

Zhang et al., CVPR 2018, arXiv 1707.01083. Channels by group count: table 1; the first 1x1 of stage 2 is not grouped
(section 3.2). Widths scale every stage, rounded to multiples of 4 x groups so that bottlenecks divide; the stem of
the authors' code (24 at 1.5 too, 48 at 2.0), elsewhere 24 x width rounded up to a multiple of the groups. The classifier
has no bias, as in the authors' code. Initialisation and BN bias 1e-4 are theirs too.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import ShuffleUnitV1
from gossamer.nn.layers import ConvNormAct, init_convolutional
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["shufflenet_v1"]

REPEATS = (4, 8, 4)
TABLE_1 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Groups -> channels of stage 2 at width 1; stages 3 and 4 double them."""
STEMS = {0.5: {3: 12, 8: 16}, 1.0: {}, 1.5: {3: 24, 8: 24}, 2.0: {3: 48, 8: 48}}
"""Width -> groups -> stem channels where the authors' code gives them."""


def shufflenet_v1(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    groups: Literal[1, 2, 3, 4, 8] = 3,
    width: float = 1.0,
    dropout: float = 0.0,
) -> Network:
    """ShuffleNet at a group count and a width: (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: no such group count, or a width that leaves the first stage no more channels than the stem.
    """
    if groups not in TABLE_1:
        raise ModelError(f"groups is one of {', '.join(map(str, TABLE_1))}, got {groups}; 3 is the usual")
    step = 4 * groups
    first = max(step, round(TABLE_1[groups] * width / step) * step)
    ruled = 24 if width == 1.0 else -(-round(24 * width) // groups) * groups
    stem_channels = STEMS.get(width, {}).get(groups, ruled)
    if first <= stem_channels or 24 * width < 1:
        raise ModelError(
            f"the first stage must be wider than the stem, width={width:g} gives {first} after {stem_channels}; "
            "use 0.25 or more"
        )
    stem = nn.Sequential(ConvNormAct(in_channels, stem_channels, 3, 2), nn.MaxPool2d(3, 2, 1))
    stages = StageList(stem_channels, reduction=4)
    for stage, repeats in enumerate(REPEATS):
        out = first * 2**stage
        down = ShuffleUnitV1(
            stages.channels, out, groups=groups, stride=2, first_groups=1 if stage == 0 else None
        )
        stages.add(down, channels=out, stride=2)
        for _ in range(repeats - 1):
            stages.add(ShuffleUnitV1(out, out, groups=groups))
        stages.end_stage()
    head = classifier(stages.channels, num_classes, dropout=dropout, bias=False)
    network = Network(stem, stages.stages(), head)
    _init(network)
    return network


def _init(network: Network) -> None:
    """N(0, 1 / fan-in channels), the first convolution N(0, 0.01), BN bias 1e-4."""

    def by_channels(weight: Tensor) -> None:
        nn.init.normal_(weight, 0.0, 1.0 / weight.shape[1])

    init_convolutional(network, conv=by_channels)
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    nn.init.normal_(first.weight, 0.0, 0.01)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 1e-4)
