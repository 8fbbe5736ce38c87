"""Keras layers, as TF.js and HDF5 files name and lay them out, turned into torch's order, names and layout.

Keras keeps kernels as (kh, kw, in, out), depthwise ones as (kh, kw, in, multiplier), dense ones as (in, out), and the
statistics of a batch norm as moving_mean and moving_variance; sources: the build() methods of keras.layers and the
topology that model.to_json() writes. A dense layer after a flatten of a map larger than 1x1 keeps its columns in
Keras's order (h, w, c): the weights alone do not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = ["KerasLayer", "read_topology", "to_torch"]

LEAVES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "gamma": "weight",
    "alpha": "weight",
    "pointwise_kernel": "pointwise.weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
ORDER = ("weight", "pointwise.weight", "bias", "running_mean", "running_var")


class KerasLayer(NamedTuple):
    """One layer of a topology: its class, and the layers whose outputs it takes."""

    kind: str
    inputs: tuple[str, ...]


def read_topology(model: object) -> dict[str, KerasLayer]:
    """The layers of a model's JSON by name, in its order, models inside it opened up; empty where there are none."""
    found: dict[str, KerasLayer] = {}
    stack = [model]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict):
            continue
        config = node.get("config")
        inner = config.get("layers") if isinstance(config, dict) else config
        if isinstance(inner, list):
            stack.extend(reversed(inner))
            continue
        name = config.get("name", node.get("name")) if isinstance(config, dict) else None
        if isinstance(name, str):
            kind = node.get("class_name")
            inputs = tuple(_heads(node.get("inbound_nodes")))
            found.setdefault(name, KerasLayer(kind if isinstance(kind, str) else "", inputs))
    return found


def _heads(node: object) -> Iterator[str]:
    """The texts that lists start with, at any depth: Keras 2 writes ["conv", 0, 0, {}], Keras 3 keras_history."""
    stack = [node]
    while stack:
        inner = stack.pop()
        if isinstance(inner, list) and inner and isinstance(inner[0], str):
            yield inner[0]
        elif isinstance(inner, list | dict):
            stack.extend(inner.values() if isinstance(inner, dict) else inner)


def to_torch(
    weights: Iterable[tuple[str, Tensor]], layers: Mapping[str, KerasLayer], path: Path
) -> dict[str, Tensor]:
    """Tensors by "layer.leaf", in the order of `layers` (of `weights` where that is empty), batch norms moved up.

    A batch norm without scale or centre gets ones or zeros. `weights` are ("layer/leaf", values in Keras's layout).

    Raises:
        ModelError: a weight belongs to no layer, or to one that is none of convolution, dense, batch norm, PReLU.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    for name, values in weights:
        owner, _, leaf = name.partition(":")[0].rpartition("/")
        layer = _owner(owner, layers, path)
        kind = layers[layer].kind if layer in layers else ""
        if leaf not in LEAVES or LEAVES[leaf] in groups.get(layer, {}):
            raise ModelError(
                f"{path}: weights are kernels, biases and batch norms, one of each a layer, got {name!r:.80}; "
                "give a convolutional network"
            )
        groups.setdefault(layer, {})[LEAVES[leaf]] = _layout(leaf, values, kind)
    state: dict[str, Tensor] = {}
    for layer in _norms_moved_up([name for name in layers if name in groups] or list(groups), groups, layers):
        tensors = groups[layer]
        if "running_mean" in tensors:
            tensors.setdefault("weight", torch.ones_like(tensors["running_mean"]))
            tensors.setdefault("bias", torch.zeros_like(tensors["running_mean"]))
        state |= {f"{layer}.{leaf}": tensors[leaf] for leaf in ORDER if leaf in tensors}
    return state


def _owner(owner: str, layers: Mapping[str, KerasLayer], path: Path) -> str:
    """The layer a weight belongs to; scopes and models around it are taken off from the left."""
    if not layers:
        return owner
    name = owner
    while name not in layers and "/" in name:
        name = name.partition("/")[2]
    if name not in layers:
        raise ModelError(
            f"{path}: every weight belongs to a layer of the model, {owner!r:.80} is none; save the model again"
        )
    return name


def _layout(leaf: str, values: Tensor, kind: str) -> Tensor:
    rank = values.dim()
    if not leaf.endswith("kernel") or rank < 2:
        return values
    spatial = tuple(range(rank - 2))
    # Keras 3 calls the kernel of a depthwise convolution "kernel" too
    if leaf == "depthwise_kernel" or kind.startswith("DepthwiseConv"):
        values = values.permute(rank - 2, rank - 1, *spatial).reshape(-1, 1, *values.shape[:-2])
    else:
        values = values.permute(rank - 1, rank - 2, *spatial)
    return values.contiguous()


def _norms_moved_up(
    names: list[str], groups: Mapping[str, Mapping[str, Tensor]], layers: Mapping[str, KerasLayer]
) -> Iterator[str]:
    """The names, with every batch norm that follows one layer with weights directly after it.

    Topologies of residual networks list both branches' convolutions first: conv, shortcut, norm of conv.
    """
    after: dict[str, list[str]] = {}
    for name in names:
        inputs = layers[name].inputs if name in layers else ()
        follows = len(inputs) == 1 and "running_mean" not in groups.get(inputs[0], ("running_mean",))
        if "running_mean" in groups[name] and follows:
            after.setdefault(inputs[0], []).append(name)
    moved = {norm for norms in after.values() for norm in norms}
    for name in names:
        if name not in moved:
            yield name
            yield from after.get(name, ())
