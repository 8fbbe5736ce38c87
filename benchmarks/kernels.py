"""Binary and shift convolutions beside ONNX Runtime's fp32 and int8 ones: same shapes, one thread, in turns.

Medians of processor time: on a busy machine the clock on the wall measures the others. Inputs are packed (signs), or
quantized (int8) as a layer before would leave them; packing the signs is timed by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from gossamer.deploy.kernels.binary import BinaryConv2d, pack_inputs
from gossamer.deploy.kernels.shift import ShiftConv2d
from gossamer.deploy.kernels.weights import pack_shifts, pack_signs

SHAPES = ((64, 56), (128, 28), (256, 14), (512, 7))
"""(channels in and out, side) of 3x3 convolutions with padding 1: ResNet-18's four stages at 224 pixels."""
ROUNDS = 25
LEVELS = 7
"""Exponents of the shift weights: 4 bits with the sign."""
ZEROS = 0.1

Call = Callable[[], Any]


def run() -> Iterator[str]:
    """A line a shape, then all figures as JSON."""
    rows = []
    for channels, side in SHAPES:
        milliseconds = _medians(_calls(channels, side))
        macs = channels**2 * 9 * side**2
        rows.append({"channels": channels, "side": side, "macs": macs, "ms": milliseconds})
        yield _line(rows[-1])
    yield json.dumps(rows)


def _calls(channels: int, side: int) -> dict[str, Call]:
    rng = np.random.default_rng(0)
    shape = (channels, channels, 3, 3)
    inputs = rng.standard_normal((channels, side, side)).astype(np.float32)
    codes = rng.integers(0, 255, (1, channels, side, side)).astype(np.uint8)
    signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    powers = signs * 2.0 ** -rng.integers(0, LEVELS, shape) * (rng.random(shape) >= ZEROS)
    binary = BinaryConv2d(pack_signs(signs), padding=1)
    shift = ShiftConv2d(pack_shifts(powers), padding=1)
    last = np.ascontiguousarray(inputs.transpose(1, 2, 0))
    packed, small = pack_inputs(last), (codes[0].astype(np.int16) - 128).astype(np.int8)
    exact, quantized = (
        _fp32(powers.astype(np.float32), side),
        _int8(rng.integers(-127, 128, shape).astype(np.int8), side),
    )
    return {
        "fp32": lambda: exact.run(None, {"x": inputs[None]}),
        "int8": lambda: quantized.run(None, {"x": codes}),
        "binary": lambda: binary(packed),
        "pack": lambda: pack_inputs(last),
        "shift": lambda: shift(small),
    }


def _medians(calls: dict[str, Call]) -> dict[str, float]:
    """Milliseconds of processor time of each, one after the other in every round."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS + 2):
        for name, call in calls.items():
            start = time.thread_time_ns()
            call()
            found[name].append((time.thread_time_ns() - start) / 1e6)
    return {name: round(float(np.median(times[2:])), 4) for name, times in found.items()}


def _line(row: dict[str, Any]) -> str:
    ms, shape = row["ms"], f"{row['channels']}x{row['side']}x{row['side']}"
    rate = {name: row["macs"] / ms[name] / 1e6 for name in ("fp32", "int8", "binary", "shift")}
    return (
        f"{shape:>10}  fp32 {ms['fp32']:.2f} ms, int8 {ms['int8']:.2f}, binary {ms['binary']:.3f} (+{ms['pack']:.3f} to pack), "
        f"shift {ms['shift']:.2f}; binary takes {ms['binary'] / ms['fp32']:.3f} of fp32 and {ms['binary'] / ms['int8']:.3f} of "
        f"int8, shift {ms['shift'] / ms['fp32']:.2f} of fp32 and {ms['shift'] / ms['int8']:.2f} of int8 "
        f"({', '.join(f'{name} {value:.0f}' for name, value in rate.items())} GMAC/s)"
    )


def _fp32(weights: np.ndarray[Any, Any], side: int) -> Any:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return _session([node], {"w": weights}, TensorProto.FLOAT, side)


def _int8(weights: np.ndarray[Any, Any], side: int) -> Any:
    """QLinearConv: bytes in, bytes out, weights of one scale a filter."""
    constants = {
        "w": weights,
        "xs": np.float32(0.02),
        "xz": np.uint8(128),
        "ws": np.full(len(weights), 0.01, np.float32),
        "wz": np.zeros(len(weights), np.int8),
        "ys": np.float32(2.0),
        "yz": np.uint8(128),
    }
    node = helper.make_node(
        "QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], pads=[1, 1, 1, 1]
    )
    return _session([node], constants, TensorProto.UINT8, side)


def _session(nodes: list[Any], constants: dict[str, Any], kind: int, side: int) -> Any:
    shape = [1, constants["w"].shape[1], side, side]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [1, len(constants["w"]), side, side])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
