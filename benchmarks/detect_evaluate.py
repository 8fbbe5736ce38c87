"""Processor seconds that counting AP takes, with its intervals apart: by itself for 5,000 pictures and 200,000 detections.

    python -m benchmarks.detect_evaluate [PICTURES] [DETECTIONS] [CLASSES]

Pictures are as COCO's: 7 boxes each, detections lie near one of them or anywhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.precision import evaluate, match_pictures

SIDE, BOXES, GOAL = 640.0, 7, 10.0


def boxes_of(generator: np.random.Generator, count: int, classes: int) -> NDArray[np.float64]:
    """True rows (M, 7) of one picture."""
    corners = generator.uniform(0, 0.8 * SIDE, (count, 2))
    sides = np.exp(generator.uniform(np.log(8), np.log(0.5 * SIDE), (count, 2)))
    label = generator.integers(0, classes, (count, 1))
    area = sides.prod(1, keepdims=True)
    return np.hstack([label, corners, corners + sides, area, np.zeros((count, 1))])


def detections_of(
    generator: np.random.Generator, truth: NDArray[np.float64], count: int, classes: int
) -> NDArray[np.float64]:
    """Rows (N, 6) of xyxy, score and label: a half of them near true boxes."""
    near = truth[generator.integers(0, len(truth), count // 2)]
    shaken = near[:, 1:5] + generator.normal(0, 4, (len(near), 4))
    others = boxes_of(generator, count - len(near), classes)
    places = np.vstack([shaken, others[:, 1:5]])
    label = np.hstack([near[:, 0], others[:, 0]])
    return np.hstack([places, generator.random((count, 1)), label[:, None]])


def run(pictures: int = 5000, total: int = 200_000, classes: int = 80) -> Iterator[str]:
    """Lines for a person."""
    generator = np.random.default_rng(0)
    truth = [boxes_of(generator, BOXES, classes) for _ in range(pictures)]
    said = [detections_of(generator, rows, total // pictures, classes) for rows in truth]
    began = time.process_time()
    evaluation = evaluate(said, truth, classes)
    counted = time.process_time() - began
    deviations = match_pictures(said, truth, classes).deviations()
    whole = time.process_time() - began
    yield f"{pictures:,} pictures, {sum(map(len, said)):,} detections, {classes} classes"
    yield (
        f"AP {evaluation.figures['ap']:.4f}, AP50 {evaluation.figures['ap50']:.4f}: {counted:.1f} CPU s "
        f"({counted / GOAL:.2f} of the target)"
    )
    yield f"with intervals, deviations {deviations[0]:.4f} and {deviations[1]:.4f}: {whole:.1f} CPU s"


if __name__ == "__main__":
    for line in run(*map(int, sys.argv[1:])):
        print(line)
