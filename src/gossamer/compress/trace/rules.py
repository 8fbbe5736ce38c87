"""What each operator does to the labels of channels."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from gossamer.compress.trace.attention import (
    batched_product,
    beside_scores,
    follow_table,
    has_scores,
    index,
    layer_norm,
    softmax,
)
from gossamer.compress.trace.labels import Rule, Tracer
from gossamer.compress.trace.values import Labels, Product
from gossamer.cost.operators import macs_of
from gossamer.nn.edits.channels import OWN_NUMBERS, OWN_SPLITS

__all__ = ["RULES"]

_aten = torch.ops.aten

_POINTWISE = frozenset(
    [
        "relu",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "silu",
        "sigmoid",
        "tanh",
        "gelu",
        "leaky_relu",
        "elu",
        "mish",
        "clamp",
        "clamp_min",
        "clamp_max",
        "neg",
        "abs",
        "exp",
        "sqrt",
        "rsqrt",
        "pow",
        "reciprocal",
        "log",
        "clone",
        "detach",
        "_to_copy",
        "native_dropout",
        "dropout",
        "softplus",
        "erf",
        "copy_",
    ]
)
_JOINS = frozenset({"add", "sub", "mul", "div", "maximum", "minimum", "where"})
_MOVES = frozenset(
    [
        "permute",
        "transpose",
        "t",
        "expand",
        "squeeze",
        "unsqueeze",
        "slice",
        "select",
        "cat",
        "constant_pad_nd",
        "alias",
        "as_strided",
        "unbind",
        "stack",
        "flip",
        "index_select",
        "repeat",
    ]
)
_VIEWS = frozenset({"view", "_unsafe_view", "reshape"})
_SPATIAL = frozenset(
    {
        "max_pool2d_with_indices",
        "avg_pool2d",
        "_adaptive_avg_pool2d",
        "upsample_nearest2d",
        "upsample_bilinear2d",
    }
)
_REDUCTIONS = frozenset({"mean", "sum", "amax"})
_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit"})


def _convolution(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """(B, in, ...) with weight (out, in / groups, ...)."""
    name = tracer.names.get(id(args[1]))
    inputs = tracer.by_channel(tracer.of(args[0]))
    if name is None or inputs is None or args[6]:
        tracer.unknown("a convolution whose weight or input is no plain one", args, output)
        tracer.fixed_product(macs_of(func.overloadpacket, args, output), output.shape[1], args[0].shape[1])
        return
    groups, out_channels = int(args[8]), output.shape[1]
    outputs = tracer.new(out_channels)
    if groups > 1 and groups != args[0].shape[1]:
        _tie(tracer, inputs, groups)
        _tie(tracer, outputs, groups)
    if groups == args[0].shape[1]:  # one filter a channel: outputs go with their input
        tracer.join(outputs, np.repeat(inputs, out_channels // groups))
        tracer.freeze(outputs[np.repeat(inputs, out_channels // groups) < 0], "made of what is no channel")
        within = np.full(1, -1, np.int64)
    else:
        within = inputs[: len(inputs) // groups]
    outputs = tracer.slot(name, 0, outputs)
    if len(within) > 1 or groups == 1:
        tracer.slot(name, 1, within)
    if args[2] is not None and id(args[2]) in tracer.names:
        tracer.slot(tracer.names[id(args[2])], 0, outputs)
    factor = output.shape[0] * prod(output.shape[2:]) * prod(args[1].shape[2:])
    whole = np.full(groups, -1, np.int64) if groups == args[0].shape[1] else inputs
    tracer.products.append(Product(name.rpartition(".")[0], factor, outputs, whole, groups))
    tracer.spread(outputs, output)


def _tie(tracer: Tracer, labels: Labels, groups: int) -> None:
    """Groups lose the channels at the same places, so that they stay of one size."""
    rows = labels.reshape(groups, -1)
    for row in rows[1:]:
        tracer.join(rows[0], row)


def _linear(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """addmm(bias, x, weight.t()) or mm(x, weight.t())."""
    bias, x, weight = args[:3] if func.overloadpacket is _aten.addmm else (None, *args[:2])
    name = tracer.transposed.get(id(weight))
    inputs = None if name is None else tracer.by_channel(tracer.of(x), axis=x.dim() - 1)
    if name is None or inputs is None:
        tracer.unknown("a product of activations", args, output)
        tracer.fixed_product(macs_of(func.overloadpacket, args, output), output.shape[-1], x.shape[-1])
        return
    outputs = tracer.slot(name, 0, tracer.new(output.shape[-1]))
    tracer.slot(name, 1, inputs)
    if bias is not None and id(bias) in tracer.names:
        tracer.slot(tracer.names[id(bias)], 0, outputs)
    rows = prod(output.shape[:-1])
    tracer.products.append(Product(name.rpartition(".")[0], rows, outputs, inputs, 1))
    tracer.spread(outputs, output, axis=output.dim() - 1)


def _norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """A batch norm goes with its channels."""
    channel = tracer.by_channel(tracer.of(args[0]))
    if channel is None:
        tracer.unknown("a norm over more than one channel", args, output)
        return
    for tensor in (each for each in args[1:5] if isinstance(each, Tensor)):
        if id(tensor) in tracer.names:
            tracer.slot(tracer.names[id(tensor)], 0, channel)
        elif (tracer.of(tensor) >= 0).all():  # a parameter repeated for every picture: an instance norm
            tracer.join(tracer.of(tensor), channel)
    tracer.label(output[0], tracer.of(args[0]))


def _group_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """(x, weight, bias, N, C, places, groups, eps): a group is normalised as one, so that it stays or goes whole."""
    channel = tracer.by_channel(tracer.of(args[0]))
    names = [tracer.names.get(id(each)) for each in args[1:3] if isinstance(each, Tensor)]
    if channel is None or len(names) != 2 or None in names:
        tracer.unknown("a group norm without weights", args, output)
        return
    rows = channel.reshape(int(args[6]), -1)
    for place in range(1, rows.shape[1]):
        tracer.join(rows[:, 0], rows[:, place])
    for name in names:
        tracer.slot(str(name), 0, channel)
    tracer.label(output[0], tracer.of(args[0]))


def _pixel_shuffle(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """(B, C r r, H, W) -> (B, C, H r, W r): the r r channels that become one stay or go together."""
    channel = tracer.by_channel(tracer.of(args[0]))
    if channel is None:
        tracer.unknown("a pixel shuffle of more than channels", args, output)
        return
    rows = channel.reshape(output.shape[1], -1)
    for place in range(1, rows.shape[1]):
        tracer.join(rows[:, 0], rows[:, place])
    tracer.spread(rows[:, 0], output)


def _pointwise(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """Labels stay where they are; a PReLU's slopes go with their channels."""
    first = output[0] if isinstance(output, (tuple, list)) else output
    if not isinstance(args[0], Tensor):  # a number to the power of a tensor
        tracer.label(first, tracer.of(args[1]))
        return
    tracer.label(first, tracer.of(args[0]))
    follow_table(tracer, func, args, kwargs, first)


def _slopes(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """PReLU with a slope a channel."""
    name = tracer.names.get(id(args[1])) or tracer.names.get(id(getattr(args[1], "_base", None)))
    channel = tracer.by_channel(tracer.of(args[0]))
    if args[1].numel() > 1:
        if name is None or channel is None:
            tracer.unknown("a PReLU whose slopes are no plain parameter", args, output)
            return
        tracer.slot(name, 0, channel)
    tracer.label(output, tracer.of(args[0]))


def _joins(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """Numbers that meet belong together; beside a size of 1 nothing meets."""
    shape = tuple(output.shape)
    tensors = [t for t in tree_leaves(args) if isinstance(t, Tensor)]
    tensors = [t for t in tensors if t.numel() > 1 or t.dim() == output.dim()]
    parts = [np.broadcast_to(tracer.of(t), shape) for t in tensors]
    if not parts:
        tracer.label(output, np.full(shape, -1, np.int64))
        return
    scores = next((part for part in parts if has_scores(tracer, part)), None)
    if scores is not None:
        for tensor, other in zip(tensors, parts, strict=True):
            _joins_scores(tracer, scores, other, tensor)
        tracer.label(output, scores)
        return
    found = parts[0]
    for other in parts[1:]:
        both = (found >= 0) & (other >= 0)
        tracer.join(found[both], other[both])
        if func.overloadpacket.__name__.startswith(("add", "sub")):
            _keep_beside_constants(tracer, found, other, tensors)
        found = np.maximum(found, other)
    tracer.label(output, found)


def _joins_scores(tracer: Tracer, scores: Labels, other: Labels, tensor: Tensor) -> None:
    """Numbers that meet the scores of heads: what is of heads too goes with them."""
    both = (scores >= 0) & (other >= 0)
    tracer.join(scores[both], other[both])
    if not both.all():
        beside_scores(tracer, scores, tensor)


def _keep_beside_constants(tracer: Tracer, left: Labels, right: Labels, tensors: Sequence[Tensor]) -> None:
    """A channel may go where zeros were padded beside it only if the padding goes too: no module does that by ittracer."""
    lone = np.where((left >= 0) != (right >= 0), np.maximum(left, right), -1)
    if all(t.dim() > 1 for t in tensors):
        tracer.freeze(lone, "added to padding")


def _moves(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """The same move on the labels."""
    moved = func(*tree_map(functools.partial(_as_labels, tracer), args), **_without_device(kwargs))
    _take(tracer, moved, output)
    follow_table(tracer, func, args, kwargs, output)
    cuts = func.overloadpacket in (_aten.slice, _aten.select, _aten.index_select, _aten.unbind)
    adapted = tracer.inside and tracer.inside[-1] in OWN_NUMBERS
    if cuts and not adapted and args[0].dim() > 1 and _axis(args, kwargs, args[0].dim()) == 1:
        labels = tracer.of(args[0])
        if (isinstance(output, Tensor) and output.shape == args[0].shape) or (labels == labels[:, :1]).all():
            return
        tracer.freeze(tracer.of(args[0]), "cut at fixed places")


def _as_labels(tracer: Tracer, value: Any) -> Any:
    return (
        torch.from_numpy(np.require(tracer.of(value), requirements=["C", "W"]))
        if isinstance(value, Tensor)
        else value
    )


def _take(tracer: Tracer, moved: Any, output: Any) -> None:
    for ours, theirs in zip(tree_leaves(moved), tree_leaves(output), strict=True):
        if isinstance(theirs, Tensor):
            tracer.label(theirs, ours.numpy())


def _pads(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """Zeros are no channels."""
    padded = func(_as_labels(tracer, args[0]), args[1], -1)
    _take(tracer, padded, output)


def _splits(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """Pieces of one size come of a rule such as `chunk`: they must stay of one size."""
    axis = int(args[2] if len(args) > 2 else kwargs.get("dim", 0))
    labels = tracer.of(args[0])
    _take(
        tracer,
        func(torch.from_numpy(np.require(labels, requirements=["C", "W"])), *args[1:], **kwargs),
        output,
    )
    sizes = {tuple(piece.shape) for piece in output}
    if func.overloadpacket is _aten.split and axis in (1, 1 - labels.ndim) and len(sizes) == 1:
        first, *rest = (tracer.of(piece) for piece in output)
        for piece in rest:
            tracer.join(first, piece)
    elif tracer.inside and tracer.inside[-1] in OWN_SPLITS:
        return  # its sizes are set anew
    elif func.overloadpacket is not _aten.split and axis in (1, 1 - labels.ndim):
        tracer.freeze(labels, "split at fixed places")


def _views(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """A channel axis that is cut into groups keeps groups of one size."""
    labels = tracer.of(args[0])
    moved = labels.reshape(tuple(output.shape))
    tracer.label(output, moved)
    follow_table(tracer, func, args, kwargs, output)
    before, after = tuple(args[0].shape), tuple(output.shape)
    if len(after) > len(before) > 1 and after[1] != before[1] and before[1] == after[1] * after[2]:
        for place in range(1, after[1]):
            tracer.join(moved[:, 0], moved[:, place])


def _spatial(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """Pools and resizing keep channels."""
    first = output[0] if isinstance(output, (tuple, list)) else output
    channel = tracer.by_channel(tracer.of(args[0]))
    if channel is None or first.shape[1] != len(channel):
        tracer.unknown("a pool over more than places", args, output)
        return
    tracer.spread(channel, first)


def _reductions(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """A mean over places keeps channels; over channels it mixes them."""
    labels = tracer.of(args[0])
    axes = args[1] if len(args) > 1 and args[1] is not None else list(range(labels.ndim))
    axes = tuple(int(axis) % labels.ndim for axis in ([axes] if isinstance(axes, int) else axes))
    if (
        labels.ndim == 5 and axes == (1,) and (labels >= 0).all()
    ):  # several paths of (B, paths, C, H, W) become one
        for path in range(1, labels.shape[1]):
            tracer.join(labels[:, 0], labels[:, path])
        labels = tracer.roots(labels)
    highest = labels.max(axis=axes, keepdims=True)
    if not bool(((labels == highest) | (labels == -1)).all()):
        tracer.unknown("a sum over channels", args, output)
        return
    tracer.label(output, np.broadcast_to(highest, highest.shape).reshape(tuple(output.shape)))


def _axis(args: Sequence[Any], kwargs: Mapping[str, Any], ndim: int) -> int:
    axis = args[1] if len(args) > 1 and isinstance(args[1], int) else kwargs.get("dim", 0)
    return int(axis) % ndim


def _without_device(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in kwargs.items() if key not in ("device", "dtype", "layout", "pin_memory")
    }


RULES: Mapping[str, Rule] = {
    "convolution": _convolution,
    "addmm": _linear,
    "mm": _linear,
    "constant_pad_nd": _pads,
    "split": _splits,
    "split_with_sizes": _splits,
    "_prelu_kernel": _slopes,
    "prelu": _slopes,
    "native_group_norm": _group_norm,
    "pixel_shuffle": _pixel_shuffle,
    "bmm": batched_product,
    "_softmax": softmax,
    "_safe_softmax": softmax,
    "index": index,
    "native_layer_norm": layer_norm,
    **dict.fromkeys(_NORMS, _norm),
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(_JOINS, _joins),
    **dict.fromkeys(_MOVES - {"constant_pad_nd"}, _moves),
    **dict.fromkeys(_VIEWS, _views),
    **dict.fromkeys(_SPATIAL, _spatial),
    **dict.fromkeys(_REDUCTIONS, _reductions),
}
"""Operator, without its namespace and the sign of working in place -> what it does to labels."""
