"""fp16 and static int8 of an exported fp32 .tflite file, by Google's AI Edge Quantizer.

int8: weights symmetric per channel, activations asymmetric per tensor, both 8 bits (its recipe `static_wi8_ai8`), but
for hard-swish: LiteRT has no fast kernel for it in integers. MobileNetV3-Small takes 2.6 of fp32's time with it in int8
and 0.67 with it in float.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gossamer._files import write_bytes
from gossamer._quiet import quiet
from gossamer.deploy.runtimes.int8_checks import (
    check_calibration,
    check_finite,
    check_float,
    check_target,
    refusals,
)
from gossamer.deploy.runtimes.litert.run import load
from gossamer.errors import MissingExtraError
from gossamer.files.tflite import FLOAT, Operator, read_operators

__all__ = ["LADDER", "LiteRtCalibration", "float_operators", "to_fp16", "to_int8"]

_HEAVY = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"})
_MOVES = frozenset(
    {"CONCATENATION", "PAD", "PADV2", "RESHAPE", "SLICE", "SPLIT", "STRIDED_SLICE", "TRANSPOSE"}
)
_SLOW = ("HARD_SWISH",)
"""Faster in float than in integers."""
_CODES = frozenset({"INT4", "INT8", "INT16", "UINT8"})
"""Kinds of tensors that only quantized files hold."""
_CONVERSIONS = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE"})


@dataclass(frozen=True)
class LiteRtCalibration:
    """How ranges are set, and what stays float."""

    ranges: Literal["minmax", "average"] = "minmax"
    """Of activations: their extremes, or a moving average over the inputs (the quantizer's own choice)."""
    keep_ends: bool = False
    """Leave the first and the last layer that multiplies weights in fp32."""

    @property
    def label(self) -> str:
        return f"{self.ranges} ranges" + (", first and last layer fp32" if self.keep_ends else "")

    @property
    def slug(self) -> str:
        """The same, for the name of a file."""
        return self.ranges + ("-ends-fp32" if self.keep_ends else "")


LADDER: Sequence[LiteRtCalibration] = (
    LiteRtCalibration(),
    LiteRtCalibration("average"),
    LiteRtCalibration(keep_ends=True),
)
"""Settings in the order in which a guard backs off."""


def to_int8(
    source: Path,
    target: Path,
    calibration: Sequence[NDArray[np.float32]],
    how: LiteRtCalibration = LADDER[0],
) -> None:
    """Static int8; `source` is only read. Metadata are not taken along.

    `calibration` holds prepared inputs (1, bands, H, W) of the training split, all of which are used.

    Raises:
        ModelError: no calibration inputs or of another shape, weights that are not finite, a file that is quantized
            already, a target that is the source, or a file that the quantizer refuses.
        MissingExtraError: the quantizer is not installed.
        RunFolderError: the target cannot be written.
    """
    check_target(source, target)
    operators = _checked(source, calibration)
    with quiet():
        quantizer = _quantizer()
        with refusals(source):
            content = _quantized(quantizer, source, operators, calibration, how)
    write_bytes(target, content)


def _checked(source: Path, calibration: Sequence[NDArray[np.float32]]) -> list[Operator]:
    with refusals(source):
        operators = read_operators(source)
        shape = load(source, threads=1).shape
    kinds = {tensor.kind for node in operators for tensor in node.inputs}
    check_float(source, kinds & _CODES)
    heavy = (tensor for node in operators if node.kind in _HEAVY for tensor in node.inputs)
    weights = (tensor for tensor in heavy if tensor.kind == "FLOAT32" and tensor.values is not None)
    check_finite(source, ((each.name, np.asarray(each.values).view(np.float32)) for each in weights))
    check_calibration(source, shape, calibration)
    return operators


def _quantized(
    package: Any,
    source: Path,
    operators: Sequence[Operator],
    calibration: Sequence[NDArray[np.float32]],
    how: LiteRtCalibration,
) -> bytes:
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    names = package.algorithm_manager.AlgorithmName
    work = package.quantizer.Quantizer(str(source))
    everything = package.qtyping.TFLOperationName.ALL_SUPPORTED
    work.add_static_config(".*", everything, 8, 8)
    for kind in _SLOW:
        work.update_quantization_recipe(
            ".*", package.qtyping.TFLOperationName[kind], algorithm_key=names.NO_QUANTIZE
        )
    for node in _ends(operators) if how.keep_ends else []:
        work.update_quantization_recipe(
            re.escape(node.outputs[0].name), everything, algorithm_key=names.NO_QUANTIZE
        )
    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(work.get_quantization_recipe())
    updates = {"average": qsv_utils.moving_average_update, "minmax": qsv_utils.min_max_update}
    ranges = calibrator.Calibrator(str(source), num_threads=1, qsv_update_func=updates[how.ranges])
    signature, port = _signature(ranges)
    ranges.calibrate({signature: [{port: value} for value in calibration]}, recipes)
    return bytes(work.quantize(ranges.get_model_qsvs(), enable_progress_report=False).quantized_model)


def _signature(calibrator: Any) -> tuple[str, str]:
    name, ports = next(iter(calibrator.get_signature_list().items()))
    return name, ports["inputs"][0]


def _ends(operators: Sequence[Operator]) -> list[Operator]:
    heavy = [node for node in operators if node.kind in _HEAVY]
    return [heavy[0], heavy[-1]] if heavy else []


def _quantizer() -> Any:
    try:
        import ai_edge_quantizer
        import ai_edge_quantizer.algorithm_manager
        import ai_edge_quantizer.qtyping
        import ai_edge_quantizer.quantizer
    except ImportError as error:
        raise MissingExtraError("fp16 and int8 for litert", "ai-edge-quantizer", "litert") from error
    return ai_edge_quantizer


def to_fp16(source: Path, target: Path) -> None:
    """Weights in halves, arithmetic, input and output in floats.

    Raises:
        ModelError: the quantizer refuses the file.
        MissingExtraError: the quantizer is not installed.
    """
    with quiet():
        package = _quantizer()
        with refusals(source, "fp16"):
            types = package.qtyping
            work = package.quantizer.Quantizer(str(source))
            work.update_quantization_recipe(
                ".*",
                types.TFLOperationName.ALL_SUPPORTED,
                types.OpQuantizationConfig(
                    weight_tensor_config=types.TensorQuantizationConfig(16, dtype=types.TensorDataType.FLOAT),
                    compute_precision=types.ComputePrecision.FLOAT,
                    explicit_dequantize=True,
                ),
                package.algorithm_manager.AlgorithmName.FLOAT_CASTING,
            )
            content = bytes(work.quantize(enable_progress_report=False).quantized_model)
    write_bytes(target, content)


def float_operators(path: Path) -> dict[str, int]:
    """What computes in float in a file: operator -> how often; what only moves values is left out.

    Raises:
        BundleError: the file is missing or damaged.
    """
    found: dict[str, int] = {}
    for node in read_operators(path):
        makes_floats = any(tensor.kind in FLOAT for tensor in node.outputs)
        if makes_floats and node.kind not in _MOVES | _CONVERSIONS:
            found[node.kind] = found.get(node.kind, 0) + 1
    return found
