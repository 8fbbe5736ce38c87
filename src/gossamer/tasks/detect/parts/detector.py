"""A detector: backbone, neck, head and coder; what it gives when it is trained and when it ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gossamer.nn.network import Architecture

__all__ = ["Coder", "Detector", "LevelMaps", "Predictions", "Priors", "Rows", "Scoring"]


class LevelMaps(NamedTuple):
    """What a head gives on one level, raw: P priors a cell, R numbers a box, C numbers for the classes."""

    boxes: Tensor
    """(B, P * R, h, w)."""
    scores: Tensor
    """(B, P * C, h, w) logits."""
    objectness: Tensor | None = None
    """(B, P, h, w) logits, where the head has them."""


class Rows(NamedTuple):
    """The maps of all levels as rows, one a prior: levels finest first, then rows of cells, cells, priors of a cell."""

    boxes: Tensor
    """(B, A, R) raw."""
    scores: Tensor
    """(B, A, C) logits."""
    objectness: Tensor | None = None
    """(B, A, 1) logits."""


class Priors(NamedTuple):
    """What the numbers of a box are told from."""

    boxes_cxcywh: Tensor
    """(A, 4) in pixels of the input; without anchors squares of one cell."""
    strides: Tensor
    """(A,) pixels a cell."""
    size: tuple[int, int]
    """Height and width of the input."""

    def of(self, picture: int) -> Priors:
        """Those of one picture of a batch: of a second stage each has its own, (B, A, 4)."""
        return (
            self if self.boxes_cxcywh.dim() == 2 else self._replace(boxes_cxcywh=self.boxes_cxcywh[picture])
        )

    def at(self, pictures: Tensor, places: Tensor) -> Priors:
        """Those at places (P,) of pictures (P,) of a batch."""
        whole = self.boxes_cxcywh.dim() == 2
        boxes = self.boxes_cxcywh[places] if whole else self.boxes_cxcywh[pictures, places]
        return self._replace(boxes_cxcywh=boxes, strides=self.strides[places])


class Coder(Protocol):
    """From raw numbers to boxes and back."""

    @property
    def priors_a_cell(self) -> int:
        """P."""
        ...

    @property
    def numbers(self) -> int:
        """R, of one box."""
        ...

    def priors(self, shapes: Sequence[tuple[int, int]], size: tuple[int, int], like: Tensor) -> Priors:
        """Of levels of these heights and widths, on the device of `like`."""
        ...

    def decode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """(B, A, R) raw -> (B, A, 4) xyxy in pixels of the input."""
        ...

    def encode(self, boxes_xyxy: Tensor, priors: Priors) -> Tensor:
        """(A, 4), one box for each prior -> (A, R'), the numbers that losses of raw numbers are taken against."""
        ...


class Scoring(Protocol):
    """From logits to what each prior's box is worth as each class."""

    @property
    def background(self) -> bool:
        """Whether the last number of the C is for no class: then there are C - 1."""
        ...

    def __call__(self, rows: Rows) -> Tensor:
        """(B, A, K) of 0 to 1 for K classes."""
        ...


@dataclass
class Predictions:
    """What a detector gives in training mode: raw rows, and all that a loss of them needs."""

    rows: Rows
    auxiliary: Rows | None
    """Of a branch that only training has."""
    priors: Priors
    coder: Coder
    scoring: Scoring
    criterion: Mapping[str, Any]
    """What it is trained by, as its row of the table says."""
    first: Predictions | None = None
    """Of a first stage, with one class for whatever there is; it is trained beside."""

    def decoded(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Boxes (B, A, 4) xyxy and scores (B, A, K)."""
        return self.coder.decode(rows.boxes, self.priors), self.scoring(rows)


class Detector(Architecture):
    """Pictures (B, bands, H, W) -> (B, A, 4 + K) in eval mode, a box xyxy in pixels of the input and the scores of K classes
    for each of A priors; `Predictions` in training mode.

    `backbone` gives a pyramid by `features`, `neck` takes it and gives the levels that `head` looks at. An `auxiliary`
    branch, (pyramid, levels) -> maps as the head's, is there for training alone. With `detached` the head learns from levels
    that it does not move, as a one-to-one head does beside a one-to-many one.
    """

    training_only = ("auxiliary",)
    maps_part = "neck"

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        head: nn.Module,
        coder: Coder,
        scoring: Scoring,
        *,
        criterion: Mapping[str, Any],
        auxiliary: nn.Module | None = None,
        detached: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head
        self.coder, self.scoring, self.criterion = coder, scoring, criterion
        self.auxiliary, self.detached = auxiliary, detached
        self.other_classes = False
        """Whether the classes were drawn anew, on a detector that was trained for others."""

    @property
    def min_input(self) -> int:
        """Height and width of an input are at least this."""
        return int(self.backbone.min_input)  # type: ignore[arg-type]

    def replace_classes(self, num_classes: int) -> None:
        """Draw all that tells classes anew, for so many; what tells boxes stays: in place."""
        self.other_classes = True
        for part in (self.head, self.auxiliary):
            if part is not None:
                part.replace_classes(num_classes + self.scoring.background)  # type: ignore[operator]

    def new_parts(self) -> list[nn.Module]:
        """Neck, head and what only training has: pretrained backbones have none. Of a detector that was trained for other
        classes what tells these."""
        if not self.other_classes:
            return [part for part in (self.neck, self.head, self.auxiliary) if part is not None]
        heads = [part for part in self.modules() if hasattr(part, "class_layers")]
        return [head.get_submodule(name) for head in heads for name in head.class_layers()]  # type: ignore[operator]

    def drop_training_parts(self) -> None:
        """Take off the auxiliary branch; the head then moves the levels itself: in place."""
        super().drop_training_parts()
        self.detached = False

    def forward(self, x: Tensor) -> Tensor | Predictions:
        pyramid = self.backbone.features(x)  # type: ignore[operator]
        levels = self.neck(pyramid)
        still = self.training and self.detached
        maps: list[LevelMaps] = self.head([level.detach() for level in levels] if still else levels)
        shapes = [(int(each.boxes.shape[2]), int(each.boxes.shape[3])) for each in maps]
        priors = self.coder.priors(shapes, (int(x.shape[2]), int(x.shape[3])), x)
        count = self.coder.priors_a_cell
        rows = self._rows(maps, count)
        if self.training:
            extra = None if self.auxiliary is None else self._rows(self.auxiliary(pyramid, levels), count)
            return Predictions(rows, extra, priors, self.coder, self.scoring, self.criterion)
        return torch.cat([self.coder.decode(rows.boxes, priors), self.scoring(rows)], 2)

    def _rows(self, maps: Sequence[LevelMaps], count: int) -> Rows:
        """The maps of levels of `count` priors a cell."""
        objectness = [each.objectness for each in maps]
        return Rows(
            torch.cat([_flat(each.boxes, count) for each in maps], 1),
            torch.cat([_flat(each.scores, count) for each in maps], 1),
            None
            if any(each is None for each in objectness)
            else torch.cat([_flat(each, count) for each in objectness if each is not None], 1),
        )


def _flat(maps: Tensor, count: int) -> Tensor:
    """(B, P * D, h, w) -> (B, h * w * P, D)."""
    batch, channels, height, width = maps.shape
    split = maps.reshape(batch, count, channels // count, height, width)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, height * width * count, channels // count)
