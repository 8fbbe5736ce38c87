"""Which pictures show the same: re-encoded, scaled, brightened, cropped by a few percent, mirrored or turned.

Near-linear in the number of pictures: only those are compared whose signatures share a key, and of many with one key each
is compared with a few of them. What is joined goes into clusters, so that frames which resemble only their neighbours
come together too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.data.scan import Scan

__all__ = ["Clusters", "alike_clusters"]

Indices = NDArray[np.int64]
_KEY_BITS = 16
_MAX_DIFFERENT_BITS = 20
_MAX_MEAN_DIFFERENCE = 4.0
_VIEW_KEY_BITS = 24
_MAX_DIFFERENT_VIEW_BITS = 48
_MIN_CORRELATION = 0.975
_MIN_DEVIATION = 4.0
_MAX_BUCKET = 400
_SMALL = 32
_LEADERS = 16
_DEPTH = 3
_CHUNK = 4096


class Clusters:
    """What is joined, of `count` things."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def roots(self, members: Indices) -> Indices:
        """One number a cluster for each of the members."""
        roots = self._parent[members]
        while (above := self._parent[roots] != roots).any():
            roots = np.where(above, self._parent[roots], roots)
        self._parent[members] = roots
        return roots

    def join(self, first: Indices, second: Indices) -> None:
        """Put the members of each pair into one cluster."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            one, other = (self._root(i) for i in (a, b))
            self._parent[max(one, other)] = min(one, other)

    def _root(self, i: int) -> int:
        while (above := int(self._parent[i])) != i:
            self._parent[i] = self._parent[above]
            i = above
        return i

    def groups(self) -> list[list[int]]:
        """The clusters of two and more, in the order of their first members."""
        roots = self.roots(np.arange(len(self._parent)))
        order = np.argsort(roots, kind="stable")
        cuts = np.flatnonzero(np.diff(roots[order])) + 1
        return [group.tolist() for group in np.split(order, cuts) if len(group) > 1]


Compare = Callable[[Indices, Indices], NDArray[np.bool_]]
"""Whether the entries of each pair show the same."""


class _Entries(NamedTuple):
    """Signatures, several a picture perhaps: `owners` (E,) are the pictures, `keys` (E, K) what alike ones share."""

    owners: Indices
    keys: NDArray[np.uint32]
    compare: Compare


@dataclass(frozen=True)
class _Signatures:
    """Of N pictures."""

    gradients: NDArray[np.uint8]
    thumbnails: NDArray[np.uint8]
    means: NDArray[np.float32]

    def compare(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """At most 20 of 256 gradient signs differ, and thumbnails by at most 4 grey levels a pixel."""
        alike: NDArray[np.bool_] = np.abs(self.means[first] - self.means[second]) <= _MAX_MEAN_DIFFERENCE
        at = np.flatnonzero(alike)
        different = np.bitwise_count(self.gradients[first[at]] ^ self.gradients[second[at]])
        alike[at] = different.sum(1, dtype=np.int32) <= _MAX_DIFFERENT_BITS
        at = np.flatnonzero(alike)
        ours, theirs = (self.thumbnails[each[at]].astype(np.int16) for each in (first, second))
        difference = np.abs(ours - theirs).mean((1, 2))
        alike[at] = difference <= _MAX_MEAN_DIFFERENCE
        return alike


@dataclass(frozen=True)
class _Views:
    """Of N pictures whole and cropped: entry `v * N + i` is view v of picture i; view 0 is the whole one."""

    count: int
    signs: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    """(E, 256)."""

    def compare(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """At least one is whole, at most a tenth of the signs differ, and the pixels go together."""
        alike: NDArray[np.bool_] = (first < self.count) | (second < self.count)
        at = np.flatnonzero(alike)
        different = np.bitwise_count(self.signs[first[at]] ^ self.signs[second[at]])
        alike[at] = different.sum(1, dtype=np.int32) <= _MAX_DIFFERENT_VIEW_BITS
        at = np.flatnonzero(alike)
        ours, theirs = (_centred(self.pixels[each[at]]) for each in (first, second))
        alike[at] = (ours * theirs).sum(1) >= _MIN_CORRELATION
        return alike

    def shown(self) -> Indices:
        """The entries that show more than one colour."""
        parts = range(0, len(self.pixels), _CHUNK)
        deviations = [self.pixels[at : at + _CHUNK].std(1, dtype=np.float32) for at in parts]
        return np.flatnonzero(np.concatenate(deviations) >= _MIN_DEVIATION)


def alike_clusters(scans: Sequence[Scan], *, turned: bool) -> list[list[int]]:
    """Clusters of indices, of two and more pictures with different bytes that show the same.

    Mirrored pictures count as the same; turned ones (by quarters) too where `turned` is set, for pictures without an up.
    """
    first_of: dict[str, int] = {}
    for index, scan in enumerate(scans):
        first_of.setdefault(scan.digest, index)
    members = list(first_of.values())
    if len(members) < 2:
        return []
    chosen = [scans[i] for i in members]
    clusters = Clusters(len(chosen))
    gradients = np.stack([scan.gradient for scan in chosen])
    thumbnails = np.stack([scan.thumbnail for scan in chosen])
    signatures = _Signatures(gradients, thumbnails, thumbnails.mean((1, 2), dtype=np.float32))
    everyone = np.arange(len(chosen))
    order = np.array(sorted(everyone.tolist(), key=lambda i: str(chosen[i].path)))
    _join(clusters, order[:-1], order[1:], everyone, signatures.compare)  # frames beside each other by name
    _join_entries(clusters, _Entries(everyone, _keys(gradients, _KEY_BITS), signatures.compare), everyone)
    views = _views(np.stack([scan.views for scan in chosen], 1), turned=turned)
    owners = np.tile(everyone, len(views.pixels) // len(chosen))
    _join(clusters, order[:-1], order[1:], everyone, views.compare)
    _join_entries(
        clusters, _Entries(owners, _keys(views.signs, _VIEW_KEY_BITS), views.compare), views.shown()
    )
    return [[members[i] for i in group] for group in clusters.groups()]


def _keys(signs: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """Packed signs (E, bytes) as numbers (E, K)."""
    parts = signs.reshape(len(signs), -1, bits // 8).astype(np.uint32)
    return parts @ (256 ** np.arange(bits // 8, dtype=np.uint32)[::-1])


def _views(views: NDArray[np.uint8], *, turned: bool) -> _Views:
    """Of grey views (V, N, 16, 16), each brought to one of the ways round in which it may lie."""
    pixels = views.reshape(-1, *views.shape[2:])
    parts = range(0, len(pixels), _CHUNK)
    righted = np.concatenate([_righted(pixels[at : at + _CHUNK], turned=turned) for at in parts])
    signs = np.concatenate([_signs(righted[at : at + _CHUNK]) for at in parts])
    return _Views(views.shape[1], signs, righted.reshape(len(righted), -1))


def _signs(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whether views (E, S, S) grow brighter from one pixel to the next, across and down; packed."""
    across, down = pixels[:, :, 1:] > pixels[:, :, :-1], pixels[:, 1:] > pixels[:, :-1]
    return np.packbits(np.concatenate([each.reshape(len(pixels), -1) for each in (across, down)], 1), axis=1)


def _righted(pixels: NDArray[np.uint8], *, turned: bool) -> NDArray[np.uint8]:
    """Views (E, S, S) mirrored, and turned, so that they are brighter to the right, and more so than below."""
    ramp = np.linspace(-1, 1, pixels.shape[1])
    right, below = pixels.mean(1) @ ramp, pixels.mean(2) @ ramp
    result = np.where((right < 0)[:, None, None], pixels[:, :, ::-1], pixels)
    if turned:
        result = np.where((below < 0)[:, None, None], result[:, ::-1], result)
        result = np.where((np.abs(below) > np.abs(right))[:, None, None], result.transpose(0, 2, 1), result)
    return np.ascontiguousarray(result)


def _centred(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Views (E, P) less their means, of length 1."""
    values = pixels.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return values


def _join_entries(clusters: Clusters, entries: _Entries, members: Indices) -> None:
    for place in range(entries.keys.shape[1]):
        order, starts, sizes = _sorted(entries.keys[:, place], members)
        _join_small(clusters, entries, order, np.repeat(starts + sizes, sizes), np.repeat(sizes, sizes))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            if size > _SMALL:
                _join_bucket(clusters, entries, order[start : start + size], place, _DEPTH)


def _sorted(keys: NDArray[np.uint32], members: Indices) -> tuple[Indices, Indices, Indices]:
    """Members ordered by key, and where each key begins and how many have it."""
    own = keys[members]
    order = np.argsort(own, kind="stable")
    starts = np.append(0, np.flatnonzero(np.diff(own[order])) + 1) if len(own) else np.zeros(0, np.int64)
    return members[order], starts, np.diff(np.append(starts, len(own)))


def _join_small(clusters: Clusters, entries: _Entries, order: Indices, ends: Indices, sizes: Indices) -> None:
    """All pairs of small buckets, those a step apart at once; of each place in `order` where its bucket ends."""
    places = np.flatnonzero((sizes > 1) & (sizes <= _SMALL))
    for step in range(1, _SMALL):
        places = places[places + step < ends[places]]
        if not len(places):
            break
        _join(clusters, order[places], order[places + step], entries.owners, entries.compare)


def _join_bucket(clusters: Clusters, entries: _Entries, bucket: Indices, place: int, depth: int) -> None:
    """All pairs where they are few; else a few leaders with everyone, and then those that share another key as well."""
    left = bucket
    for _ in range(_LEADERS >> (_DEPTH - depth) if len(bucket) > _MAX_BUCKET else 0):
        left = _without_first(clusters, entries, left)
        if len(left) < 2:
            return
    if len(left) > _MAX_BUCKET:
        keys = entries.keys.shape[1]
        other = (
            place + keys // 2 + 1
        ) % keys  # of the other half of the signs: neighbours say the same twice
        order, starts, sizes = _sorted(entries.keys[:, other], left)
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            if size > 1 and depth:
                _join_bucket(clusters, entries, order[start : start + size], other, depth - 1)
        return
    _without_first(clusters, entries, left)
    roots = clusters.roots(entries.owners[left])
    if (roots != roots[0]).any():
        first, second = np.nonzero(np.triu(roots[:, None] != roots[None], k=1))
        _join(clusters, left[first], left[second], entries.owners, entries.compare)


def _without_first(clusters: Clusters, entries: _Entries, members: Indices) -> Indices:
    """Compare the first with everyone; those that are not in its cluster then."""
    apart = members[_apart(clusters, entries, members)]
    _join(clusters, np.full(len(apart), members[0]), apart, entries.owners, entries.compare)
    return members[_apart(clusters, entries, members)]


def _apart(clusters: Clusters, entries: _Entries, members: Indices) -> NDArray[np.bool_]:
    roots = clusters.roots(entries.owners[members])
    apart: NDArray[np.bool_] = roots != roots[0]
    return apart


def _join(clusters: Clusters, first: Indices, second: Indices, owners: Indices, compare: Compare) -> None:
    for start in range(0, len(first), _CHUNK):
        a, b = first[start : start + _CHUNK], second[start : start + _CHUNK]
        apart = clusters.roots(owners[a]) != clusters.roots(owners[b])
        a, b = a[apart], b[apart]
        alike = compare(a, b)
        clusters.join(owners[a[alike]], owners[b[alike]])
