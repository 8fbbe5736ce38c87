"""What a candidate is worth within the minutes: one that is trained for too few passes does not keep its promise."""

from __future__ import annotations

import math
import os

from gossamer.fit.candidates import Candidate

__all__ = ["affordable_passes", "worth_within"]

_VIEW, _STEP = 3.8, 5.2
"""Processor time that the early layers of a view and a step of training take a picture, in latencies of the fp32 file on one
thread: measured for EfficientNet-Lite0 cut to 0.76 M params at 192 pixels."""
_VIEWS, _PASSES = 8, 12.0
_ALL = 4 / 3
"""Pictures that train at the end to those that train at first: 80 to 60 of a hundred."""
_TRAINING = 0.75
"""Of the minutes, about."""
_HALVED = 0.03
"""Promise that half the passes cost: half a point at 128 pixels, as much as a third fewer pixels a side (docs/results.md)."""


def affordable_passes(latency_ms: float, pictures: int, minutes: float) -> float:
    """How many passes over so many training pictures the minutes allow, all views made and the end trained twice."""
    each = latency_ms / 1e3 * max(1, pictures) / (os.cpu_count() or 1)
    left = 60 * _TRAINING * minutes - _VIEW * _VIEWS * _ALL * each
    return max(0.0, left) / (_STEP * (1 + _ALL) * each)


_SLOW_STEP, _SLOW_PASSES, _SLOW_HALVED = 8.0, 30.0, 0.1
"""Of tasks whose figures are slow to rise, all stages behind the held ones trained: processor time of a step in latencies, passes
that are wanted, and what half of them cost (docs/results.md, boxes made in code)."""


def worth_within(
    candidate: Candidate, latency_ms: float, pictures: int, minutes: float, *, slow: bool = False
) -> float:
    """The promise, less what too few passes cost where it starts from weights, or the task is `slow`; other candidates are
    judged by training."""
    if slow:
        each = latency_ms / 1e3 * max(1, pictures) / (os.cpu_count() or 1)
        afforded = max(0.1, 60 * _TRAINING * minutes / (_SLOW_STEP * each))
        return candidate.promise - _SLOW_HALVED * max(0.0, math.log2(_SLOW_PASSES / afforded))
    if candidate.weights is None:
        return candidate.promise
    passes = max(affordable_passes(latency_ms, pictures, minutes), 0.1)
    return candidate.promise - _HALVED * max(0.0, math.log2(_PASSES / passes))
