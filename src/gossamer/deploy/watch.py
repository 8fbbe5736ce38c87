"""What is said of a film: frame by frame into files that hold no more than one frame in memory, with the rate it took."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gossamer._files import atomic_path
from gossamer.deploy.asked import Asked, places_of, restricted
from gossamer.deploy.films import WRITTEN, Film, Shot, open_film, written_film
from gossamer.deploy.predict import Predictor
from gossamer.deploy.tables import ROWS, write_rows
from gossamer.errors import BundleError, DataError
from gossamer.tasks import Answer
from gossamer.tasks.places import Follower

__all__ = ["REAL_TIME", "Watched", "Watching", "watch"]

REAL_TIME = 30
"""Frames a second."""
_TRACKED_FROM = 0.1
"""Score that a thing needs to go on a track."""
_KINDS = (".csv", ".json", ".jsonl")

OnFrame = Callable[[int, int | None, float], None]
"""Frames that are done, of how many where that is told, and frames a second so far."""
Take = Callable[[Shot, Answer], None]


@dataclass(frozen=True)
class Watching:
    """What is done with a film."""

    asked: Asked
    every: int = 1
    """Every nth frame is looked at."""
    track: bool = False
    """Whether things are known again from frame to frame."""
    out: Path | None = None
    rows: str = ROWS[0]
    draw: Path | None = None
    """A film of the drawn frames, or a folder for them."""

    def check(self, predictor: Predictor) -> None:
        """Raises BundleError: what is asked for needs another model, another name, or no film."""
        for asked, option in ((self.track, "--track"), (self.draw is not None, "--draw")):
            if asked:
                places_of(predictor, option)
        if self.out is not None and (self.out.suffix not in _KINDS or self.out.name.endswith(".coco.json")):
            raise BundleError(f"--out of a film is a {', '.join(_KINDS)} file, got {self.out}")
        if self.asked.tiling is not None:
            raise BundleError(
                "--tile is for pictures, got a film; leave it out, or cut the frames into files first"
            )
        if self.asked.regions is not None and self.asked.regions.crs is not None:
            raise BundleError(
                "regions of a coordinate system are for rasters, got a film; give them in its pixels"
            )


@dataclass
class Watched:
    """What was done."""

    file: Path
    frames: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    """Of different things by label, where they were followed."""
    error: str | None = None
    """Why it ended before the film did."""

    @property
    def rate(self) -> float:
        """Frames a second, everything included."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def network_rate(self) -> float:
        """Frames a second that the network alone would take."""
        return self.frames / self.network_seconds if self.network_seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {
            "file": str(self.file),
            "frames_seen": self.frames,
            "seconds": round(self.seconds, 3),
            "frames_a_second": round(self.rate, 2),
            "network_frames_a_second": round(self.network_rate, 2),
            **({"different": self.counts} if self.counts else {}),
            "error": self.error,
        }

    def __str__(self) -> str:
        """For a person."""
        said = (
            f"{self.frames} frames in {self.seconds:.1f} s: {self.rate:.1f} frames a second, network alone "
            f"{self.network_rate:.1f}; real time is {REAL_TIME}"
        )
        different = ", ".join(f"{count} {label}" for label, count in self.counts.items() if count)
        return f"{said}; different things: {different}" if different else said


def watch(
    predictor: Predictor, file: Path, watching: Watching, *, on_frame: OnFrame | None = None
) -> Watched:
    """Look at a film; of one that is damaged in the middle what was seen before is kept, and `error` says so.

    Raises:
        BundleError: as `Watching.check`.
        DataError: it cannot be opened, or has no frame.
        MissingExtraError: PyAV is needed and not installed.
        RunFolderError: an output cannot be written.
    """
    watching.check(predictor)
    labels = predictor.labels
    follower = None
    if watching.track:
        follower = places_of(predictor, "--track").follower(labels, watching.asked.threshold)
    watched = Watched(file)
    start, before = time.perf_counter(), predictor.network_seconds
    with open_film(file, watching.every) as film, contextlib.ExitStack() as stack:
        takers = list(_takers(stack, predictor, film, watched, watching))
        total = None if film.frames is None else -(-film.frames // watching.every)
        try:
            for shot in film.shots:
                answer = _said(predictor, shot, watching, follower)
                for take in takers:
                    take(shot, answer)
                watched.frames += 1
                watched.seconds = time.perf_counter() - start
                watched.network_seconds = predictor.network_seconds - before
                if on_frame is not None:
                    on_frame(watched.frames, total, watched.rate)
        except DataError as error:
            watched.error = str(error)
        if not watched.frames:
            raise DataError(watched.error or f"a film has frames, {file} has none; replace it")
        if follower is not None:
            watched.counts = dict(follower.counts)
    return watched


def _said(predictor: Predictor, shot: Shot, watching: Watching, follower: Follower | None) -> Answer:
    """Of one frame; what is followed needs the unsure things too."""
    asked = watching.asked
    threshold = asked.threshold
    if follower is not None:
        threshold = min(_TRACKED_FROM, 1.0 if threshold is None else threshold)
    prediction = predictor.predict(shot.image, top=asked.top, threshold=threshold)
    if prediction.answer is None:
        raise DataError(prediction.error or "a frame cannot be read")
    answer = prediction.answer if follower is None else follower.update(prediction.answer)
    if asked.regions is None:
        return answer
    return restricted(predictor, answer, asked.regions.regions, asked.rule)


def _takers(
    stack: contextlib.ExitStack, predictor: Predictor, film: Film, watched: Watched, watching: Watching
) -> Iterator[Take]:
    """What takes each frame and its answer; files are whole when the stack closes, unless an exception does it."""
    if watching.out is not None:
        kind = watching.out.suffix
        temporary = stack.enter_context(atomic_path(watching.out))
        file = stack.enter_context(
            temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace")
        )
        if kind == ".csv":
            yield _table(file, predictor, watched, watching)
        else:
            yield stack.enter_context(_documents(file, watched, whole=kind == ".json"))
    if watching.draw is None:
        return
    places, labels = places_of(predictor, "--draw"), predictor.labels
    if watching.draw.suffix.lower() in WRITTEN:
        add = stack.enter_context(written_film(watching.draw, film.rate / watching.every))
        yield lambda shot, answer: add(places.drawn(shot.image, answer, labels, enlarge=False), shot.seconds)
        return
    folder, stem = watching.draw, watched.file.stem

    def save(shot: Shot, answer: Answer) -> None:
        with atomic_path(folder / f"{stem}-{shot.number:06d}.png") as path:
            places.drawn(shot.image, answer, labels).save(path)

    yield save


@contextlib.contextmanager
def _documents(file: Any, watched: Watched, *, whole: bool) -> Iterator[Take]:
    """Frames as lines of JSON, or as one document that ends with the summary."""
    first = True

    def add(shot: Shot, answer: Answer) -> None:
        nonlocal first
        document = {"frame": shot.number, "seconds": _seconds(shot), **answer.document}
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        file.write((("" if first else ",\n") if whole else "") + text + ("" if whole else "\n"))
        first = False

    if whole:
        file.write('{"frames": [\n')
    yield add
    if whole:
        summary = json.dumps(watched.to_json(), ensure_ascii=False, allow_nan=False)
        file.write("\n],\n" + summary[1:] + "\n")


def _table(file: Any, predictor: Predictor, watched: Watched, watching: Watching) -> Take:
    """Rows of frames, or of things in them, written as they come."""
    things = watching.rows != ROWS[0]
    regions = () if watching.asked.regions is None else watching.asked.regions.regions
    columns: Sequence[str] = predictor.columns(watching.asked.top)
    if things:
        places = places_of(predictor, "--rows")
        more = (*(["id"] if watching.track else []), *(["regions"] if regions else []))
        columns = (*places.columns, *more)
    elif regions:
        columns = tuple(restricted(predictor, predictor.blank(), regions, watching.asked.rule).row)
    head = ["file", "frame", "seconds", *columns]
    write_rows(file, head, ())

    def add(shot: Shot, answer: Answer) -> None:
        rows = places_of(predictor, "--rows").rows(answer) if things else [answer.row]
        place = {"file": watched.file, "frame": shot.number, "seconds": _seconds(shot)}
        write_rows(file, head, [{**place, **row} for row in rows], named=False)

    return add


def _seconds(shot: Shot) -> float | None:
    return None if shot.seconds is None else round(shot.seconds, 4)
