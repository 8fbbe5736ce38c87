"""Receptive fields, carried from operator to operator while a network is counted.

A number sees a rectangle of the input: after a kernel k with dilation d on a map whose numbers lie j input pixels
apart, the side grows by d (k - 1) j, and j is multiplied by the stride (Araujo, Norris and Sim, Distill 2019). Where
branches meet, the larger counts. A global mean sees everything, and a gate made of one is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Field", "grown"]


class Field(NamedTuple):
    """What one number of a map sees, and how far apart two neighbours look: (height, width) in input pixels."""

    side: tuple[float, float] = (1.0, 1.0)
    jump: tuple[float, float] = (1.0, 1.0)
    map: tuple[int, int] = (0, 0)
    """(height, width) of the map itself: a view under another shape, as of a norm across channels, is no picture."""

    @property
    def pixels(self) -> tuple[int, int]:
        """The sides as whole pixels."""
        return round(self.side[0]), round(self.side[1])


def grown(name: str, arguments: Sequence[Any], output: Any, fields: Iterable[Field]) -> Field | None:
    """The field of an operator's result, from those of its operands; None where a result sees everything."""
    field = _widest(fields)
    if field is None or not isinstance(output, Tensor) or output.dim() < 4:
        return None
    first = arguments[0]
    before = tuple(first.shape[-2:]) if isinstance(first, Tensor) else field.map
    after = (int(output.shape[-2]), int(output.shape[-1]))
    if before != field.map or first is output:
        return field
    if name in _MEANS and after == (1, 1) != before:
        return None
    return _stepped(field, _steps(name, arguments, before, after), after)


_MEANS = frozenset({"_adaptive_avg_pool2d", "mean", "sum", "amax"})


def _steps(
    name: str, arguments: Sequence[Any], before: tuple[int, int], after: tuple[int, int]
) -> list[tuple[float, float]]:
    """(stride, numbers of the map before that are seen beyond the first) of both axes."""
    if name == "convolution":
        stride, dilation, kernel = arguments[3], arguments[5], arguments[1].shape[2:]
        if arguments[6]:
            return [(1 / _at(stride, i), ceil(kernel[i] / _at(stride, i)) - 1) for i in (0, 1)]
        return [(_at(stride, i), _at(dilation, i) * (kernel[i] - 1)) for i in (0, 1)]
    if name in ("max_pool2d_with_indices", "avg_pool2d"):
        kernel = arguments[1]
        stride = arguments[2] if len(arguments) > 2 and arguments[2] else kernel
        return [(_at(stride, i), _at(kernel, i) - 1) for i in (0, 1)]
    if name in _MEANS:
        return [(before[i] / after[i], max(0, before[i] // after[i] - 1)) for i in (0, 1)]
    if name.startswith("upsample"):
        return [(before[i] / after[i], 0) for i in (0, 1)]
    return [(1, 0), (1, 0)]


def _widest(fields: Iterable[Field]) -> Field | None:
    found = list(fields)
    if len(found) < 2:
        return found[0] if found else None
    side = max(f.side[0] for f in found), max(f.side[1] for f in found)
    jump = max(f.jump[0] for f in found), max(f.jump[1] for f in found)
    return Field(side, jump, found[0].map)


def _at(value: Any, axis: int) -> int:
    """Torch gives one number for both axes in some operators."""
    return int(value if isinstance(value, int) else value[axis if len(value) > 1 else 0])


def _stepped(field: Field, steps: Sequence[tuple[float, float]], after: tuple[int, int]) -> Field:
    """Grown by (stride, numbers added) an axis."""
    sides = [
        side + added * jump for side, jump, (_, added) in zip(field.side, field.jump, steps, strict=True)
    ]
    jumps = [jump * stride for jump, (stride, _) in zip(field.jump, steps, strict=True)]
    return Field((sides[0], sides[1]), (jumps[0], jumps[1]), after)
