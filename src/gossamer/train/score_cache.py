"""Teacher scores kept in a file by step: a second student, or a resumed run, needs no forward of the teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer._files import atomic_path, folder_error, write_bytes, write_json
from gossamer.errors import RunFolderError

__all__ = ["ScoreCache", "make_room"]

_BLOCK = 1 << 22
_LARGEST = float(np.finfo(np.float16).max)


def make_room(folder: Path, *, most_bytes: int = 4_000_000_000) -> None:
    """Remove what was used longest ago until the folder's files take at most `most_bytes`."""
    files = sorted(
        (f for f in folder.glob("*") if f.is_file()), key=lambda f: f.stat().st_mtime, reverse=True
    )
    kept = 0
    for file in files:
        kept += file.stat().st_size
        if kept > most_bytes:
            file.unlink(missing_ok=True)


class ScoreCache:
    """Scores (steps, batch, width) in float16, for pictures that are a function of step and place.

    `path` holds them, NaN where there are none yet; `path`.done a byte for each row, set after the row is written, so
    that a kill between the two leaves a row unused; `path`.json what they are of. `key` names teacher, recipe, seed and
    data: with another key, another shape or a damaged file the cache starts anew. Where it would be larger than
    `most_bytes`, or cannot be written, nothing is kept and `note` says so.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        steps: int,
        batch: int,
        width: int,
        key: str,
        most_bytes: int = 2_000_000_000,
    ) -> None:
        self.note = ""
        self._maps: tuple[NDArray[np.float16], NDArray[np.uint8]] | None = None
        rows = steps * batch
        size = rows * (2 * width + 1)
        if size > most_bytes:
            self.note = (
                f"teacher scores are not kept: {steps} steps of {batch} pictures take {size / 1e9:.2f} GB, "
                f"at most {most_bytes / 1e9:.2f} GB are allowed"
            )
            return
        scores, done, about = (Path(f"{path}{suffix}") for suffix in ("", ".done", ".json"))
        head = {"key": key, "steps": steps, "batch": batch, "width": width}
        try:
            if not (_reads(about, head) and _sizes(scores, done) == (2 * rows * width, rows)):
                about.unlink(missing_ok=True)
                _fill_with_nan(scores, 2 * rows * width)
                write_bytes(done, bytes(rows))
                write_json(about, head)
            self._maps = (
                np.memmap(scores, np.float16, "r+", shape=(steps, batch, width)),
                np.memmap(done, np.uint8, "r+", shape=(steps, batch)),
            )
        except (RunFolderError, OSError) as error:
            reason = folder_error(error, scores) if isinstance(error, OSError) else error
            self.note = f"teacher scores are not kept: {reason}"

    def read(self, step: int, start: int, count: int) -> NDArray[np.float32] | None:
        """Scores (count, width) of a step's pictures from `start` on, None unless all are there."""
        rows = self._rows(step, start, count)
        if rows is None:
            return None
        scores, done = rows
        if not done.all() or np.isnan(scores).any():
            return None
        return scores.astype(np.float32)

    def write(self, step: int, start: int, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keep scores (count, width), and give them as `read` will: a resumed run then sees the same ones."""
        rows = self._rows(step, start, len(scores))
        if rows is None:
            return scores
        kept, done = rows
        kept[:] = np.clip(scores, -_LARGEST, _LARGEST)
        done[:] = 1
        return kept.astype(np.float32)

    def _rows(
        self, step: int, start: int, count: int
    ) -> tuple[NDArray[np.float16], NDArray[np.uint8]] | None:
        if self._maps is None:
            return None
        scores, done = self._maps
        if step >= len(done) or start + count > done.shape[1]:
            return None
        return scores[step, start : start + count], done[step, start : start + count]


def _reads(about: Path, head: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(about.read_bytes()) == head)
    except (OSError, ValueError):
        return False


def _sizes(*paths: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_size if path.is_file() else -1 for path in paths)


def _fill_with_nan(path: Path, size: int) -> None:
    """Written, not mapped: a full disk is then an error here and not a signal at a later step."""
    block = np.full(_BLOCK // 2, np.nan, np.float16).tobytes()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(block[: min(_BLOCK, size - start)])
