"""fp16 and static int8 of an exported fp32 ONNX file (no torch).

int8: activations unsigned and per tensor, weights signed and per channel, both 8 bits: ONNX Runtime's fast kernels on
x86 take no other pair (with signed activations depthwise convolutions and additions stay float and the file is up to
3.7 times slower than fp32).
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from gossamer._files import write_bytes
from gossamer.deploy.onnx_file import compact
from gossamer.errors import ModelError

__all__ = ["Calibration", "to_fp16", "to_int8"]


@dataclass(frozen=True)
class Calibration:
    """How activation ranges are set, and what stays float."""

    ranges: Literal["minmax", "percentile"]
    keep_ends: bool = False
    """Leave the first convolution and the last matrix product or convolution in fp32."""

    @property
    def label(self) -> str:
        return self.ranges + (", first and last layer fp32" if self.keep_ends else "")

    @property
    def slug(self) -> str:
        """The same, for the name of a file."""
        return self.ranges + ("-ends-fp32" if self.keep_ends else "")


class _Reader:
    """The quantizer's calibration protocol: one feed at a time, None at the end."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._feeds = iter([{name: value} for value in inputs])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def to_int8(
    source: Path,
    target: Path,
    calibration: Sequence[NDArray[np.float32]],
    how: Calibration = Calibration("minmax"),
) -> None:
    """Static int8 in QDQ form, activation ranges from the calibration inputs.

    `calibration` holds prepared inputs (1, bands, H, W) of the training split.

    Raises:
        ModelError: no calibration inputs, or the quantizer refuses the graph.
    """
    if not calibration:
        raise ModelError("int8 needs calibration inputs, got none; give some training pictures")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    methods = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
    with tempfile.TemporaryDirectory(prefix="gossamer-int8-") as folder, _quiet():
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        try:
            name = onnx.load(source, load_external_data=False).graph.input[0].name
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            named = _name_nodes(prepared)
            quantize_static(
                str(prepared),
                str(quantized),
                _Reader(name, calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=methods[how.ranges],
                nodes_to_exclude=_ends(named) if how.keep_ends else [],
            )
        except Exception as error:  # the quantizer raises many kinds for graphs it does not know
            raise ModelError(
                f"cannot quantize {source.name} to int8: {_one_line(error)}; keep fp32"
            ) from error
        model = onnx.load(quantized)
    compact(model)
    write_bytes(target, model.SerializeToString())


def _name_nodes(path: Path) -> list[NodeProto]:
    """Give every node a name, which excluding some needs; the nodes."""
    model = onnx.load(path)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}-{index}"
    onnx.save(model, path)
    return list(model.graph.node)


def _ends(nodes: Sequence[NodeProto]) -> list[str]:
    heavy = [node.name for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [heavy[0], heavy[-1]] if heavy else []


def to_fp16(source: Path, target: Path) -> None:
    """Weights and arithmetic in halves, input and output still float.

    Raises:
        ModelError: the converter refuses the graph.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        try:
            model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        except Exception as error:  # as above
            raise ModelError(
                f"cannot convert {source.name} to fp16: {_one_line(error)}; keep fp32"
            ) from error
    write_bytes(target, model.SerializeToString())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises on the root logger, warns and prints; what matters is measured on the file instead."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)
