"""Occlusion finds the place that an answer hangs on."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from gossamer.deploy.contract import InputContract
from gossamer.runs.saliency import GRID, Occlusion, lost_shares
from gossamer.tasks import get_task

CONTRACT = InputContract.of("imagenet", 70)


class _Corner:
    """A file that looks at the upper right corner alone."""

    def __init__(self):
        self.runs = 0

    def run(self, batch):
        self.runs += 1
        bright = float(batch[0, :, :10, 60:].mean() - batch.mean())
        return (np.array([[bright, -bright]], np.float32),)


@pytest.fixture
def picture():
    raw = np.full((70, 70, 3), 60, np.uint8)
    raw[:10, 60:] = 250
    return CONTRACT.normalise(raw[None])


def test_the_share_falls_where_the_file_looks(picture):
    file = _Corner()
    lost = lost_shares(file, get_task("classify"), picture)
    assert lost.shape == (GRID, GRID)
    assert file.runs == GRID * GRID + 1
    assert np.unravel_index(lost.argmax(), lost.shape) == (0, GRID - 1)
    assert lost.max() > 0.2
    assert np.abs(lost[2:, : GRID - 2]).max() < 0.02


def test_a_task_without_shares_has_no_such_picture(picture):
    assert lost_shares(_Corner(), get_task("regress"), picture) is None
    occlusion = Occlusion(_Corner(), CONTRACT, get_task("regress"), temperature=1.0, seconds=60)
    assert occlusion.picture(picture, 64) == ""


def test_the_picture_is_bright_there_and_dark_elsewhere(picture):
    occlusion = Occlusion(_Corner(), CONTRACT, get_task("classify"), temperature=1.0, seconds=60)
    with Image.open(io.BytesIO(base64.b64decode(occlusion.picture(picture, 70)))) as image:
        seen = np.asarray(image).astype(float)
    assert seen[2:6, 64:68].mean() > 200
    assert seen[50:60, 10:30].mean() < 30


def test_when_the_seconds_are_spent_nothing_is_asked(picture):
    file = _Corner()
    occlusion = Occlusion(file, CONTRACT, get_task("classify"), temperature=1.0, seconds=-1)
    assert (occlusion.picture(picture, 64), file.runs) == ("", 0)
