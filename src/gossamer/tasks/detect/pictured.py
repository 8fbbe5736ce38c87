"""A picture with what is said of it against what is there, for the page of a report: boxes too much, missed and misnamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gossamer.tasks.detect.answer import rows_of
from gossamer.tasks.detect.draw import drawn
from gossamer.tasks.detect.score import compared, real_rows
from gossamer.tasks.detect.suppress import SAID, detections

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["pictured"]

_DASH = 6
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def pictured(
    image: Image.Image, answers: NDArray[np.float32], target: NDArray[Any], labels: Sequence[str]
) -> Image.Image:
    """A copy of the network's input with the boxes that are said, and those that are missed dashed in white."""
    from PIL import ImageDraw

    said, truth = detections(answers, SAID), real_rows(target)
    copy = drawn(image, rows_of(said, labels), labels)
    factor = copy.width // image.width
    pen = ImageDraw.Draw(copy)
    missed = compared(said, truth).missed_places
    for left, top, right, bottom in truth[truth[:, 6] == 0][missed, 1:5] * factor:
        for x in np.arange(left, right, 2 * _DASH):
            for y in (top, bottom):
                _stroke(pen, (x, y, min(x + _DASH, right), y))
        for y in np.arange(top, bottom, 2 * _DASH):
            for x in (left, right):
                _stroke(pen, (x, y, x, min(y + _DASH, bottom)))
    return copy


def _stroke(pen: Any, line: tuple[float, float, float, float]) -> None:
    pen.line(line, fill=_BLACK, width=4)
    pen.line(line, fill=_WHITE, width=2)
