"""Where a file looks: the share of its answer that is lost when a place of the picture is hidden.

Occlusion, Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, arXiv 1311.2901,
section 4.2: it asks the exported file alone, so that every runtime and precision has it.
"""

from __future__ import annotations

import base64
import io
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.bands import RGB, view_of_values
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.parts import Session
from gossamer.deploy.temperature import cooled
from gossamer.tasks import Task

__all__ = ["GRID", "Occlusion", "jpeg", "lost_shares", "view_of_input"]

GRID = 7
"""Places a side; each hides twice its own side, so that a thing on a border is hidden whole as well."""
_LEAST = 0.02
"""Shares lost that are nothing: where no place matters more, no place is shown to matter."""
_DIM = 0.3
"""What is left of the light of a place that does not matter."""


def lost_shares(
    session: Session, task: Task, picture: NDArray[np.float32], *, temperature: float = 1.0
) -> NDArray[np.float64] | None:
    """What the best label's share loses, (GRID, GRID), when a place of the input (1, bands, H, W) shows its mean.

    None where the task has no shares. The file is asked 50 times.
    """
    shares = task.shares(cooled(session.run(picture), temperature))
    if shares is None:
        return None
    label, whole = int(shares[0].argmax()), float(shares[0].max())
    mean = picture.mean((2, 3), keepdims=True)
    rows, columns = (_places(side) for side in picture.shape[2:])
    lost = np.zeros((GRID, GRID))
    for i, (top, below) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            hidden = picture.copy()
            hidden[:, :, top:below, left:right] = mean
            said = task.shares(cooled(session.run(hidden), temperature))
            lost[i, j] = whole - (whole if said is None else float(said[0, label]))
    return lost


def _places(side: int) -> list[tuple[int, int]]:
    """Where each place begins and ends along a side."""
    centres = (np.arange(GRID) + 0.5) * side / GRID
    return [
        (max(0, round(centre - side / GRID)), min(side, max(round(centre + side / GRID), 1)))
        for centre in centres
    ]


class Occlusion:
    """Makes pictures of where a file looks until its seconds are spent."""

    def __init__(
        self, session: Session, contract: InputContract, task: Task, *, temperature: float, seconds: float
    ) -> None:
        self._session, self._contract, self._task = session, contract, task
        self._temperature = temperature
        self._end = time.monotonic() + seconds

    def picture(self, taken: NDArray[np.float32], side: int) -> str:
        """The input (1, bands, H, W), dark where hiding it changes little, as a JPEG in base64; empty where there is none."""
        if time.monotonic() > self._end:
            return ""
        lost = lost_shares(self._session, self._task, taken, temperature=self._temperature)
        if lost is None:
            return ""
        view = view_of_input(taken, self._contract)
        light = np.clip(lost / max(float(lost.max()), _LEAST), 0, 1)
        small = Image.fromarray(light.astype(np.float32)).resize(view.size, Image.Resampling.BICUBIC)
        seen = np.asarray(view) * (_DIM + (1 - _DIM) * np.clip(np.asarray(small), 0, 1)[:, :, None])
        return jpeg(Image.fromarray(np.round(seen).astype(np.uint8)), side)


def view_of_input(taken: NDArray[np.float32], contract: InputContract) -> Image.Image:
    """What the network sees, for a person."""
    mean, std = np.asarray(contract.mean, np.float32), np.asarray(contract.std, np.float32)
    raw = (taken[0].transpose(1, 2, 0) * std + mean - np.float32(contract.offset)) / np.float32(
        contract.scale
    )
    if contract.bands != RGB:
        return view_of_values(raw, contract.bands)
    return Image.fromarray(np.clip(np.round(raw), 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, side: int) -> str:
    """A small picture of at most that side, as a JPEG in base64."""
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
