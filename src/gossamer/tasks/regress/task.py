"""A number for each picture, or several: targets (N, D) and outputs (N, D) in the unit of the data, D names as labels.

`mae` and `rmse` are in that unit, means over all D numbers; `r2` is the share of the targets' variance that is
explained, a mean over the D (0: no better than always saying the mean; below 0: worse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError
from gossamer.tasks.kept import KeptScore
from gossamer.tasks.task import Answer, Criterion, Frame, Mistake, Outputs, Remark, Targets, Task
from gossamer.types import Size

__all__ = ["TASK", "Regress", "ValueScore"]

_BINS, _IN_A_BIN = 8, 5
"""Splits get their share of so many ranges of values at most, each of so many pictures at least."""
_FAR = 10.0
"""Times the middle half's width: a value this far outside is worth a look."""
_POINTS = 2000


class ValueScore(KeptScore):
    """Keeps all pairs of said and true."""

    nothing: ClassVar[dict[str, float]] = {"r2": 0.0, "mae": 0.0, "rmse": 0.0}

    def update(self, outputs: Outputs, targets: Targets) -> None:
        self.keep(np.asarray(outputs[0], np.float64), np.asarray(targets, np.float64))

    def figures_of(self, said: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
        return _figures(said, true)

    def details(self) -> dict[str, Any]:
        """Pairs (true, said) of the first number, 2,000 at most."""
        said, true = self.all()
        every = -(-len(said) // _POINTS) or 1
        pairs = zip(true[::every, 0].tolist(), said[::every, 0].tolist(), strict=True)
        return {"points": [(a, b) for a, b in pairs], "quantity": self.labels[0]}


def _figures(said: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, float]:
    error = said - true
    spread = np.square(true - true.mean(0)).sum(0)
    lost = np.square(error).sum(0)
    explained = np.where(
        spread > 0, 1 - lost / np.where(spread > 0, spread, 1.0), np.where(lost > 0, 0.0, 1.0)
    )
    return {
        "r2": float(explained.mean()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
    }


class Regress(Task):
    """How much of something a picture shows."""

    name = "regress"
    outputs = ("values",)
    criteria = (
        Criterion("r2", "R2", percent=False),
        Criterion("mae", "mean absolute error", larger=False, share=False),
        Criterion("rmse", "root mean square error", larger=False, share=False),
    )
    noun = "quantity"

    def array(self, targets: Sequence[Any], labels: Sequence[str]) -> Targets:
        return np.array(list(targets), np.float32).reshape(len(targets), len(labels))

    def text(self, target: Any, labels: Sequence[str]) -> str:
        return ";".join(f"{value:.6g}" for value in np.ravel(target))

    def kinds(self, targets: Sequence[Any], labels: Sequence[str]) -> list[tuple[str, ...]]:
        """Ranges of the first number that hold about equally many pictures."""
        values = self.array(targets, labels)[:, 0].astype(np.float64)
        count = max(1, min(_BINS, len(values) // _IN_A_BIN))
        edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)))
        inner = np.searchsorted(edges[1:-1], values, side="right")
        names = [f"{a:.4g} to {b:.4g}" for a, b in zip(edges, [*edges[1:], edges[-1]], strict=True)]
        return [(names[int(i)],) for i in inner]

    def kind_names(self, targets: Sequence[Any], labels: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(name for (name,) in sorted(self.kinds(targets, labels), key=_low)))

    def settle(
        self, targets: Sequence[Any], labels: Sequence[str], where: str
    ) -> tuple[list[Any], tuple[str, ...]]:
        values = self.array(targets, labels)
        if not len(values) or (np.ptp(values, axis=0) == 0).any():
            raise DataError(
                f"a number is learned where pictures differ in it, {where} has {len(values)} pictures with one value; "
                "add pictures of other values"
            )
        return list(targets), tuple(labels)

    def remarks(
        self,
        targets: Sequence[Any],
        labels: Sequence[str],
        sizes: Sequence[Size | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Remark]:
        values = self.array(targets, labels)
        low, high = np.percentile(values, (25, 75), axis=0)
        far = (values < low - _FAR * (high - low)) | (values > high + _FAR * (high - low))
        outside = np.flatnonzero(far.any(1) & (high > low).any())
        if not len(outside):
            return []
        message = (
            f"{len(outside)} values lie far from the others (the middle half is {low[0]:.4g} to {high[0]:.4g}), one is "
            f"{values[outside[0], 0]:.4g}: a few such rule the squared error; look at them"
        )
        return [Remark("warning", "far-value", message)]

    def edits(self, targets: Targets, labels: Sequence[str]) -> tuple[dict[str, Any], ...]:
        """Numbers of size one become numbers of the data's mean and deviation."""
        values = targets.astype(np.float64)
        deviation = values.std(0)
        scale = np.where(deviation > 0, deviation, 1.0)
        return ({"edit": "rescale", "scale": scale.tolist(), "offset": values.mean(0).tolist()},)

    def answers(self, outputs: Outputs) -> Targets:
        return outputs[0]

    def score(self, labels: Sequence[str]) -> ValueScore:
        return ValueScore(labels)

    def decode(
        self, outputs: Outputs, labels: Sequence[str], *, top: int, frame: Frame | None = None
    ) -> Answer:
        values = [float(value) for value in outputs[0][0]]
        document = {"values": dict(zip(labels, values, strict=True))}
        row = {label: f"{value:.6g}" for label, value in zip(labels, values, strict=True)}
        return Answer(tuple(labels), tuple(values), document, row)

    def mistakes(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> list[Mistake]:
        off = np.abs(outputs[0] - targets).max(1)
        return [
            Mistake(int(i), self.text(targets[i], labels), self.text(outputs[0][i], labels), float(off[i]))
            for i in np.argsort(-off, kind="stable")
            if off[i] > 0
        ]


def _low(kind: tuple[str, ...]) -> float:
    """Where a range begins."""
    return float(kind[0].partition(" ")[0])


TASK = Regress()
