"""Square sizes that pictures are worth looking at (no torch)."""

from __future__ import annotations

__all__ = ["RESOLUTIONS", "resolutions_for"]

RESOLUTIONS = (64, 96, 128, 160, 192, 224)


def resolutions_for(short_side: int) -> list[int]:
    """Square sizes worth trying for pictures whose median short side is `short_side` pixels."""
    low, high = 0.55 * short_side, 1.55 * short_side
    fitting = [r for r in RESOLUTIONS if low <= r <= high]
    if fitting:
        return fitting
    return [RESOLUTIONS[0]] if short_side < RESOLUTIONS[0] else [r for r in RESOLUTIONS if r >= 128]
