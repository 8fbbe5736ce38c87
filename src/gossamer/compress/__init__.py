"""Lossy steps, each planned, applied and guarded: precision now; structure and codes arrive with parts 5 and 6."""

from __future__ import annotations

from gossamer._callable import callable_package

callable_package(__name__)
