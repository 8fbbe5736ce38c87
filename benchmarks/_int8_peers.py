"""The inside of NNCF's rows of the int8 benchmarks: runs in the peers' environment, prints JSON.

A folder holds the exported `fp32.onnx`, `calibration.npy` (N, 1, C, H, W), `judged.npy` (M, 1, C, H, W) and, where
accuracy may be asked during quantization, `labels.npy` of the first of these. OpenVINO computes in float32 what is
not int8: by default it takes bfloat16 on some processors.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from gossamer.timing.latency import compare, measure_latency

SETTINGS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
SECONDS = 1.0
"""Each of two networks is timed for so long, in turns."""
MAX_DROP = 0.01
_NOT_COMPUTED = frozenset({"Const", "Input", "Output", "Reorder", "Reshape", "Concatenation", "Transpose"})

Pictures = NDArray[np.float32]
Make = Callable[[Path, nncf.Dataset, int], ov.Model]


def main(folder: Path, rows: list[str]) -> None:
    """A JSON object: row -> answers, CPU seconds, bytes, time over fp32's, what stays float; fp32 without the last."""
    nncf.set_log_level(logging.ERROR)
    judged = np.load(folder / "judged.npy", mmap_mode="r")
    exact = ov.convert_model(folder / "fp32.onnx")
    found: dict[str, Any] = {
        "fp32": {"answers": _answers(_compiled(exact), judged), "bytes": _bytes(exact, folder)}
    }
    with contextlib.redirect_stdout(sys.stderr):  # NNCF draws its progress there
        for row in rows:
            found[row] = _row(MAKERS[row], exact, folder, judged)
    print(json.dumps(found))


def _row(make: Make, exact: ov.Model, folder: Path, judged: Pictures) -> dict[str, Any]:
    pictures = np.load(folder / "calibration.npy")
    start = time.process_time()
    model = make(folder, nncf.Dataset(list(pictures)), len(pictures))
    seconds = time.process_time() - start
    both = {"fp32": _compiled(exact), "int8": _compiled(model)}
    example = np.ascontiguousarray(judged[0])
    timed = measure_latency(
        {name: lambda one=one: one(example) for name, one in both.items()}, seconds=SECONDS, threads=1
    )
    ratio = compare(timed["int8"], timed["fp32"])
    return {
        "answers": _answers(both["int8"], judged),
        "seconds": seconds,
        "bytes": _bytes(model, folder),
        "ratio": [ratio.ratio, ratio.low, ratio.high],
        "cpu_ratio": timed["int8"].cpu_ms / timed["fp32"].cpu_ms,
        "float": _float_operators(both["int8"]),
    }


def _quantized(**settings: Any) -> Make:
    def make(folder: Path, dataset: nncf.Dataset, count: int) -> ov.Model:
        return nncf.quantize(ov.convert_model(folder / "fp32.onnx"), dataset, subset_size=count, **settings)

    return make


def _guarded(folder: Path, dataset: nncf.Dataset, count: int) -> ov.Model:
    """The worst operators stay float until accuracy holds on the labelled pictures."""
    labels = np.load(folder / "labels.npy")
    pictures = np.load(folder / "judged.npy", mmap_mode="r")[: len(labels)]

    def accuracy(model: ov.CompiledModel, items: Iterable[tuple[Pictures, int]]) -> tuple[float, None]:
        return float(np.mean([int(model(picture)[0].argmax()) == label for picture, label in items])), None

    return nncf.quantize_with_accuracy_control(
        ov.convert_model(folder / "fp32.onnx"),
        dataset,
        nncf.Dataset(list(zip(pictures, labels.tolist(), strict=True))),
        accuracy,
        max_drop=MAX_DROP,
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=count,
    )


MAKERS: dict[str, Make] = {
    "NNCF": _quantized(),
    "NNCF, bias correction in full": _quantized(fast_bias_correction=False),
    "NNCF, mixed preset": _quantized(preset=nncf.QuantizationPreset.MIXED),
    "NNCF, mixed preset, bias correction in full": _quantized(
        preset=nncf.QuantizationPreset.MIXED, fast_bias_correction=False
    ),
    "NNCF, accuracy control": _guarded,
    "gossamer's int8 file": lambda folder, _, __: ov.convert_model(folder / "int8.onnx"),
}


def _compiled(model: ov.Model) -> ov.CompiledModel:
    return ov.Core().compile_model(model, "CPU", SETTINGS)


def _answers(model: ov.CompiledModel, pictures: Pictures) -> list[int]:
    return [int(model(np.ascontiguousarray(picture))[0].argmax()) for picture in pictures]


def _bytes(model: ov.Model, folder: Path) -> int:
    target = folder / "peer.xml"
    ov.save_model(model, target, compress_to_fp16=False)
    return target.stat().st_size + target.with_suffix(".bin").stat().st_size


def _float_operators(model: ov.CompiledModel) -> dict[str, int]:
    """What the compiled network computes in float: operator -> how often."""
    infos = [node.get_rt_info() for node in model.get_runtime_model().get_ordered_ops()]
    told = [(str(info["layerType"].astype(str)), str(info["runtimePrecision"].astype(str))) for info in infos]
    return dict(Counter(kind for kind, precision in told if precision == "f32" and kind not in _NOT_COMPUTED))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
