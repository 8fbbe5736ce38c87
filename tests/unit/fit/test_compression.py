"""Which file is shipped: a table of measurements and the choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossamer.deploy.runtimes.convert import post_training
from gossamer.fit.compression import Row, _reason
from gossamer.runs.choice import FileScore, preferred
from gossamer.runs.trained import TrainedNetwork

BOTH = {"fp32": True, "int8": True, "fp16": True}


def _score(precision, *, ms, mb, accuracy=0.9, drop=0.0):
    return FileScore(
        precision, Path(f"{precision}.onnx"), int(mb * 1e6), ms, accuracy, drop, mb / 4.0, ms / 4.0
    )


FP32 = _score("fp32", ms=4.0, mb=4.0)


@pytest.mark.parametrize(
    ("why", "other", "fits", "kept"),
    [
        ("faster and smaller", _score("int8", ms=2.0, mb=1.0), BOTH, "int8"),
        ("smaller at the same speed", _score("int8", ms=4.0, mb=1.0), BOTH, "int8"),
        ("faster at the same size", _score("int8", ms=3.0, mb=4.0), BOTH, "int8"),
        ("hardly faster, not smaller", _score("int8", ms=3.8, mb=3.9), BOTH, "fp32"),
        ("smaller but slower", _score("int8", ms=4.5, mb=1.0), BOTH, "fp32"),
        ("the guard refuses", _score("int8", ms=1.0, mb=1.0, drop=0.011), BOTH, "fp32"),
        ("the guard just holds", _score("int8", ms=1.0, mb=1.0, drop=0.01), BOTH, "int8"),
        ("better than exact", _score("int8", ms=1.0, mb=1.0, drop=-0.02), BOTH, "int8"),
        ("over budget", _score("int8", ms=1.0, mb=1.0), BOTH | {"int8": False}, "fp32"),
        ("only the slow one fits", _score("int8", ms=4.5, mb=1.0), BOTH | {"fp32": False}, "int8"),
        (
            "fp32 does not fit, int8 loses",
            _score("int8", ms=1.0, mb=1.0, drop=0.5),
            BOTH | {"fp32": False},
            None,
        ),
        ("none fits", _score("int8", ms=1.0, mb=1.0), {"fp32": False, "int8": False}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_preferred(why, other, fits, kept):
    for scores in ([FP32, other], [other, FP32]):
        best = preferred(scores, fits, 0.01, on="onnxruntime")
        assert (best.precision if best else None) == kept


def test_of_three_the_least_latency_times_size():
    scores = [FP32, _score("fp16", ms=3.5, mb=2.0), _score("int8", ms=3.0, mb=1.0)]
    assert preferred(scores, BOTH, 0.01, on="onnxruntime").precision == "int8"
    assert preferred(scores[:2], BOTH, 0.01, on="onnxruntime").precision == "fp16"


def test_a_guard_of_zero_takes_what_loses_nothing():
    assert (
        preferred([FP32, _score("int8", ms=1.0, mb=1.0, drop=0.0)], BOTH, 0.0, on="onnxruntime").precision
        == "int8"
    )
    assert (
        preferred([FP32, _score("int8", ms=1.0, mb=1.0, drop=1e-6)], BOTH, 0.0, on="onnxruntime").precision
        == "fp32"
    )


def test_nothing_to_choose_from():
    assert preferred([], {}, 0.01, on="onnxruntime") is None


def test_a_file_without_fp32_beside_it_is_held_to_the_guard_alone():
    assert (
        preferred([_score("int8", ms=9.0, mb=9.0, drop=0.01)], BOTH, 0.01, on="onnxruntime").precision
        == "int8"
    )
    assert preferred([_score("int8", ms=9.0, mb=9.0, drop=0.02)], BOTH, 0.01, on="onnxruntime") is None


def test_the_guard_backs_off_to_less_loss():
    assert [how.label for how in post_training("onnxruntime").ladder] == [
        "minmax",
        "percentile",
        "minmax, first and last layer fp32",
    ]


NETWORK = TrainedNetwork.model_construct(network=type("C", (), {"key": "n@64"})())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"precision": "int8"}, "kept: least latency times size within budget and guard"),
        ({"precision": "int8", "fits": False}, "kept: nearest to the budget"),
        ({"precision": "fp32", "fits": False}, "over budget"),
        ({"precision": "fp32", "latency_ms": 9.0, "size_bytes": 4_000_000}, "slower and not smaller"),
        ({"precision": "fp32", "latency_ms": 1.0}, "larger or slower for no accuracy that matters"),
        ({"precision": "fp16", "latency_ms": 1.0}, "buys less"),
        ({"network": "other@64", "precision": "int8", "latency_ms": 1.0}, "buys less"),
    ],
)
def test_every_file_has_its_reason(row, reason):
    best = _score("int8", ms=2.0, mb=1.0)
    whole = {
        "network": "n@64",
        "setting": "minmax",
        "file": "f",
        "size_bytes": 1_000_000,
        "latency_ms": 2.0,
        "score": 0.9,
        "drop": 0.0,
        "fits": True,
    }
    assert _reason(Row.model_validate(whole | row), best, NETWORK) == reason
