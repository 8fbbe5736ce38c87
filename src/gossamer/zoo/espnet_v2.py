"""ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional Neural Network.

Mehta et al., CVPR 2019, arXiv 1811.11431, table 1: a width s scales every level; the stem stays at 32 above s = 1. Every
down-sampler but the last looks at the shrunken input picture again (the authors' code makes weights for the last one
too but never uses them; they are left out here, 0.1 to 0.2 % of the parameters). More than 3 bands are mapped to
3 there, as the stem maps them to its channels. Published macs leave the classifier out.
"""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import EESP, EESPDownsampler
from gossamer.nn.layers import ConvNormAct, init_convolutional, norm_then
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["ESPNetV2", "espnet_v2"]

REPEATS = (0, 0, 3, 7, 3)
"""EESP units after the down-sampler of levels 1 to 5; level 1 is the stem."""
RECEPTIVE_LIMITS = (13, 11, 9, 7, 5)
"""Largest receptive field of a branch at levels 1 to 5."""
RECEPTIVE = (3, 5, 7, 9)


class ESPNetV2(Network):
    """A network whose down-samplers look at the input picture again."""

    def run_stage(self, stage: nn.Module, x: Tensor, image: Tensor) -> Tensor:
        for block in stage.children():
            x = block(x, image) if isinstance(block, EESPDownsampler) else block(x)
        return x

    def image_layers(self) -> list[str]:
        looking = [
            f"{name}.picture.0.0"
            for name, module in self.named_modules()
            if isinstance(module, EESPDownsampler) and module.picture is not None
        ]
        return [*super().image_layers(), *looking]


def espnet_v2(
    *, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> Network:
    """ESPNetv2 as a classifier, at a width (the paper's s): (B, in_channels, H, W) -> (B, num_classes).

    Raises:
        ModelError: a width that leaves no channel.
    """
    step = 8 if width >= 1 else 16  # so that every share of a quarter divides into four groups
    if 32 * width < 1:
        raise ModelError(
            f"a level has at least 1 channel, width={width:g} leaves {32 * width:g}; use a larger width"
        )
    base = max(step, round(32 * width / step) * step)
    prelu = norm_then(nn.PReLU)
    stem_channels = min(32, base)
    stem = ConvNormAct(in_channels, stem_channels, 3, 2, norm=prelu, act=None)
    stages = StageList(stem_channels, reduction=2)
    for level in range(1, 5):
        out = base * 2**level
        down = EESPDownsampler(
            stages.channels,
            out,
            receptive=_receptive(RECEPTIVE_LIMITS[level - 1]),
            bands=in_channels if level < 4 else None,
        )
        stages.add(down, channels=out, stride=2)
        for _ in range(REPEATS[level]):
            stages.add(EESP(out, out, receptive=_receptive(RECEPTIVE_LIMITS[level])))
        stages.end_stage()
    last = 1024 if width <= 1.5 else 1280
    head = nn.Sequential(
        ConvNormAct(stages.channels, stages.channels, 3, groups=stages.channels, norm=prelu, act=None),
        ConvNormAct(stages.channels, last, groups=4, norm=prelu, act=None),
        *classifier(last, num_classes, dropout=dropout),
    )
    network = ESPNetV2(stem, stages.stages(), head)
    init_convolutional(network, linear_std=0.001)
    return network


def _receptive(limit: int) -> list[int]:
    return [size if size <= limit else RECEPTIVE[0] for size in RECEPTIVE]
