"""Keras HDF5 files: a whole model saved as .h5, or its weights alone (Keras 2's save_weights).

Source: keras/src/legacy/saving/legacy_h5_format.py. The group model_weights (or the file itself) holds a group for
each of its attribute layer_names, that one a data set for each of its attribute weight_names; the attribute
model_config is the topology as JSON. Keras stores values in one piece and uncompressed, so every data set that is not,
or that lies in another file, is refused: it could be of any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer._documents import parse_json
from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo.checkpoints import _hdf5 as hdf5
from gossamer.zoo.checkpoints._keras_layers import KerasLayer, read_topology, to_torch

__all__ = ["read"]


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
    hdf5.refuse_endless_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            config = hdf5.texts(file, "model_config", path)
            layers = read_topology(parse_json(config[0])) if config else {}
            return to_torch(_weights(file, layers, path), layers, path)
    except ModelError:
        raise
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise ModelError(
            f"cannot read weights from {path}: {' '.join(str(error).split())}; "
            "give a file that Keras saved with model.save('name.h5')"
        ) from error


def _weights(file: Any, layers: dict[str, KerasLayer], path: Path) -> Iterator[tuple[str, Tensor]]:
    """(layer/leaf, values in Keras's layout) in the file's order."""
    whole = file.id.links.exists(b"model_weights")
    root = hdf5.child(file, "model_weights", path) if whole else file
    groups = _names(root, "layer_names", path)
    if groups is None:
        raise ModelError(
            f"a Keras h5 file lists layer_names, {path} does not; save the model with model.save('name.h5')"
        )
    left = path.stat().st_size
    for group_name in groups:
        group = hdf5.child(root, group_name, path)
        names = _names(group, "weight_names", path) or []
        owners = {name.rpartition("/")[0] for name in names}
        # the group is the layer, unless it is a model within the model
        alone = group_name in layers or (not layers and len(owners) == 1)
        for name in names:
            owner, _, leaf = name.rpartition("/")
            values = hdf5.floats(hdf5.child(group, name, path), name, left, path)
            left -= values.nbytes
            yield f"{group_name if alone else owner}/{leaf}", values.to(torch.float32)


def _names(group: Any, key: str, path: Path) -> list[str] | None:
    """A list of names kept as an attribute; Keras cuts one over 64 KB into key0, key1, ...; None where there is none."""
    found = hdf5.texts(group, key, path)
    parts = 0
    while found is None or parts:
        part = hdf5.texts(group, f"{key}{parts}", path)
        if part is None:
            break
        found = (found or []) + part
        parts += 1
    return found
