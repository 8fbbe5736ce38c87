"""int8 for OpenVINO: NNCF's post-training quantization of an exported fp32 ONNX file.

NNCF places pairs of quantizers in the file where OpenVINO's kernels take integers, and corrects biases. In ONNX files
it knows the gates of squeeze-and-excite by their shape and leaves their weights in float, which makes MobileNetV3-Small
half as large again and buys no accuracy (signal over noise 34.9 dB with and without): gates are hidden from it. fp16
files are those of `onnx_post_training`: OpenVINO reads halves as weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from gossamer._files import write_bytes
from gossamer._quiet import quiet
from gossamer.deploy.runtimes.int8_checks import check_target, refusals
from gossamer.deploy.runtimes.onnxruntime.post_training import check_source, ends, name_nodes, to_fp16
from gossamer.deploy.runtimes.openvino.run import load, without_telemetry
from gossamer.errors import MissingExtraError
from gossamer.files.onnx import compact

__all__ = ["LADDER", "NncfCalibration", "float_operators", "to_fp16", "to_int8"]

_MOVES = frozenset({"Const", "Input", "Output", "Reorder", "Reshape", "Concatenation", "Transpose"})
"""Of the compiled network: they compute nothing."""
_FLOATS = frozenset({"f32", "f16", "bf16"})


@dataclass(frozen=True)
class NncfCalibration:
    """How NNCF quantizes, by its own words."""

    preset: Literal["performance", "mixed"] = "performance"
    """Activations symmetric, or asymmetric where that helps."""
    bias_correction: Literal["fast", "full"] = "fast"
    keep_ends: bool = False
    """Leave the first convolution and the last matrix product or convolution in fp32."""

    @property
    def label(self) -> str:
        parts = [f"NNCF, {self.preset} preset, {self.bias_correction} bias correction"]
        return ", ".join(parts + ["first and last layer fp32"] * self.keep_ends)

    @property
    def slug(self) -> str:
        """The same, for the name of a file."""
        return "-".join([self.preset, self.bias_correction] + ["ends-fp32"] * self.keep_ends)


LADDER: Sequence[NncfCalibration] = (
    NncfCalibration(),
    NncfCalibration("mixed"),
    NncfCalibration("mixed", "full"),
    NncfCalibration("mixed", keep_ends=True),
)
"""Settings in the order in which a guard backs off."""


def to_int8(
    source: Path,
    target: Path,
    calibration: Sequence[NDArray[np.float32]],
    how: NncfCalibration = LADDER[0],
) -> None:
    """Static int8 in QDQ form; `source` is only read.

    `calibration` holds prepared inputs (1, bands, H, W) of the training split, all of which are used.

    Raises:
        ModelError: no calibration inputs or of another shape, weights that are not finite, a graph that is quantized
            already, a target that is the source, or a graph that NNCF refuses.
        MissingExtraError: NNCF is not installed.
        RunFolderError: the target cannot be written.
    """
    check_target(source, target)
    check_source(source, calibration)
    with quiet():
        nncf = _nncf()
        model = onnx.load(source)
        name_nodes(model)
        name = model.graph.input[0].name
        kept = ends(list(model.graph.node)) if how.keep_ends else []
        hidden = _hide_gates(model)
        with refusals(source):
            quantized = nncf.quantize(
                model,
                nncf.Dataset([{name: value} for value in calibration]),
                preset=nncf.QuantizationPreset(how.preset),
                subset_size=len(calibration),
                fast_bias_correction=how.bias_correction == "fast",
                ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
            )
    _remove(quantized, hidden)
    compact(quantized)
    write_bytes(target, quantized.SerializeToString())


def _hide_gates(model: ModelProto) -> list[str]:
    """Put an Identity before each sigmoid that alone reads a convolution, in place; their names."""
    graph = model.graph
    uses = Counter(name for node in graph.node for name in node.input)
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    hidden: list[str] = []
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in ("HardSigmoid", "Sigmoid"):
            read = node.input[0]
            if uses[read] == 1 and made_by.get(read) in ("Conv", "Gemm"):
                name = f"Gate-{len(hidden)}"
                nodes.append(helper.make_node("Identity", [read], [name], name))
                node.input[0] = name
                hidden.append(name)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return hidden


def _remove(model: ModelProto, names: Sequence[str]) -> None:
    """Take Identities out again, in place."""
    graph = model.graph
    gone = {node.output[0]: node for node in graph.node if node.name in names}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in gone:
                node.input[place] = gone[name].input[0]
    for node in gone.values():
        graph.node.remove(node)


def _nncf() -> Any:
    try:
        with without_telemetry():
            import nncf
    except ImportError as error:
        raise MissingExtraError("int8 for openvino", "nncf", "openvino") from error
    return nncf


def float_operators(path: Path) -> dict[str, int]:
    """What OpenVINO computes in float in a compiled file: its kind of operator -> how often.

    Raises:
        BundleError: the file is missing or damaged.
    """
    found: dict[str, int] = {}
    for node in load(path, threads=1).compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        kind, precision = (str(told[key].astype(str)) for key in ("layerType", "runtimePrecision"))
        if precision in _FLOATS and kind not in _MOVES:
            found[kind] = found.get(kind, 0) + 1
    return found
