"""Necks: from a backbone's pyramid to the levels that a head looks at."""

from __future__ import annotations

from gossamer.tasks.detect.parts.necks.csp_pan import CSPPAN
from gossamer.tasks.detect.parts.necks.ghost_pan import GhostPAN
from gossamer.tasks.detect.parts.necks.neck import Neck

__all__ = ["CSPPAN", "GhostPAN", "Neck"]
