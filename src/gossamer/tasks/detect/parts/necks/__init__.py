"""Necks: from a backbone's pyramid to the levels that a head looks at."""

from __future__ import annotations

from gossamer.tasks.detect.parts.necks.bifpn import BiFPN
from gossamer.tasks.detect.parts.necks.csp_pan import CSPPAN
from gossamer.tasks.detect.parts.necks.extra_layers import ExtraLayers
from gossamer.tasks.detect.parts.necks.ghost_pan import GhostPAN
from gossamer.tasks.detect.parts.necks.neck import Neck
from gossamer.tasks.detect.parts.necks.pan_add import AddPAN
from gossamer.tasks.detect.parts.necks.pico_pan import PicoPAN
from gossamer.tasks.detect.parts.necks.single_scale import SingleScale
from gossamer.tasks.detect.parts.necks.top_down import TopDown

__all__ = [
    "CSPPAN",
    "AddPAN",
    "BiFPN",
    "ExtraLayers",
    "GhostPAN",
    "Neck",
    "PicoPAN",
    "SingleScale",
    "TopDown",
]
