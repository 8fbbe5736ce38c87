"""Which detectors are worth trying on somebody's pictures: what `fit` measures (torch)."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Sequence

import torch

from gossamer.cost.meter import measure
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE, CLASSIFIERS, of_task
from gossamer.zoo.composed import trunk_of
from gossamer.zoo.offer import Offer
from gossamer.zoo.weights import available_sources

__all__ = ["SIZES", "offers"]

SIZES = (160, 192, 224, 256, 320, 416, 512, 640)
"""Sides of inputs: multiples of the coarsest stride."""
_COUNTED = 320
"""Pixels a side; macs of convolutions grow with the area."""
_FROM_NOTHING = 5000
_LARGEST = 1.3
"""Of the pictures' short side: more pixels than there are show nothing new."""
_LEAST = 0.4
_NECKS_AND_HEADS = ("ghost_pan+gfl", "csp_pan_dw+yolox")
_REDUCTIONS = {8, 16, 32}
_AP_A_DECADE = 0.16
"""AP that ten times the macs are worth: FastestDet 13.0 at 0.12 G, NanoDet-Plus 30.4 at 0.76 G, EfficientDet-D0 34.3 at 2.5 G on
COCO (facts of their authors)."""
_AP_AT_GIGA = 0.29
_WITH_BACKBONE = 1.0
"""Promise of weights for the backbone: from nothing a detector learns next to nothing in minutes (docs/results.md)."""


def offers(
    *,
    short_side: int,
    width: int,
    pictures: int,
    online: bool,
    families: Collection[str] | None = None,
    sizes: Sequence[int] | None = None,
) -> Iterator[Offer]:
    """Detectors at sizes, with what is expected of them: every network of the catalogue that has weights at hand with each neck
    and head; those of the catalogue from nothing where there are none, many pictures, or families are asked for."""
    sides = (
        sizes
        or [side for side in SIZES if _LEAST * short_side <= side <= _LARGEST * short_side]
        or [SIZES[0]]
    )
    at_hand = False
    for name, entry in CLASSIFIERS.items():
        sources = available_sources(name, online=online)
        if entry.baseline or not sources or (families and entry.family not in families):
            continue
        at_hand = True
        for parts in _NECKS_AND_HEADS:
            yield from _at_sizes(f"detector:{name}+{parts}", width, sides, sources[0], _WITH_BACKBONE)
    if at_hand and pictures < _FROM_NOTHING and not families:
        return
    for name, entry in of_task("detect").items():
        if not entry.baseline and (not families or entry.family in families):
            yield from _at_sizes(name, width, sides, None, 0.0)


def _at_sizes(
    name: str, width: int, sides: Sequence[int], source: str | None, bonus: float
) -> Iterator[Offer]:
    params, counted = _cost(name, width)
    for side in sides:
        macs = round(counted * (side / _COUNTED) ** 2)
        known = CATALOGUE[trunk_of(name) or name].weights.get(source or "")
        yield Offer(
            name=name,
            size=Size(side, side),
            weights=source,
            preprocessing="imagenet" if known is None else known.preprocessing,
            arguments={"backbone": dict(known.arguments)} if known is not None and known.arguments else {},
            params=params,
            macs=macs,
            promise=round(_AP_AT_GIGA + _AP_A_DECADE * math.log10(max(1, macs) / 1e9) + bonus, 4),
        )


@functools.lru_cache(maxsize=512)
def _cost(name: str, width: int) -> tuple[int, int]:
    """(params, macs at `_COUNTED` pixels) of what ships; nothing is drawn or stored for it."""
    with torch.device("meta"):
        network = build(name, num_classes=width).eval()
    count = measure(network, (1, 3, _COUNTED, _COUNTED))
    return count.params, count.macs
