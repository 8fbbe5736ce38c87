"""Aerial-looking pictures made in code: eight kinds of land, no download, no licence ("demo:scenes").

The kinds share seasons, materials, light, tint and contrast, and stand in each other's surroundings, so
they are told apart by structure: colour alone, or a linear classifier on pixels, fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gossamer._files import new_folder
from gossamer.data import _scene_parts as parts
from gossamer.data._scene_parts import HALF, Plane, Points, Scene
from gossamer.errors import DataError, nearest

__all__ = ["CLASSES", "lay", "render", "write"]

_SMALLEST = 16
_QUALITY = 90
_CONTAINERS = ((0.47, 0.29, 0.24), (0.28, 0.35, 0.43), (0.68, 0.67, 0.65), (0.48, 0.44, 0.36))
_TANK_SHARES = (0.0, 0.0, 0.15, 0.45)


def render(label: str, seed: int, size: int = 96) -> NDArray[np.uint8]:
    """A picture (size, size, 3) of that class, RGB; the same label, seed and size give the same bytes.

    Raises:
        DataError: a class that is not in CLASSES, or a size under 16.
    """
    if label not in _BUILDERS:
        raise DataError(f"a scene is one of {len(CLASSES)} classes, got {label!r}; {nearest(label, CLASSES)}")
    _check_size(size)
    return _render(label, [seed, CLASSES.index(label)], size)


def lay(label: str, scene: Scene) -> None:
    """Put the land of a class of CLASSES on a scene."""
    _BUILDERS[label](scene)


def write(folder: Path, per_class: int = 120, size: int = 96, seed: int = 0) -> int:
    """Write JPEG files, a sub-folder a class, and return their number; it appears whole or not at all.

    Raises:
        DataError: fewer than one picture a class, a size under 16, or a folder that holds something already.
        RunFolderError: the place is read-only or the disk is full.
    """
    if per_class < 1:
        raise DataError(f"a made-up set needs at least 1 picture a class, got {per_class}; raise per_class")
    _check_size(size)
    with new_folder(folder) as temporary:
        _write_classes(temporary, per_class, size, seed)
    return per_class * len(CLASSES)


def _write_classes(folder: Path, per_class: int, size: int, seed: int) -> None:
    for index, label in enumerate(CLASSES):
        (folder / label).mkdir()
        for number in range(per_class):
            picture = Image.fromarray(_render(label, [seed, index, number], size))
            picture.save(folder / label / f"{label}_{number:04d}.jpg", quality=_QUALITY)


def _check_size(size: int) -> None:
    if size < _SMALLEST:
        raise DataError(f"a scene is at least {_SMALLEST} pixels wide, got size={size}; use 96 for the demo")


def _render(label: str, key: list[int], size: int) -> NDArray[np.uint8]:
    scene = parts.new_scene(np.random.default_rng(key), size)
    lay(label, scene)
    return parts.expose(scene)


def _angle(scene: Scene) -> float:
    return float(scene.rng.uniform(0, 2 * math.pi))


def _place(angle: float, u: Points, v: Points, centre: tuple[float, float]) -> tuple[Points, Points]:
    """Points given along and across a frame, in picture units."""
    cos, sin = math.cos(angle), math.sin(angle)
    return centre[0] + cos * u - sin * v, centre[1] + sin * u + cos * v


def _at(scene: Scene, plane: Plane, x: Points, y: Points) -> Points:
    """A plane's values at points; the border's value outside."""
    column, row = (np.clip((axis + HALF) * scene.scale, 0, scene.grid - 1).astype(int) for axis in (x, y))
    return np.asarray(plane[row, column], np.float64)


def _surroundings(scene: Scene, cover: Plane, near: float = 1.0) -> None:
    """Any land a class may lie in: fields, woods, groves or houses, `near` times their usual size."""
    rng = scene.rng
    kind = rng.choice(["fields", "woods", "groves", "hamlet"], p=[0.32, 0.2, 0.28, 0.2])
    if kind == "fields":
        parts.fields(scene, cover, _angle(scene), float(rng.uniform(9, 26)) * near)
    elif kind == "woods":
        spacing, gaps = float(rng.uniform(2.4, 5.0)) * near, float(rng.uniform(0, 0.35))
        parts.woods(scene, cover, spacing, float(rng.choice([0.0, 0.5, 1.0])), gaps)
    if kind in ("fields", "groves", "hamlet"):
        edge = np.float32(rng.uniform(0.1, 0.75))
        patch = cover * (parts.noise(scene, float(rng.uniform(3, 8)), 3) > edge)
        parts.woods(scene, patch, float(rng.uniform(2.2, 4.5)) * near, float(rng.choice([0.0, 1.0])), 0.1)
    if kind == "hamlet":
        x, y = rng.uniform(-HALF, HALF, (2, int(rng.integers(6, 26) / near)))
        free = _at(scene, cover, x, y) > 0.9
        turn = _angle(scene) + rng.normal(0, 0.15, len(x))
        parts.houses(scene, x[free], y[free], turn[free], float(rng.uniform(1.7, 2.6)) * near)


def _crossing_road(scene: Scene, chance: float) -> None:
    """Perhaps a road or a track across the picture."""
    rng = scene.rng
    if rng.random() < chance:
        u, v = parts.frame(scene, _angle(scene), (float(rng.uniform(-25, 25)), float(rng.uniform(-25, 25))))
        bend = v + np.float32(rng.uniform(0, 9)) * np.sin(u / np.float32(rng.uniform(14, 40)))
        parts.road(scene, bend, float(rng.uniform(1.2, 3.2)), u, dirt=bool(rng.random() < 0.5))


def _airfield(scene: Scene) -> None:
    rng = scene.rng
    angle, centre = _angle(scene), (float(rng.uniform(-12, 12)), float(rng.uniform(-12, 12)))
    u, v = parts.frame(scene, angle, centre)
    width = float(rng.uniform(6, 12))
    apart = width * 0.5 + float(rng.uniform(9, 17))
    side = np.float32(rng.choice([-1, 1]))
    field = parts.mask(
        scene, np.abs(v - side * np.float32(apart / 2)) - np.float32(apart / 2 + rng.uniform(7, 13))
    )
    _surroundings(scene, 1 - field)
    parts.flatten(scene, field)
    mown = np.sign(np.sin(v * np.float32(rng.uniform(0.8, 2.0)))) * np.float32(rng.uniform(0, 0.05))
    parts.paint(scene, field * np.float32(0.6), scene.palette.grass, mown + 0.05 * scene.grain)
    end = float(rng.uniform(-34, 10)) if rng.random() < 0.55 else -200.0
    taxi = float(rng.uniform(2.2, 4.0))
    parts.road(scene, v - side * np.float32(apart), taxi)
    links = np.float32(rng.uniform(24, 50))
    slant = np.float32(rng.choice([0.0, 0.0, 0.5, -0.5]))
    across = (u - np.float32(max(end, -60.0) + taxi) - slant * v * side + links / 2) % links - links / 2
    between = parts.mask(scene, np.maximum(-v * side, v * side - np.float32(apart)))
    link = parts.band(scene, across, taxi) * between * (u > np.float32(end))
    parts.paint(scene, link, scene.paved, 0.05 * scene.grain)
    yellow = (0.74, 0.63, 0.28)
    parts.paint(scene, parts.band(scene, v - side * np.float32(apart), 0.45), yellow)
    _runway(scene, u, v, width, end)
    if rng.random() < 0.5:
        _planes(scene, angle, centre, float(side) * (apart + 5.5))


def _runway(scene: Scene, u: Plane, v: Plane, width: float, end: float) -> None:
    """The paved strip from `end` on: shoulders, slabs, edge and centre lines, tyre marks, threshold."""
    rng = scene.rng
    tone = float(rng.uniform(0.30, 0.58))
    inside = parts.mask(scene, np.float32(end) - u)
    white = (0.90, 0.90, 0.87)
    over = parts.mask(scene, parts.box_distance(u + np.float32(200 - end), v, 200.0 + 6.0, width / 2))
    shoulder = parts.band(scene, v, width + float(rng.uniform(0.5, 3))) * parts.mask(
        scene, np.float32(end - 8) - u
    )
    parts.flatten(scene, shoulder)
    parts.paint(scene, shoulder, scene.paved, 0.06 * scene.grain)
    strip = parts.band(scene, v, width) * inside
    slabs = (np.sin(u * np.float32(0.45)) > 0.97) * np.float32(-0.12)
    parts.paint(
        scene, strip, (tone, tone, tone + 0.01), slabs + 0.07 * parts.noise(scene, 8, 3) + 0.04 * scene.grain
    )
    rubber = np.exp(-np.square(v / np.float32(width * 0.18))) * np.exp(
        -np.square((u - np.float32(end + 22)) / 14)
    )
    parts.paint(scene, strip * rubber * np.float32(0.6), (0.16, 0.16, 0.17))
    worn = np.float32(rng.uniform(0.6, 1.0))
    dashes = parts.band(scene, v, 0.75) * (np.sin(u * np.float32(0.75)) > -0.1) * (u > np.float32(end + 9))
    borders = parts.band(scene, np.abs(v) - np.float32(width / 2 - 0.7), 0.55)
    keys = (
        (np.abs(u - np.float32(end + 4.5)) < 3) & (np.abs(v) < np.float32(width / 2 - 1)) & (np.abs(v) > 0.4)
    )
    bars = keys * (np.sin(v * np.float32(2 * math.pi / 1.5)) > 0)
    aiming = (np.abs(u - np.float32(end + 24)) < 3) * parts.band(
        scene, np.abs(v) - np.float32(width * 0.24), 1.1
    )
    parts.paint(scene, strip * np.clip(dashes + borders + bars + aiming, 0, 1) * worn, white)
    if end > -100 and rng.random() < 0.5:
        chevron = (
            (np.sin((u + np.abs(v)) * np.float32(1.5)) > 0.6)
            * over
            * (1 - inside)
            * (u > np.float32(end - 8))
        )
        parts.paint(scene, chevron * np.float32(0.7), (0.74, 0.66, 0.36))


def _planes(scene: Scene, angle: float, centre: tuple[float, float], v: float) -> None:
    """An apron beside the taxiway with aeroplanes on it."""
    rng = scene.rng
    along, across = parts.frame(scene, angle, centre)
    middle = float(rng.uniform(-15, 15))
    apron = parts.mask(
        scene, parts.box_distance(along - np.float32(middle), across - np.float32(v), 20.0, 5.0)
    )
    parts.flatten(scene, apron)
    parts.paint(scene, apron, scene.paved, 0.05 * scene.grain)
    span = float(rng.uniform(2.4, 3.6))
    shape = np.array(
        [
            (1, 0),
            (0.25, 0.12),
            (-0.1, 0.95),
            (-0.25, 0.95),
            (-0.1, 0.12),
            (-0.75, 0.08),
            (-0.95, 0.36),
            (-1, 0.0),
        ]
    )
    outline = np.concatenate([shape, shape[::-1] * (1, -1)]) * span
    picture = Image.new("L", (scene.grid, scene.grid))
    draw = ImageDraw.Draw(picture)
    for u in np.arange(middle - 16, middle + 17, 2.4 * span):
        if rng.random() < 0.7:
            heading = angle + math.pi / 2 * float(np.sign(-v)) + float(rng.normal(0, 0.1))
            spot = _place(angle, np.array(u), np.array(v), centre)
            x, y = _place(heading, outline[:, 0], outline[:, 1], (float(spot[0]), float(spot[1])))
            draw.polygon(
                [
                    (float((p + HALF) * scene.scale), float((q + HALF) * scene.scale))
                    for p, q in zip(x, y, strict=True)
                ],
                fill=255,
            )
    body = np.asarray(np.asarray(picture) > 0, np.float32)
    parts.paint(scene, body, (0.90, 0.90, 0.91))
    scene.height += body * np.float32(0.8)


def _farmland(scene: Scene) -> None:
    rng = scene.rng
    angle = _angle(scene)
    smallest = float(rng.uniform(10, 24))
    parcels = parts.fields(scene, None, angle, smallest)
    if rng.random() < 0.3:
        _pivot(scene)
    hedged = float(rng.choice([0.0, 0.08, 0.25]))
    sides = [(a, end) for a, b, _, d in parcels for end in (b, d) if rng.random() < hedged]
    hedges = [a + (b - a) * np.arange(0, 1, 2.2 / max(math.dist(a, b), 2.5))[:, None] for a, b in sides]
    x, y = np.concatenate([np.zeros((0, 2)), *hedges]).T
    parts.tree_line(scene, x, y, float(rng.uniform(1.0, 2.0)), float(rng.uniform(0.5, 0.95)))
    _crossing_road(scene, 0.45)
    if rng.random() < 0.35:
        grove = parts.noise(scene, 3, 3) > 0.62
        parts.woods(
            scene, grove.astype(np.float32), float(rng.uniform(2.2, 4)), float(rng.choice([0.0, 1.0])), 0.1
        )
    if rng.random() < 0.35:
        count = int(rng.integers(2, 6))
        x, y = (axis + rng.uniform(-30, 30) for axis in rng.normal(0, 4.5, (2, count)))
        parts.houses(scene, x, y, angle + rng.choice([0, math.pi / 2], count), float(rng.uniform(1.8, 2.8)))
        parts.crowns(scene, x + 4, y + rng.normal(0, 3, count), rng.uniform(1.0, 2.0, count))


def _pivot(scene: Scene) -> None:
    """A round field watered by an arm that turns about its middle."""
    rng = scene.rng
    u, v = parts.frame(scene, 0.0, (float(rng.uniform(-30, 30)), float(rng.uniform(-30, 30))))
    far = np.hypot(u, v)
    ring = parts.mask(scene, far - np.float32(rng.uniform(16, 34)))
    colour = parts.pick(rng, scene.palette.crops, 1)[0]
    texture = 0.1 * np.sin(far * np.float32(rng.uniform(1.5, 3.5))) + 0.1 * parts.noise(scene, 4, 3)
    parts.paint(scene, ring, (float(colour[0]), float(colour[1]), float(colour[2])), texture)


def _forest(scene: Scene) -> None:
    rng = scene.rng
    spacing = float(rng.uniform(2.6, 7.5))
    cover = np.ones_like(scene.x)
    if rng.random() < 0.45:
        u, _ = parts.frame(scene, _angle(scene))
        cover = parts.mask(scene, u + 6 * parts.noise(scene, 3, 3) - np.float32(rng.uniform(14, 40)))
        if rng.random() < 0.5:
            parts.fields(scene, None, _angle(scene), float(rng.uniform(12, 26)))
    if rng.random() < 0.4:
        cover = cover * (parts.noise(scene, float(rng.uniform(2, 5)), 3) < np.float32(rng.uniform(0.3, 0.8)))
    conifer = float(rng.choice([0.0, 0.1, 0.5, 1.0]))
    parts.woods(scene, cover, spacing, conifer, float(rng.uniform(0, 0.15)))
    _crossing_road(scene, 0.35)
    if rng.random() < 0.5:
        parts.woods(
            scene,
            cover * (parts.noise(scene, 3, 2) > 0.1),
            spacing * float(rng.uniform(0.6, 1.3)),
            conifer,
            0.5,
        )


def _industry(scene: Scene) -> None:
    rng = scene.rng
    angle = _angle(scene)
    yard = (float(rng.uniform(0.40, 0.62)),) * 3
    cover = (parts.noise(scene, 3, 3) > np.float32(rng.uniform(-0.9, -0.1))).astype(np.float32)
    parts.paint(
        scene,
        cover,
        (yard[0], yard[1] * 0.985, yard[2] * 0.95),
        0.1 * parts.noise(scene, 6, 3) + 0.05 * scene.grain,
    )
    lots = parts.plots(scene, angle, float(rng.uniform(15, 24)))
    near = [lot for lot in lots if np.abs(sum(lot) / 4).max() < HALF + 8]
    tank_share = float(rng.choice(_TANK_SHARES))
    halls: list[tuple[float, float, float, float, float]] = []
    for a, b, c, d in near:
        middle, along = (a + b + c + d) / 4, b - a
        turn = math.atan2(float(along[1]), float(along[0]))
        half_u, half_v = float(np.linalg.norm(along)) / 2, float(np.linalg.norm(d - a)) / 2
        kind = rng.random()
        if kind < tank_share:
            _tank_farm(scene, (float(middle[0]), float(middle[1])), turn, half_u - 2, half_v - 2)
        elif kind < 0.85:
            margin = rng.uniform(1.2, 3.5, 2)
            halls.append(
                (
                    float(middle[0]),
                    float(middle[1]),
                    turn,
                    max(3.0, half_u - margin[0]),
                    max(3.0, half_v - margin[1]),
                )
            )
        else:
            _store(scene, (float(middle[0]), float(middle[1])), turn, half_u - 2, half_v - 2)
    for a, b, _, _ in near:
        if rng.random() < 0.45:
            turn = math.atan2(float(b[1] - a[1]), float(b[0] - a[0]))
            u, v = parts.frame(scene, turn, (float(a[0]), float(a[1])))
            parts.road(scene, v, float(rng.uniform(1.8, 3.0)), u)
    if halls:
        x, y, turns, long, wide = np.array(halls).T
        parts.roofs(scene, x, y, turns, (long, wide))
    count = int(rng.integers(0, 30))
    x, y = rng.uniform(-HALF, HALF, (2, count))
    parts.crowns(scene, x, y, rng.uniform(0.8, 1.8, count))


def _tank_farm(scene: Scene, centre: tuple[float, float], angle: float, half_u: float, half_v: float) -> None:
    radius = float(scene.rng.uniform(2.6, 6.0))
    step = 2.5 * radius
    u, v = (
        axis.ravel()
        for axis in np.meshgrid(*(np.arange(-h + radius, h - radius + 0.1, step) for h in (half_u, half_v)))
    )
    x, y = _place(angle, u, v, centre)
    there = (scene.rng.random(len(x)) < 0.9) & (np.maximum(np.abs(x), np.abs(y)) < HALF + radius)
    parts.tanks(scene, x[there], y[there], radius * scene.rng.uniform(0.75, 1.0, int(there.sum())))


def _store(scene: Scene, centre: tuple[float, float], angle: float, half_u: float, half_v: float) -> None:
    """Rows of containers and trailers in a yard."""
    if scene.bare:
        return
    rng = scene.rng
    u, v = (
        axis.ravel() for axis in np.meshgrid(np.arange(-half_u, half_u, 4.6), np.arange(-half_v, half_v, 2.1))
    )
    x, y = _place(angle, u, v, centre)
    block = rng.random((64, 64))[np.floor(u / 9.2).astype(int), np.floor(v / 6.3).astype(int)]
    there = (block < rng.uniform(0.3, 0.8)) & (rng.random(len(x)) < 0.9)
    x, y, count = x[there], y[there], int(there.sum())
    colours = parts.pick(rng, _CONTAINERS, count)
    half = (np.full(count, 2.0), np.full(count, 0.8))
    parts.boxes(scene, x, y, np.full(count, angle), half, np.full(count, 1.1), np.zeros(count), colours)


def _parking(scene: Scene) -> None:
    rng = scene.rng
    angle, centre = _angle(scene), (float(rng.uniform(-14, 14)), float(rng.uniform(-14, 14)))
    u, v = parts.frame(scene, angle, centre)
    length = float(rng.uniform(4.2, 7.0))
    half_u, half_v = float(rng.uniform(28, 70)), float(rng.uniform(28, 70))
    lot = parts.mask(scene, parts.box_distance(u, v, half_u, half_v))
    _surroundings(scene, 1 - lot, 2.0)
    _crossing_street(scene, (u, v), (half_u, half_v), length)
    parts.flatten(scene, lot)
    parts.paint(scene, lot, scene.paved, 0.10 * parts.noise(scene, 5, 4) + 0.05 * scene.grain)
    bay, aisle = 0.58 * length, float(rng.uniform(1.05, 1.5)) * length
    pitch = 2.2 * length + aisle
    rows = np.arange(-half_v + 1.2 * length, half_v - length, pitch)
    row = np.abs(
        (v + np.float32(half_v - 1.2 * length) + np.float32(pitch / 2)) % np.float32(pitch)
        - np.float32(pitch / 2)
    )
    lines = parts.band(scene, (u + np.float32(bay / 2)) % np.float32(bay) - np.float32(bay / 2), 0.4)
    lines = np.maximum(lines * (row < np.float32(1.1 * length)), parts.band(scene, row, 0.4))
    inner = parts.mask(scene, parts.box_distance(u, v, half_u - 2, half_v - 0.1 * length))
    parts.paint(scene, inner * lines * np.float32(rng.uniform(0.35, 0.8)), (0.86, 0.86, 0.82))
    _bays(scene, angle, centre, (rows, bay, length, half_u - 2))
    if rng.random() < 0.45:
        hall_v = float(rng.choice([-1.0, 1.0])) * (half_v + 9)
        x, y = _place(angle, np.array([rng.uniform(-15, 15)]), np.array([hall_v]), centre)
        parts.roofs(scene, x, y, np.array([angle]), (np.array([rng.uniform(14, 30)]), np.array([7.0])))


def _crossing_street(scene: Scene, uv: tuple[Plane, Plane], half: tuple[float, float], length: float) -> None:
    """The street that a car park lies on, with its way in."""
    rng = scene.rng
    side = np.float32(rng.choice([-1, 1]))
    off = np.float32(half[0] + rng.uniform(0.9, 2.2) * length)
    parts.road(scene, uv[0] * side - off, float(rng.uniform(1.2, 1.8)) * length, uv[1])
    way_in = parts.box_distance(
        uv[0] * side - off, uv[1] - np.float32(rng.uniform(-0.6, 0.6) * half[1]), 3 * length, length
    )
    cover = parts.mask(scene, way_in)
    parts.flatten(scene, cover)
    parts.paint(scene, cover, scene.paved, 0.05 * scene.grain)


def _bays(
    scene: Scene, angle: float, centre: tuple[float, float], layout: tuple[Points, float, float, float]
) -> None:
    """Cars in the bays of double rows, islands with trees between."""
    rng = scene.rng
    rows, bay, length, half_u = layout
    columns = np.arange(-half_u + bay / 2 + (half_u - bay / 2) % bay + bay / 2 - bay, half_u - bay / 2, bay)
    if len(rows) == 0 or len(columns) == 0:
        return
    side = np.array([-1.0, 1.0])
    lanes = (rows[:, None] + 0.56 * length * side).ravel()
    u, v = (axis.ravel() for axis in np.meshgrid(columns, lanes))
    crowded = float(rng.uniform(0.35, 0.95)) * rng.uniform(0.7, 1.3, len(lanes))
    here = rng.random(len(u)) < np.repeat(crowded, len(columns))
    x, y = _place(angle, u[here], v[here], centre)
    turn = angle + math.pi / 2 + rng.normal(0, 0.03, len(x)) + math.pi * (rng.random(len(x)) < 0.3)
    parts.cars(scene, x, y, turn, 0.86 * length)
    u, v = (axis.ravel() for axis in np.meshgrid(columns, rows))
    x, y = _place(angle, u, v, centre)
    parts.tree_line(
        scene, x, y, float(rng.uniform(0.3, 0.5)) * length, float(rng.choice([0.0, 0.0, 0.06, 0.12]))
    )
    between = rows + 1.1 * length + 0.5 * bay
    some = rng.uniform(-half_u, half_u, len(between))
    x, y = _place(angle, some, between, centre)
    parts.cars(scene, x, y, np.full(len(x), angle), 0.86 * length)


def _residential(scene: Scene) -> None:
    rng = scene.rng
    angle, centre = _angle(scene), (float(rng.uniform(-15, 15)), float(rng.uniform(-15, 15)))
    u, v = parts.frame(scene, angle, centre)
    size = float(rng.uniform(1.9, 3.4))
    wave, period = float(rng.uniform(0, 5)) * float(rng.random() < 0.6), float(rng.uniform(16, 36))
    street = size * float(rng.uniform(0.9, 1.3))
    depth = size * float(rng.uniform(6.4, 8.5))
    bent = v + np.float32(wave) * np.sin(u / np.float32(period))
    stops = np.arange(-6, 7) * depth
    gardens = np.clip(2 * parts.noise(scene, 12, 2), -1, 1)
    parts.paint(scene, np.full_like(scene.x, 0.5), scene.palette.grass, 0.15 * gardens)
    side_gap = float(rng.uniform(38, 70))
    crossing = (u + np.float32(side_gap / 2)) % np.float32(side_gap) - np.float32(side_gap / 2)
    parts.road(scene, crossing, street * float(rng.uniform(0.7, 1.3)))
    parts.road(scene, (bent + np.float32(depth / 2)) % np.float32(depth) - np.float32(depth / 2), street)
    gap = size * float(rng.uniform(2.3, 3.4))
    step_u = np.arange(-75, 75, gap)
    set_back = 0.5 * street + size * float(rng.uniform(1.2, 1.7))
    at_u, at_v = (
        axis.ravel() for axis in np.meshgrid(step_u, np.concatenate([stops - set_back, stops + set_back]))
    )
    at_u = at_u + rng.normal(0, 0.12 * gap, at_u.size)
    free = np.abs((at_u + side_gap / 2) % side_gap - side_gap / 2) > 0.5 * street + 1.2 * size
    free &= rng.random(at_u.size) < rng.uniform(0.75, 0.98)
    at_u, at_v = at_u[free], at_v[free] + rng.normal(0, 0.15 * size, int(free.sum()))
    x, y = _place(angle, at_u, at_v - wave * np.sin(at_u / period), centre)
    turn = angle - np.arctan(wave / period * np.cos(at_u / period)) + rng.normal(0, 0.04, len(x))
    parts.houses(scene, x, y, turn, size)
    _gardens(scene, (at_u, at_v, wave, period), angle, centre, (size, street))


def _gardens(
    scene: Scene, lots: tuple[Points, Points, float, float], angle: float, centre: tuple[float, float],
    sizes: tuple[float, float],
) -> None:  # fmt: skip
    """Trees behind and beside the houses and cars in front."""
    rng = scene.rng
    at_u, at_v, wave, period = lots
    size, street = sizes
    leafy = float(rng.uniform(0.25, 1.0))
    for shift, radius in ((1.6, 0.75), (-1.9, 0.6), (0.3, 0.5)):
        u = at_u + rng.normal(shift, 0.9, len(at_u)) * size
        v = at_v + rng.choice([-1.9, 1.9, 1.5], len(at_v)) * size + rng.normal(0, 0.3 * size, len(at_v))
        x, y = _place(angle, u, v - wave * np.sin(u / period), centre)
        parts.tree_line(scene, x, y, radius * size, leafy * 0.7)
    u = at_u + rng.normal(0, size, len(at_u))
    v = at_v - np.sign(rng.normal(size=len(at_v))) * (1.45 * size)
    x, y = _place(angle, u, v - wave * np.sin(u / period), centre)
    some = rng.random(len(x)) < 0.3
    parts.cars(scene, x[some], y[some], np.full(int(some.sum()), angle), min(0.8 * size, 0.8 * street))


def _river(scene: Scene) -> None:
    rng = scene.rng
    _surroundings(scene, np.ones_like(scene.x))
    u, v = parts.frame(scene, _angle(scene), (float(rng.uniform(-14, 14)), float(rng.uniform(-14, 14))))
    bend, period = float(rng.uniform(3, 15)), float(rng.uniform(9, 20))
    along = u + 4 * parts.noise(scene, 2, 2)
    phase = float(rng.uniform(0, 6))
    middle = np.float32(bend) * np.sin(along / np.float32(period) + np.float32(phase))
    middle += np.float32(0.4 * bend) * np.sin(along / np.float32(0.47 * period) + np.float32(2 * phase))
    width = np.float32(rng.uniform(5.5, 15)) * (1 + 0.25 * parts.noise(scene, 3, 2))
    distance = np.abs(v - middle) - width / 2 + 1.2 * parts.noise(scene, 9, 3)
    bank = parts.mask(scene, distance - np.float32(rng.uniform(0.6, 3.2)) * (1 + parts.noise(scene, 6, 2)))
    parts.flatten(scene, bank)
    parts.paint(scene, bank, scene.palette.soil, 0.1 * parts.noise(scene, 12, 2) + 0.05 * scene.grain)
    lined = float(rng.choice([0.0, 0.4, 0.8]))
    wooded = (
        (distance > 1.2)
        & (distance < np.float32(rng.uniform(3, 8)))
        & (parts.noise(scene, 4, 2) < np.float32(lined))
    )
    parts.woods(scene, wooded.astype(np.float32), float(rng.uniform(2.2, 3.6)), 0.0, 0.15)
    bars = distance + np.float32(0.9) * np.maximum(0, parts.noise(scene, 4, 3) - np.float32(0.45)) * width
    parts.water(scene, bars, float(rng.uniform(0.2, 0.8)))
    if rng.random() < 0.3:
        across = u - np.float32(rng.uniform(-25, 25))
        bridge = parts.road(scene, across, float(rng.uniform(2.0, 3.6)), v)
        scene.height += bridge * (distance < 0) * np.float32(0.9)


def _shore(scene: Scene) -> None:
    rng = scene.rng
    u, v = parts.frame(scene, _angle(scene))
    bay = 7 * parts.noise(scene, float(rng.uniform(1, 3)), 4) * np.float32(rng.uniform(0.4, 1.8))
    distance = u + bay - np.float32(rng.uniform(-16, 14))
    sand = float(rng.uniform(2.5, 11))
    inland = parts.mask(scene, np.float32(sand) + 2 * parts.noise(scene, 6, 3) - distance)
    _surroundings(scene, inland)
    beach = 1 - inland
    parts.flatten(scene, beach)
    colour = scene.palette.soil
    pale = float(rng.uniform(1.05, 1.5))
    light = (min(0.9, colour[0] * pale), min(0.88, colour[1] * pale), min(0.84, colour[2] * pale))
    wet = -0.28 * np.exp(-np.maximum(distance, 0) / np.float32(1.5))
    parts.paint(scene, beach, light, wet + 0.08 * parts.noise(scene, 10, 3) + 0.04 * scene.grain)
    parts.water(scene, distance, float(rng.uniform(0.3, 1.0)))
    _surf(scene, distance, v)
    if rng.random() < 0.4:
        parts.road(scene, distance - np.float32(sand + rng.uniform(4, 12)), float(rng.uniform(1.4, 2.4)), v)


def _surf(scene: Scene, distance: Plane, along: Plane) -> None:
    """Breakers: broken bands of foam that follow the water's edge."""
    rng = scene.rng
    broken = parts.noise(scene, 7, 4)
    for _ in range(int(rng.integers(1, 5))):
        off = np.float32(rng.uniform(-9, 0.3))
        line = (
            distance
            - off
            + np.float32(rng.uniform(0.3, 1.6)) * np.sin(along / np.float32(rng.uniform(4, 15)))
        )
        line = line + 1.2 * parts.noise(scene, 8, 2)
        width = float(rng.uniform(0.5, 1.9))
        foam = np.exp(-np.square(line / np.float32(width))) * np.clip(
            broken + np.float32(rng.uniform(0, 0.8)), 0, 1
        )
        parts.paint(scene, foam * parts.mask(scene, distance), (0.88, 0.90, 0.90), 0.04 * scene.grain)


_BUILDERS: dict[str, Callable[[Scene], None]] = {
    "airfield": _airfield,
    "farmland": _farmland,
    "forest": _forest,
    "industry": _industry,
    "parking": _parking,
    "residential": _residential,
    "river": _river,
    "shore": _shore,
}
CLASSES: tuple[str, ...] = tuple(_BUILDERS)
