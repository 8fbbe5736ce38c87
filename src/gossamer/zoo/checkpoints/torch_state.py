"""torch checkpoints: a state dict, alone or below state_dict, model and the like, saved with torch.save.

The format is a pickle, read by torch with weights_only=True: it builds tensors and plain containers and runs no code.
Tensors are checked once more before they are converted, since a view of stride 0 claims any size in few bytes, and
so does a compressed archive.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = ["read"]

_FOREIGN = re.compile(r"GLOBAL ([A-Za-z_][\w.]*) was not an allowed global")
"""How torch names the class of an object that is none of a state dict's."""
_BUILTINS = frozenset({"os", "posix", "nt", "builtins", "subprocess", "sys"})
"""Modules whose objects no training leaves in a checkpoint: such a file is an attack or damaged, not a network."""

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "state_dict_ema",
    "model_ema",
    "ema",
    "net",
    "network",
    "params",
)
"""Keys that people keep the state dict under."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile and people's own classes write before every name."""
COUNTERS = ("n_averaged",)
"""Numbers that averages of weights keep beside them."""


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint in the file's order, prefixes that all of them have taken off; integers stay integers.

    Raises:
        ModelError: the file is damaged, holds more than tensors or holds no state dict.
    """
    try:
        if _is_torchscript(path):
            raise ModelError(
                f"a checkpoint holds named tensors, {path} is TorchScript, which is code; load it with torch.jit.load and "
                "save its state_dict()"
            )
        fits = _holds_what_it_claims(path)
        with torch.serialization.safe_globals(
            [argparse.Namespace]
        ):  # a person's options, kept beside the weights
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True) if fits else None
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = " ".join(str(error).split())
        if (foreign := _FOREIGN.search(reason)) is not None and foreign[1].partition(".")[0] not in _BUILTINS:
            raise ModelError(
                f"a checkpoint holds named tensors, {path} holds a whole {foreign[1]}, which is code; load it where it was made "
                "and save its state_dict()"
            ) from error
        # torch's own message on such files tells people to load them with weights_only=False
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in reason or not reason:
            reason = "it is damaged or holds more than tensors"
        raise ModelError(
            f"cannot read weights from {path}: {reason}; give a .safetensors file or a torch state dict"
        ) from error
    if not fits:
        raise ModelError(
            f"cannot read weights from {path}: its archive claims more bytes than it has; save it with torch.save"
        )
    for key in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()
    ):
        raise ModelError(
            f"a checkpoint holds named tensors, {path} does not; save the network's state_dict()"
        )
    named = {key: value for key, value in loaded.items() if not (key in COUNTERS and value.dim() == 0)}
    return {key: _plain(value, key, path) for key, value in _without_prefix(named).items()}


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while tensors and (prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in tensors)), None)):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _is_torchscript(path: Path) -> bool:
    """Whether it is an archive with a folder of code."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _holds_what_it_claims(path: Path) -> bool:
    """False for an archive whose entries claim more than the file has: compressed ones, or on top of each other."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return True
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist()) <= path.stat().st_size


def _plain(tensor: Tensor, key: str, path: Path) -> Tensor:
    """The tensor outside autograd, floating point as float32."""
    dense = tensor.layout == torch.strided and not tensor.is_nested
    if not dense or tensor.device.type != "cpu" or tensor.nbytes > tensor.untyped_storage().nbytes():
        raise ModelError(
            f"a checkpoint holds dense tensors with all their values, {key} of {path} is not; "
            "save the network's state_dict()"
        )
    return tensor.detach().to(torch.float32) if tensor.is_floating_point() else tensor
