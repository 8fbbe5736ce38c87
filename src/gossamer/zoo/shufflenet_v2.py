"""ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design.

Ma et al., ECCV 2018, arXiv 1807.11164. Stages and widths: table 5. The authors' code and torchvision's differ in the
units of stride 2 (see `ShuffleUnitV2`) and in the classifier's bias; `form` picks one. The authors' own weights want
their channels `dealt` out, which is another order of the same. At widths that the table
does not hold, stage channels scale from the 1.0 column, rounded to multiples of 8.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import ShuffleUnitV2
from gossamer.nn.layers import Act, ConvNormAct, init_convolutional, make_divisible
from gossamer.nn.network import Network, StageList, classifier

__all__ = ["shufflenet_v2"]

REPEATS = (4, 8, 4)
TABLE_5: dict[float, tuple[int, ...]] = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}


def shufflenet_v2(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    form: Literal["paper", "torchvision"] = "paper",
    slope: float = 0.0,
    dealt: bool = False,
    dropout: float = 0.0,
) -> Network:
    """ShuffleNetV2 at a width: (B, in_channels, H, W) -> (B, num_classes). Activations have a `slope` below 0.

    Raises:
        ModelError: no such form, or a width that leaves the first stage no more channels than the stem.
    """
    if form not in ("paper", "torchvision"):
        raise ModelError(f"form is paper or torchvision, got {form!r}; leave it out for the paper's")
    if (lowest := make_divisible(TABLE_5[1.0][0] * width)) <= 24:
        raise ModelError(
            f"the first stage must be wider than the stem's 24 channels, width={width:g} gives {lowest}; use 0.25 or more"
        )
    scaled = (*(make_divisible(c * width) for c in TABLE_5[1.0][:3]), 1024)
    column = TABLE_5.get(width, scaled)
    act: Act = partial(nn.LeakyReLU, slope) if slope else nn.ReLU
    stem = nn.Sequential(ConvNormAct(in_channels, 24, 3, 2, act=act), nn.MaxPool2d(3, 2, 1))
    stages = StageList(24, reduction=4)
    for out, repeats in zip(column, REPEATS, strict=False):
        shortcut = stages.channels if form == "paper" else None
        down = ShuffleUnitV2(stages.channels, out, stride=2, shortcut_channels=shortcut, dealt=dealt, act=act)
        stages.add(down, channels=out, stride=2)
        for _ in range(repeats - 1):
            stages.add(ShuffleUnitV2(out, out, dealt=dealt, act=act))
        stages.end_stage()
    head = classifier(
        stages.channels,
        num_classes,
        conv_channels=column[3],
        dropout=dropout,
        bias=form == "torchvision",
        act=act,
    )
    network = Network(stem, stages.stages(), head)
    init_convolutional(network)
    return network
