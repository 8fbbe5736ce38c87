"""Heads: from levels to raw maps of boxes and class logits."""

from __future__ import annotations

from gossamer.tasks.detect.parts.heads.coupled import CoupledHead
from gossamer.tasks.detect.parts.heads.decoupled import DecoupledHead
from gossamer.tasks.detect.parts.heads.gfl import GFLHead, Guidance
from gossamer.tasks.detect.parts.heads.head import Head, Layout
from gossamer.tasks.detect.parts.heads.retina import RetinaHead
from gossamer.tasks.detect.parts.heads.ssd import SSDLiteHead
from gossamer.tasks.detect.parts.heads.three_towers import ThreeTowersHead

__all__ = [
    "CoupledHead",
    "DecoupledHead",
    "GFLHead",
    "Guidance",
    "Head",
    "Layout",
    "RetinaHead",
    "SSDLiteHead",
    "ThreeTowersHead",
]
