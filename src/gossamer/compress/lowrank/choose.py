"""One option or none a layer, so that a budget is met and little is lost: a knapsack along convex hulls.

Every layer has the choices (saved, lost) and (0, 0), to stay dense. Steps along the lower hulls of these, those first
that lose least for what they save, are the best choices for every budget that they meet exactly (Lagrange); the rest
between two of them is closed by one pass that gives each layer the mildest option that still meets the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Choice", "choose"]


class Choice(NamedTuple):
    """One option of a layer: what it saves (above 0) and what is lost by it (0 at least)."""

    saved: int
    lost: float


def choose(menus: Sequence[Sequence[Choice]], needed: int) -> list[int | None]:
    """For each menu the number of the option taken, None for none; they save `needed` together, or all they can."""
    steps: list[tuple[float, int, int, int]] = []
    for number, menu in enumerate(menus):
        before = Choice(0, 0.0)
        for place in _hull(menu):
            slope = (menu[place].lost - before.lost) / (menu[place].saved - before.saved)
            steps.append((slope, number, menu[place].saved, place))
            before = menu[place]
    taken: list[int | None] = [None] * len(menus)
    saved = 0
    for _, number, amount, place in sorted(steps):
        if saved >= needed:
            break
        saved += amount - _saved(menus[number], taken[number])
        taken[number] = place
    return _milder(menus, taken, saved - needed)


def _saved(menu: Sequence[Choice], place: int | None) -> int:
    return 0 if place is None else menu[place].saved


def _hull(menu: Sequence[Choice]) -> list[int]:
    """Places of the options on the lower convex hull from (0, 0), by what they save."""
    hull: list[tuple[int, float, int]] = [(0, 0.0, -1)]
    for place in sorted(range(len(menu)), key=lambda place: (menu[place].saved, menu[place].lost)):
        saved, lost = menu[place]
        if saved == hull[-1][0]:
            continue
        while len(hull) > 1 and _above(hull[-2], hull[-1], (saved, lost)):
            hull.pop()
        hull.append((saved, lost, place))
    return [place for _, _, place in hull[1:]]


def _above(left: tuple[int, float, int], middle: tuple[int, float, int], right: tuple[int, float]) -> bool:
    """Whether the middle point lies on the line between the others or above it."""
    return (middle[1] - left[1]) * (right[0] - left[0]) >= (right[1] - left[1]) * (middle[0] - left[0])


def _milder(menus: Sequence[Sequence[Choice]], taken: list[int | None], spare: int) -> list[int | None]:
    """Spend what is saved beyond the need, on the layers that lose most first."""
    if spare < 0:
        return taken
    lost = [0.0 if place is None else menu[place].lost for menu, place in zip(menus, taken, strict=True)]
    for number in np.argsort(lost, kind="stable")[::-1].tolist():
        place = taken[number]
        if place is None:
            continue
        menu = menus[number]
        least = menu[place].saved - spare
        if least <= 0:
            taken[number], spare = None, spare - menu[place].saved
            continue
        fitting = (other for other in range(len(menu)) if menu[other].saved >= least)
        better = min(fitting, key=lambda other: (menu[other].lost, menu[other].saved))
        spare -= menu[place].saved - menu[better].saved
        taken[number] = better
    return taken
