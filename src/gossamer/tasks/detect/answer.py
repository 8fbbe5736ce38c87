"""What is said of one picture with boxes: `boxes` and `counts` of its document, and the columns of its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.boxes import clipped
from gossamer.tasks.detect.suppress import Detections
from gossamer.tasks.task import Answer, Frame

__all__ = ["answer_of", "boxes_answer", "boxes_of", "labels_of", "rows_of", "xyxy_of"]

_COUNT = "count "


def boxes_answer(said: Detections, labels: Sequence[str], frame: Frame | None) -> Answer:
    """What is said of a picture: boxes of the input as boxes of the picture, where the frame tells how they lie there."""
    boxes = said[:, :4]
    if frame is not None:
        boxes = clipped(frame.transform.boxes_to_picture(boxes), frame.picture)
    return answer_of(rows_of(np.column_stack([boxes, said[:, 4:]]), labels), labels)


def rows_of(said: Detections, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Detections (N, 6) as rows of a document."""
    places = said[:, 5].astype(np.int64).tolist()
    return [
        {"label": labels[place], "score": score, "box": box}
        for place, score, box in zip(
            places, said[:, 4].round(6).tolist(), said[:, :4].round(2).tolist(), strict=True
        )
    ]


def answer_of(
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    *,
    regions: Iterable[str] = (),
) -> Answer:
    """The answer that these rows make, counted by label, and by region where there are some."""
    counts = Counter(row["label"] for row in rows)
    document: dict[str, Any] = {"boxes": list(rows), "counts": {label: counts[label] for label in labels}}
    columns = {f"{_COUNT}{label}": str(counts[label]) for label in labels}
    names = list(regions)
    if names:
        there = Counter((name, row["label"]) for row in rows for name in row["regions"])
        document["regions"] = {name: {label: there[name, label] for label in labels} for name in names}
        columns |= {
            f"{_COUNT}{label} in {name}": str(there[name, label]) for name in names for label in labels
        }
    said, scores = tuple(row["label"] for row in rows), tuple(row["score"] for row in rows)
    return Answer(said, scores, document, columns)


def boxes_of(answer: Answer) -> list[dict[str, Any]]:
    """The rows of an answer."""
    rows: list[dict[str, Any]] = answer.document["boxes"]
    return rows


def labels_of(answer: Answer) -> list[str]:
    """Every label that could have been said."""
    return list(answer.document["counts"])


def xyxy_of(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Places (N, 4) of rows."""
    return np.array([row["box"] for row in rows], np.float64).reshape(-1, 4)
