"""What a writer is given: pictures by the names that they have in the new set, with boxes that can be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from gossamer.data.dataset import SplitName
from gossamer.types import Size

__all__ = ["Box", "Entry", "Writer"]


class Box(NamedTuple):
    """One box: corners in pixels of the picture, finite."""

    xyxy: tuple[float, float, float, float]
    label: int
    """Place among the labels."""
    crowd: bool


class Entry(NamedTuple):
    """One picture of the new set."""

    name: str
    """Below the folder of pictures, with forward slashes."""
    size: Size
    boxes: tuple[Box, ...]
    split: SplitName | None


class Writer(Protocol):
    """A module that writes one layout."""

    PICTURES: str
    """The folder of pictures below the new set."""
    FLAT: bool
    """Whether pictures lie in that folder itself."""
    CROWD: bool
    """Whether the layout can say that a box is a crowd; else such boxes are left out."""

    def write(self, folder: Path, entries: Sequence[Entry], labels: Sequence[str]) -> None:
        """Write the annotations below a folder that holds the pictures already."""
        ...
