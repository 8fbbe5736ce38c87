"""One class of several: targets are the numbers of classes (N,), outputs their scores (N, K)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError
from gossamer.tasks.classify.calibration import expected_calibration_error, fit_temperature
from gossamer.tasks.classify.confusion import accuracy, class_figures, confusion, softmax
from gossamer.tasks.intervals import wilson_interval
from gossamer.tasks.precision import average_precision
from gossamer.tasks.task import Answer, Criterion, Frame, Mistake, Outputs, Remark, Score, Targets, Task
from gossamer.types import Size

__all__ = ["TASK", "UNSURE", "ClassScore", "Classify", "count_remarks"]

UNSURE = "unsure"
"""What a table says in place of a label where none is sure enough."""

_IMBALANCE = 10.0
_TOO_FEW = 3
_TOP = 5


class ClassScore(Score):
    """A confusion matrix that grows."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.matrix = np.zeros((len(labels), len(labels)), np.int64)
        """Rows are true classes, columns predicted ones."""

    def update(self, outputs: Outputs, targets: Targets) -> None:
        self.matrix += confusion(targets, outputs[0].argmax(1), len(self.labels))

    def merge(self, other: ClassScore) -> None:
        self.matrix += other.matrix

    @property
    def count(self) -> int:
        return int(self.matrix.sum())

    def figures(self) -> dict[str, float]:
        """`accuracy`, and `balanced`: the mean of the recalls of the classes that are there."""
        there = self.matrix.sum(1) > 0
        recall = np.diag(self.matrix)[there] / self.matrix.sum(1)[there]
        return {
            "accuracy": accuracy(self.matrix),
            "balanced": float(recall.mean()) if len(recall) else 0.0,
        }

    def intervals(self) -> dict[str, tuple[float, float]]:
        return {"accuracy": wilson_interval(accuracy(self.matrix), self.count)}

    def details(self) -> dict[str, Any]:
        rows = zip(self.labels, class_figures(self.matrix), strict=True)
        return {
            "confusion": self.matrix.tolist(),
            "classes": [{"label": label, **vars(figures)} for label, figures in rows],
        }


class Classify(Task):
    """Which of K classes a picture is of."""

    name = "classify"
    outputs = ("scores",)
    criteria = (Criterion("accuracy", "accuracy"),)
    noun, nouns = "class", "classes"

    verb = "names"

    def told(self, value: float, count: int) -> str:
        return f"{100 * value:.1f} % of {count} test pictures right"

    def array(self, targets: Sequence[Any], labels: Sequence[str]) -> Targets:
        return np.array(list(targets), np.int64)

    def text(self, target: Any, labels: Sequence[str]) -> str:
        return labels[int(target)]

    def kinds(self, targets: Sequence[Any], labels: Sequence[str]) -> list[tuple[str, ...]]:
        return [(labels[int(target)],) for target in targets]

    def settle(
        self, targets: Sequence[Any], labels: Sequence[str], where: str
    ) -> tuple[list[Any], tuple[str, ...]]:
        present = sorted(set(targets))
        if len(present) < 2:
            raise DataError(
                f"classification needs at least 2 classes with pictures that can be read, {where} has {len(present)}; "
                "add pictures, or replace those that were skipped"
            )
        index = {old: new for new, old in enumerate(present)}
        return [index[target] for target in targets], tuple(labels[i] for i in present)

    def a_picture(self, count: int) -> str:
        return f"moves by {100 / count:.1f} points a picture"

    def remarks(
        self,
        targets: Sequence[Any],
        labels: Sequence[str],
        sizes: Sequence[Size | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Remark]:
        return count_remarks(Counter(labels[int(target)] for target in targets), self.noun)

    def answers(self, outputs: Outputs) -> Targets:
        answers: Targets = outputs[0].argmax(1)
        return answers

    def right(self, outputs: Outputs, targets: Targets) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = outputs[0].argmax(1) == targets
        return right

    def score(self, labels: Sequence[str]) -> ClassScore:
        return ClassScore(labels)

    def decode(
        self, outputs: Outputs, labels: Sequence[str], *, top: int, frame: Frame | None = None
    ) -> Answer:
        shares = softmax(outputs[0])[0]
        order = np.argsort(-shares, kind="stable")[:top]
        names, values = tuple(labels[i] for i in order), tuple(float(shares[i]) for i in order)
        pairs = [{"label": name, "score": round(value, 6)} for name, value in zip(names, values, strict=True)]
        row: dict[str, str] = {}
        for rank, (name, value) in enumerate(zip(names, values, strict=True), 1):
            ending = "" if rank == 1 else f"_{rank}"
            row |= {f"label{ending}": name, f"score{ending}": f"{value:.6f}"}
        return Answer(names, values, {"label": names[0], "top": pairs}, row)

    def shares(self, outputs: Outputs) -> NDArray[np.float32]:
        return softmax(outputs[0])

    def temperature(self, outputs: Outputs, targets: Targets) -> float:
        return fit_temperature(outputs[0], targets)

    def calibration_error(self, outputs: Outputs, targets: Targets) -> float:
        return expected_calibration_error(outputs[0], targets)

    def doubted(self, answer: Answer, threshold: float) -> Answer:
        if answer.scores[0] >= threshold:
            return replace(answer, document={**answer.document, "unsure": False})
        document = {**answer.document, "label": None, "unsure": True}
        return replace(answer, document=document, row={**answer.row, "label": UNSURE}, unsure=True)

    def details(
        self, score: ClassScore, outputs: Outputs, targets: Targets, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Average precision of every class, and `top5` of more than five: how often a class is among the best five."""
        details, shares = score.details(), softmax(outputs[0])
        for k, row in enumerate(details["classes"]):
            true = targets == k
            row["average_precision"] = average_precision(shares[:, k], true) if true.any() else None
        if len(labels) > _TOP:
            best = np.argsort(-outputs[0], axis=1, kind="stable")[:, :_TOP]
            details["top5"] = float((best == targets[:, None]).any(1).mean())
        return details

    def mistakes(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> list[Mistake]:
        shares, said = softmax(outputs[0]), outputs[0].argmax(1)
        wrong = [
            Mistake(int(i), labels[int(targets[i])], labels[int(said[i])], float(shares[i, said[i]]))
            for i in np.flatnonzero(said != targets)
        ]
        return sorted(wrong, key=lambda each: -each.score)


def count_remarks(counts: Counter[str], noun: str) -> list[Remark]:
    """Classes or labels that are too rare, or far from equally frequent."""
    remarks = []
    for label, count in sorted(counts.items()):
        if count < _TOO_FEW:
            many = "1 picture" if count == 1 else f"{count} pictures"
            message = f"{noun} {label!r} has {many}: it is trained, never tested; add more"
            remarks.append(Remark("warning", "tiny-class", message))
    (most, top), (least, bottom) = counts.most_common(1)[0], counts.most_common()[-1]
    if top / bottom >= _IMBALANCE:
        message = f"{noun} {most!r} has {top} pictures, {least!r} {bottom}: the larger will be favoured; accuracy hides it"
        remarks.append(Remark("warning", "imbalance", message))
    return remarks


TASK = Classify()
