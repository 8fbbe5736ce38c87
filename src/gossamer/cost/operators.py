"""What torch's operators cost: multiply-accumulates, elementwise operations, and which of them move nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gossamer.cost.formulas import convolution_kind, convolution_macs, matmul_macs, words

__all__ = [
    "SIDE_RESULTS",
    "VIEWS",
    "elementwise_operations",
    "is_known",
    "macs_of",
    "operator_kind",
    "shaped",
]

_aten = torch.ops.aten


def _convolution(arguments: Sequence[Any], output: Any) -> int:
    weight = arguments[1].shape
    if len(arguments) > 6 and arguments[6]:  # transposed: every input pixel meets the whole kernel
        return convolution_macs(weight, arguments[0].shape)
    return convolution_macs(weight, output.shape)


_MACS: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    _aten.convolution: _convolution,
    _aten.mm: lambda a, _: matmul_macs(a[0].shape, a[1].shape),
    _aten.bmm: lambda a, _: matmul_macs(a[0].shape, a[1].shape),
    _aten.addmm: lambda a, _: matmul_macs(a[1].shape, a[2].shape),
    _aten.baddbmm: lambda a, _: matmul_macs(a[1].shape, a[2].shape),
}
_UNARY = words("relu hardtanh hardswish hardsigmoid silu sigmoid tanh gelu leaky_relu elu mish softplus")
"""Operators whose result is as their first operand: torch's own shape rules for them take a millisecond each."""
_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training"})
_POINTWISE = (
    _UNARY
    | _NORMS
    | words(
        "add sub rsub mul div neg pow sqrt rsqrt reciprocal exp log clamp clamp_min clamp_max maximum minimum where abs "
        "sign round floor ceil erf sin cos eq ne gt ge lt le logical_and logical_or logical_not bitwise_and bitwise_or "
        "bitwise_not native_layer_norm native_group_norm _softmax _log_softmax prelu _prelu_kernel native_dropout "
        "upsample_nearest2d upsample_bilinear2d grid_sampler_2d"
    )
)
"""One operation for every number of the result."""
_REDUCTIONS = words("mean sum amax amin max min var std argmax prod linalg_vector_norm")
"""One operation for every number read."""
_POOLS = frozenset({"max_pool2d_with_indices", "avg_pool2d"})
"""One operation for every number of every window."""
_MOVES = words(
    "cat constant_pad_nd reflection_pad2d replication_pad2d pixel_shuffle pixel_unshuffle channel_shuffle clone copy "
    "_to_copy fill zeros_like ones_like empty empty_like zeros ones full new_empty new_zeros arange index_select gather "
    "index stack repeat flip roll scalar_tensor topk"
)
"""Nothing computed, but memory moved."""
VIEWS = words(
    "view _unsafe_view reshape permute transpose t expand squeeze unsqueeze slice select split split_with_sizes chunk "
    "detach alias unbind as_strided lift_fresh"
)
"""Neither computed nor moved."""
SIDE_RESULTS = frozenset(
    {
        "native_batch_norm",
        "native_layer_norm",
        "native_group_norm",
        "max_pool2d_with_indices",
        "native_dropout",
    }
)
"""Operators whose results after the first (saved statistics, indices) an inference does not keep."""


def macs_of(packet: Any, arguments: Sequence[Any], output: Any) -> int:
    """Multiply-accumulates of one run; 0 where an operator makes none."""
    formula = _MACS.get(packet)
    return 0 if formula is None else formula(arguments, output)


def is_known(packet: Any, name: str) -> bool:
    """Whether the operator's computation has a formula here."""
    plain = name.removesuffix("_")
    known = plain in _POINTWISE or plain in _REDUCTIONS or plain in _MOVES or plain in _POOLS
    return known or packet in _MACS or name == "_adaptive_avg_pool2d"


def elementwise_operations(name: str, arguments: Sequence[Any], output: Any) -> int:
    """Numbers given by a pointwise operator, read by a reduction, seen by the windows of a pool; 0 for the others."""
    plain = name.removesuffix("_")
    if plain in _POINTWISE:
        first = output[0] if isinstance(output, (tuple, list)) else output
        return int(first.numel())
    if plain in _POOLS:
        first = output[0] if isinstance(output, tuple) else output
        kernel = arguments[1]
        return int(first.numel() * kernel[0] * kernel[-1])
    if plain in _REDUCTIONS or name == "_adaptive_avg_pool2d":
        return int(arguments[0].numel())
    return 0


def operator_kind(packet: Any, name: str, arguments: Sequence[Any]) -> str:
    """The name to sum an operator under: torch's, but for convolutions the sort of kernel."""
    if packet is not _aten.convolution:
        return name.removesuffix("_").lstrip("_")
    transposed = len(arguments) > 6 and arguments[6]
    return convolution_kind(arguments[1].shape, arguments[0].shape, transposed=bool(transposed))


def shaped(name: str, operands: Sequence[Any]) -> Any:
    """The result on the meta device of an operator whose shape is plain to see; None for the others."""
    if not operands or not isinstance(operands[0], Tensor) or not operands[0].is_meta:
        return None
    if name in _UNARY and operands[0].is_floating_point():
        return torch.empty_like(operands[0])
    if name.endswith("_") and name[:-1] in _UNARY:
        return operands[0]
    if name in _NORMS:
        return torch.empty_like(operands[0]), operands[0].new_empty(0), operands[0].new_empty(0)
    return None
