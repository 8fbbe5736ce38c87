"""Any detector by name: `detector:BACKBONE+NECK+HEAD`, a network of the catalogue, a row of `NECKS` and one of `HEADS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from gossamer.errors import ModelError, nearest
from gossamer.tasks.detect.parts.backbones.trunk import Trunk
from gossamer.tasks.detect.parts.coders import DistanceCoder, GridCoder
from gossamer.tasks.detect.parts.detector import Coder, Detector, Scoring
from gossamer.tasks.detect.parts.detectors import nanodet_plus, yolox
from gossamer.tasks.detect.parts.dual import assembled
from gossamer.tasks.detect.parts.heads import DecoupledHead, GFLHead, Head
from gossamer.tasks.detect.parts.necks import CSPPAN, GhostPAN, Neck
from gossamer.tasks.detect.parts.scorings import ObjectnessScoring, SigmoidScoring
from gossamer.zoo.build import construct
from gossamer.zoo.catalogue import find_entry
from gossamer.zoo.spec import ModelSpec

__all__ = ["HEADS", "NECKS", "HeadRow", "composed"]

NECKS: Mapping[str, Callable[[Sequence[int], int], Neck]] = {
    "ghost_pan": lambda maps, channels: GhostPAN(maps, channels=channels),
    "csp_pan": lambda maps, channels: CSPPAN(maps, channels=(channels,) * 3, act=nn.ReLU),
    "csp_pan_dw": lambda maps, channels: CSPPAN(maps, channels=(channels,) * 3, depthwise=True, act=nn.ReLU),
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


HEADS: Mapping[str, HeadRow] = {
    "gfl": HeadRow(
        lambda levels, classes: GFLHead(levels, classes, kernel=5),
        lambda strides: DistanceCoder(strides),
        SigmoidScoring(),
        nanodet_plus.CRITERION,
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
        one_to_one=one_to_one,
    )
