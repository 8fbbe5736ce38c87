"""Windows that cover a picture of any size, with overlap: no pixel is lost, and none lies outside of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["Tiling", "Window", "count_of", "parse_overlap", "windows_of"]

_LEAST = 8
"""Pixels a side, below which a tile shows nothing."""


class Window(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column behind it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height


class Tiling(NamedTuple):
    """How a large picture is cut."""

    tile: int
    """Side of a tile in pixels."""
    overlap: int
    """Pixels that neighbours share at least."""

    @classmethod
    def of(cls, tile: int, overlap: str | int = "20%") -> Tiling:
        """A tile's side, and the overlap as pixels or as a share of it.

        Raises:
            DataError: a tile is too small, or the overlap is not smaller than it.
        """
        if tile < _LEAST:
            raise DataError(f"a tile has at least {_LEAST} pixels a side, got {tile}; use e.g. 512")
        return cls(tile, parse_overlap(overlap, tile))


def parse_overlap(overlap: str | int, tile: int) -> int:
    """Pixels of an overlap as a person writes it: `64`, `20%`, or `0.2`.

    Raises:
        DataError: it is no such number, or not smaller than the tile.
    """
    text = str(overlap).strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError as error:
        raise DataError(f"an overlap is pixels or a share, got {overlap!r}; use e.g. 64 or 20%") from error
    share = text.endswith("%") or "." in text
    pixels = value / (100 if text.endswith("%") else 1) * tile if share else value
    if not 0 <= pixels < tile:
        raise DataError(
            f"a tile is larger than the overlap, got a tile of {tile} and an overlap of {overlap}; use e.g. 20%"
        )
    return round(pixels) if round(pixels) < tile else tile - 1


def windows_of(picture: Size, tiling: Tiling) -> Iterator[Window]:
    """Tiles row by row, evenly spread: neighbours share at least the overlap, the last ones end at the picture's edge."""
    columns = _spans(picture.width, tiling)
    for top, height in _spans(picture.height, tiling):
        for left, width in columns:
            yield Window(left, top, width, height)


def count_of(picture: Size, tiling: Tiling) -> int:
    """How many tiles `windows_of` gives."""
    return len(_spans(picture.height, tiling)) * len(_spans(picture.width, tiling))


def _spans(side: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Starts and lengths along one side."""
    if side <= tiling.tile:
        return [(0, side)]
    last, step = side - tiling.tile, tiling.tile - tiling.overlap
    count = -(-last // step)
    return [(place * last // count, tiling.tile) for place in range(count + 1)]
