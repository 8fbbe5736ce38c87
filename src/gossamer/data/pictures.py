"""Reading one picture, the same way for the data doctor, training and prediction (Pillow and numpy, no torch)."""

from __future__ import annotations

import contextlib
import functools
import stat
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gossamer.data.ranges import Levels, ValueRange, levels_of, range_of, to_bytes
from gossamer.errors import DataError
from gossamer.types import Size

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "Picture",
    "Probe",
    "check_file",
    "is_picture",
    "open_rgb",
    "probe",
    "read_picture",
    "rgb_of",
    "shown_size",
]

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
"""Pillow's names of what is opened; anything else is no picture, whatever its name says."""
PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".avif",
        ".avifs",
        ".npy",
    ]
)
"""Those of the formats, and of arrays."""
MAX_PIXELS = 89_478_485
"""Above this a header is not believed: Pillow's own bound, a quarter of a gigabyte of RGB."""
_WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I", "F"})
_LOW_BYTES = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
"""Pillow reads 16 bits of a colour as their high byte; taken in the other order, the same decoder gives the low one."""
_PAPER = (255, 255, 255)
_STRIP_PIXELS = 1 << 20
_SAMPLED_PIXELS = 1 << 22
_ORIENTATION = 0x0112
"""EXIF tag; 5 to 8 are turned by a quarter."""


class Probe(NamedTuple):
    """What a picture's header says."""

    size: Size
    mode: str
    frames: int
    format: str
    wide: bool = False
    """More than 8 bits a band."""

    @property
    def bands(self) -> int:
        return len(Image.new(self.mode, (1, 1)).getbands())


class Picture(NamedTuple):
    """The first frame of a picture, upright."""

    image: Image.Image
    """8-bit RGB."""
    header: Probe
    hidden: float = 0.0
    """Share of pixels that are not wholly opaque."""
    levels: Levels | None = None
    """Of its own values, where it has more than 8 bits a band."""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture that is not hidden."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def check_file(path: Path) -> None:
    """That there is a file with bytes in it: opening a pipe would wait for ever.

    Raises:
        DataError: there is none, it is empty, or it is a folder, pipe, socket or device.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"no such picture: {path}; check the path") from error
    except OSError as error:
        raise DataError(f"cannot open {path}: {error.strerror or error}; replace or remove it") from error
    if not stat.S_ISREG(status.st_mode):
        what = "directory" if stat.S_ISDIR(status.st_mode) else "pipe, socket or device"
        raise DataError(f"cannot open {path}: a picture is a file, this is a {what}; remove it")
    if status.st_size == 0:
        raise DataError(f"a picture must hold bytes, {path} is empty; replace or remove it")


def probe(path: Path) -> Probe:
    """Size, mode, frames and format from the header alone.

    Raises:
        DataError: missing, empty, not a picture, or a header that claims more than MAX_PIXELS.
    """
    with _opened(path) as image:
        return _probe(image, path)


def shown_size(path: Path) -> Size:
    """The size of a picture as it is shown, turned as its EXIF data say, from the header alone.

    Raises:
        DataError: as `probe`.
    """
    with _opened(path) as image:
        size = _probe(image, path).size
        try:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        except Exception as error:  # as in `read_picture`
            raise DataError(
                f"EXIF tags must be whole, those of {path} are not ({error}); replace or remove it"
            ) from error
    return Size(size.width, size.height) if turned else size


def open_rgb(path: Path, span: ValueRange | None = None) -> Image.Image:
    """The first frame of a picture as 8-bit RGB, turned upright by its EXIF tag.

    More than 8 bits are scaled to 8 by `span`, without one by what the picture itself holds. What is transparent shows
    white paper; CMYK and palettes are converted.

    Raises:
        DataError: as `probe`, or the pixels are truncated or damaged.
    """
    return read_picture(path, span).image


def rgb_of(image: Image.Image, span: ValueRange | None = None) -> Image.Image:
    """A picture in memory as `open_rgb` gives one of a file."""
    if image.mode in _WIDE_MODES:
        values = np.asarray(image)
        return Image.fromarray(to_bytes(values, span or range_of([levels_of(values)]))).convert("RGB")
    return _on_paper(ImageOps.exif_transpose(image))[0]


def read_picture(path: Path, span: ValueRange | None = None) -> Picture:
    """As `probe` and `open_rgb` in one, with what was lost on the way.

    Raises:
        DataError: as `open_rgb`.
    """
    with _opened(path) as image:
        header = _probe(image, path)
        try:
            if header.wide:
                return _narrowed(image, header, path, span)
            ImageOps.exif_transpose(image, in_place=True)
            shown, hidden = _on_paper(image)
            return Picture(shown, header, hidden)
        except (
            Exception
        ) as error:  # damaged bytes make Pillow raise whatever it meets, struct.error from EXIF too
            raise DataError(
                f"a picture must decode whole, {path} does not ({error}); replace or remove it"
            ) from error


def _probe(image: Image.Image, path: Path) -> Probe:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except (
        Exception
    ) as error:  # a damaged chain of frames makes Pillow raise whatever it meets, IndexError too
        raise DataError(
            f"a picture must decode whole, {path} does not ({error}); replace or remove it"
        ) from error
    wide = image.mode in _WIDE_MODES or _low_tiles(image) is not None
    return Probe(Size(image.height, image.width), image.mode, frames, image.format or "?", wide)


def _narrowed(image: Image.Image, header: Probe, path: Path, span: ValueRange | None) -> Picture:
    """A picture of more than 8 bits, strip by strip: its values are never there as a whole."""
    tiles = _low_tiles(image)
    with contextlib.ExitStack() as stack:
        low = None
        if tiles is not None:
            low = stack.enter_context(_opened(path))
            low.tile = tiles  # type: ignore[attr-defined]  # of an ImageFile
            ImageOps.exif_transpose(low, in_place=True)
        ImageOps.exif_transpose(image, in_place=True)
        width, height = image.size
        step = max(1, width * height // _SAMPLED_PIXELS)
        rows = [_values(image, low, top, top + 1) for top in range(0, height, step)]
        levels = levels_of(np.concatenate(rows))
        span = span or range_of([levels])
        shown = Image.new(image.mode if low is not None else "L", image.size)
        strip = max(1, _STRIP_PIXELS // width)
        for top in range(0, height, strip):
            below = min(height, top + strip)
            narrow = Image.fromarray(to_bytes(_values(image, low, top, below), span))
            if shown.mode == "RGBA":
                narrow.putalpha(image.crop((0, top, width, below)).getchannel("A"))
            shown.paste(narrow, (0, top))
    paper, hidden = _on_paper(shown)
    return Picture(paper, header, hidden, levels)


def _values(image: Image.Image, low: Image.Image | None, top: int, below: int) -> NDArray[Any]:
    """Some rows (H, W) or (H, W, 3), of high and low bytes where a picture gives both."""
    box = (0, top, image.width, below)
    values = np.asarray(image.crop(box))
    if low is None:
        return values
    whole: NDArray[Any] = values[:, :, :3].astype(np.uint16) << 8 | np.asarray(low.crop(box))[:, :, :3]
    return whole


def _low_tiles(image: Image.Image) -> list[Any] | None:
    """What decodes the low bytes of a picture with colours of 16 bits; None where there are none."""
    tiles: list[Any] = []
    for tile in getattr(image, "tile", []):
        first, *more = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        mode, _, order = str(first).partition(";")
        if mode not in ("RGB", "RGBA") or order not in _LOW_BYTES:
            return None
        swapped = f"{mode};{_LOW_BYTES[order]}"
        tiles.append(tile._replace(args=(swapped, *more) if isinstance(tile.args, tuple) else swapped))
    return tiles or None


def _on_paper(image: Image.Image) -> tuple[Image.Image, float]:
    """What a person sees, and the share of pixels that are not wholly opaque: colours under those are not shown."""
    if not image.has_transparency_data:
        return image.convert("RGB"), 0.0
    image = image.convert("RGBA")
    pixels, opaque = image.width * image.height, image.getchannel("A").histogram()[255]
    if opaque == pixels:
        return image.convert("RGB"), 0.0
    paper = Image.new("RGBA", image.size, _PAPER)
    paper.alpha_composite(image)
    return paper.convert("RGB"), 1 - opaque / pixels


def _opened(path: Path) -> Image.Image:
    check_file(path)
    try:
        image = Image.open(path, formats=_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(path, str(error))) from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is named as a picture but is none that can be read; replace or remove it"
        ) from error
    except Exception as error:  # as in `read_picture`
        raise DataError(f"cannot open {path}: {error}; replace or remove it") from error
    if image.width * image.height > MAX_PIXELS:
        message = _too_large(path, f"{image.width}x{image.height}")
        image.close()
        raise DataError(message)
    return image


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _too_large(path: Path, claim: str) -> str:
    return f"a picture may claim at most {MAX_PIXELS:,} pixels, {path} claims more ({claim}); cut it into tiles first"
