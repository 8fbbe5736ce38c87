"""What is done with answers that lie somewhere in a picture, beside saying them: listed, drawn, counted, joined, followed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.geo.regions import Region
from gossamer.geo.windows import Window
from gossamer.tasks.task import Answer
from gossamer.types import Size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Follower", "Part", "Places", "ToMap"]

ToMap = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Places (N, 2) in pixels of a raster, x and y, as coordinates (N, 2) of a map."""


class Part(NamedTuple):
    """What is said of one tile, in pixels of the tile."""

    window: Window
    answer: Answer


class Follower(ABC):
    """Knows things again from frame to frame; one a film."""

    @abstractmethod
    def update(self, answer: Answer) -> Answer:
        """What is said of the next frame, each thing with its `id`; things of low score only where they go on a track."""

    @property
    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Different things so far, by label."""


class Places(ABC):
    """Of a task whose answers hold several things, each somewhere in the picture; it keeps no state."""

    nouns: ClassVar[str]
    """The things, for a person."""
    columns: ClassVar[tuple[str, ...]]
    """Of a table with one row a thing, between `file` and `error`."""

    @abstractmethod
    def rows(self, answer: Answer) -> list[dict[str, str]]:
        """One row a thing: `columns`, and more where the answer tells more (`id`, `region`)."""

    @abstractmethod
    def drawn(
        self, image: Image.Image, answer: Answer, labels: Sequence[str], *, enlarge: bool = True
    ) -> Image.Image:
        """A copy of the picture (RGB) with what is said drawn into it; small ones come enlarged, so that it can be read."""

    @abstractmethod
    def coco(self, answer: Answer, labels: Sequence[str]) -> list[dict[str, Any]]:
        """One COCO annotation a thing, without `id` and `image_id`; categories count from 1."""

    @abstractmethod
    def features(self, answer: Answer, to_map: ToMap) -> list[dict[str, Any]]:
        """One GeoJSON feature a thing, its outline on the map."""

    @abstractmethod
    def joined(self, parts: Sequence[Part], picture: Size, labels: Sequence[str]) -> Answer:
        """What is said of a picture by what is said of its tiles: a thing that several tiles hold is said once."""

    @abstractmethod
    def inside(self, answer: Answer, regions: Sequence[Region], *, crossing: bool) -> Answer:
        """Only things in one of the regions, counted by region: their middle is there, with `crossing` any part of them."""

    @abstractmethod
    def follower(self, labels: Sequence[str], threshold: float | None) -> Follower:
        """A new one for a film; `threshold` is the score that a new thing needs."""
