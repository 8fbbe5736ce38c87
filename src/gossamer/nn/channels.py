"""Cutting channels out of a network: weights by place, and the numbers that layers and blocks keep of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.blocks.shuffle import ShuffleUnitV2

__all__ = ["OWN_NUMBERS", "Kept", "keep_channels", "read_kept", "written_kept"]

OWN_NUMBERS = {"GhostModule": "out_channels", "GhostModuleV2": "out_chs", "Stage": "channels"}
"""Classes whose forward cuts channels at a number of its own, which can be set anew: class -> attribute."""

Kept = Mapping[str, Mapping[int, Sequence[int]]]
"""Parameter or buffer -> axis -> the places that stay."""


def keep_channels(network: nn.Module, kept: Kept, outputs: Mapping[str, int]) -> nn.Module:
    """A copy with only these places of its weights; `outputs` are the channels that modules give from now on.

    Raises:
        ModelError: a weight is not there, or has no such place.
    """
    cut = copy.deepcopy(network)
    depthwise = {
        name
        for name, module in cut.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.in_channels > 1
    }
    _slice(cut, kept)
    for name, module in cut.named_modules():
        _renumber(module, name in depthwise)
        attribute = OWN_NUMBERS.get(type(module).__name__, "")
        attribute = "out_chs" if hasattr(module, "out_chs") else attribute  # timm's GhostModule
        if name in outputs and hasattr(module, attribute):
            setattr(module, attribute, outputs[name])
        if isinstance(module, ShuffleUnitV2):
            _split_of_unit(module)
    return cut


def written_kept(kept: Kept) -> dict[str, dict[str, list[list[int]]]]:
    """As JSON: places as runs [from, to), so that a layer that loses one channel takes two pairs."""
    return {name: {str(axis): _runs(places) for axis, places in axes.items()} for name, axes in kept.items()}


def _runs(places: Sequence[int]) -> list[list[int]]:
    """[0, 1, 2, 7] as [[0, 3], [7, 8]]."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1][1] = place + 1
        else:
            runs.append([place, place + 1])
    return runs


def read_kept(document: Mapping[str, Any]) -> dict[str, dict[int, tuple[int, ...]]]:
    """Read what `written_kept` wrote."""
    return {
        str(name): {
            int(axis): tuple(place for low, high in runs for place in range(int(low), int(high)))
            for axis, runs in axes.items()
        }
        for name, axes in document.items()
    }


def _slice(cut: nn.Module, kept: Kept) -> None:
    tensors: dict[str, Tensor] = {**dict(cut.named_parameters()), **dict(cut.named_buffers())}
    for name, axes in kept.items():
        tensor = tensors.get(name)
        if tensor is None or any(
            axis >= tensor.dim() or places[-1] >= tensor.shape[axis]
            for axis, places in axes.items()
            if places
        ):
            raise ModelError(
                f"channels of {name!r} are to be kept that {type(cut).__name__} does not have; apply a plan to the network "
                "that it was made for"
            )
        for axis, places in axes.items():
            tensor = tensor.index_select(axis, torch.tensor(places, device=tensor.device))
        owner, _, last = name.rpartition(".")
        module = cut.get_submodule(owner)
        old = getattr(module, last)
        if isinstance(old, nn.Parameter):
            setattr(module, last, nn.Parameter(tensor.detach().clone(), requires_grad=old.requires_grad))
        else:
            module.register_buffer(
                last, tensor.detach().clone(), persistent=last not in module._non_persistent_buffers_set
            )


def _renumber(module: nn.Module, was_depthwise: bool) -> None:
    """Let a layer's own numbers say what its weights are."""
    if isinstance(module, nn.modules.conv._ConvNd):
        if was_depthwise:
            module.groups = module.in_channels = (
                module.weight.shape[0] * module.in_channels // module.out_channels
            )
        else:
            module.in_channels = module.weight.shape[1] * module.groups
        module.out_channels = module.weight.shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
        module.num_features = len(module.running_mean)
    elif isinstance(module, nn.GroupNorm) and module.affine:
        module.num_groups = len(module.weight) * module.num_groups // module.num_channels
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _split_of_unit(unit: ShuffleUnitV2) -> None:
    """The half that is passed on is as wide as the half that is worked on."""
    first = next(module for module in unit.branch.modules() if isinstance(module, nn.Conv2d))
    if hasattr(unit, "kept_channels"):
        unit.kept_channels = first.weight.shape[1]
