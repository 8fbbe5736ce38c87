"""Figures of a classifier from its confusion matrix (numpy)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassFigures", "accuracy", "class_figures", "confusion", "softmax"]


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall and F1 of one class, and how many pictures truly belong to it."""

    pictures: int
    precision: float
    recall: float
    f1: float


def confusion(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Counts (K, K): rows are true classes, columns predicted ones."""
    flat = np.bincount(
        truth.astype(np.int64) * num_classes + predicted.astype(np.int64), minlength=num_classes**2
    )
    return flat.reshape(num_classes, num_classes)


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of pictures on the diagonal; 0 for an empty matrix."""
    total = int(matrix.sum())
    return float(np.trace(matrix)) / total if total else 0.0


def class_figures(matrix: NDArray[np.int64]) -> list[ClassFigures]:
    """One row a class; a share whose denominator is 0 is 0."""
    rows: list[ClassFigures] = []
    for k in range(len(matrix)):
        hit, true, said = int(matrix[k, k]), int(matrix[k].sum()), int(matrix[:, k].sum())
        precision, recall = hit / said if said else 0.0, hit / true if true else 0.0
        rows.append(ClassFigures(true, precision, recall, 2 * hit / (true + said) if true + said else 0.0))
    return rows


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis, from scores of any scale."""
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float32)
