"""Films: animated pictures through Pillow, video files through PyAV; read and written frame by frame, never as a whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from PIL import GifImagePlugin, Image

from gossamer._files import atomic_path
from gossamer.data.pictures import FORMATS, check_file, probe, rgb_of
from gossamer.errors import DataError, MissingExtraError
from gossamer.types import Size

__all__ = ["FILMS", "WRITTEN", "Film", "Shot", "is_animated", "is_film", "open_film", "written_film"]

FILMS = frozenset(
    [".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"]
)
"""Suffixes of what PyAV reads."""
_ANIMATED = frozenset([".apng", ".gif", ".png", ".tif", ".tiff", ".webp", ".avif", ".avifs"])
_USUAL_RATE = 25.0
_FAST = {"preset": "veryfast", "crf": "20"}
"""For x264, which takes as long as many a network by itself."""
_GIF_HEAD = b"\x70\x00\x00\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
"""Colours of 8 bits, no table for all frames, endless repetition."""


class Shot(NamedTuple):
    """One frame."""

    number: int
    """From 0, of all frames of the film."""
    seconds: float | None
    """Since its beginning; None where frames have no time: pages of a TIFF."""
    image: Image.Image
    """8-bit RGB, upright."""


class Film(NamedTuple):
    """A film that is being read."""

    frames: int | None
    """How many, where the file tells."""
    rate: float
    """Frames a second."""
    shots: Iterator[Shot]


def is_film(path: Path) -> bool:
    """Whether the name is that of a video file."""
    return path.suffix.lower() in FILMS


def is_animated(path: Path) -> bool:
    """Whether it is a picture of several frames or pages.

    Raises:
        DataError: as `gossamer.data.pictures.probe`.
    """
    return path.suffix.lower() in _ANIMATED and probe(path).frames > 1


@contextlib.contextmanager
def open_film(path: Path, every: int = 1) -> Iterator[Film]:
    """Every nth frame of a film, decoded as it is asked for; what fails in the middle is a DataError from `shots`.

    Raises:
        DataError: it cannot be read, or has no picture in it.
        MissingExtraError: it is a video file, and PyAV is not installed.
    """
    check_file(path)
    with (_video if is_film(path) else _pages)(path, every) as film:
        yield film


@contextlib.contextmanager
def _pages(path: Path, every: int) -> Iterator[Film]:
    frames = probe(path).frames
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        first = image.info.get("duration")
        rate = 1000.0 / float(first) if first else _USUAL_RATE

        def shots() -> Iterator[Shot]:
            seconds = 0.0
            for number in range(frames):
                try:
                    image.seek(number)
                    shown = rgb_of(image) if number % every == 0 else None
                    duration = image.info.get("duration")
                except Exception as error:  # damaged bytes make Pillow raise whatever it meets
                    raise _damaged(path, number, error) from error
                if shown is not None:
                    yield Shot(number, None if duration is None else seconds, shown)
                seconds += float(duration or 0) / 1000

        yield Film(frames, min(rate, 240.0), shots())


@contextlib.contextmanager
def _video(path: Path, every: int) -> Iterator[Film]:
    av = _av(f"reading {path}")
    try:
        container = av.open(str(path))
    except (OSError, ValueError) as error:  # what av makes of errors of FFmpeg
        raise DataError(
            f"{path} is no film that can be read ({_reason(error)}); replace or remove it"
        ) from error
    with container:
        if not container.streams.video:
            raise DataError(f"a film has pictures, {path} has none; give another file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"

        def shots() -> Iterator[Shot]:
            number = 0
            try:
                for frame in container.decode(stream):
                    if number % every == 0:
                        image = frame.to_image()
                        turned = round(frame.rotation) % 360
                        image = image.rotate(turned, expand=True) if turned else image
                        yield Shot(number, None if frame.time is None else float(frame.time), image)
                    number += 1
            except (OSError, ValueError) as error:
                raise _damaged(path, number, error) from error

        rate = float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
        yield Film(stream.frames or None, rate, shots())


def _damaged(path: Path, number: int, error: Exception) -> DataError:
    return DataError(
        f"a film must decode whole, {path} does not after {number} frames ({_reason(error)}); replace it"
    )


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:150]


def _av(purpose: str) -> Any:
    try:
        import av
        import av.logging
    except ImportError as error:
        raise MissingExtraError(purpose, "av", "video") from error
    av.logging.set_level(av.logging.PANIC)
    return av


@contextlib.contextmanager
def written_film(path: Path, rate: float) -> Iterator[Callable[[Image.Image, float | None], None]]:
    """What takes the frames (RGB, of one size) of a new film, in order, each with its seconds; the file is there at the end.

    Raises:
        DataError: the name is none of a film that can be written.
        MissingExtraError: it is a video file, and PyAV is not installed.
        RunFolderError: it cannot be written.
    """
    writer = WRITTEN.get(path.suffix.lower())
    if writer is None:
        raise DataError(f"a film is written as {' or '.join(WRITTEN)}, got {path}; give such a name")
    with atomic_path(path) as temporary, writer(temporary, rate) as add:
        yield add


@contextlib.contextmanager
def _gif(path: Path, rate: float) -> Iterator[Callable[[Image.Image, float | None], None]]:
    size: list[Size] = []
    with path.open("wb") as file:

        def add(image: Image.Image, seconds: float | None) -> None:
            if not size:
                size.append(Size(image.height, image.width))
                sides = image.width.to_bytes(2, "little") + image.height.to_bytes(2, "little")
                file.write(b"GIF89a" + sides + _GIF_HEAD)
            frame = image.quantize(256)
            duration = max(20, round(1000 / rate / 10) * 10)
            for block in GifImagePlugin.getdata(frame, duration=duration, include_color_table=True):
                file.write(block)

        yield add
        file.write(b";")


@contextlib.contextmanager
def _mp4(path: Path, rate: float) -> Iterator[Callable[[Image.Image, float | None], None]]:
    av = _av(f"writing {path}")
    codec = next(name for name in ("libx264", "mpeg4") if name in av.codecs_available)
    streams: list[Any] = []
    clock = Fraction(1, 90_000)
    last = [-round(90_000 / rate)]
    with av.open(str(path), "w", format="mp4") as container:

        def add(image: Image.Image, seconds: float | None) -> None:
            if not streams:
                stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
                stream.width, stream.height = image.width + image.width % 2, image.height + image.height % 2
                stream.pix_fmt = "yuv420p"
                if codec == "libx264":
                    stream.options = dict(_FAST)
                stream.codec_context.time_base = clock
                streams.append(stream)
            (stream,) = streams
            even = Image.new("RGB", (stream.width, stream.height))
            even.paste(image)
            frame = av.VideoFrame.from_image(even)
            wanted = last[0] + round(90_000 / rate) if seconds is None else round(seconds * 90_000)
            last[0] = max(last[0] + 1, wanted)
            frame.pts, frame.time_base = last[0], clock
            container.mux(stream.encode(frame))

        yield add
        for stream in streams:
            container.mux(stream.encode())


WRITTEN: dict[
    str,
    Callable[[Path, float], contextlib.AbstractContextManager[Callable[[Image.Image, float | None], None]]],
] = {
    ".gif": _gif,
    ".mp4": _mp4,
}
"""Suffix -> what writes such a film."""
