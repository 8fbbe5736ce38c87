"""Parts of the made-up aerial pictures: ground covers, tree crowns, roofs, roads, then light and grading.

A picture is an albedo map and a height map on a grid twice as fine as the result. Everything that stands
(crowns, roofs, cars, tanks) goes into the height map, so one sun lights and shadows all of it alike.
Lengths are in units: the picture is 96 units wide whatever its size in pixels. Shapes below: (N, N) for a
plane of the fine grid, (K,) for one number a stamped thing, (K, 3) for its colour, RGB in 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = [
    "Scene", "band", "box_distance", "boxes", "cars", "crowns", "expose", "fields", "flatten", "frame",
    "houses", "mask", "new_scene", "noise", "paint", "pick", "plots", "road", "roofs", "tanks", "tree_line",
    "water", "woods",
]  # fmt: skip

Plane = NDArray[np.float32]
Points = NDArray[np.float64]
Colour = tuple[float, float, float]

UNITS = 96.0
HALF = UNITS / 2


class Palette(NamedTuple):
    """The land in one season: no entry belongs to one class."""

    grass: Colour
    tree: Colour
    second_tree: Colour
    soil: Colour
    crops: tuple[Colour, ...]


_PALETTES = (
    Palette((0.40, 0.46, 0.27), (0.21, 0.29, 0.16), (0.29, 0.37, 0.19), (0.50, 0.42, 0.32),
            ((0.34, 0.45, 0.22), (0.55, 0.54, 0.31), (0.45, 0.50, 0.28), (0.62, 0.58, 0.40))),
    Palette((0.57, 0.52, 0.37), (0.32, 0.34, 0.22), (0.41, 0.41, 0.28), (0.60, 0.49, 0.37),
            ((0.68, 0.60, 0.41), (0.58, 0.48, 0.34), (0.49, 0.48, 0.31), (0.72, 0.66, 0.50))),
    Palette((0.48, 0.45, 0.29), (0.44, 0.34, 0.19), (0.31, 0.32, 0.18), (0.43, 0.35, 0.27),
            ((0.56, 0.47, 0.30), (0.40, 0.33, 0.25), (0.49, 0.50, 0.30), (0.62, 0.54, 0.38))),
    Palette((0.41, 0.44, 0.34), (0.17, 0.23, 0.19), (0.24, 0.30, 0.23), (0.38, 0.33, 0.28),
            ((0.44, 0.47, 0.34), (0.35, 0.30, 0.26), (0.52, 0.49, 0.38), (0.37, 0.43, 0.29))),
    Palette((0.50, 0.47, 0.39), (0.35, 0.31, 0.27), (0.24, 0.27, 0.22), (0.42, 0.36, 0.31),
            ((0.47, 0.42, 0.35), (0.39, 0.34, 0.29), (0.46, 0.49, 0.34), (0.56, 0.52, 0.44))),
)  # fmt: skip
_WATERS: tuple[Colour, ...] = (
    (0.13, 0.20, 0.25), (0.18, 0.27, 0.25), (0.33, 0.32, 0.24), (0.22, 0.33, 0.38), (0.10, 0.13, 0.15),
    (0.26, 0.29, 0.20),
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = (
    (0.60, 0.37, 0.28), (0.52, 0.32, 0.25), (0.43, 0.42, 0.44), (0.45, 0.36, 0.30), (0.72, 0.70, 0.67),
    (0.33, 0.33, 0.35), (0.55, 0.50, 0.44),
)  # fmt: skip
_HALLS: tuple[Colour, ...] = (
    (0.78, 0.77, 0.75), (0.62, 0.63, 0.64), (0.47, 0.52, 0.57), (0.50, 0.38, 0.33), (0.40, 0.41, 0.42),
    (0.66, 0.60, 0.52), (0.44, 0.50, 0.44),
)  # fmt: skip
_CARS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.88), (0.70, 0.71, 0.73), (0.16, 0.16, 0.18), (0.30, 0.31, 0.33), (0.55, 0.16, 0.14),
    (0.20, 0.28, 0.46), (0.50, 0.47, 0.42),
)  # fmt: skip


@dataclass
class Scene:
    """A picture being made: x and y (N, N) and height (N, N) in units, albedo (3, N, N)."""

    rng: np.random.Generator
    grid: int
    x: Plane
    y: Plane
    albedo: Plane
    height: Plane
    grain: Plane
    palette: Palette
    paved: Colour
    sun: float
    slope: float
    wet: Plane
    """Coverage of water (N, N)."""
    roads: list[tuple[Plane, Plane]] = field(default_factory=list)
    """Coverage and distance across of every road, (N, N)."""
    bare: bool = False
    """Whether cars and tanks are left out, for whoever puts things of its own on the land."""

    @property
    def scale(self) -> float:
        """Grid points a unit."""
        return self.grid / UNITS


def new_scene(rng: np.random.Generator, size: int, *, bare: bool = False) -> Scene:
    """Bare ground of a random season under a random sun; the grid is twice the picture's size."""
    grid = 2 * size
    line = ((np.arange(grid) + 0.5) * (UNITS / grid) - HALF).astype(np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    first, second = (_PALETTES[int(k)] for k in rng.integers(len(_PALETTES), size=2))
    share = float(rng.uniform(0, 0.5))
    palette = Palette(
        _jitter(rng, _blend(first.grass, second.grass, share)),
        _jitter(rng, _blend(first.tree, second.tree, share)),
        _jitter(rng, first.second_tree),
        _jitter(rng, _blend(first.soil, second.soil, share)),
        tuple(_jitter(rng, colour) for colour in (*first.crops, second.crops[0])),
    )
    tone = float(rng.uniform(0.36, 0.64))
    warm = float(rng.uniform(-0.01, 0.04))
    scene = Scene(
        rng=rng, grid=grid, x=x, y=y, albedo=np.zeros((3, grid, grid), np.float32),
        height=np.zeros((grid, grid), np.float32), grain=rng.standard_normal((grid, grid), dtype=np.float32),
        palette=palette, paved=(tone + warm, tone, tone - warm), sun=float(rng.uniform(0, 2 * math.pi)),
        slope=float(rng.uniform(0.55, 1.6)), wet=np.zeros((grid, grid), np.float32), bare=bare,
    )  # fmt: skip
    grass(scene)
    return scene


def _blend(first: Colour, second: Colour, share: float) -> Colour:
    r, g, b = ((1 - share) * p + share * q for p, q in zip(first, second, strict=True))
    return r, g, b


def _jitter(rng: np.random.Generator, colour: Colour) -> Colour:
    r, g, b = (float(np.clip(c * rng.uniform(0.88, 1.12), 0.03, 0.95)) for c in colour)
    return r, g, b


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], count: int, spread: float = 0.10) -> Points:
    """Colours (count, 3) drawn from a table, each a little lighter or darker."""
    chosen = np.array(colours)[rng.integers(len(colours), size=count)]
    return np.clip(chosen * rng.uniform(1 - spread, 1 + spread, (count, 1)), 0.02, 0.95)


def noise(scene: Scene, cells: float, octaves: int = 3) -> Plane:
    """Value noise (N, N) of about -1..1: random grids of `cells` across and finer, upsampled and summed."""
    size = scene.grid // 2
    total = np.zeros((size, size), np.float32)
    weight = 0.62
    for octave in range(octaves):
        count = min(size, max(2, round(cells * 2**octave) + 1))
        coarse = scene.rng.uniform(-weight, weight, (count, count)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
        weight *= 0.55
    return total.repeat(2, axis=0).repeat(2, axis=1)


def frame(scene: Scene, angle: float, centre: tuple[float, float] = (0.0, 0.0)) -> tuple[Plane, Plane]:
    """Coordinates along and across a direction through `centre`, in units."""
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = scene.x - np.float32(centre[0]), scene.y - np.float32(centre[1])
    return cos * x + sin * y, cos * y - sin * x


def box_distance(u: Plane, v: Plane, half_u: float, half_v: float) -> Plane:
    """Signed distance (negative inside, corners by the larger side) to a box in a frame."""
    return np.maximum(np.abs(u) - half_u, np.abs(v) - half_v)


def mask(scene: Scene, distance: Plane) -> Plane:
    """Coverage 0..1 of what lies at a negative distance, one grid point of soft edge."""
    return np.asarray(np.clip(0.5 - distance * np.float32(scene.scale), 0, 1), np.float32)


def band(scene: Scene, across: Plane, width: float) -> Plane:
    """Coverage of a band of that width about across = 0."""
    return mask(scene, np.abs(across) - np.float32(width / 2))


def paint(scene: Scene, cover: Plane, colour: Colour | Plane, texture: Plane | float = 0.0) -> None:
    """Lay a colour, or a colour map (3, N, N), over the albedo; texture is relative brightness."""
    bright = 1 + np.asarray(texture, np.float32)
    for channel in range(3):
        plane = scene.albedo[channel]
        change = np.asarray(bright * np.asarray(colour[channel], np.float32) - plane)
        change *= cover
        plane += change


def flatten(scene: Scene, cover: Plane) -> None:
    """Take away what stands where a road or water goes."""
    scene.height *= 1 - cover


def grass(scene: Scene) -> None:
    """Meadow with worn patches of soil, everywhere: what the rest is laid on."""
    broad = noise(scene, scene.rng.uniform(2, 5), 3)
    texture = 0.12 * broad + 0.05 * scene.grain
    for channel, tone in enumerate(scene.palette.grass):
        scene.albedo[channel] = np.float32(tone) * (1 + texture)
    worn = np.clip(2.2 * noise(scene, scene.rng.uniform(3, 8), 2) - scene.rng.uniform(0.2, 1.0), 0, 0.75)
    paint(scene, worn, scene.palette.soil, texture)


def road(scene: Scene, across: Plane, width: float, along: Plane | None = None, dirt: bool = False) -> Plane:
    """A road about across = 0 with verges and, given `along`, a dashed middle line; returns its coverage."""
    cover = band(scene, across, width)
    verge = band(scene, across, width * 1.5) * np.float32(0.5)
    flatten(scene, np.maximum(cover, verge))
    scene.roads.append((cover, across))
    paint(scene, verge, scene.palette.soil, 0.06 * scene.grain)
    if dirt:
        ruts = np.cos(np.abs(across) * np.float32(4 * math.pi / width))
        paint(scene, cover, scene.palette.soil, 0.16 - 0.1 * ruts + 0.05 * scene.grain)
        return cover
    paint(scene, cover, scene.paved, 0.05 * scene.grain)
    if along is not None:
        dashes = band(scene, across, 0.5) * (np.sin(along * np.float32(1.1)) > 0)
        paint(scene, dashes * np.float32(0.7), (0.85, 0.84, 0.78))
    return cover


def water(scene: Scene, distance: Plane, clear: float = 0.5) -> Plane:
    """Water where the distance is negative, lighter towards the edge; returns its coverage."""
    rng = scene.rng
    cover = mask(scene, distance)
    flatten(scene, cover)
    scene.wet = np.maximum(scene.wet, cover)
    colour = _jitter(rng, _WATERS[int(rng.integers(len(_WATERS)))])
    u, v = frame(scene, float(rng.uniform(0, math.pi)))
    swell = np.sin(v * np.float32(rng.uniform(1.0, 2.4)) + 5 * noise(scene, 7, 2)) * noise(scene, 4, 2)
    glint = rng.uniform(-0.006, 0.006) * u + 0.10 * noise(scene, 2, 2)
    paint(scene, cover, colour, rng.uniform(0.02, 0.12) * swell + glint + 0.03 * scene.grain)
    shallow = np.exp(np.minimum(distance, 0) / np.float32(rng.uniform(1.5, 6.0))) * np.float32(clear)
    paint(scene, cover * shallow, _blend(colour, scene.palette.soil, 0.75))
    return cover


class _Stamps(NamedTuple):
    point: NDArray[np.int64]
    owner: NDArray[np.int64]
    dx: Plane
    dy: Plane


def _stamps(scene: Scene, x: Points, y: Points, radius: Points) -> _Stamps:
    """The grid points near every thing: flat index, whose they are, offsets from its centre in units."""
    column, row = (x + HALF) * scene.scale, (y + HALF) * scene.scale
    reach = math.ceil(float(radius.max()) * scene.scale) + 1
    step = np.arange(-reach, reach + 1)
    rows = np.floor(row).astype(np.int64)[:, None, None] + step[None, :, None]
    columns = np.floor(column).astype(np.int64)[:, None, None] + step[None, None, :]
    dy = ((rows + 0.5 - row[:, None, None]) / scene.scale).astype(np.float32)
    dx = ((columns + 0.5 - column[:, None, None]) / scene.scale).astype(np.float32)
    near = dx * dx + dy * dy <= np.square(radius).astype(np.float32)[:, None, None]
    near &= (rows >= 0) & (rows < scene.grid)
    near &= (columns >= 0) & (columns < scene.grid)
    owner, i, j = np.nonzero(near)
    index = rows[owner, i, 0] * scene.grid + columns[owner, 0, j]
    return _Stamps(index, owner, dx[owner, 0, j], dy[owner, i, 0])


def _raise(scene: Scene, stamps: _Stamps, top: Plane, colours: Points) -> None:
    """Put things on the ground: at each grid point the highest wins, with its colour out of (K, 3)."""
    height = scene.height.reshape(-1)
    np.maximum.at(height, stamps.point, top)
    won = (height[stamps.point] == top) & (top > 0)
    index, owner = stamps.point[won], stamps.owner[won]
    texture = 1 + np.float32(0.04) * scene.grain.reshape(-1)[index]
    for channel, tones in enumerate(colours.T.astype(np.float32)):
        scene.albedo[channel].reshape(-1)[index] = tones[owner] * texture


def crowns(scene: Scene, x: Points, y: Points, radius: Points, conifer: float = 0.0) -> None:
    """Tree crowns: domes, or cones for the share `conifer`, with clumps of leaves."""
    rng = scene.rng
    near = np.maximum(np.abs(x), np.abs(y)) < HALF + 4
    x, y, radius = x[near], y[near], radius[near]
    colours = _tree_colours(scene, len(x))
    tall = (rng.uniform(0.8, 1.5, len(x)) * radius).astype(np.float32)
    thin = (1 / radius).astype(np.float32)
    cone = rng.random(len(x)) < conifer
    lean = rng.uniform(-0.25, 0.25, (2, len(x))).astype(np.float32)
    order = np.argsort(radius)
    for part in np.array_split(order, max(1, min(4, len(order) // 8))):
        if len(part) == 0:
            continue
        stamps = _stamps(scene, x[part], y[part], radius[part])
        who = part[stamps.owner]
        u, v = stamps.dx * thin[who], stamps.dy * thin[who]
        share = (u * u + v * v) * (1 + 2 * (lean[0, who] * u + lean[1, who] * v))
        share += np.float32(0.11) * scene.grain.reshape(-1)[stamps.point]
        shape = np.sqrt(np.clip(1 - share, 0, 1))
        if conifer > 0:
            peak = np.float32(1.5) * np.clip(1 - np.sqrt(np.maximum(share, 0)), 0, 1)
            shape = np.where(cone[who], peak, shape)
        _raise(scene, stamps._replace(owner=who), tall[who] * shape, colours)


def _tree_colours(scene: Scene, count: int) -> Points:
    rng, palette = scene.rng, scene.palette
    share = np.clip(rng.normal(rng.uniform(0, 0.8), 0.25, (count, 1)), 0, 1)
    colours = (1 - share) * np.array(palette.tree) + share * np.array(palette.second_tree)
    return np.asarray(np.clip(colours * rng.uniform(0.82, 1.2, (count, 1)), 0.03, 0.9), np.float64)


def woods(scene: Scene, cover: Plane, spacing: float, conifer: float = 0.0, gaps: float = 0.0) -> None:
    """Trees over a coverage, about `spacing` units apart; `gaps` is the share left out."""
    rng = scene.rng
    line = np.arange(-HALF - spacing, HALF + 2 * spacing, spacing)
    x, y = (axis.ravel() + rng.uniform(-0.45, 0.45, axis.size) * spacing for axis in np.meshgrid(line, line))
    column, row = (np.clip((axis + HALF) * scene.scale, 0, scene.grid - 1).astype(int) for axis in (x, y))
    stands = (cover[row, column] > 0.5) & (rng.random(len(x)) >= gaps)
    radius = spacing * np.clip(rng.lognormal(-0.42, 0.25, len(x)), 0.35, 1.1)
    under = cover * np.float32(0.75 * (1 - gaps))
    paint(scene, under, _blend(scene.palette.tree, scene.palette.soil, 0.35), 0.1 * scene.grain - 0.25)
    crowns(scene, x[stands], y[stands], radius[stands], conifer)


def tree_line(scene: Scene, x: Points, y: Points, radius: float, keep: float = 0.8) -> None:
    """Trees at some of the given points, off their place a little."""
    rng = scene.rng
    stands = rng.random(len(x)) < keep
    count = int(stands.sum())
    away = rng.normal(0, 0.35 * radius, (2, count))
    crowns(scene, x[stands] + away[0], y[stands] + away[1], radius * rng.uniform(0.6, 1.3, count))


def boxes(
    scene: Scene, x: Points, y: Points, angle: Points, sides: tuple[Points, Points],
    eave: Points, ridge: Points, colours: Points,
) -> _Stamps:  # fmt: skip
    """Turned boxes of half `sides` (K,), walls `eave` high, the ridge along the first side `ridge` higher.

    Returns the points inside, with distances from the middle along and across for offsets.
    """
    near = np.maximum(np.abs(x), np.abs(y)) < HALF + 0.8 * np.hypot(*sides)
    x, y, angle, eave, ridge, colours = x[near], y[near], angle[near], eave[near], ridge[near], colours[near]
    long, wide = sides[0][near], sides[1][near]
    if len(x) == 0:
        empty = np.zeros(0, np.float32)
        return _Stamps(np.zeros(0, np.int64), np.zeros(0, np.int64), empty, empty)
    stamps = _stamps(scene, x, y, np.hypot(long, wide))
    who = stamps.owner
    half_u, half_v, wall, rise = (side.astype(np.float32)[who] for side in (long, wide, eave, ridge))
    cos, sin = np.cos(angle).astype(np.float32)[who], np.sin(angle).astype(np.float32)[who]
    u, v = np.abs(cos * stamps.dx + sin * stamps.dy), np.abs(cos * stamps.dy - sin * stamps.dx)
    inside = (u < half_u) & (v < half_v)
    pitch = np.minimum(1 - v / half_v, (half_u - u) / half_v + 0.35)
    top = np.where(inside, wall + rise * np.clip(pitch, 0, 1), 0).astype(np.float32)
    _raise(scene, stamps, top, colours)
    return _Stamps(
        stamps.point[inside],
        np.flatnonzero(near)[who[inside]],
        u[inside].astype(np.float32),
        v[inside].astype(np.float32),
    )


def houses(scene: Scene, x: Points, y: Points, angle: Points, size: float) -> None:
    """Family houses with pitched roofs, some with an annex."""
    rng, count = scene.rng, len(x)
    long, wide = size * rng.uniform(0.85, 1.35, count), size * rng.uniform(0.6, 0.85, count)
    angle = angle + (rng.random(count) < 0.35) * (math.pi / 2)
    some = tuple(_ROOFS[int(k)] for k in rng.integers(len(_ROOFS), size=3))
    colours = pick(rng, some, count, 0.15)
    eave, ridge = size * rng.uniform(0.5, 0.8, count), size * rng.uniform(0.25, 0.65, count)
    boxes(scene, x, y, angle, (long, wide), eave, ridge, colours)
    wing = rng.random(count) < 0.4
    side = rng.choice([-1.0, 1.0], count) * wide
    wing_x, wing_y = x - np.sin(angle) * side, y + np.cos(angle) * side
    half = (0.5 * size * np.ones(count), 0.45 * size * np.ones(count))
    boxes(scene, wing_x[wing], wing_y[wing], angle[wing] + math.pi / 2, (half[0][wing], half[1][wing]),
          0.8 * eave[wing], 0.7 * ridge[wing], colours[wing])  # fmt: skip


def roofs(scene: Scene, x: Points, y: Points, angle: Points, sides: tuple[Points, Points]) -> None:
    """Big halls: flat or saw-tooth roofs with sheet lines and plant on top."""
    rng, count = scene.rng, len(x)
    eave = rng.uniform(1.6, 4.5, count)
    ridge = rng.choice([0.0, 0.0, 0.5, 1.2], count)
    on = boxes(scene, x, y, angle, sides, eave, ridge, pick(rng, _HALLS, count))
    saw = (on.dx / rng.uniform(1.6, 6.0, count)[on.owner]) % 1
    scene.height.reshape(-1)[on.point] += saw * rng.choice([0.0, 0.0, 0.25, 0.7], count)[on.owner]
    seam = (rng.uniform(0.0, 0.6, count)[on.owner] * (saw < 0.18))[:, None]
    albedo = scene.albedo.reshape(3, -1)
    albedo[:, on.point] += (seam * (pick(rng, _HALLS, count)[on.owner] - albedo[:, on.point].T)).T
    plant = np.repeat(np.arange(count), rng.integers(0, 7, count))
    spot = rng.uniform(-0.8, 0.8, (2, len(plant)))
    u, v = spot[0] * sides[0][plant], spot[1] * sides[1][plant]
    cos, sin = np.cos(angle[plant]), np.sin(angle[plant])
    half = rng.uniform(0.4, 1.1, (2, len(plant)))
    boxes(scene, x[plant] + cos * u - sin * v, y[plant] + sin * u + cos * v, angle[plant], (half[0], half[1]),
          eave[plant] + 1.0, np.zeros(len(plant)), pick(rng, _HALLS, len(plant)))  # fmt: skip


def tanks(scene: Scene, x: Points, y: Points, radius: Points) -> None:
    """Round storage tanks with a rim and a slightly domed lid."""
    if len(x) == 0 or scene.bare:
        return
    rng = scene.rng
    stamps = _stamps(scene, x, y, radius)
    colours = pick(rng, (_HALLS[int(rng.integers(len(_HALLS)))], (0.80, 0.79, 0.77)), len(x))
    share = np.hypot(stamps.dx, stamps.dy) / radius[stamps.owner]
    lid = np.where(share > 0.9, 1.15, 1.0 + 0.12 * (1 - share**2))
    _raise(scene, stamps, (lid * rng.uniform(1.8, 4.0)).astype(np.float32), colours)


def cars(scene: Scene, x: Points, y: Points, angle: Points, length: float) -> None:
    """Cars with a dark windscreen and rear window."""
    if scene.bare:
        return
    rng, count = scene.rng, len(x)
    half = 0.5 * length * rng.uniform(0.88, 1.06, count)
    low = np.full(count, 0.17 * length)
    inside = boxes(scene, x, y, angle, (half, 0.43 * half), low, np.zeros(count), pick(rng, _CARS, count))
    glass = np.abs(inside.dx / np.float32(0.5 * length) - 0.48) < 0.13
    for channel, tone in enumerate((0.16, 0.18, 0.20)):
        scene.albedo[channel].reshape(-1)[inside.point[glass]] = tone


Quad = tuple[Points, Points, Points, Points]


def plots(scene: Scene, angle: float, smallest: float) -> list[Quad]:
    """The land cut into quadrilaterals with sides of about `smallest` units and more, by repeated halving."""
    rng = scene.rng
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    shift = rng.uniform(-4, 4, 2)
    corners = [turn @ (np.array(c) * 72.0 + shift) for c in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    ready: list[Quad] = []
    waiting: list[Quad] = [(corners[0], corners[1], corners[2], corners[3])]
    while waiting:
        a, b, c, d = waiting.pop()
        if math.dist(a, b) < math.dist(a, d):
            a, b, c, d = b, c, d, a
        length = math.dist(a, b)
        if length < 2.2 * smallest or (length < 3.2 * smallest and rng.random() < 0.3):
            ready.append((a, b, c, d))
            continue
        cut = float(rng.uniform(0.36, 0.64))
        p, q = a + (b - a) * cut, d + (c - d) * (cut + float(rng.uniform(-0.07, 0.07)))
        waiting += [(a, p, q, d), (p, b, c, q)]
    return ready


def fields(scene: Scene, cover: Plane | None, angle: float, smallest: float) -> list[Quad]:
    """Parcels, each with its crop, tillage direction and spacing, bounded by grass or tracks."""
    rng = scene.rng
    parcels = plots(scene, angle, smallest)
    count = len(parcels)
    ids = Image.new("I", (scene.grid, scene.grid))
    edges = Image.new("L", (scene.grid, scene.grid))
    draw, draw_edges = ImageDraw.Draw(ids), ImageDraw.Draw(edges)
    for number, quad in enumerate(parcels):
        outline = [(float((p[0] + HALF) * scene.scale), float((p[1] + HALF) * scene.scale)) for p in quad]
        draw.polygon(outline, fill=number)
        width = int(rng.choice([0, 1, 2, 4]) * scene.scale / 2)
        if width > 0:
            draw_edges.line([*outline, outline[0]], fill=255, width=width)
    which = np.asarray(ids)
    turned = angle + rng.choice([0, math.pi / 2, 0.2], count) + rng.normal(0, 0.05, count)
    phase = (np.cos(turned)[which] * scene.y - np.sin(turned)[which] * scene.x).astype(np.float32)
    lines = np.sin(phase * rng.uniform(1.6, 4.2, count).astype(np.float32)[which] + 0.5 * noise(scene, 8, 1))
    strength = (rng.uniform(0.02, 0.17, count) * (rng.random(count) < 0.85)).astype(np.float32)[which]
    patches = noise(scene, 4, 4) * rng.uniform(0.04, 0.18, count).astype(np.float32)[which]
    table = (*scene.palette.crops, scene.palette.soil, scene.palette.grass)
    colours = pick(rng, table, count, 0.14).astype(np.float32)[which].transpose(2, 0, 1)
    where = np.ones_like(scene.x) if cover is None else cover
    paint(scene, where, colours, strength * lines + patches + 0.04 * scene.grain)
    border = np.asarray(np.asarray(edges) > 0, np.float32)
    paint(
        scene,
        where * border,
        scene.palette.grass if rng.random() < 0.6 else scene.palette.soil,
        0.08 * scene.grain,
    )
    return parcels


def expose(scene: Scene) -> NDArray[np.uint8]:
    """Light the scene, halve it to the picture's size, add haze and sensor noise, grade it: (H, W, 3) uint8.

    Mean, contrast and tint come from one distribution for all classes, so they tell little of the class.
    """
    rng = scene.rng
    lit = _sunlight(scene)
    sky = float(rng.uniform(0.28, 0.5))
    direct = (1 - sky) * lit
    planes = np.stack(
        [plane * (sky * blue + direct) for plane, blue in zip(scene.albedo, (0.9, 1.0, 1.16), strict=True)]
    )
    rows = planes[:, ::2] + planes[:, 1::2]
    image = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
    luma = image.mean(axis=0)
    chroma = image - luma
    red, green = rng.normal(0.008, 0.016), abs(rng.normal(0.010, 0.008))
    tint = np.array([red, green, -red - green], np.float32)
    kept = np.float32(rng.uniform(0.15, 0.45)) * chroma.mean(axis=(1, 2), keepdims=True)
    spread = float(chroma.std()) + 0.004
    strength = min(1.6, float(rng.uniform(0.022, 0.042)) / spread)
    chroma = (
        np.float32(strength) * (chroma - chroma.mean(axis=(1, 2), keepdims=True)) + kept + tint[:, None, None]
    )
    chroma[1] = np.maximum(chroma[1], 0.4 * chroma[1])  # land is hardly ever magenta
    contrast = float(rng.uniform(0.10, 0.17)) / (float(luma.std()) + 0.012)
    luma = (luma - luma.mean()) * np.float32(min(contrast, 3.0))
    luma = luma + np.float32(rng.uniform(0.36, 0.54)) + np.float32(rng.uniform(-0.05, 0.05)) * _ramp(scene)
    haze = np.float32(rng.uniform(0.0, 0.14))
    image = (luma + chroma) * (1 - haze) + haze * np.array([0.62, 0.66, 0.70], np.float32)[:, None, None]
    image += np.float32(rng.uniform(0.004, 0.018)) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.ascontiguousarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _ramp(scene: Scene) -> Plane:
    """Brightness that rises from -1 to 1 across the picture (H, W), in any direction."""
    u, _ = frame(scene, float(scene.rng.uniform(0, 2 * math.pi)))
    return u[::2, ::2] / np.float32(HALF)


def _sunlight(scene: Scene) -> Plane:
    """Direct light (N, N): 1 on open flat ground, more on slopes facing the sun, 0 in shadow."""
    height = scene.height * np.float32(scene.scale)
    padded = np.pad(height, 1, mode="edge")
    east = padded[1:-1, 2:] - padded[1:-1, :-2]
    south = padded[2:, 1:-1] - padded[:-2, 1:-1]
    cos, sin = math.cos(scene.sun), math.sin(scene.sun)
    facing = np.clip(-0.5 * (cos * east + sin * south), -1.5, 1.5) / np.float32(scene.slope)
    lit = np.clip(1 + 0.55 * facing, 0.2, 1.75)
    blocked = height
    for octave in range(max(2, math.ceil(math.log2(8 * scene.scale)))):
        step = 2**octave
        blocked = np.maximum(
            blocked, _shifted(blocked, round(cos * step), round(sin * step)) - step * scene.slope
        )
    shade = np.clip((blocked - height) / np.float32(0.8), 0, 1)
    return np.asarray(lit * (1 - shade), np.float32)


def _shifted(plane: Plane, right: int, down: int) -> Plane:
    """The plane's values from `right` columns and `down` rows further on; 0 beyond the edge."""
    out = np.zeros_like(plane)
    rows, columns = plane.shape
    source = plane[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
    out[max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)] = source
    return out
