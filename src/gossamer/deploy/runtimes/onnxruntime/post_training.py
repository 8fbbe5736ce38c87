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
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from gossamer._files import write_bytes
from gossamer.deploy.runtimes.int8_checks import (
    check_calibration,
    check_finite,
    check_float,
    check_target,
    refusals,
)
from gossamer.deploy.runtimes.onnxruntime.ranges import measure_ranges
from gossamer.files.onnx import compact

__all__ = [
    "LADDER",
    "MINMAX",
    "Calibration",
    "PreparedGraph",
    "behind_weights",
    "check_source",
    "ends",
    "name_nodes",
    "prepared_graph",
    "to_fp16",
    "to_int8",
]

_HEAVY = ("Conv", "Gemm", "MatMul")
_QUANTIZED = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}
)


@dataclass(frozen=True)
class Calibration:
    """How activation ranges are set, and what stays float."""

    ranges: Literal["minmax", "percentile", "entropy"]
    keep_ends: bool = False
    """Leave the first convolution and the last matrix product or convolution in fp32."""
    per_channel: bool = True
    """One scale an output channel of a weight; one a weight where not."""

    @property
    def label(self) -> str:
        ends = ", first and last layer fp32" if self.keep_ends else ""
        return self.ranges + ends + ("" if self.per_channel else ", per tensor")

    @property
    def slug(self) -> str:
        """The same, for the name of a file."""
        return (
            self.ranges
            + ("-ends-fp32" if self.keep_ends else "")
            + ("" if self.per_channel else "-per-tensor")
        )


_METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}
MINMAX = Calibration("minmax")
LADDER: Sequence[Calibration] = (
    MINMAX,
    Calibration("percentile"),
    Calibration("minmax", keep_ends=True),
)
"""Settings in the order in which a guard backs off."""


def to_int8(
    source: Path,
    target: Path,
    calibration: Sequence[NDArray[np.float32]],
    how: Calibration = MINMAX,
    *,
    keep: Sequence[str] = (),
) -> None:
    """Static int8 in QDQ form, activation ranges from the calibration inputs; `source` is only read.

    `calibration` holds prepared inputs (1, bands, H, W) of the training split. `keep` are nodes that stay fp32, by the
    names of `prepared_graph`.

    Raises:
        ModelError: no calibration inputs or of another shape, weights that are not finite, a graph that is quantized
            already, a target that is the source, or a graph that the quantizer refuses.
        RunFolderError: the target cannot be written.
    """
    check_target(source, target)
    with prepared_graph(source, calibration) as prepared:
        outer = ends(prepared.nodes) if how.keep_ends else []
        model = prepared.quantized(how, keep=[*outer, *keep])
    compact(model)
    write_bytes(target, model.SerializeToString())


class PreparedGraph:
    """An fp32 graph with named nodes and measured activation ranges, quantized as often as one likes."""

    def __init__(self, source: Path, folder: Path, calibration: Sequence[NDArray[np.float32]]) -> None:
        self._source, self._folder, self._calibration = source, folder, calibration
        self.path = folder / "prepared.onnx"
        with _quiet(), refusals(source):
            from onnxruntime.quantization.shape_inference import quant_pre_process

            self._input = onnx.load(source, load_external_data=False).graph.input[0].name
            quant_pre_process(str(source), str(self.path), skip_symbolic_shape=True)
        graph = _named(self.path)
        self.nodes: Sequence[NodeProto] = list(graph.node)
        self.behind: Sequence[str] = behind_weights(graph)

    def quantized(
        self, how: Calibration, *, keep: Sequence[str] = (), only: Sequence[str] | None = None
    ) -> ModelProto:
        """The int8 graph without the nodes `keep`, or of the nodes `only`; names as in the prepared graph.

        Raises:
            ModelError: the quantizer refuses the graph.
        """
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        target, ranges = self._folder / "int8.onnx", self._folder / f"ranges-{how.ranges}.json"
        method = _METHODS[how.ranges]
        with _quiet(), refusals(self._source):
            if not ranges.is_file():
                measure_ranges(self.path, ranges, self._input, self._calibration, method)
            quantize_static(
                str(self.path),
                str(target),
                None,
                quant_format=QuantFormat.QDQ,
                per_channel=how.per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[method],
                nodes_to_exclude=[*keep, *self.behind],
                nodes_to_quantize=None if only is None else list(only),
                calibration_cache_path=ranges,
            )
        return onnx.load(target)


@contextlib.contextmanager
def prepared_graph(source: Path, calibration: Sequence[NDArray[np.float32]]) -> Iterator[PreparedGraph]:
    """Optimise an fp32 file for quantizing, in a folder that is gone afterwards; the file itself is only read.

    Raises:
        ModelError: as `to_int8`.
    """
    check_source(source, calibration)
    with tempfile.TemporaryDirectory(prefix="gossamer-int8-") as folder:
        yield PreparedGraph(source, Path(folder), calibration)


def check_source(source: Path, calibration: Sequence[NDArray[np.float32]]) -> None:
    """Whether an ONNX file and its calibration inputs can be quantized.

    Raises:
        ModelError: they cannot; as `to_int8`.
    """
    with refusals(source):
        graph = onnx.load(source).graph
    check_float(source, (n.op_type for n in graph.node if n.op_type in _QUANTIZED or "QLinear" in n.op_type))
    check_finite(
        source,
        ((t.name, numpy_helper.to_array(t)) for t in graph.initializer if t.data_type == TensorProto.FLOAT),
    )
    wanted = [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
    check_calibration(source, wanted, calibration)


def _named(path: Path) -> GraphProto:
    model = onnx.load(path)
    name_nodes(model)
    onnx.save(model, path)
    return model.graph


def name_nodes(model: ModelProto) -> None:
    """Give every node a name of its own, which excluding some needs: in place."""
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}-{index}"


def behind_weights(graph: GraphProto) -> list[str]:
    """Names of the nodes behind which no weights are multiplied any more: they put answers together, whose parts have scales of
    their own (boxes in pixels, scores), and stay float at no cost."""
    weights = {each.name for each in graph.initializer}
    wanted: set[str] = set()
    behind = []
    for node in reversed(graph.node):
        heavy = node.op_type in _HEAVY and any(name in weights for name in node.input)
        if heavy or wanted.intersection(node.output):
            wanted.update(node.input)
        else:
            behind.append(node.name)
    return behind


def ends(nodes: Sequence[NodeProto]) -> list[str]:
    """Names of the first and the last node that multiply weights."""
    heavy = [node.name for node in nodes if node.op_type in _HEAVY]
    return [heavy[0], heavy[-1]] if heavy else []


def to_fp16(source: Path, target: Path) -> None:
    """Weights and arithmetic in halves, input and output still float.

    Raises:
        ModelError: the converter refuses the graph.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet(), refusals(source, "fp16"):
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    write_bytes(target, model.SerializeToString())


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
