"""Adaptive pools as what every runtime has: products with small matrices, or maxima of slices, exact for any size.

Exporters write the adaptive operators for maps that are multiples of the grid only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["PlainPools", "WithPlainPools", "cell_bounds", "cell_matrix", "grid_maxima", "grid_means"]


def cell_bounds(size: int, cells: int) -> list[tuple[int, int]]:
    """[from, to) of each cell of a side, as torch's adaptive pools part it: cells may overlap by a pixel."""
    return [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]


def cell_matrix(size: int, cells: int, like: Tensor) -> Tensor:
    """Row i averages the pixels of cell i: (cells, size)."""
    rows = [
        [1 / (end - start) if start <= pixel < end else 0.0 for pixel in range(size)]
        for start, end in cell_bounds(size, cells)
    ]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)  # a constant for whoever traces this


def grid_means(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """(..., H, W) -> (..., *grid): the mean of each cell, as `F.adaptive_avg_pool2d` gives."""
    height, width = int(x.shape[-2]), int(x.shape[-1])
    if (height, width) == grid:
        return x
    if height % grid[0] == 0 and width % grid[1] == 0:
        return F.avg_pool2d(x, (height // grid[0], width // grid[1]))
    return cell_matrix(height, grid[0], x) @ x @ cell_matrix(width, grid[1], x).T


def grid_maxima(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """(..., H, W) -> (..., *grid): the largest of each cell, as `F.adaptive_max_pool2d` gives."""
    height, width = int(x.shape[-2]), int(x.shape[-1])
    if height % grid[0] == 0 and width % grid[1] == 0:
        return F.max_pool2d(x, (height // grid[0], width // grid[1]))
    for axis, cells in ((-2, grid[0]), (-1, grid[1])):
        bounds = cell_bounds(int(x.shape[axis]), cells)
        parts = [x.narrow(axis, start, end - start).amax(axis, keepdim=True) for start, end in bounds]
        x = torch.cat(parts, axis)
    return x


class PlainPools(TorchFunctionMode):
    """Within it adaptive pools that exporters do not know are written out, whoever calls them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        plain = {F.adaptive_avg_pool2d: grid_means, F.adaptive_max_pool2d: grid_maxima}.get(func)
        if plain is not None and not kwargs.get("return_indices"):
            x, asked = _operands(*args, **kwargs)
            sides = (int(x.shape[-2]), int(x.shape[-1]))
            grid = _grid(asked, sides)
            divides = not any(side % cells for side, cells in zip(sides, grid, strict=True))
            if plain is grid_maxima or not divides:  # a mean over equal cells is known to every exporter
                return plain(x, grid)
        return func(*args, **kwargs)


class WithPlainPools(nn.Module):
    """A network whose forward runs within `PlainPools`, for exporters that call it in a place of their own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """What the network gives."""
        with PlainPools():
            return self.network(x)


def _operands(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Any]:
    return input, output_size


def _grid(asked: int | Sequence[int | None], sides: tuple[int, int]) -> tuple[int, int]:
    """One number stands for both sides, None for as many cells as pixels."""
    height, width = (asked, asked) if isinstance(asked, int) else asked
    return (sides[0] if height is None else int(height), sides[1] if width is None else int(width))
