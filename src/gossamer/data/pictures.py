"""Reading one picture, the same way for the data doctor, training and prediction (Pillow and numpy, no torch)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gossamer.errors import DataError
from gossamer.types import Size

__all__ = ["MAX_PIXELS", "PICTURE_SUFFIXES", "Probe", "is_picture", "open_rgb", "probe"]

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".npy"}
)
MAX_PIXELS = 89_478_485
"""Above this a header is not believed: Pillow's own bound, a quarter of a gigabyte of RGB."""
_WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I", "F"})


class Probe(NamedTuple):
    """What a picture's header says."""

    size: Size
    mode: str
    frames: int
    format: str

    @property
    def bands(self) -> int:
        return len(Image.new(self.mode, (1, 1)).getbands())

    @property
    def wide(self) -> bool:
        """More than 8 bits a band."""
        return self.mode in _WIDE_MODES


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture that is not hidden."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def probe(path: Path) -> Probe:
    """Size, mode, frames and format from the header alone.

    Raises:
        DataError: missing, empty, not a picture, or a header that claims more than MAX_PIXELS.
    """
    with _opened(path) as image:
        try:
            frames = int(getattr(image, "n_frames", 1))
        except (
            Exception
        ) as error:  # a damaged chain of frames makes Pillow raise whatever it meets, IndexError too
            raise DataError(
                f"a picture must decode whole, {path} does not ({error}); replace or remove it"
            ) from error
        return Probe(Size(image.height, image.width), image.mode, frames, image.format or "?")


def open_rgb(path: Path) -> Image.Image:
    """The first frame of a picture as 8-bit RGB, turned upright by its EXIF tag.

    More than 8 bits are scaled to 8 by the type's full range, an alpha band is dropped, CMYK and palettes converted.

    Raises:
        DataError: as `probe`, or the pixels are truncated or damaged.
    """
    with _opened(path) as image:
        try:
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode in _WIDE_MODES:
                image = Image.fromarray(_to_8_bit(np.asarray(image)))
            return image.convert("RGB")
        except (
            Exception
        ) as error:  # damaged bytes make Pillow raise whatever it meets, struct.error from EXIF too
            raise DataError(
                f"a picture must decode whole, {path} does not ({error}); replace or remove it"
            ) from error


def _opened(path: Path) -> Image.Image:
    try:
        if path.stat().st_size == 0:
            raise DataError(f"a picture must hold bytes, {path} is empty; replace or remove it")
        image = Image.open(path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"no such picture: {path}; check the path") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(path, str(error))) from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is named as a picture but is none that can be read; replace or remove it"
        ) from error
    except Exception as error:  # as in `open_rgb`
        raise DataError(f"cannot open {path}: {error}; replace or remove it") from error
    if image.width * image.height > MAX_PIXELS:
        message = _too_large(path, f"{image.width}x{image.height}")
        image.close()
        raise DataError(message)
    return image


def _too_large(path: Path, claim: str) -> str:
    return f"a picture may claim at most {MAX_PIXELS:,} pixels, {path} claims more ({claim}); cut it into tiles first"


def _to_8_bit(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
    if array.dtype.kind == "f":
        top = float(values.max(initial=0.0))
        scale = 255.0 if top <= 1.0 else (1.0 if top <= 255.0 else 255.0 / top)
    else:
        scale = 255.0 / 65535.0
    return np.clip(np.round(values * scale), 0, 255).astype(np.uint8)
