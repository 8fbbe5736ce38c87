"""Mixed precision as an integer program: which layers go to int8 so that a limit holds and the least is lost (no torch).

Noise of layers adds up where it is small and independent: sum over the int8 layers of 10^(-SQNR / 10), measured one
layer at a time, is made least under a limit (the formulation of HAWQ-V3, Yao et al., 2011.10680, section 3.4, with
measured noise in the place of a Hessian's trace): of bytes, of bit operations, or of milliseconds. The result is a plan;
the file it gives is to be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.onnxruntime.post_training import MINMAX, Calibration, prepared_graph
from gossamer.deploy.runtimes.onnxruntime.sensitivity import Inputs, Sensitivity
from gossamer.errors import BudgetError
from gossamer.timing.latency import measure_latency

__all__ = ["bit_operations", "choose_fp32", "keep_within", "milliseconds"]

_FP32_BITS, _INT8_BITS = 32, 8
_MOST_NOISE = 1e6


def choose_fp32(layers: Sequence[Sensitivity], max_weight_bytes: int) -> list[Sensitivity]:
    """The layers that stay fp32 (4 bytes a weight, int8 one) under a limit of bytes for all weights, worst first.

    Raises:
        BudgetError: not even int8 everywhere fits.
    """
    least = sum(layer.params for layer in layers)
    if max_weight_bytes < least:
        raise BudgetError(
            f"weights take at least {least} bytes in int8, got a limit of {max_weight_bytes}; prune first or allow more"
        )
    return keep_within(layers, [3.0 * layer.params for layer in layers], max_weight_bytes - least)


def keep_within(layers: Sequence[Sensitivity], extra: Sequence[float], room: float) -> list[Sensitivity]:
    """The layers that stay fp32, worst first: `extra` is what each of them then costs more, `room` what all may together.

    An extra below 0 (layers that are faster in fp32) makes room for others.

    Raises:
        BudgetError: not even the cheapest choice fits.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    least = sum(min(0.0, each) for each in extra)
    if room < least:
        raise BudgetError(
            f"the layers take {least - room:.4g} more than the limit whatever stays fp32; prune first or allow more"
        )
    if not layers:
        return []
    noise = np.array([min(_MOST_NOISE, 10 ** (-layer.sqnr_db / 10)) for layer in layers])
    found = milp(
        -noise,
        constraints=LinearConstraint(np.array(extra, np.float64)[None], ub=room),
        integrality=np.ones(len(layers)),
        bounds=Bounds(0, 1),
    )
    stay = [layer for layer, keep in zip(layers, found.x, strict=True) if keep > 0.5]
    return sorted(stay, key=lambda layer: layer.sqnr_db)


def bit_operations(layers: Sequence[Sensitivity]) -> tuple[int, list[float]]:
    """Macs times bits times bits: of all layers in int8, and what each has more in fp32 (UNIQ, 1804.10969)."""
    per_mac = _FP32_BITS**2 - _INT8_BITS**2
    return sum(layer.macs for layer in layers) * _INT8_BITS**2, [
        float(per_mac * each.macs) for each in layers
    ]


def milliseconds(
    source: Path,
    layers: Sequence[Sensitivity],
    calibration: Inputs,
    how: Calibration = MINMAX,
    *,
    threads: int = 1,
    seconds: float = 0.2,
) -> tuple[float, list[float]]:
    """Of the whole int8 file on ONNX Runtime, and what each layer adds when it alone stays fp32: measured, file by file.

    Conversions around the layer are in it; they are not added twice where neighbours stay fp32 too. Processor time, both
    files in turns for so many seconds.

    Raises:
        ModelError: as `to_int8`.
    """
    runtime = get_runtime("onnxruntime")
    extra, whole = [], []
    with prepared_graph(source, calibration) as prepared:
        folder = prepared.path.parent
        example = np.zeros(calibration[0].shape, np.float32)

        def written(name: str, keep: Sequence[str]) -> Path:
            path = folder / f"{name}.onnx"
            path.write_bytes(prepared.quantized(how, keep=keep).SerializeToString())
            return path

        base = runtime.load(written("all-int8", ()), threads=threads)
        for layer in layers:
            kept = runtime.load(written("one-fp32", layer.nodes), threads=threads)
            timed = measure_latency(
                {"base": lambda: base.run(example), "kept": lambda kept=kept: kept.run(example)},  # type: ignore[misc]
                seconds=seconds,
                threads=threads,
            )
            whole.append(timed["base"].cpu_ms)
            extra.append(timed["kept"].cpu_ms - timed["base"].cpu_ms)
    return float(np.median(whole)) if whole else 0.0, extra
