"""Aerial-looking pictures with boxes made in code: vehicles, ships and storage tanks on the land of the scenes ("demo:boxes").

Every thing is drawn into the same albedo and height maps as the land, turned, so that one sun lights and shadows both. Its box is tight
around what can be seen of it: things reach over the border, and trees hide parts of some.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer._files import new_folder
from gossamer.data import _scene_parts as parts
from gossamer.data import scenes
from gossamer.data._scene_parts import HALF, Colour, Plane, Scene
from gossamer.data.writers import coco
from gossamer.data.writers.written import Box, Entry
from gossamer.errors import DataError
from gossamer.tasks.detect.boxes import Boxes
from gossamer.types import Size

__all__ = ["CLASSES", "render", "write"]

CLASSES = ("ship", "tank", "vehicle")
_QUALITY = 92
_LAND = ("airfield", "farmland", "forest", "industry", "parking", "residential", "river", "shore")
_LAND_SHARES = (0.09, 0.11, 0.04, 0.12, 0.08, 0.12, 0.21, 0.23)
_EMPTY = 0.07
"""Share of pictures without things."""
_SEEN = 0.45
"""Least share of a thing inside the picture."""
_TRIES = 40
_VEHICLES: tuple[Colour, ...] = (
    (0.90, 0.90, 0.90), (0.12, 0.12, 0.14), (0.62, 0.14, 0.12), (0.16, 0.26, 0.52), (0.80, 0.66, 0.18), (0.74, 0.75, 0.78),
)  # fmt: skip
_HULLS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.88), (0.55, 0.20, 0.16), (0.22, 0.24, 0.28), (0.75, 0.42, 0.16), (0.60, 0.61, 0.63), (0.20, 0.34, 0.52),
)  # fmt: skip
_DECKS: tuple[Colour, ...] = ((0.60, 0.55, 0.48), (0.52, 0.33, 0.27), (0.44, 0.50, 0.46), (0.74, 0.74, 0.72))
_LIDS: tuple[Colour, ...] = ((0.86, 0.86, 0.84), (0.72, 0.72, 0.70), (0.62, 0.64, 0.63), (0.74, 0.68, 0.58))


class _Thing(NamedTuple):
    """Something to be drawn: lengths in units, the picture is 96 wide."""

    label: str
    x: float
    y: float
    angle: float
    half_u: float
    half_v: float


class _Spot(NamedTuple):
    """The part of the grid around a thing (h, w), with distances along and across it in halves of its sides."""

    rows: slice
    columns: slice
    u: Plane
    v: Plane

    @property
    def place(self) -> tuple[slice, slice]:
        return self.rows, self.columns


@dataclass
class _Picture:
    """A scene with things: `owner` (N, N) is the number of the thing that is seen at a grid point, from 1; 0 for land."""

    scene: Scene
    owner: NDArray[np.int16]
    things: list[_Thing]

    def put(self, thing: _Thing, inside: NDArray[np.bool_], spot: _Spot, top: Plane, colours: Plane) -> None:
        """Draw a thing where it is inside (h, w): heights (h, w) in units, colours (3, h, w)."""
        scene = self.scene
        self.things.append(thing)
        scene.height[spot.place][inside] = top[inside]
        grain = 1 + np.float32(0.03) * scene.grain[spot.place]
        for channel in range(3):
            scene.albedo[channel][spot.place][inside] = (colours[channel] * grain)[inside]
        self.owner[spot.place][inside] = len(self.things)


def render(number: int, seed: int = 0, size: int = 256) -> tuple[NDArray[np.uint8], Boxes]:
    """Picture (size, size, 3) `number` of a series, RGB, with its boxes; the same three numbers give the same bytes."""
    rng = np.random.default_rng([seed, number, 7])
    scene = parts.new_scene(rng, size, bare=True)
    land = str(rng.choice(_LAND, p=_LAND_SHARES))
    scenes.lay(land, scene)
    picture = _Picture(scene, np.zeros((scene.grid, scene.grid), np.int16), [])
    if rng.random() >= _EMPTY:
        _ships(picture)
        if land not in ("airfield", "parking") and rng.random() < 0.5:
            _tanks(picture)
        _vehicles(picture)
        _hide(picture)
    return parts.expose(scene), _boxes(picture)


def write(folder: Path, count: int = 360, size: int = 256, seed: int = 0) -> int:
    """Write JPEG files and `annotations/instances.json` of COCO, and return the number of pictures; it appears whole or not at all.

    Raises:
        DataError: no picture, or a folder that holds something already.
        RunFolderError: the place is read-only or the disk is full.
    """
    if count < 1:
        raise DataError(f"a made-up set needs at least 1 picture, got {count}; raise count")
    with new_folder(folder) as temporary:
        (temporary / "images").mkdir()

        def one(number: int) -> Boxes:
            picture, boxes = render(number, seed, size)
            Image.fromarray(picture).save(temporary / "images" / f"{number:04d}.jpg", quality=_QUALITY)
            return boxes

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            every = list(pool.map(one, range(count)))
        coco.write(temporary, [_entry(number, boxes) for number, boxes in enumerate(every)], CLASSES)
    return count


def _entry(number: int, boxes: Boxes) -> Entry:
    rows = zip(boxes.xyxy.tolist(), boxes.labels.tolist(), strict=True)
    size = boxes.size or Size(0, 0)
    return Entry(
        f"{number:04d}.jpg", size, tuple(Box(tuple(place), label, False) for place, label in rows), None
    )


def _boxes(picture: _Picture) -> Boxes:
    """Tight around what is seen of every thing, in pixels: half of the grid."""
    places, labels = [], []
    for number, thing in enumerate(picture.things, 1):
        rows, columns = np.nonzero(picture.owner == number)
        if len(rows):
            places.append((columns.min() / 2, rows.min() / 2, (columns.max() + 1) / 2, (rows.max() + 1) / 2))
            labels.append(CLASSES.index(thing.label))
    side = picture.scene.grid // 2
    return Boxes.of(places, labels, size=Size(side, side))


def _spot(scene: Scene, thing: _Thing, margin: float = 1.0) -> _Spot | None:
    """The grid points of a thing and `margin` times its size around it; None where it is out of the picture."""
    reach = margin * math.hypot(thing.half_u, thing.half_v) * scene.scale + 1
    row, column = ((at + HALF) * scene.scale for at in (thing.y, thing.x))
    rows, columns = (
        slice(max(0, math.floor(at - reach)), min(scene.grid, math.ceil(at + reach))) for at in (row, column)
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    dx, dy = scene.x[rows, columns] - np.float32(thing.x), scene.y[rows, columns] - np.float32(thing.y)
    cos, sin = np.float32(math.cos(thing.angle)), np.float32(math.sin(thing.angle))
    u, v = (cos * dx + sin * dy) / np.float32(thing.half_u), (cos * dy - sin * dx) / np.float32(thing.half_v)
    return _Spot(rows, columns, u.astype(np.float32), v.astype(np.float32))


_Fits = Callable[[_Picture, _Spot, NDArray[np.bool_]], bool]


def _free(picture: _Picture, thing: _Thing, room: float, fits: _Fits) -> _Spot | None:
    """Where a thing goes, if enough of it is in the picture, nothing else is within `room` of it, and the ground fits."""
    scene = picture.scene
    spot = _spot(scene, thing, room)
    if spot is None:
        return None
    around = (np.abs(spot.u) < room) & (np.abs(spot.v) < room + (room - 1) * thing.half_u / thing.half_v)
    inside = (np.abs(spot.u) < 1) & (np.abs(spot.v) < 1)
    whole = 4 * thing.half_u * thing.half_v * scene.scale**2
    if inside.sum() < _SEEN * whole or picture.owner[spot.place][around].any():
        return None
    return spot if fits(picture, spot, inside) else None


def _ships(picture: _Picture) -> None:
    """Ships on open water, some of them under way."""
    scene, rng = picture.scene, picture.scene.rng
    wet = np.argwhere(scene.wet > 0.9)
    if len(wet) < 0.03 * scene.grid**2:
        return
    course = float(rng.uniform(0, 2 * math.pi))
    for _ in range(int(rng.integers(2, 8))):
        for _ in range(_TRIES):
            row, column = wet[int(rng.integers(len(wet)))]
            long = float(rng.choice([rng.uniform(4.0, 6.5), rng.uniform(6.0, 11.2)]))
            angle = course + float(rng.normal(0, 0.25)) if rng.random() < 0.5 else rng.uniform(0, 2 * math.pi)
            thing = _Thing(
                "ship", column / scene.scale - HALF, row / scene.scale - HALF, float(angle), long,
                long * float(rng.uniform(0.24, 0.36)),
            )  # fmt: skip
            spot = _free(picture, thing, 1.15, _afloat)
            if spot is not None:
                _draw_ship(picture, thing, spot)
                break


def _afloat(picture: _Picture, spot: _Spot, inside: NDArray[np.bool_]) -> bool:
    wet, height = picture.scene.wet[spot.place], picture.scene.height[spot.place]
    near = (np.abs(spot.u) < 1.1) & (np.abs(spot.v) < 1.3)
    return bool(wet[near].mean() > 0.98 and height[near].max() < 0.2)


def _draw_ship(picture: _Picture, thing: _Thing, spot: _Spot) -> None:
    rng = picture.scene.rng
    if rng.random() < 0.55:
        _wake(picture, thing)
    u, v = spot.u, np.abs(spot.v)
    fore = np.clip((u - 0.25) / 0.75, 0, 1)
    beam = (1 - fore**2) * np.where(u < -0.85, 0.85, 1.0)
    inside = (np.abs(u) < 1) & (v < beam)
    hull, deck, house = (parts.pick(rng, table, 1)[0] for table in (_HULLS, _DECKS, ((0.90, 0.90, 0.89),)))
    rim = v > beam - np.float32(0.22)
    colours = np.where(rim, hull[:, None, None], deck[:, None, None])
    top = np.full_like(u, 0.7)
    at = float(rng.choice([-0.62, -0.55, 0.15]))
    bridge = (np.abs(u - np.float32(at)) < 0.16) & (v < 0.62)
    colours = np.where(bridge, house[:, None, None], colours)
    top = np.where(bridge, np.float32(1.7), top)
    if rng.random() < 0.6:  # hatches or containers along the deck
        lots = float(rng.integers(3, 6))
        cargo = (np.abs(u - 0.1) < 0.55) & (v < 0.6) & ((u * np.float32(lots)) % 1 > 0.22) & ~bridge
        load = parts.pick(rng, _HULLS, 1)[0]
        colours = np.where(cargo, load[:, None, None], colours)
        top = np.where(cargo, np.float32(1.1), top)
    picture.put(thing, inside, spot, top.astype(np.float32), colours.astype(np.float32))


def _wake(picture: _Picture, thing: _Thing) -> None:
    """Foam behind a ship and along its sides."""
    scene = picture.scene
    spot = _spot(scene, thing, 3.2)
    if spot is None:
        return
    u, v = spot.u, spot.v
    behind = np.clip(-(u + 0.6), 0, None)
    fan = np.abs(np.abs(v) - np.float32(0.9) - 0.7 * behind) / (0.22 + 0.2 * behind)
    foam = np.exp(-np.square(fan)) + 0.8 * np.exp(-np.square(v / (0.5 + 0.3 * behind)))
    foam = foam * (u < -0.6) * np.exp(-behind / np.float32(scene.rng.uniform(0.5, 1.1)))
    dry = (picture.owner[spot.place] != 0) | (scene.height[spot.place] > 0.1)
    cover = np.clip(foam, 0, 0.8) * scene.wet[spot.place] * ~dry
    for channel, tone in enumerate((0.84, 0.87, 0.87)):
        plane = scene.albedo[channel][spot.place]
        plane += (np.float32(tone) - plane) * cover


def _tanks(picture: _Picture) -> None:
    """A group of tanks in rows on a yard."""
    rng = picture.scene.rng
    radius = float(rng.choice([rng.uniform(2.0, 3.4), rng.uniform(3.2, 7.5)]))
    angle, step = float(rng.uniform(0, math.pi)), 2 * radius * float(rng.uniform(1.18, 1.5))
    along, across = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    for _ in range(_TRIES):
        x, y = rng.uniform(-HALF + radius, HALF - radius, 2)
        places = []
        for i in range(along):
            for j in range(across):
                u, v = (i - (along - 1) / 2) * step, (j - (across - 1) / 2) * step
                at_x = float(x + math.cos(angle) * u - math.sin(angle) * v)
                at_y = float(y + math.sin(angle) * u + math.cos(angle) * v)
                thing = _Thing("tank", at_x, at_y, angle, radius, radius)
                spot = _free(picture, thing, 1.2, lambda p, s, _: bool(p.scene.wet[s.place].max() < 0.05))
                if spot is not None:
                    places.append((thing, spot))
        if len(places) >= (along * across + 1) // 2:
            _yard(picture, [thing for thing, _ in places], step)
            for thing, spot in places:
                if rng.random() < 0.93:
                    _draw_tank(picture, thing, spot)
            return


def _yard(picture: _Picture, tanks: list[_Thing], step: float) -> None:
    """Levelled ground around tanks, with a bund about each."""
    scene = picture.scene
    tone = float(scene.rng.uniform(0.36, 0.60))
    near = np.full_like(scene.x, 1e3)
    for thing in tanks:
        u, v = parts.frame(scene, thing.angle, (thing.x, thing.y))
        near = np.minimum(near, parts.box_distance(u, v, step / 2, step / 2))
    cover = parts.mask(scene, near) * (1 - scene.wet)
    parts.flatten(scene, cover)
    parts.paint(scene, cover, (tone, tone * 0.97, tone * 0.92), 0.06 * scene.grain)
    parts.paint(scene, parts.band(scene, near + np.float32(0.4), 0.5) * cover, (tone * 0.75,) * 3)


def _draw_tank(picture: _Picture, thing: _Thing, spot: _Spot) -> None:
    rng = picture.scene.rng
    share = np.hypot(spot.u, spot.v)
    inside = share < 1
    lid = parts.pick(rng, _LIDS, 1)[0]
    colours = np.broadcast_to(lid[:, None, None], (3, *share.shape)).copy()
    tall = np.float32(rng.uniform(0.35, 0.8) * thing.half_u + 0.6)
    top = tall * (1 + np.float32(0.1) * (1 - share**2))
    if rng.random() < 0.4:  # a floating roof, low within its rim
        low = share < 0.86
        top = np.where(low, tall * np.float32(0.6), top)
        colours[:, low] *= np.float32(0.8)
    else:
        ribs = (np.abs(np.sin(np.arctan2(spot.v, spot.u) * 4)) < 0.12) & (share > 0.2)
        colours[:, ribs] *= np.float32(0.9)
    stair = (np.abs(share - 0.97) < 0.06) & (np.abs(np.arctan2(spot.v, spot.u)) < 0.5)
    colours[:, stair] *= np.float32(0.55)
    picture.put(thing, inside, spot, top.astype(np.float32), colours.astype(np.float32))


def _vehicles(picture: _Picture) -> None:
    """Cars and lorries, along roads where there are some."""
    scene, rng = picture.scene, picture.scene.rng
    lanes = [(np.argwhere(cover > 0.9), across) for cover, across in scene.roads if cover.max() > 0.9]
    for _ in range(int(rng.integers(0, 7)) if picture.things else int(rng.integers(1, 9))):
        for _ in range(_TRIES):
            lorry = rng.random() < 0.3
            half_u = float(rng.uniform(4.6, 6.6) if lorry else rng.uniform(3.0, 4.3))
            half_v = half_u * float(rng.uniform(0.28, 0.33) if lorry else rng.uniform(0.42, 0.50))
            x, y, angle = _on_road(scene, lanes) if lanes and rng.random() < 0.7 else _anywhere(scene)
            thing = _Thing("vehicle", x, y, angle, half_u, half_v)
            spot = _free(picture, thing, 1.12, _level)
            if spot is not None:
                _draw_vehicle(picture, thing, spot, lorry)
                break


def _anywhere(scene: Scene) -> tuple[float, float, float]:
    x, y = scene.rng.uniform(-HALF, HALF, 2)
    return float(x), float(y), float(scene.rng.uniform(0, 2 * math.pi))


def _on_road(scene: Scene, lanes: list[tuple[NDArray[np.int64], Plane]]) -> tuple[float, float, float]:
    """A place on one of the roads, given by their grid points (P, 2) and distances across, and the direction of it there."""
    places, across = lanes[int(scene.rng.integers(len(lanes)))]
    row, column = (int(at) for at in places[int(scene.rng.integers(len(places)))])
    below, right = min(row + 1, scene.grid - 1), min(column + 1, scene.grid - 1)
    down = float(across[below, column] - across[below - 1, column])
    over = float(across[row, right] - across[row, right - 1])
    turn = math.atan2(down, over) + math.pi / 2 + math.pi * float(scene.rng.random() < 0.5)
    return column / scene.scale - HALF, row / scene.scale - HALF, turn


def _level(picture: _Picture, spot: _Spot, inside: NDArray[np.bool_]) -> bool:
    scene = picture.scene
    dry = scene.wet[spot.place][inside].max() < 0.05
    return bool(dry and (scene.height[spot.place][inside] < 0.15).mean() > 0.97)


def _draw_vehicle(picture: _Picture, thing: _Thing, spot: _Spot, lorry: bool) -> None:
    scene, rng = picture.scene, picture.scene.rng
    u, v = spot.u, np.abs(spot.v)
    inside = (np.abs(u) < 1) & (v < 1) & ((np.abs(u) < 0.92) | (v < 0.8))
    ground = float(np.mean([scene.albedo[c][spot.place][inside].mean() for c in range(3)]))
    paints = parts.pick(rng, _VEHICLES, 6)
    paint = next((each for each in paints if abs(each.mean() - ground) > 0.16), paints[0])
    colours = np.broadcast_to(paint[:, None, None], (3, *u.shape)).copy()
    if lorry:
        load = parts.pick(rng, (*_VEHICLES, *_LIDS), 1)[0]
        body = u < 0.55
        colours = np.where(body, load[:, None, None], colours)
        top = np.where(body, np.float32(0.62 * thing.half_v + 0.6), np.float32(0.9))
        glass = (np.abs(u - 0.86) < 0.07) & (v < 0.8)
        gap = np.abs(u - 0.59) < 0.045
        inside &= ~gap | (v < 0.5)
    else:
        cabin = (u > -0.72) & (u < 0.35) & (v < 0.86)
        top = np.where(cabin, np.float32(0.85), np.float32(0.55))
        glass = ((np.abs(u - 0.40) < 0.13) | (np.abs(u + 0.72) < 0.09)) & (v < 0.84)
    colours = np.where(glass, np.float32(0.10), colours)
    picture.put(thing, inside, spot, top.astype(np.float32), colours.astype(np.float32))


def _hide(picture: _Picture) -> None:
    """Trees that hang over a side of some things on land."""
    scene, rng = picture.scene, picture.scene.rng
    crowns = []
    for thing in picture.things:
        if thing.label == "ship" or rng.random() > 0.14:
            continue
        radius = float(np.clip(thing.half_v * rng.uniform(0.9, 1.4), 1.2, 4.0))
        side = float(rng.choice([-1.0, 1.0])) * (thing.half_v + 0.45 * radius)
        along = float(rng.uniform(-0.7, 0.7)) * thing.half_u
        cos, sin = math.cos(thing.angle), math.sin(thing.angle)
        crowns.append((thing.x + cos * along - sin * side, thing.y + sin * along + cos * side, radius))
    if crowns:
        x, y, radii = np.array(crowns).T
        before = scene.height.copy()
        parts.crowns(scene, x, y, radii)
        picture.owner[scene.height > before] = 0
