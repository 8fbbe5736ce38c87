"""Average precision as COCO counts it: the figures by faster-coco-eval, their intervals from matches kept a picture (numpy).

COCO: Lin et al., 1405.0312; the mean over the IoU thresholds 0.5, 0.55 ... 0.95 of the precision at 101 recalls.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import MissingExtraError
from gossamer.tasks.detect.boxes import pairwise_iou
from gossamer.tasks.detect.suppress import Detections

__all__ = ["THRESHOLDS", "Evaluation", "Matches", "evaluate", "match_pictures"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_RESAMPLES = (40, 400)
_WORK = 4e7
_LOG = logging.getLogger("faster_coco_eval")
"""What the library says of its own progress is for who debugs it."""

Truth = NDArray[np.float64]
"""(M, 7): label, xyxy, area, crowd."""


@dataclass(frozen=True)
class Evaluation:
    """What a set of pictures comes to."""

    figures: Mapping[str, float]
    """ap, ap50, ap75, ap_small, ap_medium, ap_large; those of sizes that no box has are left out."""
    classes: NDArray[np.float64]
    """(K, 2) ap and ap50 of each class; NaN where no box is of it."""
    precisions: NDArray[np.float64]
    """(K, 101) at IoU 0.5, over recalls of 0 to 1; NaN where no box is of the class."""
    confidences: NDArray[np.float64]
    """(K, 101) scores at which these are reached."""


def evaluate(said: Sequence[Detections], truth: Sequence[Truth], classes: int) -> Evaluation:
    """Of pictures with what is said (N, 6) and true (M, 7) of each.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError("average precision", "faster-coco-eval", "train") from error
    if not any(len(rows) for rows in truth) or not any(len(rows) for rows in said):
        return _nothing(truth, classes)
    held = COCO(_document(truth, classes), print_function=_LOG.debug)
    rows = np.concatenate(
        [
            np.column_stack(
                [np.full(len(each), i + 1), each[:, :2], each[:, 2:4] - each[:, :2], each[:, 4:6] + [0, 1]]
            )
            for i, each in enumerate(said)
        ]
    )
    result = COCOeval_faster(held, held.loadRes(rows), "bbox", print_function=_LOG.debug)
    result.params.maxDets = [1, 10, 100]
    result.evaluate()
    result.accumulate()
    precision = np.asarray(result.eval["precision"], np.float64)  # (T, R, K, areas, most)
    scores = np.asarray(result.eval["scores"], np.float64)
    counted = np.where(precision > -1, precision, np.nan)
    figures = dict(zip(_NAMES, _figures(counted), strict=True))
    every = counted[..., 0, -1]
    per_class = np.stack([_mean(every, (0, 1)), _mean(every[0], 0)], 1)
    return Evaluation(
        {name: value for name, value in figures.items() if np.isfinite(value)},
        per_class,
        every[0].T,
        scores[0, :, :, 0, -1].T,
    )


def _figures(precision: NDArray[np.float64]) -> list[float]:
    """In the order of the names."""
    every = precision[..., 0, -1]
    chosen = [every, every[0], every[5], *(precision[..., area, -1] for area in (1, 2, 3))]
    return [float(_mean(each, None)) for each in chosen]


def _mean(values: NDArray[np.float64], axis: int | tuple[int, ...] | None) -> NDArray[np.float64]:
    """Of what is no NaN; NaN where all are."""
    there = np.isfinite(values)
    count = there.sum(axis)
    return np.where(count > 0, np.where(there, values, 0.0).sum(axis) / np.maximum(count, 1), np.nan)


def _nothing(truth: Sequence[Truth], classes: int) -> Evaluation:
    """Nothing is said, or there is nothing to say."""
    borne = {int(label) for rows in truth for label in rows[rows[:, 6] == 0, 0]}
    value = np.array([0.0 if label in borne else np.nan for label in range(classes)])
    curves = np.repeat(value[:, None], len(_RECALLS), 1)
    return Evaluation({"ap": 0.0, "ap50": 0.0}, np.stack([value, value], 1), curves, curves)


def _document(truth: Sequence[Truth], classes: int) -> dict[str, Any]:
    """The truth as COCO writes it; numbers of pictures and classes count from 1."""
    annotations: list[dict[str, Any]] = []
    for picture, rows in enumerate(truth, 1):
        for label, x1, y1, x2, y2, area, crowd in rows.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": int(label) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area,
                    "iscrowd": int(crowd),
                }
            )
    return {
        "images": [{"id": i + 1} for i in range(len(truth))],
        "categories": [{"id": i + 1, "name": str(i)} for i in range(classes)],
        "annotations": annotations,
    }


@dataclass(frozen=True)
class Matches:
    """Every detection of every picture, best first, with whether it is right at each of the thresholds."""

    scores: NDArray[np.float64]
    """(N,)."""
    labels: NDArray[np.int64]
    pictures: NDArray[np.int64]
    right: NDArray[np.bool_]
    """(T, N)."""
    passed: NDArray[np.bool_]
    """(T, N): on a crowd, neither right nor wrong."""
    borne: NDArray[np.int64]
    """(pictures, K): boxes to be found."""

    def average_precision(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        """(ap, ap50) where each picture counts so often, (pictures,)."""
        values = []
        for label in range(self.borne.shape[1]):
            wanted = float(weights @ self.borne[:, label])
            if wanted <= 0:
                continue
            rows = np.flatnonzero(self.labels == label)
            counts = weights[self.pictures[rows]]
            right = self.right[:, rows] & ~self.passed[:, rows]
            hits = np.cumsum(right * counts, 1)
            misses = np.cumsum((~right & ~self.passed[:, rows]) * counts, 1)
            values.append(_interpolated(hits / wanted, hits / np.maximum(hits + misses, 1e-12)))
        if not values:
            return 0.0, 0.0
        mean = np.mean(values, 0)
        return float(mean.mean()), float(mean[0])

    def deviations(self) -> tuple[float, float]:
        """Of (ap, ap50), from pictures drawn again with replacement; the draws are fixed."""
        count = len(self.borne)
        draws = int(np.clip(_WORK / max(1, self.right.size), *_RESAMPLES))
        generator = np.random.default_rng(0)
        rows = [
            self.average_precision(
                np.bincount(generator.integers(count, size=count), minlength=count).astype(float)
            )
            for _ in range(draws)
        ]
        ap, ap50 = np.std(rows, 0)
        return float(ap), float(ap50)


def _interpolated(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, N) each -> (T,): the mean over 101 recalls of the best precision from there on."""
    if not recall.shape[1]:
        return np.zeros(len(recall))
    envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    values = []
    for curve, best in zip(recall, envelope, strict=True):
        places = np.searchsorted(curve, _RECALLS, side="left")
        values.append(np.where(places < len(best), best[np.minimum(places, len(best) - 1)], 0.0).mean())
    return np.array(values)


def match_pictures(said: Sequence[Detections], truth: Sequence[Truth], classes: int) -> Matches:
    """COCO's matching: each detection, best first, takes the free box of its class that it overlaps most."""
    parts = []
    borne = np.zeros((len(truth), classes), np.int64)
    for picture, (rows, boxes) in enumerate(zip(said, truth, strict=True)):
        real = boxes[boxes[:, 6] == 0]
        np.add.at(borne[picture], real[:, 0].astype(np.int64), 1)
        right = np.zeros((len(THRESHOLDS), len(rows)), np.bool_)
        passed = right.copy()
        for label in np.unique(rows[:, 5]):
            mine = np.flatnonzero(rows[:, 5] == label)
            _match(rows[mine], boxes[boxes[:, 0] == label], mine, right, passed)
        parts.append((rows[:, 4], rows[:, 5].astype(np.int64), np.full(len(rows), picture), right, passed))
    scores, labels, pictures = (np.concatenate([part[i] for part in parts]) for i in range(3))
    right, passed = (np.concatenate([part[i] for part in parts], 1) for i in (3, 4))
    order = np.argsort(-scores, kind="stable")
    return Matches(scores[order], labels[order], pictures[order], right[:, order], passed[:, order], borne)


def _match(
    rows: Detections,
    boxes: Truth,
    places: NDArray[np.int64],
    right: NDArray[np.bool_],
    passed: NDArray[np.bool_],
) -> None:
    """One class of one picture, detections best first; crowds are taken last and by any number."""
    boxes = boxes[np.argsort(boxes[:, 6], kind="stable")]
    if not len(boxes):
        return
    crowd = boxes[:, 6] > 0
    overlaps = pairwise_iou(rows[:, :4], boxes[:, 1:5])
    if crowd.any():
        overlaps[:, crowd] = _covered(rows[:, :4], boxes[crowd, 1:5])
    free = np.ones((len(THRESHOLDS), len(boxes)), np.bool_)
    levels = np.arange(len(THRESHOLDS))
    for row, place in zip(overlaps, places, strict=True):
        if row.max() < THRESHOLDS[0]:
            continue
        for part in (~crowd, crowd):
            value = np.where(free & part, row, -1.0)
            best = value.shape[1] - 1 - value[:, ::-1].argmax(1)
            hit = (value[levels, best] >= THRESHOLDS - 1e-12) & ~right[:, place]
            right[hit, place] = True
            passed[hit, place] = crowd[best[hit]]
            free[levels[hit], best[hit]] = crowd[best[hit]]


def _covered(ours: NDArray[np.float64], crowds: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of a box lies in each crowd, (N, M)."""
    low = np.maximum(ours[:, None, :2], crowds[None, :, :2])
    high = np.minimum(ours[:, None, 2:], crowds[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(2)
    area = np.clip(ours[:, 2:] - ours[:, :2], 0, None).prod(1)[:, None]
    return np.where(area > 0, inner / np.where(area > 0, area, 1.0), 0.0)
