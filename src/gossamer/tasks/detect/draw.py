"""Boxes drawn into a picture: one colour a class, label and score on a plate, legible on any background."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["colour_of", "drawn"]

Colour = tuple[int, int, int]
_GOLDEN = 0.618034
_LEGIBLE = 400
"""Short side below which a picture is enlarged: a label would cover what it names."""
_MOST = 4


def colour_of(place: int) -> Colour:
    """Of the label at that place: neighbours are far apart on the circle of hues."""
    hue = (0.02 + place * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.9 if place % 2 == 0 else 0.65, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def drawn(
    image: Image.Image,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    *,
    enlarge: bool = True,
) -> Image.Image:
    """A copy with every row's box, the best on top; a small picture comes enlarged by a whole number."""
    from PIL import Image, ImageDraw, ImageFont

    factor = min(_MOST, max(1, -(-_LEGIBLE // min(image.size)))) if enlarge else 1
    size = (image.width * factor, image.height * factor)
    copy = image.convert("RGB")
    copy = copy.resize(size, Image.Resampling.BICUBIC) if factor > 1 else copy.copy()
    short = min(size)
    width = max(2, round(short / 250))
    font = ImageFont.load_default(max(11, round(short / 36)))
    pen = ImageDraw.Draw(copy)
    for row in sorted(rows, key=lambda each: float(each["score"])):
        colour = colour_of(labels.index(row["label"]))
        box = [factor * side for side in row["box"]]
        _frame(pen, box, colour, width)
        _plate(pen, box, words(row), colour, font, size)
    return copy


def words(row: Mapping[str, Any]) -> str:
    """`ship #7 0.93`: label, id where it has one, score."""
    number = f" #{row['id']}" if "id" in row else ""
    return f"{row['label']}{number} {row['score']:.2f}"


def _frame(pen: Any, box: Sequence[float], colour: Colour, width: int) -> None:
    """A line between two thin dark ones, so that it is seen on its own colour too."""
    left, top, right, bottom = box
    for grow, each, ink in ((1, width + 2, (0, 0, 0)), (0, width, colour)):
        pen.rectangle(
            (left - grow, top - grow, max(left, right) + grow, max(top, bottom) + grow),
            outline=ink,
            width=each,
        )


def _plate(
    pen: Any, box: Sequence[float], text: str, colour: Colour, font: Any, size: tuple[int, int]
) -> None:
    """Above the box, inside where there is no room, never over the picture's edge."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    wide, high = right - left + 6, bottom - top + 4
    x = min(max(0.0, box[0] - 1), max(0.0, size[0] - wide))
    y = box[1] - high if box[1] >= high else min(box[1], max(0.0, size[1] - high))
    pen.rectangle((x, y, x + wide, y + high), fill=colour, outline=(0, 0, 0))
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    pen.text((x + 3 - left, y + 2 - top), text, font=font, fill=(0, 0, 0) if light > 110 else (255, 255, 255))
