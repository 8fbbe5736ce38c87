"""Boxes known again from frame to frame: association by overlap, sure boxes first, unsure ones for what is left.

After ByteTrack (Zhang et al., 2110.06864, algorithm 1). Motion is a constant velocity of the four numbers of a box, each
filtered by itself (Kalman), noise in proportion to the box's height as SORT's successors have it (Wojke et al., 1703.07402).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.answer import answer_of, boxes_of, xyxy_of
from gossamer.tasks.detect.boxes import pairwise_iou
from gossamer.tasks.places import Follower
from gossamer.tasks.task import Answer

__all__ = ["BoxFollower", "assigned"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LOW = 0.1
"""Score below which a box is not looked at."""
_FIRST, _SECOND, _NEW = 0.2, 0.5, 0.3
"""Least IoU: of sure boxes, of unsure ones, of a track that was seen once."""
_LOST = 30
"""Frames after which a thing that is not seen is forgotten."""
_PLACE_NOISE, _SPEED_NOISE = 1 / 20, 1 / 160
"""Standard deviations a frame, in heights of the box."""
_FAR = 1e3


class _Tracks:
    """Every track's motion and what is known of it, one row each."""

    def __init__(self) -> None:
        self.place: Floats = np.zeros((0, 4))
        """Middle x, middle y, width, height."""
        self.speed: Floats = np.zeros((0, 4))
        self.spread: Floats = np.zeros((0, 4, 3))
        """Variance of the place, covariance, variance of the speed."""
        self.labels: list[str] = []
        self.ids: Ints = np.zeros(0, np.int64)
        """0 for a track that was seen once, after the first frame."""
        self.missed: Ints = np.zeros(0, np.int64)
        """Frames since it was seen."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def xyxy(self) -> Floats:
        """(T, 4)."""
        middle, half = self.place[:, :2], np.maximum(self.place[:, 2:], 1e-3) / 2
        return np.concatenate([middle - half, middle + half], 1)

    def _noise(self, share: float) -> Floats:
        return np.square(share * np.maximum(self.place[:, 3:4], 1.0))

    def predict(self) -> None:
        """One frame on."""
        self.place = self.place + self.speed
        variance, shared, fast = np.moveaxis(self.spread, 2, 0)
        self.spread = np.stack(
            [
                variance + 2 * shared + fast + self._noise(_PLACE_NOISE),
                shared + fast,
                fast + self._noise(_SPEED_NOISE),
            ],
            2,
        )
        self.missed = self.missed + 1

    def correct(self, rows: Ints, boxes: Floats) -> None:
        """Tracks that were seen, and where: xyxy (R, 4)."""
        variance, shared, fast = np.moveaxis(self.spread[rows], 2, 0)
        total = variance + self._noise(_PLACE_NOISE)[rows]
        gain, lift = variance / total, shared / total
        off = _middles(boxes) - self.place[rows]
        self.place[rows] += gain * off
        self.speed[rows] += lift * off
        self.spread[rows] = np.stack([(1 - gain) * variance, (1 - gain) * shared, fast - lift * shared], 2)
        self.missed[rows] = 0

    def add(self, boxes: Floats, labels: Sequence[str], ids: Sequence[int]) -> None:
        """New ones, at rest but ready to move."""
        place = _middles(boxes)
        high = np.maximum(place[:, 3:4], 1.0) * np.ones(4)
        spread = np.stack(
            [np.square(2 * _PLACE_NOISE * high), np.zeros_like(high), np.square(10 * _PLACE_NOISE * high)], 2
        )
        self.place = np.concatenate([self.place, place])
        self.speed = np.concatenate([self.speed, np.zeros_like(place)])
        self.spread = np.concatenate([self.spread, spread])
        self.labels = [*self.labels, *labels]
        self.ids = np.concatenate([self.ids, np.array(ids, np.int64)])
        self.missed = np.concatenate([self.missed, np.zeros(len(place), np.int64)])

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Only those."""
        self.place, self.speed, self.spread = self.place[kept], self.speed[kept], self.spread[kept]
        self.ids, self.missed = self.ids[kept], self.missed[kept]
        self.labels = [label for label, stays in zip(self.labels, kept, strict=True) if stays]


def _middles(boxes: Floats) -> Floats:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


class BoxFollower(Follower):
    """The tracks of one film."""

    def __init__(self, labels: Sequence[str], threshold: float = 0.5) -> None:
        self._labels, self._threshold = list(labels), threshold
        self._tracks = _Tracks()
        self._counts: Counter[str] = Counter()
        self._frames = 0

    @property
    def counts(self) -> Mapping[str, int]:
        return {label: self._counts[label] for label in self._labels}

    def update(self, answer: Answer) -> Answer:
        rows, tracks = boxes_of(answer), self._tracks
        boxes, scores = xyxy_of(rows), np.array([row["score"] for row in rows], np.float64)
        names = [row["label"] for row in rows]
        tracks.predict()
        self._frames += 1
        sure = np.flatnonzero(scores >= self._threshold)
        unsure = np.flatnonzero((scores < self._threshold) & (scores >= _LOW))
        old, seen = np.flatnonzero(tracks.ids > 0), np.full(len(tracks), -1, np.int64)
        sure = self._matched(seen, old, sure, boxes, names, _FIRST)
        left = old[(seen[old] < 0) & (tracks.missed[old] == 1)]
        self._matched(seen, left, unsure, boxes, names, _SECOND)
        sure = self._matched(seen, np.flatnonzero(tracks.ids == 0), sure, boxes, names, _NEW)
        met = np.flatnonzero(seen >= 0)
        tracks.correct(met, boxes[seen[met]])
        for track in met[tracks.ids[met] == 0]:
            tracks.ids[track] = self._next(tracks.labels[track])
        said = [{**rows[seen[track]], "id": int(tracks.ids[track])} for track in met]
        tracks.keep((tracks.missed <= _LOST) & ((tracks.ids > 0) | (seen >= 0)))
        new = [names[row] for row in sure]
        ids = [self._next(label) if self._frames == 1 else 0 for label in new]
        tracks.add(boxes[sure], new, ids)
        said += [{**rows[row], "id": number} for row, number in zip(sure, ids, strict=True) if number]
        said.sort(key=lambda row: -float(row["score"]))
        return answer_of(said, self._labels)

    def _next(self, label: str) -> int:
        """A new thing."""
        self._counts[label] += 1
        return self._counts.total()

    def _matched(
        self, seen: Ints, tracks: Ints, rows: Ints, boxes: Floats, names: Sequence[str], least: float
    ) -> Ints:
        """Write into `seen` which of the rows each of the tracks is; those that are left."""
        if not len(tracks) or not len(rows):
            return rows
        overlap = pairwise_iou(self._tracks.xyxy[tracks], boxes[rows])
        ours = np.array([self._tracks.labels[track] for track in tracks], object)
        theirs = np.array([names[row] for row in rows], object)
        overlap = np.where(ours[:, None] == theirs[None], overlap, 0.0)
        pairs = assigned(overlap, least)
        seen[tracks[pairs[:, 0]]] = rows[pairs[:, 1]]
        return np.delete(rows, pairs[:, 1])


def assigned(gain: Floats, least: float) -> Ints:
    """Pairs (P, 2) of rows and columns of gains (N, M) of `least` or more: as many as can be, of the largest sum.

    Where nothing competes a pair is taken at once; what is left goes to the Hungarian method.
    """
    allowed = (gain >= least) & (gain > 0)
    alone = allowed & (allowed.sum(1) == 1)[:, None] & (allowed.sum(0) == 1)[None]
    pairs = [np.argwhere(alone)]
    allowed &= ~(alone.any(1)[:, None] | alone.any(0)[None])
    rows, columns = np.flatnonzero(allowed.any(1)), np.flatnonzero(allowed.any(0))
    if len(rows):
        cost = np.where(allowed, 1.0 - gain, _FAR)[np.ix_(rows, columns)]
        turned = len(rows) > len(columns)
        chosen = _hungarian(cost.T if turned else cost)
        chosen = chosen[:, ::-1] if turned else chosen
        chosen = np.stack([rows[chosen[:, 0]], columns[chosen[:, 1]]], 1)
        pairs.append(chosen[allowed[chosen[:, 0], chosen[:, 1]]])
    return np.concatenate(pairs)


def _hungarian(cost: Floats) -> Ints:
    """Pairs (N, 2) of least total cost (N, M), N <= M, by shortest augmenting paths with potentials (Kuhn, 1955)."""
    count, width = cost.shape
    row_price, column_price = np.zeros(count + 1), np.zeros(width + 1)
    owner = np.zeros(width + 1, np.int64)
    for row in range(1, count + 1):
        owner[0], column = row, 0
        least, way = np.full(width + 1, np.inf), np.zeros(width + 1, np.int64)
        used = np.zeros(width + 1, np.bool_)
        while owner[column]:
            used[column] = True
            now = owner[column]
            free = ~used
            free[0] = False
            reduced = np.r_[np.inf, cost[now - 1] - row_price[now] - column_price[1:]]
            closer = free & (reduced < least)
            least[closer], way[closer] = reduced[closer], column
            nearest = int(np.where(free, least, np.inf).argmin())
            step = least[nearest]
            row_price[owner[used]] += step
            column_price[used] -= step
            least[free] -= step
            column = nearest
        while column:
            owner[column], column = owner[way[column]], int(way[column])
    return np.stack([owner[1:][owner[1:] > 0] - 1, np.flatnonzero(owner[1:] > 0)], 1)
