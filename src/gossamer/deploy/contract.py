"""What a network's input must be: the contract that travels in the bundle and in the ONNX file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.bands import RGB, Bands, open_values
from gossamer.data.cache import Pixels
from gossamer.data.geometry import Transform, fit_picture, fit_values, transform_of
from gossamer.data.pictures import open_rgb, rgb_of
from gossamer.data.ranges import ValueRange
from gossamer.errors import BundleError, DataError
from gossamer.tasks.task import Frame
from gossamer.types import RESIZE_RULES, Size

__all__ = ["MOST_PIXELS", "PREPROCESSING", "Framed", "InputContract"]

MOST_PIXELS = 1 << 14
"""A side of a network's input: what is larger is cut into tiles."""
_MOST_BANDS = 1 << 10
_EXTREMES = np.array([0, np.iinfo(np.uint16).max], np.float32).reshape(1, 1, 2, 1)
"""Of raw values: what becomes of them is held against a float's range."""


class Framed(NamedTuple):
    """A picture as a network's input, (1, bands, H, W), or as its pixels (1, H, W, bands), and how it lies there."""

    values: NDArray[Any]
    frame: Frame


@dataclass(frozen=True)
class InputContract:
    """How raw band values become the tensor (1, bands, H, W): ((x * scale + offset) - mean) / std, band by band."""

    size: Size
    bands: tuple[str, ...] = RGB
    scale: float = 1.0
    offset: float = 0.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: str = "short-side-centre-crop"
    """One of `gossamer.types.RESIZE_RULES`."""
    nodata: float | None = None
    value_range: ValueRange | None = None
    """What pictures of more than 8 bits have for black and white; None where none was seen in training."""

    @classmethod
    def of(cls, preprocessing: str, size: int | Size) -> InputContract:
        """The contract of a named preprocessing at a size, one number for a square."""
        values = PREPROCESSING[preprocessing]
        return cls(_size(size), scale=values.scale, mean=values.mean, std=values.std)

    @classmethod
    def of_bands(cls, bands: Bands, size: int | Size) -> InputContract:
        """The contract of values as they are in the files, normalised by the training split's mean and deviation."""
        return cls(_size(size), bands.names, mean=bands.mean, std=bands.std)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, bands, H, W)."""
        return 1, len(self.bands), self.size.height, self.size.width

    def read(self, path: Path) -> Image.Image:
        """A file's picture in red, green and blue, as `open` takes it.

        Raises:
            DataError: it cannot be read.
        """
        return open_rgb(path, self.value_range)

    def rgb(self, picture: Image.Image | NDArray[Any]) -> Image.Image:
        """A picture in memory in red, green and blue.

        Raises:
            DataError: an array that is none of (H, W), (H, W, 3) or (H, W, 4) of bytes.
        """
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(_checked_bytes(picture))
        return rgb_of(image, self.value_range)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """An RGB picture at the input's size, (1, H, W, 3), before it is normalised."""
        return np.asarray(fit_picture(image, self.size, self.resize))[None]

    def open(self, path: Path) -> NDArray[np.float32]:
        """A picture's file as the network's input, (1, bands, H, W).

        Raises:
            DataError: it cannot be read, or has other bands.
        """
        return self.framed(path).values

    def framed(self, path: Path) -> Framed:
        """As `open`, with how the picture lies in the input.

        Raises:
            DataError: it cannot be read, or has other bands.
        """
        if self.bands == RGB:
            image = self.read(path)
            return self._framed(self.prepare(image), Size(image.height, image.width))
        values = open_values(path, self.bands)
        ready = self.normalise(fit_values(values, self.size, self.resize)[None])
        return self._framed(ready, Size(*values.shape[:2]))

    def frame(self, picture: Size) -> Frame:
        """How a picture of that size lies in the input."""
        return Frame(self.transform(picture), picture)

    def _framed(self, values: NDArray[np.float32], picture: Size) -> Framed:
        return Framed(values, self.frame(picture))

    def take(self, picture: Image.Image | NDArray[Any]) -> NDArray[np.float32]:
        """A picture in memory as the network's input, as `taken` has it.

        Raises:
            DataError: as there.
        """
        return self.taken(picture).values

    def taken(self, picture: Image.Image | NDArray[Any]) -> Framed:
        """A picture in memory as the network's input, (1, bands, H, W), and how it lies there: of Pillow, or an array (H, W), (H, W, bands).

        Arrays of red, green and blue are bytes, 0 to 255; of other bands they are values as the files hold them.

        Raises:
            DataError: it has other bands or another kind of numbers.
        """
        if self.bands == RGB:
            image = self.rgb(picture)
            return self._framed(self.prepare(image), Size(image.height, image.width))
        values = np.asarray(picture)
        values = values[:, :, None] if values.ndim == 2 else values
        if (
            values.ndim != 3
            or values.shape[2] != len(self.bands)
            or values.dtype.kind not in "uif"
            or not values.size
        ):
            raise DataError(
                f"a picture here is (H, W, {len(self.bands)}) of numbers, the bands {', '.join(self.bands)}, got "
                f"{values.shape} of {values.dtype}; give those bands last"
            )
        ready = self.normalise(fit_values(values.astype(np.float32), self.size, self.resize)[None])
        return self._framed(ready, Size(*values.shape[:2]))

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """An RGB picture as the network's input, (1, 3, H, W)."""
        return self.normalise(self.pixels(image))

    def transform(self, picture: Size) -> Transform:
        """Where places of a picture of that size land in the input."""
        return transform_of(self.resize, picture, self.size)

    def normalise(self, pictures: Pixels) -> NDArray[np.float32]:
        """Raw (N, H, W, bands) of the right size as (N, bands, H, W)."""
        mean, std = (np.asarray(each, np.float32).reshape(-1, 1, 1) for each in (self.mean, self.std))
        planes = np.array(
            pictures.transpose(0, 3, 1, 2), order="C"
        )  # of bytes, where they are: a quarter of the memory
        values: NDArray[np.float32] = planes.astype(np.float32, copy=False)
        if self.scale != 1:
            values *= np.float32(self.scale)
        if self.offset != 0:
            values += np.float32(self.offset)
        values -= mean
        values /= std
        return values

    def to_json(self) -> dict[str, Any]:
        """The contract as a JSON object."""
        document = asdict(self)
        document["size"] = list(self.size)
        if self.value_range is None:
            del document["value_range"]
        else:
            document["value_range"] = list(self.value_range)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> InputContract:
        """Read what `to_json` wrote.

        Raises:
            BundleError: a key is missing, unknown or of the wrong kind, or the rule is not one this version knows.
        """
        try:
            height, width = (_whole(side) for side in document["size"])
            missing = {field.name for field in fields(cls)} - set(document) - {"value_range"}
            if missing:
                raise KeyError(*sorted(missing))
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in document.items() if k != "size"
            }
            _check_kinds(values)
            if values.get("value_range") is not None:
                values["value_range"] = _range(values["value_range"])
            contract = cls(Size(height, width), **values)
            if not len(contract.bands) == len(contract.mean) == len(contract.std):
                raise ValueError("bands, mean and std must be equally many")
            with np.errstate(all="ignore"):
                ready = contract.normalise(_EXTREMES.repeat(len(contract.bands), 3))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise BundleError(
                f"an input contract needs size, bands, scale, offset, mean, std, resize and nodata, got {document!r:.400}"
            ) from error
        if (
            contract.resize not in RESIZE_RULES
            or not np.isfinite([*ready.flat, *contract.std]).all()
            or not 1 <= min(contract.size) <= max(contract.size) <= MOST_PIXELS
        ):
            raise BundleError(
                f"this version knows the resize rules {', '.join(RESIZE_RULES)}, sides of 1 to {MOST_PIXELS} pixels and "
                f"finite values, got {document!r:.400}; update gossamer"
            )
        return contract


def _checked_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """An array as Pillow takes it.

    Raises:
        DataError: it is none of a picture's.
    """
    array = np.asarray(picture)
    shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
    if (
        array.dtype != np.uint8
        or not array.size
        or len(shape) not in (2, 3)
        or shape[2:] not in ((), (3,), (4,))
    ):
        advice = (
            "multiply values of 0 to 1 by 255 and give them as uint8"
            if array.dtype.kind == "f"
            else "give (H, W, 3)"
        )
        raise DataError(
            f"an array of red, green and blue is (H, W, 3) of uint8, 0 to 255, got {array.shape} of {array.dtype}; {advice}"
        )
    return array.reshape(shape)


def _size(size: int | Size) -> Size:
    return Size(size, size) if isinstance(size, int) else size


def _check_kinds(values: Mapping[str, Any]) -> None:
    """Raises TypeError for what a contract of ours never holds."""
    for name in ("bands", "mean", "std"):
        if not isinstance(values[name], tuple) or not 1 <= len(values[name]) <= _MOST_BANDS:
            raise TypeError(f"{name} are a list of 1 to {_MOST_BANDS}")
    if not all(isinstance(band, str) for band in values["bands"]) or not isinstance(values["resize"], str):
        raise TypeError("bands and resize are texts")
    numbers = [values["scale"], values["offset"], *values["mean"], *values["std"]]
    numbers += [] if values["nodata"] is None else [values["nodata"]]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise TypeError("scale, offset, mean, std and nodata are numbers")


def _whole(side: object) -> int:
    """A side as a file tells it."""
    if isinstance(side, bool) or not isinstance(side, int):
        raise TypeError(f"a side is a whole number, got {side!r}")
    return side


def _range(value: Any) -> ValueRange:
    """Black and white as a file tells them."""
    low, high = (float(each) for each in value)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"black is below white, got {value!r}")
    return ValueRange(low, high)


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PREPROCESSING: Mapping[str, InputContract] = {
    "imagenet": InputContract(Size(224, 224), scale=1 / 255, mean=_IMAGENET[0], std=_IMAGENET[1]),
    "inception": InputContract(Size(224, 224), scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "caffe": InputContract(Size(224, 224), mean=(123.0, 117.0, 104.0)),
    "lite": InputContract(Size(224, 224), mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    "unit": InputContract(Size(224, 224), scale=1 / 255),
    "bytes": InputContract(Size(224, 224)),
}
"""Named preprocessing of published weights, for pictures of 0 to 255."""
