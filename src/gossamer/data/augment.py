"""Augmentation of whole batches on the device they train on: one resampling for all geometry, then colour.

RandAugment is from Cubuk et al., 1909.13719, with the operations of its table and the amounts of torchvision's
`RandAugment`, whose largest are a magnitude of 10 here. We deviate in that greys are means of the bands, so that any
number of bands will do, that what moves is composed before what recolours, so that a picture is resampled once, and
that values are not rounded in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.data.bands import Bands
from gossamer.data.draws import Draws
from gossamer.data.geometry import GREY
from gossamer.errors import GossamerError
from gossamer.types import Size

__all__ = ["COLOURS", "Augmentation", "Greys", "Moved", "View", "augment", "augment_raw"]

View = Literal["ground", "aerial"]

_RANGES = {
    "move": (0, 1),
    "degrees": (0, 180),
    "shift": (0, 1),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "erase": (0, 1),
    "randaugment": (0, 14),
    "magnitude": (0, 10),
    "hue": (0, 1),
    "mosaic": (0, 1),
}
_BEYOND = ("reflection", "grey")


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may be moved and recoloured.

    Ground pictures keep their up; aerial ones have none, so they turn by any quarter, mirror both ways and tilt more.

    Raises:
        GossamerError: a value out of its range.
    """

    view: View = "ground"
    move: float = 0.5
    """Share of pictures that are tilted, scaled and shifted: resampling blurs them, and tested ones are sharp."""
    degrees: float = 10.0
    scale: tuple[float, float] = (0.7, 1.1)
    """Share of the picture's side that stays in view."""
    shift: float = 0.08
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    """Of pictures with three bands; others have no colours to speak of."""
    erase: float = 0.25
    """Probability that a rectangle of up to a fifth of the area is blanked."""
    randaugment: int = 0
    """Operations a picture, each drawn from the table of RandAugment (Cubuk et al., 1909.13719)."""
    magnitude: float = 9.0
    """How far these operations go, of 10."""
    hue: float = 0.0
    """Share of half the colour circle that colours turn by; of pictures with three bands."""
    mosaic: float = 0.0
    """Share of pictures that are made of four, where targets are places."""
    beyond: Literal["reflection", "grey"] = "reflection"
    """What stands beyond the picture's border: itself mirrored, or grey, where targets are places and would be mirrored too."""

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise GossamerError(
                    f"augmentation.{name} is {low} to {high}, got {value:g}; "
                    f"e.g. --set augmentation.{name}={getattr(type(self), name):g}"
                )
        if self.beyond not in _BEYOND:
            raise GossamerError(
                f"augmentation.beyond is {' or '.join(_BEYOND)}, got {self.beyond!r}; e.g. --set augmentation.beyond=grey"
            )
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 4:
            raise GossamerError(
                "augmentation.scale is a lower and an upper share above 0 and up to 4, got "
                f"{','.join(f'{share:g}' for share in self.scale)}; e.g. --set augmentation.scale=0.7,1.1"
            )


class Moved(NamedTuple):
    """Augmented pictures, and where what they show was before: what targets with places go through as well."""

    pictures: Tensor
    """(B, bands, H, W)."""
    places: Tensor
    """(B, 3, 3): places in the new picture, x and y from -1 to 1, to places in the old one."""


def augment(pictures: Tensor, how: Augmentation, draws: Draws, *, size: Size | None = None) -> Moved:
    """New pictures (B, bands, H, W), float 0 to 255, from float pictures of the same shape.

    With `size` they come out of that size, resampled in the same step as they are moved.
    """
    drawn = [_drawn(draws, pictures) for _ in range(how.randaugment)]
    moved, places = _move(pictures, how, draws, size, drawn)
    for operations, signs in drawn:
        moved = _operate(moved, operations, signs * how.magnitude / 10)
    return Moved(_erase(_recolour(moved, how, draws), how, draws), places)


class Greys(NamedTuple):
    """What raw values are black and how many of them are a step of grey, (1, bands, 1, 1)."""

    dark: Tensor
    step: Tensor

    @property
    def middle(self) -> Tensor:
        """What stands beyond the border of a picture."""
        return self.dark + GREY * self.step

    @classmethod
    def of(cls, bands: Bands | None) -> Greys | None:
        """Those of named bands; None for bytes, which are greys already."""
        if bands is None:
            return None
        low, high = (torch.tensor(each).view(1, -1, 1, 1) for each in (bands.low, bands.high))
        return cls(low, (high - low) / 255)


def augment_raw(
    pictures: Tensor, how: Augmentation, draws: Draws, *, greys: Greys | None, size: Size | None = None
) -> Moved:
    """`augment` of raw values: bytes as they are, others by way of their greys."""
    if greys is None:
        return augment(pictures, how, draws, size=size)
    moved = augment((pictures - greys.dark) / greys.step, how, draws, size=size)
    return Moved(moved.pictures * greys.step + greys.dark, moved.places)


def _move(
    pictures: Tensor, how: Augmentation, draws: Draws, size: Size | None, drawn: list[tuple[Tensor, Tensor]]
) -> Moved:
    moves = (draws.uniform(0, 1, pictures) < how.move).float()
    angle = moves * draws.uniform(-how.degrees, how.degrees, pictures) * (math.pi / 180)
    mirror = draws.uniform(0, 1, pictures).lt(0.5).float() * 2 - 1
    if how.view == "aerial":
        angle = angle + torch.floor(draws.uniform(0, 4, pictures)) * (math.pi / 2)
    scale = 1 + moves * (draws.uniform(*how.scale, pictures) - 1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift_x = moves * draws.uniform(-how.shift, how.shift, pictures)
    shift_y = moves * draws.uniform(-how.shift, how.shift, pictures)
    theta = _affine(cos * mirror, -sin, shift_x, sin * mirror, cos, shift_y)
    for operations, signs in drawn:
        theta = theta @ _geometry(operations, signs * how.magnitude / 10, pictures)
    shape = list(pictures.shape) if size is None else [*pictures.shape[:2], *size]
    grid = F.affine_grid(theta[:, :2], shape, align_corners=False)
    if how.beyond == "grey":
        moved = F.grid_sample(
            pictures - GREY, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        return Moved(moved + GREY, theta)
    moved = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return Moved(moved, theta)


def _affine(xx: Tensor, xy: Tensor, x: Tensor, yx: Tensor, yy: Tensor, y: Tensor) -> Tensor:
    """Matrices (B, 3, 3) from the place in the new picture to that in the old, both from -1 to 1."""
    nought, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([xx, xy, x, yx, yy, y, nought, nought, one], 1).view(-1, 3, 3)


def _recolour(pictures: Tensor, how: Augmentation, draws: Draws) -> Tensor:
    bright = draws.uniform(1 - how.brightness, 1 + how.brightness, pictures)
    contrast = draws.uniform(1 - how.contrast, 1 + how.contrast, pictures)
    saturation = draws.uniform(1 - how.saturation, 1 + how.saturation, pictures)
    coloured = pictures if not how.hue else _turned(pictures, draws.uniform(-how.hue, how.hue, pictures))
    contrasted = _contrasted(_saturated(coloured, saturation), contrast)
    return (contrasted * _column(bright)).clamp_(0, 255)


def _erase(pictures: Tensor, how: Augmentation, draws: Draws) -> Tensor:
    if how.erase <= 0:
        return pictures
    height, width = pictures.shape[2:]
    area = draws.uniform(0.02, 0.2, pictures)
    ratio = torch.exp(draws.uniform(-0.8, 0.8, pictures))
    half_h, half_w = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2
    centre_y, centre_x = draws.uniform(0, 1, pictures), draws.uniform(0, 1, pictures)
    chosen = draws.uniform(0, 1, pictures) < how.erase
    rows = (torch.arange(height, device=pictures.device) + 0.5) / height
    columns = (torch.arange(width, device=pictures.device) + 0.5) / width
    inside_y = (rows[None] - centre_y[:, None]).abs() < half_h[:, None]
    inside_x = (columns[None] - centre_x[:, None]).abs() < half_w[:, None]
    blank = (inside_y[:, :, None] & inside_x[:, None, :] & chosen[:, None, None])[:, None]
    fill = pictures.mean((2, 3), keepdim=True)
    return torch.where(blank, fill, pictures)


def _column(amounts: Tensor) -> Tensor:
    return amounts.view(-1, 1, 1, 1)


def _saturated(pictures: Tensor, factor: Tensor) -> Tensor:
    """Away from the grey of each pixel, or towards it; pictures that have not three bands stay as they are."""
    if pictures.shape[1] != 3:
        return pictures
    return torch.lerp(pictures.mean(1, keepdim=True), pictures, _column(factor))


def _turned(pictures: Tensor, share: Tensor) -> Tensor:
    """Colours turned about the grey axis by shares (B,) of half a circle; pictures that have not three bands stay as they are."""
    if pictures.shape[1] != 3:
        return pictures
    cos, sin = torch.cos(share * math.pi), torch.sin(share * math.pi) / math.sqrt(3)
    even = (1 - cos) / 3
    rows = [torch.stack([even + (cos, -sin, sin)[(i - j) % 3] for j in range(3)], 1) for i in range(3)]
    return torch.einsum("bij,bjhw->bihw", torch.stack(rows, 1), pictures)


def _contrasted(pictures: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean of each picture, or towards it."""
    return torch.lerp(pictures.mean((1, 2, 3), keepdim=True), pictures, _column(factor))


def _sharpened(pictures: Tensor, factor: Tensor) -> Tensor:
    """Away from the picture smoothed over 3 x 3 pixels (the middle one counts five-fold), the border left as it is."""
    smooth = (
        pictures.clone()
    )  # pooling and no convolution, whose sums differ with how many pictures there are
    around = F.avg_pool2d(pictures, 3, stride=1, divisor_override=1)
    smooth[..., 1:-1, 1:-1] = (around + 4 * pictures[..., 1:-1, 1:-1]) / 13
    return torch.lerp(smooth, pictures, _column(factor))


def _posterised(pictures: Tensor, amount: Tensor) -> Tensor:
    """The upper 8 bits (amount 0) to 4 (amount 1) of each value."""
    step = _column(2.0 ** (4 * amount.abs()).round())
    return torch.floor(pictures / step) * step


def _solarised(pictures: Tensor, amount: Tensor) -> Tensor:
    """Values from a threshold on inverted: 255 (amount 0) to 0 (amount 1)."""
    return torch.where(pictures >= _column(255 * (1 - amount.abs())), 255 - pictures, pictures)


def _stretched(pictures: Tensor, amount: Tensor) -> Tensor:
    """Every band of every picture from its own range to 0 to 255; flat ones stay as they are."""
    low, high = pictures.amin((2, 3), keepdim=True), pictures.amax((2, 3), keepdim=True)
    return torch.where(high > low, (pictures - low) * (255 / (high - low).clamp_min(1e-6)), pictures)


def _equalised(pictures: Tensor, amount: Tensor) -> Tensor:
    """Every band of every picture with its 256 levels spread by their share of the pixels, as Pillow does."""
    levels = pictures.round().long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=pictures.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp_min(1)).clamp_max(255)
    spread = table.gather(2, levels).to(pictures.dtype)
    return torch.where(step > 0, spread, pictures.flatten(2)).view(pictures.shape)


COLOURS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda pictures, amount: pictures * _column(1 + 0.9 * amount),
    "contrast": lambda pictures, amount: _contrasted(pictures, 1 + 0.9 * amount),
    "saturation": lambda pictures, amount: _saturated(pictures, 1 + 0.9 * amount),
    "sharpness": lambda pictures, amount: _sharpened(pictures, 1 + 0.9 * amount),
    "posterize": _posterised,
    "solarize": _solarised,
    "autocontrast": _stretched,
    "equalize": _equalised,
    "invert": lambda pictures, amount: 255 - pictures,
}
"""Operations on (B, bands, H, W), 0 to 255, by amounts (B,) from -1 to 1; what they make may leave the range."""

_OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    *COLOURS,
)
_SLOTS = 4
"""Every operation is drawn so many times as often as the last, `invert`, which the paper leaves out."""


def _drawn(draws: Draws, like: Tensor) -> tuple[Tensor, Tensor]:
    """An operation for each picture, (B,) on the CPU, where it is looked at, and its sign, (B,)."""
    slots = draws.integers(_SLOTS * (len(_OPERATIONS) - 1) + 1, torch.empty(0))
    return slots // _SLOTS, draws.uniform(0, 1, like).lt(0.5).float() * 2 - 1


def _geometry(operations: Tensor, amount: Tensor, like: Tensor) -> Tensor:
    """The matrices (B, 3, 3) of the operations that move: shears of 0.3, shifts of 150 in 331, turns of 30 degrees."""

    def of(name: str, largest: float) -> Tensor:
        return (operations == _OPERATIONS.index(name)).to(like.device) * amount * largest

    angle = of("rotate", math.pi / 6)
    cos, sin = torch.cos(angle), torch.sin(angle)
    shift = 2 * 150 / 331
    return _affine(
        cos, of("shear_x", 0.3) - sin, of("translate_x", shift),
        of("shear_y", 0.3) + sin, cos, of("translate_y", shift),
    )  # fmt: skip


def _operate(pictures: Tensor, operations: Tensor, amount: Tensor) -> Tensor:
    """Every picture by its operation where that is one of colour, within 0 to 255."""
    changed = pictures.clone()
    for name, colour in COLOURS.items():
        chosen = (operations == _OPERATIONS.index(name)).nonzero().flatten().to(pictures.device)
        if len(chosen):
            changed[chosen] = colour(pictures[chosen], amount[chosen])
    return changed.clamp_(0, 255)
