"""The shape of every tensor of an ONNX graph: what the file says, what follows from it, and what one run shows. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, TensorProto, helper, shape_inference

from gossamer.errors import ModelError

__all__ = ["inputs_of", "read_model", "with_shapes"]

_OLD_IR = 10
"""A version of the format that every runtime reads; what came after it concerns no operator."""
_ADVICE = "give the input's shape with --input, e.g. --input 3x224x224, or export with fixed sizes"


def read_model(path: Path) -> ModelProto:
    """A checked ONNX file; what `Constant` nodes hold is stored as any other weight.

    Raises:
        ModelError: it is damaged.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        _store_constants(model)
    except Exception as error:  # the parser and the checker raise many kinds
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"cannot read {path} as ONNX: {reason}; export it again") from error
    return model


def _store_constants(model: ModelProto) -> None:
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        (attribute,) = node.attribute
        if attribute.name == "value":
            tensor = TensorProto()
            tensor.CopyFrom(attribute.t)
        elif attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
            value = helper.get_attribute_value(attribute)
            values = list(value) if attribute.name.endswith("s") else [value]
            kind = TensorProto.FLOAT if "float" in attribute.name else TensorProto.INT64
            tensor = helper.make_tensor(
                "", kind, [len(values)] if attribute.name.endswith("s") else [], values
            )
        else:
            continue
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)


def inputs_of(model: ModelProto) -> list[Any]:
    """What a graph is given: its inputs that are not stored."""
    stored = {t.name for t in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def with_shapes(model: ModelProto, path: Path, input: Sequence[int] | None) -> ModelProto:
    """The model with the shape and type of every tensor, at its own input shape, or at `input` where that is left open.

    Raises:
        ModelError: it has more than one input, `input` does not fit it, or a shape depends on a size that is open.
    """
    inputs = inputs_of(model)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ModelError(
            f"a file to be counted has one input, {path} has {len(inputs)}: {names}; count its parts"
        )
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        _open_unknown(value, is_input=value in inputs)
    dims = inputs[0].type.tensor_type.shape.dim
    if input is not None:
        _fix(dims, path, input)
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
    elif dims and not dims[0].HasField("dim_value"):
        dims[0].dim_value = 1  # an open batch is one picture
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # operators that contradict what the file says: a run tells what is true
        del model.graph.value_info[:]
    if missing := _missing(model):
        _see(model, missing, path)
    return model


def _open_unknown(value: Any, *, is_input: bool) -> None:
    """-1, and 0 of an input, are how exporters write a size that is open."""
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value") and (dim.dim_value < 0 or (is_input and dim.dim_value == 0)):
            dim.ClearField("dim_value")


def _fix(dims: Any, path: Path, input: Sequence[int]) -> None:
    """Set an input's sides, in place, where those that the file has are the same."""
    fixed = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    fits = len(fixed) == len(input) and all(
        have in (None, want) for have, want in zip(fixed, input, strict=True)
    )
    if not fits:
        raise ModelError(
            f"{path} takes an input of {_shown(fixed)}, got {_shown(list(input))}; leave --input out or give that shape"
        )
    for dim, size in zip(dims, input, strict=True):
        dim.dim_value = size


def _shown(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def _known(value: Any) -> bool:
    tensor = value.type.tensor_type
    return bool(tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim))


def _missing(model: ModelProto) -> list[str]:
    """Tensors that nodes of the graph give and whose shape nothing says."""
    graph = model.graph
    known = {value.name for value in [*graph.value_info, *graph.output] if _known(value)}
    known |= {tensor.name for tensor in graph.initializer}
    return [name for node in graph.node for name in node.output if name and name not in known]


def _see(model: ModelProto, missing: Sequence[str], path: Path) -> None:
    """Run the graph once on zeros and write down the shapes that are missing, in place.

    Raises:
        ModelError: the input's own size is open, or the graph does not run.
    """
    (value,) = inputs_of(model)
    if not _known(value):
        raise ModelError(
            f"every tensor needs a shape to be counted, {value.name!r} of {path} leaves sizes open; {_ADVICE}"
        )
    try:
        seen = _run_once(model, missing, value)
    except Exception as error:  # runtimes raise many kinds
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"every tensor needs a shape to be counted, {missing[0]!r} of {path} has none that follows from the input, and "
            f"the file does not run ({reason}); export it again"
        ) from error
    kept = [each for each in model.graph.value_info if each.name not in seen]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    for name, result in seen.items():
        kind = helper.np_dtype_to_tensor_dtype(result.dtype)
        model.graph.value_info.append(helper.make_tensor_value_info(name, kind, result.shape))
        for output in model.graph.output:
            if output.name == name:
                output.CopyFrom(model.graph.value_info[-1])


def _run_once(model: ModelProto, names: Sequence[str], value: Any) -> dict[str, Any]:
    """What these tensors are where the input is zero."""
    import numpy as np

    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    zeros = np.zeros(shape, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    shown = ModelProto()
    shown.CopyFrom(model)
    shown.ir_version = min(shown.ir_version, _OLD_IR)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    results = _session(shown).run(list(names), {value.name: zeros})
    return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}


def _session(model: ModelProto) -> Any:
    """ONNX Runtime where it is there and takes the model, else onnx's own evaluator."""
    try:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception:  # not installed, or one of its own kinds
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model)
