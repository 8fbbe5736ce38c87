"""Heads: from levels to raw maps of boxes and class logits."""

from __future__ import annotations

from gossamer.tasks.detect.parts.heads.decoupled import DecoupledHead
from gossamer.tasks.detect.parts.heads.gfl import GFLHead, Guidance
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["DecoupledHead", "GFLHead", "Guidance", "Head", "Layout"]
