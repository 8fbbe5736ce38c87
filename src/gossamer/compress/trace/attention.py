"""What attention does to labels: a head is kept or goes whole, and its tables of position go with it.

On the meta device every form of attention (torch's `scaled_dot_product_attention`, `MultiheadAttention`, a softmax
written out, the linear forms of 2006.16236) is two batched products, whose entries are the heads of each picture or
window: `torch.bmm` of (E, n, d) and (E, d, m). All channels that meet in one head are one set. In multi-query attention
(1911.02150) the keys and values that all heads read stay, and the heads of the queries are sets of their own.

Tables of position (Swin, 2103.14030, equation 4; LeViT, 2104.01136, section 4.2; BEiT, 2106.08254) are parameters with
several axes. Which of them counts heads is seen where they meet the scores: its elements are followed up to there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.compress.trace.labels import Table, Tracer
from gossamer.compress.trace.values import Labels, Product

__all__ = ["batched_product", "beside_scores", "follow_table", "has_scores", "index", "layer_norm", "softmax"]


def batched_product(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """(E, n, d) by (E, d, m): entries of the same channels are one head, and what they give is that head."""
    rows, width, columns = args[0].shape[1], args[0].shape[2], args[1].shape[2]
    entries = [_entries(tracer, tracer.of(each)) for each in args[:2]]
    numbers = _heads(tracer, args, entries)
    if numbers is None:
        tracer.unknown("a product of activations that are no heads", args, output)
        tracer.fixed_product(output.numel() * width)
        return
    heads = tracer.new(max(numbers) + 1)
    both = [zip(numbers, each, strict=True) for each in entries]
    pairs = {(heads[number], channel) for each in both for number, channels in each for channel in channels}
    tracer.join(*np.array(sorted(pairs), np.int64).T)
    if not any(has_scores(tracer, tracer.of(each)) for each in args[:2]):
        tracer.scores.update(heads.tolist())
    tracer.heads_of(heads)
    times = len(numbers) // len(heads)
    factor = rows * width * columns * times
    tracer.products.append(Product(tracer.path[-1], factor, heads, np.full(1, -1, np.int64), 1))
    tracer.label(output, np.broadcast_to(heads[numbers][:, None, None], tuple(output.shape)))


def _entries(tracer: Tracer, labels: Labels) -> list[frozenset[int]]:
    """The sets of channels in each entry."""
    return [frozenset(tracer.roots(np.unique(entry)).tolist()) - {-1} for entry in labels]


def _heads(tracer: Tracer, args: Sequence[Tensor], entries: list[list[frozenset[int]]]) -> list[int] | None:
    """The head of each entry, from 0; None where there are not several, or not all of one size.

    What all heads of the other operand read is frozen, and no longer an entry's.
    """
    left, right = entries
    if not all(left) or not all(right):
        return None
    first, second = _pieces(left), _pieces(right)
    both = _pieces([a | b for a, b in zip(left, right, strict=True)])
    if max(both) == 0 and (max(first) > 0) != (max(second) > 0):
        shared = int(max(first) > 0)
        tracer.freeze(tracer.of(args[shared]), "keys and values that all heads share")
        entries[shared] = [frozenset()] * len(left)
        both = second if shared == 0 else first
    elif max(both) < max(*first, *second):  # queries in groups of heads
        return None
    counts = np.bincount(both)
    return both if len(counts) > 1 and len(set(counts.tolist())) == 1 else None


def _pieces(entries: Sequence[frozenset[int]]) -> list[int]:
    """Number the entries so that those with a set in common, directly or by others, have one number."""
    pieces: list[tuple[set[int], list[int]]] = []
    for place, found in enumerate(entries):
        touched = [piece for piece in pieces if piece[0] & found]
        pieces = [piece for piece in pieces if not piece[0] & found]
        merged = (set(found).union(*(piece[0] for piece in touched)), [place])
        merged[1].extend(other for piece in touched for other in piece[1])
        pieces.append(merged)
    numbers = [0] * len(entries)
    for number, (_, places) in enumerate(sorted(pieces, key=lambda piece: min(piece[1]))):
        for place in places:
            numbers[place] = number
    return numbers


def softmax(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """Over places it keeps channels, over channels it mixes them; those that go together anyway are one."""
    labels = tracer.roots(tracer.of(args[0]))
    if _differ(labels, int(args[1])):
        tracer.unknown("a softmax over channels", args, output)
        return
    tracer.label(output, labels)


def layer_norm(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """(x, sides, weight, bias, eps): over all channels none may go, within each head a head may go whole."""
    labels = tracer.of(args[0])
    rows = labels.reshape(-1, prod(args[1]))
    if labels.ndim < 4 or (rows == rows[0]).all() or (rows < 0).any():
        tracer.unknown("a layer norm over channels", args, output)
        return
    for row in np.unique(rows, axis=0):
        tracer.join(row[1:], np.full(len(row) - 1, row[0]))
    tracer.label(output[0], labels)


def index(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Tensor) -> None:
    """Which places are taken is not known here: channels stay what they are on the other axes."""
    labels = tracer.of(args[0])
    if any(_differ(labels, axis) for axis, places in enumerate(args[1]) if places is not None):
        tracer.unknown("an index of channels", args, output)
    else:
        tracer.label(output, _first_places(labels, args[1]))
    table = _table(tracer, args[0])
    if table is not None:
        tracer.tables[id(output)] = table._replace(elements=_first_places(table.elements, args[1]))


def _first_places(labels: Labels, indexes: Sequence[Tensor | None]) -> Labels:
    """Take the first place wherever an index takes some."""
    taken: Labels = labels[
        tuple(slice(None) if each is None else np.zeros(tuple(each.shape), np.int64) for each in indexes)
    ]
    return taken


def _differ(labels: Labels, axis: int) -> bool:
    """Whether labels change along an axis."""
    return bool((labels != labels.take([0], axis=axis)).any())


def has_scores(tracer: Tracer, labels: Labels) -> bool:
    """Whether these are the scores of heads."""
    if not tracer.scores or int(labels.max(initial=-1)) < min(tracer.scores):
        return False
    return not tracer.scores.isdisjoint(np.unique(labels).tolist())


def beside_scores(tracer: Tracer, scores: Labels, other: Tensor) -> None:
    """What is no channel and meets scores: a table loses its heads with them, what is the same for all heads stays."""
    table = _table(tracer, other)
    if table is not None and _sliced(tracer, table, scores):
        return
    shape = (1,) * (scores.ndim - other.dim()) + tuple(other.shape)
    if any(_differ(scores, axis) for axis, side in enumerate(shape) if side > 1):
        tracer.freeze(scores, "scores that meet numbers of each head which are no plain parameter")


def _sliced(tracer: Tracer, table: Table, scores: Labels) -> bool:
    """Give the axis of a table whose every place meets one head, and several places several, that head's labels."""
    places = np.unravel_index(np.broadcast_to(table.elements, scores.shape).ravel(), table.shape)
    roots = tracer.roots(scores).ravel()
    for axis, coordinates in enumerate(places):
        pairs = np.unique(np.stack([coordinates, roots], 1), axis=0)
        if len(pairs) == table.shape[axis] == len(np.unique(pairs[:, 0])) and len(np.unique(pairs[:, 1])) > 1:
            tracer.slot(table.name, axis, pairs[:, 1])
            return True
    return False


def _table(tracer: Tracer, tensor: Any) -> Table | None:
    """What is known of a tensor's elements; a parameter with several axes is its own table."""
    known = tracer.tables.get(id(tensor))
    name = tracer.names.get(id(tensor))
    if known is not None or name is None or sum(side > 1 for side in tensor.shape) < 2:
        return known
    shape = tuple(tensor.shape)
    return Table(name, shape, np.arange(prod(shape), dtype=np.int64).reshape(shape))


def follow_table(tracer: Tracer, func: Any, args: Any, kwargs: Any, output: Any) -> None:
    """Move the elements of a table as the operator moves its numbers; one that keeps the shape keeps their places."""
    table = _table(tracer, args[0])
    if table is None or not isinstance(output, Tensor):
        return
    elements = table.elements
    if output.shape != args[0].shape or func.overloadpacket.__name__ in ("permute", "transpose", "t", "flip"):
        elements = func(torch.from_numpy(np.ascontiguousarray(elements)), *args[1:], **kwargs).numpy()
    tracer.tables[id(output)] = table._replace(elements=elements)
