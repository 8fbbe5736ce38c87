"""From a picture of any size to a network's input, and back: one table of rules, each of which gives its transform.

Places are in pixels, x to the right and y down, the corner of the first pixel at 0, 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["FITS", "GREY", "Fit", "Transform", "fit_picture", "fit_values", "transform_of"]

GREY = 114
"""Of bytes, what stands beside a letterboxed picture; of other values the mean of the band."""

Places = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """Where places of a picture land in a network's input: x * scale_x + shift_x, and y alike."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def points_to_input(self, points_xy: Places) -> Places:
        """Places (..., 2) in the picture as places in the input."""
        return np.asarray(points_xy, np.float64) * self._scale + self._shift

    def points_to_picture(self, points_xy: Places) -> Places:
        """Places (..., 2) in the input as places in the picture."""
        return (np.asarray(points_xy, np.float64) - self._shift) / self._scale

    def boxes_to_input(self, boxes_xyxy: Places) -> Places:
        """Boxes (N, 4) of the picture in the input; what lies outside stays outside."""
        return self.points_to_input(np.asarray(boxes_xyxy, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)

    def boxes_to_picture(self, boxes_xyxy: Places) -> Places:
        """Boxes (N, 4) of the input in the picture."""
        return self.points_to_picture(np.asarray(boxes_xyxy, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)

    @property
    def _scale(self) -> Places:
        return np.array([self.scale_x, self.scale_y])

    @property
    def _shift(self) -> Places:
        return np.array([self.shift_x, self.shift_y])


class Fit(NamedTuple):
    """What a rule does: the part of the picture that is taken, and the part of the input that it fills."""

    taken: tuple[float, float, float, float]
    """Left, top, right, bottom in the picture."""
    filled: tuple[int, int, int, int]
    """Left, top, right, bottom in the input."""

    @property
    def transform(self) -> Transform:
        """Where places land."""
        left, top, right, bottom = self.taken
        x, y, x_end, y_end = self.filled
        scale_x, scale_y = (x_end - x) / (right - left), (y_end - y) / (bottom - top)
        return Transform(scale_x, scale_y, x - left * scale_x, y - top * scale_y)


def _centre_crop(picture: Size, size: Size) -> Fit:
    """The middle of the picture, as much of it as has the input's shape."""
    height, width = float(picture.height), float(picture.width)
    if width * size.height > height * size.width:
        width = height * size.width / size.height
    else:
        height = width * size.height / size.width
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return Fit((left, top, left + width, top + height), (0, 0, size.width, size.height))


def _squash(picture: Size, size: Size) -> Fit:
    """The whole picture, its sides scaled each by itself."""
    return Fit((0.0, 0.0, float(picture.width), float(picture.height)), (0, 0, size.width, size.height))


def _letterbox(picture: Size, size: Size) -> Fit:
    """The whole picture in its own shape, in the middle, grey beside it."""
    scale = min(size.width / picture.width, size.height / picture.height)
    width = min(size.width, max(1, round(picture.width * scale)))
    height = min(size.height, max(1, round(picture.height * scale)))
    left, top = (size.width - width) // 2, (size.height - height) // 2
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    return Fit(whole, (left, top, left + width, top + height))


def _as_it_is(picture: Size, size: Size) -> Fit:
    """The picture has the input's size already."""
    if picture != size:
        raise DataError(
            f"the resize rule none takes pictures of {size} pixels as they are, got {picture}; cut or scale it before"
        )
    return Fit((0.0, 0.0, float(size.width), float(size.height)), (0, 0, size.width, size.height))


FITS: Mapping[str, Callable[[Size, Size], Fit]] = {
    "short-side-centre-crop": _centre_crop,
    "squash": _squash,
    "letterbox": _letterbox,
    "none": _as_it_is,
}
"""Name in a contract -> (size of the picture, size of the input) -> what it does."""


def transform_of(rule: str, picture: Size, size: Size) -> Transform:
    """Where places of a picture of that size land in an input of `size` by a rule of the table."""
    return FITS[rule](picture, size).transform


def fit_picture(image: Image.Image, size: Size, rule: str = "short-side-centre-crop") -> Image.Image:
    """A picture (RGB or one plane) as an input of that size, by a rule of the table.

    Raises:
        DataError: the rule is `none` and the picture has another size.
    """
    fit = FITS[rule](Size(image.height, image.width), size)
    left, top, right, bottom = fit.filled
    scaled = image.resize(
        (right - left, bottom - top), Image.Resampling.BICUBIC, box=fit.taken, reducing_gap=3.0
    )
    if scaled.size == (size.width, size.height):
        return scaled
    beside = float(np.asarray(image).mean()) if image.mode == "F" else GREY
    whole = Image.new(
        image.mode, (size.width, size.height), beside if image.mode in ("F", "L") else (GREY,) * 3
    )
    whole.paste(scaled, (left, top))
    return whole


def fit_values(
    values: NDArray[np.float32], size: Size, rule: str = "short-side-centre-crop"
) -> NDArray[np.float32]:
    """Values (H, W, bands) as an input (height, width, bands), band by band as `fit_picture` does."""
    bands = [
        np.asarray(fit_picture(Image.fromarray(plane), size, rule)) for plane in np.moveaxis(values, 2, 0)
    ]
    return np.stack(bands, 2)
