"""Boxes of things: targets (N, M, 7) label, xyxy, area, crowd; outputs (N, A, 4 + K) xyxy and the scores of K classes.

Places are in pixels of the network's input; area is in pixels of the picture, which small, medium and large are told
from. A label of -1 is no box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.data.geometry import Transform
from gossamer.errors import DataError
from gossamer.tasks.detect.answer import answer_of, boxes_answer, boxes_of, labels_of
from gossamer.tasks.detect.boxes import Boxes, clipped, usable
from gossamer.tasks.detect.faults import faults, repaired
from gossamer.tasks.detect.places import BoxPlaces
from gossamer.tasks.detect.score import DetectionScore, compared, paired_drops, real_rows
from gossamer.tasks.detect.suppress import SAID, SCORED, Detections, detections
from gossamer.tasks.task import Answer, Criterion, Ending, Frame, Mistake, Outputs, Remark, Targets, Task
from gossamer.types import Size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["TASK", "Detect", "Placed"]

_COLUMNS = 7
_LEAST_PART = 0.25
"""Of a box that the input's border cuts: below this share it is not there."""
_WHITE = "no boxes"


class Placed(NamedTuple):
    """The boxes of a picture in pixels of an input."""

    rows: NDArray[np.float64]
    """(M, 7)."""


class Detect(Task):
    """Where things are, and what they are."""

    name = "detect"
    outputs = ("detections",)
    criteria = (Criterion("ap", "AP"), Criterion("ap50", "AP50"))
    noun, nouns = "class", "classes"
    resize = "letterbox"
    slow = True
    shape = "boxes and scores (B, A, 4 + K)"
    places: ClassVar[BoxPlaces] = BoxPlaces()

    def width(self, shape: tuple[int, ...]) -> int | None:
        return shape[2] - 4 if len(shape) == 3 and shape[2] > 4 else None

    # data

    def place(
        self, targets: Sequence[Any], pictures: Sequence[Size], transforms: Sequence[Transform], size: Size
    ) -> list[Any]:
        """Boxes as they lie in an input of `size`; what its borders cut away for the most part goes."""
        return [
            self._placed(target, picture, transform, size)
            for target, picture, transform in zip(targets, pictures, transforms, strict=True)
        ]

    def _placed(self, target: Boxes | Placed, picture: Size, transform: Transform, size: Size) -> Placed:
        if isinstance(target, Placed):
            return target
        rows = _rows(target, picture)
        whole = transform.boxes_to_input(rows[:, 1:5])
        cut = clipped(whole, size)
        part = _areas(cut) / np.maximum(_areas(whole), 1e-9)
        kept = usable(cut, least=1e-3) & (part >= _LEAST_PART)
        rows[:, 1:5] = cut
        return Placed(rows[kept])

    def array(self, targets: Sequence[Any], labels: Sequence[str]) -> Targets:
        rows = [target.rows if isinstance(target, Placed) else _rows(target, None) for target in targets]
        array = np.zeros((len(rows), max(1, max(map(len, rows), default=1)), _COLUMNS), np.float32)
        array[:, :, 0] = -1
        for place, boxes in enumerate(rows):
            array[place, : len(boxes)] = boxes
        return array

    def text(self, target: Any, labels: Sequence[str]) -> str:
        if isinstance(target, Boxes):
            places = ";".join(",".join(f"{side:.6g}" for side in box) for box in target.xyxy)
            return f"{counted(target.labels, labels)} {places}".strip()
        return counted(_labels_of(target), labels)

    def kinds(self, targets: Sequence[Any], labels: Sequence[str]) -> list[tuple[str, ...]]:
        return [
            tuple(labels[i] for i in np.unique(_labels_of(target)) if i >= 0) or (_WHITE,)
            for target in targets
        ]

    def kind_names(self, targets: Sequence[Any], labels: Sequence[str]) -> list[str]:
        return [
            *labels,
            *([_WHITE] if any(kind == (_WHITE,) for kind in self.kinds(targets, labels)) else []),
        ]

    def settle(
        self, targets: Sequence[Any], labels: Sequence[str], where: str
    ) -> tuple[list[Any], tuple[str, ...]]:
        present = sorted({int(i) for target in targets for i in _labels_of(target) if i >= 0})
        if not present or len(targets) < 2:
            raise DataError(
                f"boxes are learned from two pictures or more, one of them with a box, {where} has {len(targets)} with boxes of "
                f"{len(present)} classes; add pictures with boxes"
            )
        if present == list(range(len(labels))):
            return list(targets), tuple(labels)
        places = np.full(len(labels) + 1, -1, np.int64)
        places[present] = np.arange(len(present))
        moved = [target._replace(labels=places[target.labels]) for target in targets]
        return moved, tuple(labels[i] for i in present)

    def remarks(
        self,
        targets: Sequence[Any],
        labels: Sequence[str],
        sizes: Sequence[Size | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Remark]:
        return faults(
            targets, labels, sizes or [None] * len(targets), names or [str(i) for i in range(len(targets))]
        )

    # answers

    def row_shape(self, labels: Sequence[str]) -> tuple[int | None, ...]:
        return None, 4 + len(labels)

    def condensed(self, outputs: Outputs) -> Outputs:
        """Only what counts for AP: (N, 100, 4 + K), one class a row."""
        return (np.stack([_dense(detections(each, SCORED), each.shape[1] - 4) for each in outputs[0]]),)

    def ending(self, labels: Sequence[str]) -> Ending:
        """Suppression as AP is counted with it: what is said of a picture is suppressed no less."""
        return Ending(
            "suppressed",
            {
                "labels": len(labels),
                "threshold": SCORED.threshold,
                "overlap": SCORED.overlap,
                "most": SCORED.most,
                "candidates": SCORED.candidates,
            },
        )

    def answers(self, outputs: Outputs) -> Targets:
        rows = np.zeros((len(outputs[0]), SAID.most, _COLUMNS), np.float32)
        rows[:, :, 0] = -1
        for row, answers in zip(rows, outputs[0], strict=True):
            said = detections(answers, SAID)
            row[: len(said), 0], row[: len(said), 1:5] = said[:, 5], said[:, :4]
            row[: len(said), 5] = _areas(said[:, :4])
        return rows

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """AP50 of our outputs where the boxes that theirs say are taken for true; 1 where neither says any."""
        truth = self.answers(theirs)
        if not (truth[:, :, 0] >= 0).any():
            return float(not (self.answers(ours)[:, :, 0] >= 0).any())
        score = self.score(labels)
        score.update(ours, truth)
        return score.figures()["ap50"]

    def score(self, labels: Sequence[str]) -> DetectionScore:
        return DetectionScore(labels)

    def drop_interval(
        self, before: Outputs, after: Outputs, targets: Targets, labels: Sequence[str]
    ) -> tuple[float, float]:
        scores = self.score(labels), self.score(labels)
        for score, outputs in zip(scores, (before, after), strict=True):
            score.update(outputs, targets)
        low, high = np.percentile(paired_drops(*scores), (2.5, 97.5))
        return float(low), float(high)

    def decode(
        self, outputs: Outputs, labels: Sequence[str], *, top: int, frame: Frame | None = None
    ) -> Answer:
        """Every box that is said, best first, in pixels of the picture; how many of each class beside them."""
        return boxes_answer(detections(outputs[0][0], SAID), labels, frame)

    def said(
        self,
        outputs: Outputs,
        labels: Sequence[str],
        *,
        top: int,
        frame: Frame | None = None,
        threshold: float | None = None,
    ) -> Answer:
        """As `decode`, or every box of at least the threshold's score, be that lower."""
        if threshold is None:
            return self.decode(outputs, labels, top=top, frame=frame)
        below = float(np.nextafter(np.float32(threshold), np.float32(-1)))
        how = replace(SAID, threshold=below)
        return boxes_answer(detections(outputs[0][0], how), labels, frame)

    def doubted(self, answer: Answer, threshold: float) -> Answer:
        """Only boxes of at least that score."""
        return answer_of([box for box in boxes_of(answer) if box["score"] >= threshold], labels_of(answer))

    def pictured(
        self, image: Image.Image, outputs: Outputs, target: Targets, labels: Sequence[str]
    ) -> Image.Image:
        """Boxes that are said, and those that are missed dashed."""
        from gossamer.tasks.detect.pictured import pictured

        return pictured(image, outputs[0][0], target, labels)

    def mistakes(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> list[Mistake]:
        """Pictures with a box missed, misnamed or too much, those first of which the largest share is wrong."""
        wrong = []
        for place, (answers, rows) in enumerate(zip(outputs[0], targets, strict=True)):
            truth, said = real_rows(rows), detections(answers, SAID)
            picture = compared(said, truth)
            if not picture.wrong:
                continue
            misnamed = sum(a != b for a, b in picture.pairs)
            parts = [
                f"{count} {word}"
                for count, word in (
                    (len(picture.missed), "missed"),
                    (len(picture.extra), "too many"),
                    (misnamed, "misnamed"),
                )
                if count
            ]
            words = f"{counted(said[:, 5].astype(np.int64), labels)}: {', '.join(parts)}"
            real = counted(truth[:, 0].astype(np.int64), labels)
            wrong.append(Mistake(place, real, words, picture.wrong / max(1, picture.all)))
        return sorted(wrong, key=lambda each: -each.score)


def counted(places: NDArray[np.int64], labels: Sequence[str]) -> str:
    """`3 ship, 1 tank`."""
    counts = Counter(int(i) for i in places)
    parts = [f"{counts[i]} {labels[i]}" for i in sorted(counts) if i >= 0]
    return ", ".join(parts) or _WHITE


def _labels_of(target: Boxes | Placed) -> NDArray[np.int64]:
    return target.labels if isinstance(target, Boxes) else target.rows[:, 0].astype(np.int64)


def _rows(target: Boxes, picture: Size | None) -> NDArray[np.float64]:
    """(M, 7) of a reader's boxes that can be learned from, in pixels of the picture where its size is known."""
    if picture is not None:
        places, labels, crowd = repaired(target, picture)
    else:
        there = target.only(usable(target.xyxy) & (target.labels >= 0))
        places, labels, crowd = there.xyxy, there.labels, there.crowd
    return np.column_stack([labels, places, _areas(places), crowd]).astype(np.float64)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))


def _dense(said: Detections, classes: int) -> NDArray[np.float32]:
    """Detections as rows of a network's answers, 100 of them."""
    rows = np.zeros((SCORED.most, 4 + classes), np.float32)
    rows[: len(said), :4] = said[:, :4]
    rows[np.arange(len(said)), 4 + said[:, 5].astype(np.int64)] = said[:, 4]
    return rows


TASK = Detect()
