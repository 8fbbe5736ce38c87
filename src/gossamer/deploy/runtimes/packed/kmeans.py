"""Shared values by k-means: of single weights, of rows, each with a weight of its own.

Deep Compression (Han et al., 2016, arXiv 1510.00149, section 3): `linear` starts from even steps between the least
and the largest value and keeps large weights best, `density` from even steps of the distribution, `uniform` from
values drawn at random (the paper's "random"). In one dimension clusters are intervals of the sorted values, so a step
of Lloyd is a binary search and two look-ups in running sums.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import ModelError

__all__ = ["Initial", "cluster_rows", "cluster_values", "nearest_values"]

Initial = Literal["linear", "density", "uniform"]
Floats = NDArray[np.float64]
MOST_STEPS = 100
_ROWS_AT_ONCE = 1 << 16


def cluster_values(
    values: Floats,
    count: int,
    *,
    initial: Initial = "linear",
    weights: Floats | None = None,
    seed: int = 0,
    steps: int = MOST_STEPS,
) -> Floats:
    """At most `count` values, sorted, that stand for `values` (N,) with the least weighted squared error found.

    Clusters that lose all their values go. `weights` (N,) are >= 0; None is one each.

    Raises:
        ModelError: count is below 1, or a value or weight is not finite.
    """
    _check(values, count, weights)
    order = np.argsort(values, kind="stable")
    ordered = values[order].astype(np.float64)
    share = np.ones(len(values)) if weights is None else weights[order].astype(np.float64)
    if not len(ordered) or not share.any():
        return np.unique(ordered)[:count]
    mass = np.concatenate([[0.0], np.cumsum(share)])
    moment = np.concatenate([[0.0], np.cumsum(share * ordered)])
    centres = _first(ordered, mass, count, initial, np.random.default_rng(seed))
    for _ in range(steps):
        edges = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(ordered)]])
        within = np.diff(mass[edges])
        full = within > 0
        moved = np.unique(np.diff(moment[edges])[full] / within[full])
        if len(moved) == len(centres) and np.allclose(moved, centres, rtol=1e-9, atol=0.0):
            break
        centres = moved
    return centres


def nearest_values(
    values: NDArray[np.floating[Any]], centres: NDArray[np.floating[Any]]
) -> NDArray[np.int64]:
    """The index (N,) of the nearest of the sorted `centres` (K,), the lower one half way."""
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, values, side="left")


def _first(ordered: Floats, mass: Floats, count: int, initial: Initial, rng: np.random.Generator) -> Floats:
    """Where the centres start."""
    if initial == "linear":
        return np.unique(np.linspace(ordered[0], ordered[-1], count))
    if initial == "density":
        wanted = (np.arange(count) + 0.5) / count * mass[-1]
        return np.unique(ordered[np.minimum(np.searchsorted(mass[1:], wanted), len(ordered) - 1)])
    if initial == "uniform":
        return np.unique(ordered[rng.choice(len(ordered), min(count, len(ordered)), replace=False)])
    raise ModelError(f"a codebook starts linear, density or uniform, got {initial!r}; choose one of them")


def cluster_rows(
    rows: Floats, count: int, *, weights: Floats | None = None, seed: int = 0, steps: int = 30
) -> tuple[Floats, NDArray[np.int64]]:
    """(at most `count` centres (K, D), the nearest one of each row (N,)) by weighted k-means.

    Starts from rows drawn at random in proportion to their weights; a centre that loses its rows takes the row that
    is worst represented. The squared error never rises from one step to the next.

    Raises:
        ModelError: count is below 1, or a value or weight is not finite.
    """
    _check(rows, count, weights)
    share = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
    distinct = np.unique(rows, axis=0)
    if len(distinct) <= count:
        return distinct, _nearest_rows(rows, distinct)[0]
    rng = np.random.default_rng(seed)
    some = share > 0
    drawn = rng.choice(len(rows), min(count, int(some.sum()) or 1), replace=False, p=_shares(share))
    centres = rows[drawn].astype(np.float64)
    nearest, distance = _nearest_rows(rows, centres)
    for _ in range(steps):
        mass = np.bincount(nearest, share, len(centres))
        sums = np.stack([np.bincount(nearest, share * column, len(centres)) for column in rows.T], axis=1)
        full = mass > 0
        centres[full] = sums[full] / mass[full, None]
        centres[~full] = rows[np.argsort(-share * distance, kind="stable")[: int((~full).sum())]]
        moved, distance = _nearest_rows(rows, centres)
        if (moved == nearest).all():
            break
        nearest = moved
    return centres, nearest


def _shares(share: Floats) -> Floats | None:
    return share / share.sum() if share.any() else None


def _nearest_rows(rows: Floats, centres: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(index of the nearest centre, squared distance to it), a block of rows at a time."""
    index = np.empty(len(rows), np.int64)
    distance = np.empty(len(rows))
    norms = np.square(centres).sum(1)
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[at : at + _ROWS_AT_ONCE]
        apart = norms - 2 * (block @ centres.T)
        index[at : at + len(block)] = apart.argmin(1)
        distance[at : at + len(block)] = np.maximum(apart.min(1) + np.square(block).sum(1), 0.0)
    return index, distance


def _check(values: Floats, count: int, weights: Floats | None) -> None:
    if count < 1:
        raise ModelError(f"a codebook holds at least one value, got {count}; ask for more bits")
    if not np.isfinite(values).all() or (weights is not None and not np.isfinite(weights).all()):
        raise ModelError(
            "weights to cluster must be finite, some are NaN or infinite; mend the network before packing it"
        )
