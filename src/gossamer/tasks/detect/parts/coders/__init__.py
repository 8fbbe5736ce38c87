"""What the numbers of a box mean: priors, from numbers to boxes and back; each a `Coder` of `detector`."""

from __future__ import annotations

from gossamer.tasks.detect.parts.coders.anchors import LooseAnchorCoder, TightAnchorCoder
from gossamer.tasks.detect.parts.coders.deltas import DeltaCoder
from gossamer.tasks.detect.parts.coders.distances import DistanceCoder
from gossamer.tasks.detect.parts.coders.grid import GridCoder
from gossamer.tasks.detect.parts.coders.relative import RelativeCoder

__all__ = [
    "DeltaCoder",
    "DistanceCoder",
    "GridCoder",
    "LooseAnchorCoder",
    "RelativeCoder",
    "TightAnchorCoder",
]
