"""What is wrong with boxes, said before training, and boxes without it: what training and scoring use."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.boxes import Boxes, clipped, pairwise_iou, usable
from gossamer.tasks.task import Remark
from gossamer.types import Size

__all__ = ["CELL", "Repaired", "faults", "repaired", "small_share"]

CELL = 8
"""Pixels of an input that one place of the finest level of most detectors looks at: what is smaller shares it."""
_SIDE = 320
"""Of the input that small boxes are told for where no other is asked for."""
_SAME = 0.95
"""Intersection over union from which two boxes of one label are one."""
_MOST_PAIRED = 1500
"""Boxes of a picture up to which all pairs are looked at; of more only those that are the same to a tenth of a pixel."""
_OUT = 0.5
"""Pixels that a box may reach out of its picture: what rounding comes to."""
_TINY = 2.0
_LONG = 10.0
_CROWDED = 300
_FEW = 20
_IMBALANCE = 20.0
_SMALL_SHARE = 0.1

Places = NDArray[np.float64]
Mask = NDArray[np.bool_]
Frame = Literal["", "turned", "scaled"]


class Repaired(NamedTuple):
    """Boxes of one picture that can be learned from."""

    xyxy: Places
    """(N, 4) in pixels of the picture, inside it, of sides above 0."""
    labels: NDArray[np.int64]
    """(N,) 0 or more."""
    crowd: Mask
    """(N,)"""


@np.errstate(all="ignore")
def repaired(target: Boxes, picture: Size) -> Repaired:
    """The boxes that can be learned from, in pixels of the picture as it is shown.

    Corners that are swapped are put right, boxes are cut at the borders; those of no finite numbers, of no size, outside, of
    an unknown label, or there before with the same label, are left out. Where the annotations tell another size than the picture has,
    boxes are turned clockwise as phones store upright pictures, or scaled; unless they fit the picture alone.
    """
    places = _ordered(_in_picture(target, picture))
    inner = clipped(np.where(np.isfinite(places), places, np.nan), picture)
    kept = usable(inner) & (target.labels >= 0)
    rows = np.column_stack([inner, target.labels])[kept]
    _, first = np.unique(rows, axis=0, return_index=True)
    chosen = np.flatnonzero(kept)[np.sort(first)]
    return Repaired(inner[chosen], target.labels[chosen], target.crowd[chosen])


def _ordered(places: Places) -> Places:
    """(N, 4) with left before right and top before bottom."""
    return np.concatenate(
        [np.minimum(places[:, :2], places[:, 2:]), np.maximum(places[:, :2], places[:, 2:])], 1
    )


def _frame(target: Boxes, picture: Size) -> Frame:
    """How the pixels that boxes count in differ from those of the picture."""
    size = target.size
    if size is None or target.norm or size == picture or not len(target.labels):
        return ""
    places = _ordered(target.xyxy)
    places = places[np.isfinite(places).all(1)]
    fits = (_within(places, picture), _within(places, size))
    if (fits[0] & ~fits[1]).any():  # the size is wrong, not the boxes
        return ""
    if (size.height, size.width) == (picture.width, picture.height):
        return "turned"
    ratio = (picture.height / size.height) / (picture.width / size.width)
    return "scaled" if 0.98 < ratio < 1.02 else ""


def _within(places: Places, size: Size) -> Mask:
    """Which boxes (N, 4) a size holds, but for a pixel: (N,)."""
    limits = np.array([size.width, size.height]) + 1
    return np.asarray((places[:, :2] > -1).all(1) & (places[:, 2:] < limits).all(1), np.bool_)


def _in_picture(target: Boxes, picture: Size) -> Places:
    """(N, 4) in pixels of the picture as it is shown."""
    places, frame = target.in_pixels(picture), _frame(target, picture)
    if target.size is None or frame == "":
        return places
    if frame == "turned":
        left, top, right, bottom = places.T
        return np.stack([target.size.height - bottom, left, target.size.height - top, right], 1)
    scale = np.array([picture.width / target.size.width, picture.height / target.size.height] * 2)
    return np.asarray(places * scale, np.float64)


class _All(NamedTuple):
    """The boxes of all pictures: N in all."""

    places: Places
    """(N, 4) in pixels, corners as they are written; shares where `measured` is not."""
    labels: NDArray[np.int64]
    owner: NDArray[np.int64]
    """(N,) the picture of each."""
    limits: Places
    """(N, 2) width and height of its picture; infinite where they are not known."""
    measured: Mask
    """(N,) whether places are in pixels."""
    names: Sequence[str]

    @classmethod
    def of(cls, targets: Sequence[Boxes], sizes: Sequence[Size | None], names: Sequence[str]) -> _All:
        """Of the targets of samples."""
        places, limits = [np.zeros((0, 4))], [np.zeros((0, 2))]
        for target, size in zip(targets, sizes, strict=True):
            count = len(target.labels)
            places.append(target.xyxy if size is None else _in_picture(target, size))
            sides = (math.inf, math.inf) if size is None else (size.width, size.height)
            limits.append(np.broadcast_to(np.asarray(sides, np.float64), (count, 2)))
        counts = [len(target.labels) for target in targets]
        labels = np.concatenate([np.zeros(0, np.int64), *(target.labels for target in targets)])
        owner = np.repeat(np.arange(len(targets)), counts)
        unknown = [size is None and target.norm for target, size in zip(targets, sizes, strict=True)]
        measured = ~np.repeat(np.asarray(unknown, np.bool_), counts)
        return cls(np.concatenate(places), labels, owner, np.concatenate(limits), measured, names)

    def where(self, mask: Mask) -> str:
        """How many boxes, in how many pictures, and the first of them."""
        owners = np.unique(self.owner[mask])
        boxes = f"{mask.sum():,} box" + ("es" if mask.sum() != 1 else "")
        if len(owners) == 1:
            return f"{boxes} of {self.names[owners[0]]}"
        return f"{boxes} in {len(owners):,} pictures ({self.names[owners[0]]} first)"

    def box(self, mask: Mask) -> str:
        """The first of these boxes."""
        return "(" + ", ".join(f"{value:.6g}" for value in self.places[np.flatnonzero(mask)[0]]) + ")"


@np.errstate(all="ignore")
def faults(
    targets: Sequence[Boxes],
    labels: Sequence[str],
    sizes: Sequence[Size | None] | None = None,
    names: Sequence[str] | None = None,
    *,
    side: int = _SIDE,
) -> list[Remark]:
    """What would hurt: each kind of fault with how many there are, the first one's file, and what is done or to do.

    `sizes` are those of the pictures as they are shown, `names` their files; `side` is that of the input that small boxes
    are told for.
    """
    written = [target.size for target in targets]
    real = written if sizes is None else [a or b for a, b in zip(sizes, written, strict=True)]
    files = [f"picture {i}" for i in range(len(targets))] if names is None else names
    boxes = _All.of(targets, real, files)
    sound: Mask = np.asarray(np.isfinite(boxes.places).all(1))
    ordered = _ordered(boxes.places)
    spans = ordered[:, 2:] - ordered[:, :2]
    remarks = _of_frames(targets, real, files)
    remarks += _of_numbers(boxes, sound, spans) + _of_borders(boxes, sound, spans, ordered)
    remarks += _of_labels(boxes, labels) + _of_pairs(boxes, sound, ordered)
    whole = sound & (spans > 1e-6).all(1) & boxes.measured
    remarks += _of_sizes(boxes, whole, spans, side) + _of_pictures(targets, files)
    return sorted(remarks, key=lambda remark: ("error", "warning", "note").index(remark.severity))


def _of_frames(targets: Sequence[Boxes], sizes: Sequence[Size | None], names: Sequence[str]) -> list[Remark]:
    """Sizes that annotations tell and pictures do not have."""
    kinds: dict[str, list[int]] = {"turned": [], "scaled": [], "other": []}
    for i, (target, size) in enumerate(zip(targets, sizes, strict=True)):
        if size is not None and target.size is not None and target.size != size:
            kinds[_frame(target, size) or "other"].append(i)
    words = {
        "turned": (
            "error",
            "turned-boxes",
            "boxes are turned with it, clockwise; look at some, and save pictures upright (EXIF) before they are annotated",
        ),
        "scaled": ("warning", "scaled-boxes", "boxes are scaled to the picture; look at some"),
        "other": (
            "warning",
            "other-size",
            "boxes are taken as they are; look at some, they may belong to other pictures",
        ),
    }
    remarks = []
    for kind, pictures in kinds.items():
        if pictures:
            severity, code, advice = words[kind]
            first = pictures[0]
            message = (
                f"{_pictures(len(pictures))} another size than the annotations tell, {names[first]} is {sizes[first]} and not "
                f"{targets[first].size}: {advice}"
            )
            remarks.append(Remark(severity, code, message))  # type: ignore[arg-type]
    return remarks


def _pictures(count: int, one: str = "has", more: str = "have") -> str:
    return f"1 picture {one}" if count == 1 else f"{count:,} pictures {more}"


def _of_numbers(boxes: _All, sound: Mask, spans: Places) -> list[Remark]:
    remarks = []
    if not sound.all():
        message = (
            f"{boxes.where(~sound)} with corners that are no numbers {boxes.box(~sound)}: left out; mend them"
        )
        remarks.append(Remark("error", "nan-box", message))
    empty = sound & (spans <= 1e-6).any(1)
    if empty.any():
        message = f"{boxes.where(empty)} without width or height {boxes.box(empty)}: left out; draw them again or remove them"
        remarks.append(Remark("error", "zero-box", message))
    swapped = sound & (boxes.places[:, 2:] < boxes.places[:, :2]).any(1)
    if swapped.any():
        message = (
            f"{boxes.where(swapped)} with right before left or bottom above top {boxes.box(swapped)}: put right; if there are "
            "many, see that the columns are left, top, right, bottom and not left, top, width, height"
        )
        remarks.append(Remark("warning", "swapped-box", message))
    return remarks


def _of_borders(boxes: _All, sound: Mask, spans: Places, ordered: Places) -> list[Remark]:
    over = np.maximum(-ordered[:, :2], ordered[:, 2:] - boxes.limits).max(1, initial=0.0)
    gone = sound & ((ordered[:, 2:] <= 0) | (ordered[:, :2] >= boxes.limits)).any(1) & (spans > 1e-6).all(1)
    part = sound & ~gone & (over > _OUT) & boxes.measured
    remarks = []
    if gone.any():
        message = (
            f"{boxes.where(gone)} wholly outside of the picture {boxes.box(gone)}: left out; see that they belong to these "
            "pictures, and whether their corners are pixels or shares"
        )
        remarks.append(Remark("error", "outside-box", message))
    if part.any():
        message = (
            f"{boxes.where(part)} over the border of the picture, by up to {over[part].max():.4g} pixels {boxes.box(part)}: cut at "
            "the border; if it is much, see whether the pictures were resized"
        )
        remarks.append(Remark("warning", "cut-box", message))
    return remarks


def _of_labels(boxes: _All, labels: Sequence[str]) -> list[Remark]:
    remarks = []
    strange = (boxes.labels < 0) | (boxes.labels >= len(labels))
    if strange.any():
        message = (
            f"{boxes.where(strange)} of a class that has no name: left out; add it to the classes of the set"
        )
        remarks.append(Remark("error", "unknown-class", message))
    counts = Counter(dict.fromkeys(labels, 0))
    counts.update(labels[i] for i in boxes.labels[~strange].tolist())
    few = [label for label in labels if 0 < counts[label] < _FEW]
    if few:
        shown = ", ".join(f"{label!r} {counts[label]}" for label in few[:5])
        message = f"fewer than {_FEW} boxes of {shown}{' and others' if len(few) > 5 else ''}: learned poorly; add more or join classes"
        remarks.append(Remark("warning", "tiny-class", message))
    ranked = [pair for pair in counts.most_common() if pair[1]]
    if len(ranked) > 1 and ranked[0][1] > _IMBALANCE * ranked[-1][1]:
        (most, more), (least, less) = ranked[0], ranked[-1]
        message = f"{most!r} has {more / less:.0f} times the boxes of {least!r}: AP counts classes alike, so look at each; add boxes of {least!r}"
        remarks.append(Remark("warning", "imbalance", message))
    return remarks


def _of_pairs(boxes: _All, sound: Mask, ordered: Places) -> list[Remark]:
    again = np.zeros(len(boxes.labels), np.bool_)
    order = np.flatnonzero(sound)
    owners, starts = np.unique(boxes.owner[order], return_index=True)
    for mine in np.split(order, starts[1:]) if len(owners) else []:
        if len(mine) > _MOST_PAIRED:
            keys = np.column_stack([np.round(ordered[mine], 1), boxes.labels[mine]])
            first = np.unique(keys, axis=0, return_index=True)[1]
            again[np.delete(mine, first)] = True
            continue
        same = pairwise_iou(ordered[mine], ordered[mine]) > _SAME
        same &= boxes.labels[mine][:, None] == boxes.labels[mine][None]
        again[mine] = np.tril(same, -1).any(1)
    if not again.any():
        return []
    message = (
        f"{boxes.where(again)} on top of another of the same class {boxes.box(again)}: those that are equal are left out; remove "
        "what was drawn twice"
    )
    return [Remark("warning", "same-box", message)]


def _of_sizes(boxes: _All, whole: Mask, spans: Places, side: int) -> list[Remark]:
    remarks = []
    if not whole.any():
        return []
    tiny = whole & (spans < _TINY).any(1)
    if tiny.any():
        message = f"{boxes.where(tiny)} under {_TINY:g} pixels wide or high {boxes.box(tiny)}: slips of the mouse? look at them"
        remarks.append(Remark("warning", "tiny-box", message))
    small = whole & np.isfinite(boxes.limits).all(1)
    if small.any():
        across = np.sqrt(spans[small].prod(1)) / boxes.limits[small].max(1)
        share = float((across * side < CELL).mean())
        if share > _SMALL_SHARE:
            needed = 32 * math.ceil(CELL / max(float(np.quantile(across, _SMALL_SHARE)), 1e-4) / 32)
            way = (
                "use tiles"
                if needed > 1280
                else f"use a larger input ({needed} px leaves {_SMALL_SHARE:.0%}) or tiles"
            )
            message = f"{share:.0%} of your boxes are under {CELL} px at {side} px, less than the finest cell of most detectors: {way}"
            remarks.append(Remark("warning" if share > 0.3 else "note", "small-boxes", message))
    long = whole & (spans.max(1) > _LONG * spans.min(1))
    if long.any():
        message = f"{boxes.where(long)} over {_LONG:g} times as long as wide {boxes.box(long)}: hard to place; see that they are meant so"
        remarks.append(Remark("note", "long-box", message))
    return remarks


def _of_pictures(targets: Sequence[Boxes], names: Sequence[str]) -> list[Remark]:
    remarks = []
    bare = [i for i, target in enumerate(targets) if not len(target.labels)]
    if bare:
        message = (
            f"{_pictures(len(bare))} no boxes, {names[bare[0]]} first: kept, as pictures to find nothing in; take those out that "
            "were never annotated"
        )
        remarks.append(Remark("note", "no-boxes", message))
    full = [i for i, target in enumerate(targets) if len(target.labels) > _CROWDED]
    if full:
        most = max(full, key=lambda i: len(targets[i].labels))
        message = (
            f"{_pictures(len(full))} more than {_CROWDED} boxes, {names[most]} has {len(targets[most].labels):,}: more than is "
            "answered for one picture; cut such into tiles"
        )
        remarks.append(Remark("warning", "crowded", message))
    return remarks


def small_share(targets: Sequence[Boxes], sizes: Sequence[Size], side: int) -> float:
    """The share of boxes that are under `CELL` pixels across (root of their area) in an input of `side`, letterboxed."""
    across = [np.zeros(0)]
    for target, size in zip(targets, sizes, strict=True):
        places = repaired(target, size).xyxy
        across.append(np.sqrt((places[:, 2:] - places[:, :2]).prod(1)) * side / max(size))
    every = np.concatenate(across)
    return float((every < CELL).mean()) if len(every) else 0.0
