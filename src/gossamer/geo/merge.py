"""Boxes of neighbouring tiles as boxes of the whole picture: near-linear greedy suppression, whole things before cut ones.

Pairs that can touch come from grids of cells, one a power of two: a box lies in four cells at most of the grid of its own
size or a larger one, so that giant and tiny boxes do not meet each other's crowds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Neighbours", "TiledBoxes", "cut_by", "merged"]

Places = NDArray[np.float64]
Rows = NDArray[np.int64]

_PAIRS_AT_ONCE = 1 << 21
_FIRST_BLOCK, _LARGEST_BLOCK = 64, 1 << 13


class TiledBoxes(NamedTuple):
    """Boxes of several tiles, in pixels of the whole picture."""

    xyxy: Places
    """(N, 4)."""
    scores: NDArray[np.float64]
    """(N,)."""
    labels: Rows
    """(N,): boxes of different labels are different things."""
    tiles: Rows
    """(N,): which tile said it."""
    cut: NDArray[np.bool_]
    """(N,): it touches a border of its tile that is no border of the picture, so that the thing may go on beyond."""


def cut_by(
    boxes_xyxy: Places,
    tile: tuple[float, float, float, float],
    picture: tuple[float, float],
    *,
    near: float = 2.0,
) -> NDArray[np.bool_]:
    """Which boxes (N, 4) touch an inner border of a tile (left, top, right, bottom) of a picture (width, height): (N,)."""
    left, top, right, bottom = tile
    width, height = picture
    touches = np.zeros(len(boxes_xyxy), np.bool_)
    for side, border, inner in ((0, left, left > 0), (1, top, top > 0)):
        if inner:
            touches |= boxes_xyxy[:, side] <= border + near
    for side, border, inner in ((2, right, right < width), (3, bottom, bottom < height)):
        if inner:
            touches |= boxes_xyxy[:, side] >= border - near
    return touches


def merged(boxes: TiledBoxes, *, overlap: float = 0.6, part: float = 0.6) -> Rows:
    """Places of the boxes that stay, best first.

    Whole boxes come before cut ones, then better before worse. Of two boxes of one label the later goes where their IoU is
    above `overlap`; where they are of different tiles and one is cut, also where the smaller lies in the other by more than
    `part` of itself.
    """
    count = len(boxes.scores)
    order = np.lexsort((np.arange(count), -boxes.scores, boxes.cut))
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    alive = np.ones(count, np.bool_)
    neighbours = Neighbours.of(boxes.xyxy)
    start, size = 0, _FIRST_BLOCK
    while start < count:
        block = order[start : start + size]
        block = block[alive[block]]
        if 2 * alive.sum() < len(neighbours.members):
            neighbours = Neighbours.of(boxes.xyxy, np.flatnonzero(alive))
        _suppress(boxes, neighbours, block, rank, alive, overlap, part)
        start, size = start + size, min(2 * size, _LARGEST_BLOCK)
    kept = np.flatnonzero(alive)
    return kept[np.argsort(-boxes.scores[kept], kind="stable")]


def _suppress(
    boxes: TiledBoxes,
    neighbours: Neighbours,
    block: Rows,
    rank: Rows,
    alive: NDArray[np.bool_],
    overlap: float,
    part: float,
) -> None:
    """Those of lower rank that a box of the block stands for go, in the order of ranks."""
    better: list[Rows] = []
    worse: list[Rows] = []
    for ours, theirs in neighbours.pairs(block):
        chosen = (rank[theirs] > rank[ours]) & alive[theirs] & (boxes.labels[ours] == boxes.labels[theirs])
        ours, theirs = ours[chosen], theirs[chosen]
        same = _same(boxes, ours, theirs, overlap, part)
        better.append(ours[same])
        worse.append(theirs[same])
    first, second = (np.concatenate([*each, np.zeros(0, np.int64)]) for each in (better, worse))
    if not len(first):
        return
    by_rank = np.argsort(rank[first], kind="stable")
    first, second = first[by_rank], second[by_rank]
    starts = np.flatnonzero(np.r_[True, first[1:] != first[:-1]])
    for begin, end in zip(starts, [*starts[1:], len(first)], strict=True):
        if alive[first[begin]]:
            alive[second[begin:end]] = False


def _same(boxes: TiledBoxes, ours: Rows, theirs: Rows, overlap: float, part: float) -> NDArray[np.bool_]:
    """Which pairs are one thing: (P,)."""
    a, b = boxes.xyxy[ours], boxes.xyxy[theirs]
    inner = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(1)
    area_a, area_b = (np.clip(each[:, 2:] - each[:, :2], 0, None).prod(1) for each in (a, b))
    beyond = (boxes.cut[ours] | boxes.cut[theirs]) & (boxes.tiles[ours] != boxes.tiles[theirs])
    whole: NDArray[np.bool_] = inner > overlap * (area_a + area_b - inner)
    return np.asarray(whole | (beyond & (inner > part * np.minimum(area_a, area_b))))


class _Grid(NamedTuple):
    """Boxes by the cells that they lie in, sorted by cell."""

    cells: Rows
    rows: Rows


@dataclass(frozen=True)
class Neighbours:
    """Which boxes touch which, without looking at every pair."""

    xyxy: Places
    levels: Rows
    """(N,) of powers of two that are no less than a box's longer side."""
    columns: int
    """More than any cell's number across."""
    members: Rows
    """(M,): those that are looked for."""
    _grids: dict[tuple[int, bool], _Grid] = field(default_factory=dict)

    @classmethod
    def of(cls, boxes_xyxy: Places, members: Rows | None = None) -> Neighbours:
        """Of boxes (N, 4), finite; all of them, or some."""
        xyxy = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        members = np.arange(len(xyxy)) if members is None else members
        if not len(xyxy):
            return cls(xyxy, np.zeros(0, np.int64), 1, members)
        xyxy = xyxy - np.tile(xyxy[:, :2].min(0), 2)
        sides = (xyxy[:, 2:] - xyxy[:, :2]).max(1)
        usual = max(1.0, float(np.median(sides)))
        levels = np.ceil(np.log2(np.maximum(sides, usual))).astype(np.int64)
        return cls(xyxy, levels, int(xyxy.max() / 2.0 ** int(levels.min())) + 2, members)

    def pairs(self, queries: Rows) -> Iterator[tuple[Rows, Rows]]:
        """Pairs (query, other) that share some area, each once, in pieces of bounded size."""
        for level in np.unique(self.levels[self.members]).tolist():
            own = queries[self.levels[queries] == level]
            lower = queries[self.levels[queries] < level]
            if len(own):
                yield from self._joined(own, self._others(level, lower=True), level)
            if len(lower):
                yield from self._joined(lower, self._others(level, lower=False), level)

    def _others(self, level: int, *, lower: bool) -> _Grid:
        """Those of a level, and all below it, by the level's cells."""
        key = (level, lower)
        if key not in self._grids:
            levels = self.levels[self.members]
            chosen = levels <= level if lower else levels == level
            self._grids[key] = self._grid(self.members[chosen], 2.0**level)
        return self._grids[key]

    def _joined(self, queries: Rows, there: _Grid, level: int) -> Iterator[tuple[Rows, Rows]]:
        side = 2.0**level
        asked = self._grid(queries, side)
        begin = np.searchsorted(there.cells, asked.cells, "left")
        lengths = np.searchsorted(there.cells, asked.cells, "right") - begin
        ends = np.cumsum(lengths)
        start = 0
        while start < len(lengths):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, "right")))
            counts = lengths[start:stop]
            within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            ours = np.repeat(asked.rows[start:stop], counts)
            theirs = there.rows[np.repeat(begin[start:stop], counts) + within]
            yield self._once(ours, theirs, np.repeat(asked.cells[start:stop], counts), side)
            start = stop

    def _once(self, ours: Rows, theirs: Rows, cells: Rows, side: float) -> tuple[Rows, Rows]:
        """Of pairs that share a cell, those that share area, in the cell where what they share begins."""
        a, b = self.xyxy[ours], self.xyxy[theirs]
        low = np.maximum(a[:, :2], b[:, :2])
        here = np.floor(low / side).astype(np.int64)
        chosen = (here[:, 1] * self.columns + here[:, 0] == cells) & (ours != theirs)
        chosen &= (np.minimum(a[:, 2:], b[:, 2:]) > low).all(1)
        return ours[chosen], theirs[chosen]

    def _grid(self, rows: Rows, side: float) -> _Grid:
        cells = np.floor(self.xyxy[rows] / side).astype(np.int64)
        keys, members = [], []
        for x, y in ((0, 1), (2, 1), (0, 3), (2, 3)):
            new = np.ones(len(rows), np.bool_)
            if x == 2:
                new &= cells[:, 2] != cells[:, 0]
            if y == 3:
                new &= cells[:, 3] != cells[:, 1]
            keys.append((cells[:, y] * self.columns + cells[:, x])[new])
            members.append(rows[new])
        key, member = np.concatenate(keys), np.concatenate(members)
        order = np.argsort(key, kind="stable")
        return _Grid(key[order], member[order])
