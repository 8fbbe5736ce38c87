"""The score of a detector: what it says of every picture, and what was there (numpy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.boxes import pairwise_iou, usable
from gossamer.tasks.detect.precision import Evaluation, Matches, evaluate, match_pictures
from gossamer.tasks.detect.suppress import SAID, SCORED, Detections, detections
from gossamer.tasks.task import Outputs, Score, Targets

__all__ = ["Comparison", "DetectionScore", "compared", "paired_drops"]

_OVERLAP = 0.5
"""From here on a box is found."""
_POINTS = 101


class Comparison:
    """What is said of one picture against what is there, at an IoU of 0.5: who is found, missed, too much, or misnamed."""

    def __init__(self, said: Detections, truth: NDArray[np.float64]) -> None:
        real, crowd = truth[truth[:, 6] == 0], truth[truth[:, 6] > 0]
        pairs: list[tuple[int, int]] = []
        left = pairwise_iou(said[:, :4], real[:, 1:5])
        for place in np.argsort(-said[:, 4], kind="stable"):
            row = left[place] + 1e-3 * (real[:, 0] == said[place, 5])
            if len(row) and row.max() >= _OVERLAP:
                best = int(row.argmax())
                pairs.append((int(place), best))
                left[:, best] = -1.0
        taken, hit = {a for a, _ in pairs}, {b for _, b in pairs}
        inside = np.asarray((pairwise_iou(said[:, :4], crowd[:, 1:5]) > 0).any(1))
        self.pairs = [(int(real[b, 0]), int(said[a, 5])) for a, b in pairs]
        """(true class, said class) of boxes that lie on one another."""
        self.missed_places = [i for i in range(len(real)) if i not in hit]
        """Of the boxes that are no crowd."""
        self.missed = [int(real[i, 0]) for i in self.missed_places]
        self.extra = [int(label) for i, label in enumerate(said[:, 5]) if i not in taken and not inside[i]]

    @property
    def wrong(self) -> int:
        """Boxes that are missed, too much or misnamed."""
        return len(self.missed) + len(self.extra) + sum(a != b for a, b in self.pairs)

    @property
    def all(self) -> int:
        """Boxes there are, or are said."""
        return len(self.pairs) + len(self.missed) + len(self.extra)


def compared(said: Detections, truth: NDArray[np.float64]) -> Comparison:
    """Of one picture, with what a person is told of it."""
    return Comparison(said[said[:, 4] >= SAID.threshold], truth)


class DetectionScore(Score):
    """Keeps the boxes of every picture, said and true; figures are counted over all of them."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.said: list[Detections] = []
        self.truth: list[NDArray[np.float64]] = []
        self._evaluated: tuple[int, Evaluation] | None = None
        self._matched: tuple[int, Matches] | None = None

    def update(self, outputs: Outputs, targets: Targets) -> None:
        self.said += [detections(answers, SCORED) for answers in outputs[0]]
        self.truth += [real_rows(rows) for rows in targets]

    def merge(self, other: DetectionScore) -> None:
        self.said += other.said
        self.truth += other.truth

    @property
    def count(self) -> int:
        return len(self.said)

    @property
    def evaluation(self) -> Evaluation:
        """Of all pictures so far."""
        if self._evaluated is None or self._evaluated[0] != self.count:
            self._evaluated = self.count, evaluate(self.said, self.truth, len(self.labels))
        return self._evaluated[1]

    def figures(self) -> dict[str, float]:
        return {"ap": 0.0, "ap50": 0.0, **self.evaluation.figures}

    def matches(self) -> Matches:
        """Of every box that is said, of all pictures so far."""
        if self._matched is None or self._matched[0] != self.count:
            self._matched = self.count, match_pictures(self.said, self.truth, len(self.labels))
        return self._matched[1]

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Twice the deviation over pictures drawn again on either side of the figure (Efron 1979, section 2)."""
        figures = self.figures()
        spread = dict(zip(("ap", "ap50"), self.matches().deviations(), strict=True))
        return {
            name: (max(0.0, figures[name] - 1.96 * each), min(1.0, figures[name] + 1.96 * each))
            for name, each in spread.items()
        }

    def confusion(self) -> NDArray[np.int64]:
        """(K + 1, K + 1): rows are true classes and nothing, columns said ones and nothing."""
        nothing = len(self.labels)
        matrix = np.zeros((nothing + 1, nothing + 1), np.int64)
        for said, truth in zip(self.said, self.truth, strict=True):
            picture = compared(said, truth)
            for true, named in picture.pairs:
                matrix[true, named] += 1
            for label in picture.missed:
                matrix[label, nothing] += 1
            for label in picture.extra:
                matrix[nothing, label] += 1
        return matrix

    def details(self) -> dict[str, Any]:
        """The confusion with a row and a column for nothing, figures a class, and curves over recall and over the score."""
        matrix, evaluation = self.confusion(), self.evaluation
        rows = []
        for place, label in enumerate(self.labels):
            right, said = int(matrix[place, place]), int(matrix[:, place].sum())
            there = int(matrix[place].sum())
            precision, recall = right / said if said else 0.0, right / there if there else 0.0
            both = precision + recall
            rows.append(
                {
                    "label": label,
                    "pictures": sum(bool((rows[:, 0] == place).any()) for rows in self.truth),
                    "precision": precision,
                    "recall": recall,
                    "f1": 2 * precision * recall / both if both else 0.0,
                    "average_precision": _number(evaluation.classes[place, 0]),
                    "ap50": _number(evaluation.classes[place, 1]),
                    "boxes": there,
                }
            )
        return {
            "confusion": matrix.tolist(),
            "classes": rows,
            "lines": [*_recall_lines(evaluation, self.labels), *_score_lines(self.matches())],
            "threshold": SAID.threshold,
        }


def real_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The boxes of one picture among the rows (M, 7) of a target, that fill no place only."""
    rows = np.asarray(rows, np.float64)
    return rows[(rows[:, 0] >= 0) & usable(rows[:, 1:5])]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _recall_lines(evaluation: Evaluation, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision over recall of every class that is there, at an IoU of 0.5."""
    recalls = np.arange(_POINTS) / (_POINTS - 1)
    return [
        {
            "chart": "precision over recall",
            "name": label,
            "points": list(zip(recalls.tolist(), line.tolist(), strict=True)),
        }
        for label, line in zip(labels, evaluation.precisions, strict=True)
        if np.isfinite(line).all()
    ]


def _score_lines(matches: Matches) -> list[dict[str, Any]]:
    """Precision, recall and F1 of all boxes at an IoU of 0.5, over the score from which on they are said."""
    right = matches.right[0] & ~matches.passed[0]
    hits, misses = np.cumsum(right), np.cumsum(~right & ~matches.passed[0])
    there = max(1, int(matches.borne.sum()))
    levels = np.arange(_POINTS) / (_POINTS - 1)
    places = np.searchsorted(-matches.scores, -levels, side="right") - 1
    lines: dict[str, list[tuple[float, float]]] = {"precision": [], "recall": [], "F1": []}
    for level, place in zip(levels.tolist(), places.tolist(), strict=True):
        hit, miss = (int(hits[place]), int(misses[place])) if place >= 0 else (0, 0)
        precision = hit / (hit + miss) if hit + miss else 1.0
        lines["precision"].append((level, precision))
        lines["recall"].append((level, hit / there))
        lines["F1"].append((level, 2 * hit / (hit + miss + there)))
    return [{"chart": "over the score", "name": name, "points": points} for name, points in lines.items()]


def paired_drops(before: DetectionScore, after: DetectionScore, *, draws: int = 200) -> NDArray[np.float64]:
    """What AP falls by where the pictures of both are drawn again together, (draws,); the draws are fixed."""
    pairs = before.matches(), after.matches()
    count, generator = before.count, np.random.default_rng(0)
    drops = []
    for _ in range(draws):
        weights = np.bincount(generator.integers(count, size=count), minlength=count).astype(np.float64)
        first, second = (each.average_precision(weights)[0] for each in pairs)
        drops.append(first - second)
    return np.array(drops)
