"""One rule says whether a lossy file ships; every caller asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossamer.runs.choice import FileScore, decide, preferred
from gossamer.types import within

FLOATS = {"HardSwish": 4, "ReduceMean": 1}


def _score(precision, *, drop=0.0, size_ratio=1.0, latency_ratio=1.0):
    return FileScore(
        precision=precision,
        path=Path(f"{precision}.onnx"),
        size_bytes=1000,
        latency_ms=1.0,
        score=0.9 - drop,
        drop=drop,
        size_ratio=size_ratio,
        latency_ratio=latency_ratio,
        float_operators=FLOATS,
    )


@pytest.mark.parametrize(
    ("latency_ratio", "size_ratio", "ships", "reason"),
    [
        (1.03, 0.25, True, "int8: as fast as fp32 on onnxruntime and smaller; int8 takes 1.03 of the time and 0.25"),
        (1.05, 0.25, True, "int8: as fast as fp32"),
        (1.06, 0.25, False, "fp32 is faster on onnxruntime: int8 takes 1.06 of the time and 0.25 of the bytes; in float stay HardSwish x 4, ReduceMean x 1"),
        (0.94, 1.00, True, "int8: int8 takes 0.94 of the time and 1.00 of the bytes of fp32 on onnxruntime"),
        (0.96, 0.95, False, "int8 buys nothing on onnxruntime: int8 takes 0.96"),
        (1.00, 0.89, True, "int8: as fast as fp32"),
        (1.00, 0.90, False, "int8 buys nothing"),
    ],
)  # fmt: skip
def test_what_ships_and_why(latency_ratio, size_ratio, ships, reason):
    verdict = decide("onnxruntime", size_ratio=size_ratio, latency_ratio=latency_ratio, operators=FLOATS)
    assert verdict.recommended is ships
    assert verdict.reason.startswith(reason)
    scores = [_score("fp32"), _score("int8", size_ratio=size_ratio, latency_ratio=latency_ratio)]
    chosen = preferred(scores, {"fp32": True, "int8": True}, 0.01, on="onnxruntime")
    assert (chosen.precision == "int8") is ships, "the main job ships what the verdict says"


def test_the_guard_has_one_tolerance():
    assert within(0.01, 0.01)
    assert within(0.3 - 0.29, 0.01), "1 of 100 pictures, whatever the rounding of shares"
    assert not within(0.0101, 0.01)


@pytest.mark.parametrize(("drop", "shipped"), [(0.01, "int8"), (0.011, "fp32")])
def test_a_file_beyond_the_guard_does_not_ship(drop, shipped):
    scores = [_score("fp32"), _score("int8", drop=drop, size_ratio=0.25, latency_ratio=0.5)]
    assert preferred(scores, {"fp32": True, "int8": True}, 0.01, on="onnxruntime").precision == shipped


def test_a_budget_that_fp32_does_not_keep_takes_what_keeps_it():
    scores = [_score("fp32"), _score("int8", size_ratio=0.25, latency_ratio=2.0)]
    assert preferred(scores, {"fp32": False, "int8": True}, 0.01, on="onnxruntime").precision == "int8"
    assert preferred(scores, {"fp32": False, "int8": False}, 0.01, on="onnxruntime") is None
