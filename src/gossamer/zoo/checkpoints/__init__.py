"""One module a format of weight files: `read(path)`. This table is the only place that names them all.

What every reader returns: torch tensors by name, on the CPU, in torch's layout (kernels (out, in / groups, kh, kw),
linear layers (out, in)), floating point as float32. Except for safetensors the order is that of the network: a
layer's weight comes before its bias, a batch norm's weight, bias, running_mean and running_var directly after the
convolution it follows; so networks can be filled by position. The files may be a stranger's: nothing in them is
run, and every size they claim is held against the bytes that are there before memory is taken for it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from gossamer.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["READERS", "Reader", "read_checkpoint", "reader_of"]

FOLDER = "/"
"""Stands for a folder where a suffix is asked for."""
TORCH_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""What a zip archive and a pickle of protocol 2 to 5 start with."""


class CheckpointReader(Protocol):
    """What a module of this folder offers."""

    def read(self, path: Path) -> dict[str, Tensor]:
        """The tensors of a file. Raises ModelError where it is damaged."""
        ...


class Reader(NamedTuple):
    """One format: which paths are its own, which module reads it, what a person gives."""

    name: str
    suffixes: tuple[str, ...]
    module: str
    give: str
    partner: str = ""
    """The row holds only where a file of the same stem and this suffix exists."""


READERS = (
    Reader(
        "ncnn",
        (".param", ".bin"),
        "gossamer.zoo.checkpoints.ncnn",
        ".param or .bin, the other beside it",
        partner=".param",
    ),
    Reader(
        "torch",
        (".pth", ".pt", ".bin", ".tar", ".th"),
        "gossamer.zoo.checkpoints.torch_state",
        ".pth .pt .bin .tar .th",
    ),
    Reader("safetensors", (".safetensors",), "gossamer.zoo.checkpoints.safetensors_file", ".safetensors"),
    Reader("TF.js", (FOLDER, ".json"), "gossamer.zoo.checkpoints.tfjs", "the folder of model.json"),
    Reader("Keras", (".h5", ".hdf5"), "gossamer.zoo.checkpoints.keras_h5", ".h5 .hdf5"),
    Reader("darknet", (".weights",), "gossamer.zoo.checkpoints.darknet", ".weights, the .cfg beside it"),
    Reader(
        "Deep Compression",
        (".net",),
        "gossamer.zoo.checkpoints.deep_compression",
        "SqueezeNet's .net",
    ),
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of somebody's weight file, in torch's layout; what the path is says which reader it gets.

    Raises:
        ModelError: the path does not exist, its format is unknown, or its content is damaged, not supported, or not finite.
        MissingExtraError: the package that reads the format is not installed.
    """
    module = cast(CheckpointReader, importlib.import_module(reader_of(path).module))
    tensors = module.read(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and (lost := int((~tensor.isfinite()).sum())):
            raise ModelError(
                f"weights are finite numbers, {lost} of {tensor.numel()} of {name} in {path} are NaN or infinite; "
                "give a checkpoint from before the training broke"
            )
    return tensors


def reader_of(path: Path) -> Reader:
    """The row of the table that a path is for.

    Raises:
        ModelError: the path does not exist or its format is unknown.
    """
    try:
        if not (path.is_file() or path.is_dir()):
            raise ModelError(f"weights are a file or a folder, got {path}, which is neither; check the path")
        kind = FOLDER if path.is_dir() else path.suffix.lower()
        for reader in READERS:
            if kind in reader.suffixes and (not reader.partner or path.with_suffix(reader.partner).is_file()):
                return reader
        if _starts_as_torch_does(path):
            return next(reader for reader in READERS if reader.name == "torch")
    except OSError as error:
        raise ModelError(
            f"cannot read weights from {path}: {error.strerror}; check the path and its permissions"
        ) from error
    known = "; ".join(f"{reader.name}: {reader.give}" for reader in READERS)
    raise ModelError(f"weights are known by their suffix, got {path}; give one of {known}")


def _starts_as_torch_does(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(TORCH_MAGIC)
