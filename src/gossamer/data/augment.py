"""Augmentation of whole batches on the device they train on: one resampling for all geometry, then colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Augmentation", "View", "augment"]

View = Literal["ground", "aerial"]


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may be moved and recoloured.

    Ground pictures keep their up; aerial ones have none, so they turn by any quarter, mirror both ways and tilt more.
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
    erase: float = 0.25
    """Probability that a rectangle of up to a fifth of the area is blanked."""


def augment(
    pictures: Tensor, how: Augmentation, generator: torch.Generator, *, size: int | None = None
) -> Tensor:
    """New pictures (B, 3, H, W), float 0 to 255, from float pictures of the same shape; drawn from `generator`.

    With `size` they come out as (B, 3, size, size), resampled in the same step as they are moved.
    """
    moved = _move(pictures, how, generator, size)
    return _erase(_recolour(moved, how, generator), how, generator)


def _uniform(count: int, low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * (high - low) + low).to(like.device)


def _move(pictures: Tensor, how: Augmentation, generator: torch.Generator, size: int | None) -> Tensor:
    count = len(pictures)
    moves = (_uniform(count, 0, 1, pictures, generator) < how.move).float()
    angle = moves * _uniform(count, -how.degrees, how.degrees, pictures, generator) * (math.pi / 180)
    mirror = _uniform(count, 0, 1, pictures, generator).lt(0.5).float() * 2 - 1
    if how.view == "aerial":
        angle = angle + torch.floor(_uniform(count, 0, 4, pictures, generator)) * (math.pi / 2)
    scale = 1 + moves * (_uniform(count, *how.scale, pictures, generator) - 1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift_x = moves * _uniform(count, -how.shift, how.shift, pictures, generator)
    shift_y = moves * _uniform(count, -how.shift, how.shift, pictures, generator)
    theta = torch.stack(
        [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)], 1
    )
    shape = list(pictures.shape) if size is None else [*pictures.shape[:2], size, size]
    grid = F.affine_grid(theta, shape, align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _recolour(pictures: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(pictures)
    shape = (count, 1, 1, 1)
    bright = _uniform(count, 1 - how.brightness, 1 + how.brightness, pictures, generator).view(shape)
    contrast = _uniform(count, 1 - how.contrast, 1 + how.contrast, pictures, generator).view(shape)
    saturation = _uniform(count, 1 - how.saturation, 1 + how.saturation, pictures, generator).view(shape)
    grey = pictures.mean(1, keepdim=True)
    level = grey.mean((2, 3), keepdim=True)
    coloured = grey + (pictures - grey) * saturation
    return (((coloured - level) * contrast + level) * bright).clamp_(0, 255)


def _erase(pictures: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    if how.erase <= 0:
        return pictures
    count, _, height, width = pictures.shape
    area = _uniform(count, 0.02, 0.2, pictures, generator)
    ratio = torch.exp(_uniform(count, -0.8, 0.8, pictures, generator))
    half_h, half_w = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2
    centre_y, centre_x = (
        _uniform(count, 0, 1, pictures, generator),
        _uniform(count, 0, 1, pictures, generator),
    )
    chosen = _uniform(count, 0, 1, pictures, generator) < how.erase
    rows = (torch.arange(height, device=pictures.device) + 0.5) / height
    columns = (torch.arange(width, device=pictures.device) + 0.5) / width
    inside_y = (rows[None] - centre_y[:, None]).abs() < half_h[:, None]
    inside_x = (columns[None] - centre_x[:, None]).abs() < half_w[:, None]
    blank = (inside_y[:, :, None] & inside_x[:, None, :] & chosen[:, None, None])[:, None]
    fill = pictures.mean((2, 3), keepdim=True)
    return torch.where(blank, fill, pictures)
