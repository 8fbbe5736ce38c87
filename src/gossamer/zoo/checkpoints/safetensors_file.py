"""safetensors: a JSON header with names, shapes and offsets, then the values.

Source: https://github.com/huggingface/safetensors, section "Format". Its writers sort tensors by type and then by
name, so the file has lost the network's order: fill a network by name from it, not by position.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = ["read"]


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file in the file's order; integers stay integers.

    Raises:
        ModelError: the file is damaged.
    """
    from safetensors.torch import load_file

    try:
        loaded = load_file(path)  # checks the header against the length of the file
    except Exception as error:  # the package raises kinds of its own
        raise ModelError(
            f"cannot read weights from {path}: {' '.join(str(error).split())}; "
            "give a .safetensors file or a torch state dict"
        ) from error
    return {
        key: value.to(torch.float32) if value.is_floating_point() else value for key, value in loaded.items()
    }
