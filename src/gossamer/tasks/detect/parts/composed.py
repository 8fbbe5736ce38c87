"""Any detector by name: `detector:BACKBONE+NECK+HEAD`, a network of the catalogue, a row of `NECKS` and one of `HEADS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from gossamer.errors import ModelError, nearest
from gossamer.nn.blocks import DepthwiseSeparable
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import (
    DeltaCoder,
    DistanceCoder,
    GridCoder,
    LooseAnchorCoder,
    RelativeCoder,
)
from gossamer.tasks.detect.parts.coders.cells import Anchor
from gossamer.tasks.detect.parts.detector import Coder, Detector, Scoring
from gossamer.tasks.detect.parts.detectors import efficientdet, fastestdet, nanodet_plus, v5_style, yolox
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import (
    CoupledHead,
    DecoupledHead,
    GFLHead,
    Head,
    RetinaHead,
    ThreeTowersHead,
)
from gossamer.tasks.detect.parts.necks import (
    CSPPAN,
    AddPAN,
    BiFPN,
    GhostPAN,
    Neck,
    PicoPAN,
    SingleScale,
    TopDown,
)
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring, SigmoidScoring, WeightedScoring
from gossamer.zoo.build import construct
from gossamer.zoo.catalogue import find_entry
from gossamer.zoo.spec import ModelSpec

__all__ = ["HEADS", "NECKS", "HeadRow", "composed"]

NECKS: Mapping[str, Callable[[Sequence[int], int], Neck]] = {
    "add_pan": lambda maps, channels: AddPAN(maps, channels=channels),
    "bifpn": lambda maps, channels: BiFPN(maps, channels=channels, act=nn.ReLU),
    "csp_pan": lambda maps, channels: CSPPAN(maps, channels=(channels,) * 3, act=nn.ReLU),
    "csp_pan_dw": lambda maps, channels: CSPPAN(maps, channels=(channels,) * 3, depthwise=True, act=nn.ReLU),
    "ghost_pan": lambda maps, channels: GhostPAN(maps, channels=channels),
    "pico_pan": lambda maps, channels: PicoPAN(maps, channels=channels, act=nn.ReLU),
    "single_scale": lambda maps, channels: SingleScale(maps, channels=channels),
    "top_down": lambda maps, channels: TopDown(maps, channels=channels, fine=channels, pools=(9, 5, 3)),
}
"""Name -> neck for a pyramid's channels and the channels of its levels."""


@dataclass(frozen=True)
class HeadRow:
    """A head and all that goes with it."""

    head: Callable[[Sequence[int], int], Head]
    """For the channels of levels and the number of classes."""
    coder: Callable[[tuple[int, ...]], Coder]
    """For strides."""
    scoring: Scoring
    criterion: Mapping[str, Any]
    one_to_one: bool = False


def _coupled(levels: Sequence[int], classes: int) -> Head:
    towers = [DepthwiseSeparable(channels, channels, kernel=5) for channels in levels]
    return CoupledHead(towers, levels, classes)


def _anchors(strides: Sequence[int]) -> tuple[tuple[Anchor, ...], ...]:
    """Of each level: upright, square and flat, of the area of 3 x 3 cells."""
    return tuple(((2.0 * s, 4.5 * s), (3.0 * s, 3.0 * s), (4.5 * s, 2.0 * s)) for s in strides)


_ROWS: Mapping[str, HeadRow] = {
    "anchors": HeadRow(
        _coupled,
        lambda strides: LooseAnchorCoder(_anchors(strides), strides),
        ObjectnessScoring(),
        v5_style.CRITERION,
    ),
    "fastest": HeadRow(
        lambda levels, classes: ThreeTowersHead(levels, classes),
        lambda strides: RelativeCoder(strides),
        WeightedScoring(),
        fastestdet.CRITERION,
    ),
    "gfl": HeadRow(
        lambda levels, classes: GFLHead(levels, classes, kernel=5),
        lambda strides: DistanceCoder(strides),
        SigmoidScoring(),
        nanodet_plus.CRITERION,
    ),
    "retina": HeadRow(
        lambda levels, classes: RetinaHead(levels[0], classes, levels=len(levels), act=nn.ReLU),
        lambda strides: DeltaCoder(efficientdet.octave_anchors(strides, 4.0), strides),
        SigmoidScoring(),
        efficientdet.CRITERION,
    ),
    "yolox": HeadRow(
        lambda levels, classes: DecoupledHead(
            levels, classes, hidden=min(levels), depthwise=True, act=nn.ReLU
        ),
        lambda strides: GridCoder(strides),
        ObjectnessScoring(),
        yolox.CRITERION,
    ),
}
HEADS: Mapping[str, HeadRow] = {
    **_ROWS,
    **{f"{name}_nms_free": replace(_ROWS[name], one_to_one=True) for name in ("fastest", "gfl", "yolox")},
}
"""Name -> head; those of "anchors" and "retina" have anchors, the others a prior a cell. Of `*_nms_free` one of two ships, which
gives a thing one box."""


def composed(
    parts: str,
    *,
    num_classes: int = 80,
    in_channels: int = 3,
    channels: int = 96,
    one_to_one: bool = False,
    backbone: Mapping[str, Any] | None = None,
) -> Detector:
    """The detector of BACKBONE+NECK+HEAD: (B, in_channels, H, W) -> (B, A, 4 + num_classes).

    Levels have `channels` each; `backbone` holds arguments of the backbone's builder where they differ from its entry's.

    Raises:
        ModelError: the text names no three parts, or one that is none.
    """
    names = parts.split("+")
    if len(names) != 3:
        raise ModelError(
            f"a detector reads detector:BACKBONE+NECK+HEAD, got {parts!r}; write e.g. detector:mobilenet_v2+ghost_pan+gfl"
        )
    for name, table, kind in ((names[1], NECKS, "neck"), (names[2], HEADS, "head")):
        if name not in table:
            raise ModelError(f"detectors have no {kind} {name!r}; {nearest(name, table)}")
    arguments = {**find_entry(names[0]).arguments, **(backbone or {}), "in_channels": in_channels}
    trunk = Trunk(construct(ModelSpec(names[0], arguments)), label=names[0])
    neck, row = NECKS[names[1]](trunk.channels, channels), HEADS[names[2]]
    return assembled(
        trunk,
        neck,
        lambda: row.head(neck.channels, num_classes),
        row.coder(neck.strides),
        row.scoring,
        row.criterion,
        one_to_one=one_to_one or row.one_to_one,
    )
