"""Keras HDF5 files: a whole model saved as .h5, or its weights alone (Keras 2's save_weights).

Source: keras/src/legacy/saving/legacy_h5_format.py. The group model_weights (or the file itself) holds a group for
each of its attribute layer_names, that one a data set for each of its attribute weight_names; the attribute
model_config is the topology as JSON. Keras stores values contiguous and uncompressed, so every data set that is not,
or that lies in another file, is refused: it could be of any size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo.checkpoints._keras_layers import KerasLayer, read_topology, to_torch

__all__ = ["read"]

DTYPES = ("<f2", "<f4", "<f8")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a Keras .h5 file, in the topology's order where it has one, else in the file's.

    Raises:
        ModelError: the file is damaged, not Keras's, or holds what is no convolutional network's.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading Keras h5 files", "h5py", "weights") from error
    try:
        with h5py.File(path, "r") as file:
            layers = _topology(file)
            return to_torch(_weights(file, layers, path), layers, path)
    except ModelError:
        raise
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise ModelError(
            f"cannot read weights from {path}: {' '.join(str(error).split())}; "
            "give a file that Keras saved with model.save('name.h5')"
        ) from error


def _topology(file: Any) -> dict[str, KerasLayer]:
    config = file.attrs.get("model_config")
    return {} if config is None else read_topology(json.loads(config))


def _weights(file: Any, layers: dict[str, KerasLayer], path: Path) -> Iterator[tuple[str, Tensor]]:
    """(layer/leaf, values in Keras's layout) in the file's order."""
    whole = file.id.links.exists(b"model_weights")
    root = _child(file, "model_weights", path) if whole else file
    groups = _names(root, "layer_names")
    if groups is None:
        raise ModelError(
            f"a Keras h5 file lists layer_names, {path} does not; save the model with model.save('name.h5')"
        )
    left = path.stat().st_size
    for group_name in groups:
        group = _child(root, group_name, path)
        names = _names(group, "weight_names") or []
        owners = {name.rpartition("/")[0] for name in names}
        # the group is the layer, unless it is a model within the model
        alone = group_name in layers or (not layers and len(owners) == 1)
        for name in names:
            owner, _, leaf = name.rpartition("/")
            values = _values(_child(group, name, path), name, left, path)
            left -= values.nbytes
            yield f"{group_name if alone else owner}/{leaf}", values.to(torch.float32)


def _names(group: Any, key: str) -> list[str] | None:
    """A list of names kept as an attribute; Keras cuts one over 64 KB into key0, key1, ...; None where there is none."""
    if key in group.attrs:
        parts = [group.attrs[key]]
    else:
        parts = []
        while f"{key}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{key}{len(parts)}"])
        if not parts:
            return None
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _child(group: Any, name: str, path: Path) -> Any:
    """What lies below a group at "a/b", never through a link: links lead to other files."""
    import h5py

    for part in filter(None, name.split("/")):
        links = getattr(group.id, "links", None)  # a data set has none
        if links is None or not links.exists(part.encode()):
            raise ModelError(f"{path}: {name!r:.80} is listed and not there; it is damaged, fetch it again")
        if links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise ModelError(
                f"{path}: weights lie in the file itself, {name!r:.80} is a link; save the model again"
            )
        group = group[part]
    return group


def _values(dataset: Any, name: str, left: int, path: Path) -> Tensor:
    """The values of a data set, which may take up to `left` bytes, in its own type."""
    kind = getattr(dataset, "dtype", None)
    if kind is None or kind.str not in DTYPES:
        raise ModelError(
            f"{path}: weights are {', '.join(DTYPES)}, {name!r:.80} is {kind}; save the model again"
        )
    size = math.prod(dataset.shape) * kind.itemsize  # h5py's own nbytes can overflow
    if dataset.chunks is not None or dataset.external or dataset.is_virtual or not 0 < size <= left:
        raise ModelError(
            f"{path}: weights are stored as they are, {name!r:.80} ({size} bytes) is compressed, "
            "elsewhere, empty or longer than the file; save the model again without compression"
        )
    return torch.from_numpy(dataset[...])
