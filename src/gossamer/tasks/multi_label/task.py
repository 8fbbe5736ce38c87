"""Any number of K labels a picture: targets are rows of 0 and 1 (N, K), outputs scores (N, K), each label by itself.

A label is said where its score is above 0, a probability of one half. `map` is the mean over labels of the average
precision, the area under the steps of precision over recall; `f1` counts the decisions on all labels together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError
from gossamer.tasks.classify.task import count_remarks
from gossamer.tasks.kept import KeptScore
from gossamer.tasks.precision import average_precision
from gossamer.tasks.task import Answer, Criterion, Frame, Mistake, Outputs, Remark, Targets, Task
from gossamer.types import Size

__all__ = ["TASK", "LabelScore", "MultiLabel"]

_NONE = "(none)"


class LabelScore(KeptScore):
    """Keeps all scores: precision depends on the order of all pictures. Labels that no picture bears are left out of `map`."""

    nothing: ClassVar[dict[str, float]] = {"map": 0.0, "f1": 0.0}

    def update(self, outputs: Outputs, targets: Targets) -> None:
        self.keep(np.asarray(outputs[0], np.float32), np.asarray(targets) > 0.5)

    def figures_of(self, said: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
        return _figures(said, true)

    def details(self) -> dict[str, Any]:
        scores, truth = self.all()
        rows = []
        for k, label in enumerate(self.labels):
            hit, true, said = _counts(scores[:, k : k + 1], truth[:, k : k + 1])
            rows.append(
                {
                    "label": label,
                    "pictures": true,
                    "precision": hit / said if said else 0.0,
                    "recall": hit / true if true else 0.0,
                    "f1": 2 * hit / (true + said) if true + said else 0.0,
                    "average_precision": average_precision(scores[:, k], truth[:, k]) if true else None,
                }
            )
        return {"classes": rows}


def _figures(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, float]:
    areas = np.array([average_precision(scores[:, k], truth[:, k]) for k in range(scores.shape[1])])
    hit, true, said = _counts(scores, truth)
    there = areas[np.isfinite(areas)]
    return {
        "map": float(there.mean()) if len(there) else 0.0,
        "f1": 2 * hit / (true + said) if true + said else 1.0,
    }


def _counts(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """(rightly said, true, said)."""
    said = scores > 0
    return int((said & truth).sum()), int(truth.sum()), int(said.sum())


class MultiLabel(Task):
    """Which of K labels a picture bears."""

    name = "multi-label"
    outputs = ("scores",)
    criteria = (Criterion("map", "mean average precision"), Criterion("f1", "F1"))
    noun, nouns = "label", "labels"

    def array(self, targets: Sequence[Any], labels: Sequence[str]) -> Targets:
        rows = np.zeros((len(targets), len(labels)), np.float32)
        for row, target in zip(rows, targets, strict=True):
            row[list(target)] = 1
        return rows

    def text(self, target: Any, labels: Sequence[str]) -> str:
        return ";".join(labels[i] for i in target) or _NONE

    def kinds(self, targets: Sequence[Any], labels: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(labels[i] for i in target) or (_NONE,) for target in targets]

    def kind_names(self, targets: Sequence[Any], labels: Sequence[str]) -> list[str]:
        return [*labels, *([_NONE] if any(not len(target) for target in targets) else [])]

    def settle(
        self, targets: Sequence[Any], labels: Sequence[str], where: str
    ) -> tuple[list[Any], tuple[str, ...]]:
        present = sorted({i for target in targets for i in target})
        if not present or len({tuple(target) for target in targets}) < 2:
            raise DataError(
                f"labels are learned where some pictures bear them and others do not, {where} has "
                f"{len(present)} labels on {len(targets)} pictures, all alike; add pictures of other labels"
            )
        index = {old: new for new, old in enumerate(present)}
        moved = [tuple(index[i] for i in target) for target in targets]
        return moved, tuple(labels[i] for i in present)

    def remarks(
        self,
        targets: Sequence[Any],
        labels: Sequence[str],
        sizes: Sequence[Size | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Remark]:
        return count_remarks(Counter(labels[i] for target in targets for i in target), self.noun)

    def answers(self, outputs: Outputs) -> Targets:
        return (outputs[0] > 0).astype(np.float32)

    def score(self, labels: Sequence[str]) -> LabelScore:
        return LabelScore(labels)

    def decode(
        self, outputs: Outputs, labels: Sequence[str], *, top: int, frame: Frame | None = None
    ) -> Answer:
        shares = _sigmoid(outputs[0][0])
        order = np.argsort(-shares, kind="stable")
        pairs = [{"label": labels[i], "score": round(float(shares[i]), 6)} for i in order[:top]]
        said = [i for i in order if shares[i] > 0.5]
        names = tuple(labels[i] for i in said)
        row = {"labels": ";".join(names), "scores": ";".join(f"{shares[i]:.6f}" for i in said)}
        return Answer(
            names, tuple(float(shares[i]) for i in said), {"labels": list(names), "top": pairs}, row
        )

    def mistakes(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> list[Mistake]:
        shares, said, truth = _sigmoid(outputs[0]), outputs[0] > 0, targets > 0.5
        off = np.where(truth, 1 - shares, shares)
        wrong = [
            Mistake(
                int(i),
                self.text(np.flatnonzero(truth[i]), labels),
                self.text(np.flatnonzero(said[i]), labels),
                float(off[i].max()),
            )
            for i in np.flatnonzero((said != truth).any(1))
        ]
        return sorted(wrong, key=lambda each: -each.score)


def _sigmoid(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities, from scores of any size."""
    shares: NDArray[np.float64] = np.exp(-np.logaddexp(0, -scores.astype(np.float64)))
    return shares


TASK = MultiLabel()
