"""Cutting channels out of a network: weights by place, and the numbers that layers and blocks keep of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.attention import HeadsAttention
from gossamer.nn.blocks.shuffle import ShuffleUnitV2
from gossamer.nn.edits.edit import Edit
from gossamer.nn.network import Architecture
from gossamer.nn.standardised import plain_convolutions

__all__ = [
    "EDIT",
    "OWN_NUMBERS",
    "OWN_SPLITS",
    "Kept",
    "forget_tables",
    "keep_channels",
    "open_attention",
    "read_kept",
    "written_kept",
]

OWN_NUMBERS = {"GhostModule": "out_channels", "GhostModuleV2": "out_chs", "Stage": "channels"}
"""Classes whose forward cuts channels at a number of its own, which can be set anew: class -> attribute."""

OWN_SPLITS = {"MixedConv2d": ("shares", "splits")}
"""Classes that split their input for convolutions of their own: class -> attributes of the sizes, ours and timm's."""

_COUNTS_OF_HEADS = ("num_heads", "heads", "n_heads", "num_attention_heads")
"""Attributes of attention that say how many heads it has."""
_WIDTHS_OF_HEADS = (
    "all_head_dim",
    "all_head_size",
    "attn_dim",
    "dim_attn",
    "inner_dim",
    "key_attn_dim",
    "val_attn_dim",
)
"""Attributes that are as wide as all heads together."""
_CACHES_OF_HEADS = ("attention_bias_cache",)
"""Attributes that hold tables made at need: timm's LeViT and EfficientFormer."""

_MOST_CHANNELS = 1 << 20

Kept = Mapping[str, Mapping[int, Sequence[int]]]
"""Parameter or buffer -> axis -> the places that stay."""


def keep_channels(network: nn.Module, kept: Kept, outputs: Mapping[str, int]) -> nn.Module:
    """A copy with only these places of its weights; `outputs` are the channels that modules give from now on.

    `name.num_heads` in `outputs` are the heads of an attention.

    Raises:
        ModelError: a weight is not there, or has no such place.
    """
    forget_tables(network)
    cut = copy.deepcopy(plain_convolutions(network) if kept else network)
    if kept and isinstance(cut, Architecture):
        cut.drop_training_parts()  # they were not traced, and take channels that are no more
    depthwise = {
        name
        for name, module in cut.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.in_channels > 1
    }
    _slice(cut, kept)
    for name, module in list(cut.named_modules()):
        _renumber(module, name in depthwise)
        attribute = OWN_NUMBERS.get(type(module).__name__, "")
        attribute = "out_chs" if hasattr(module, "out_chs") else attribute  # timm's GhostModule
        if name in outputs and hasattr(module, attribute):
            setattr(module, attribute, outputs[name])
        if name in outputs and isinstance(module, nn.modules.instancenorm._InstanceNorm):
            module.num_features = outputs[name]  # where it has no numbers of its own
        if f"{name}.num_heads".lstrip(".") in outputs:
            _set_heads(cut, name, outputs[f"{name}.num_heads".lstrip(".")])
        if isinstance(module, ShuffleUnitV2):
            _split_of_unit(module)
        if type(module).__name__ in OWN_SPLITS:
            _resize_splits(module)
    return cut


def forget_tables(network: nn.Module) -> None:
    """Empty what attention has made of its parameters and keeps: it is of all heads, and cannot be copied with gradients."""
    for module in network.modules():
        for attribute in _CACHES_OF_HEADS:
            if hasattr(module, attribute):
                setattr(module, attribute, {})


def open_attention(network: nn.Module, heads: Mapping[str, int]) -> nn.Module:
    """The network, or a copy where torch's own attention is written out: hooks see what its layers read.

    `heads` are those of each attention, as `keep_channels` takes them.
    """
    fused = [name for name, m in network.named_modules() if isinstance(m, nn.MultiheadAttention)]
    wanted = {key: heads[key] for name in fused if (key := f"{name}.num_heads".lstrip(".")) in heads}
    return keep_channels(network, {}, wanted).train(network.training) if wanted else network


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
    """Read what `written_kept` wrote.

    Raises:
        ValueError: a run has more places than any layer has channels, goes backwards, or all leave.
    """
    return {
        str(name): {int(axis): _places(name, runs) for axis, runs in axes.items()}
        for name, axes in document.items()
    }


def _places(name: str, runs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """[[0, 3], [7, 8]] as (0, 1, 2, 7)."""
    pairs = [(int(low), int(high)) for low, high in runs]
    ends = [end for pair in pairs for end in pair]
    if not ends or ends != sorted(ends) or ends[0] < 0 or ends[-1] > _MOST_CHANNELS:
        raise ValueError(f"runs of places of {name} are sorted and below {_MOST_CHANNELS}, got {runs!r:.60}")
    return tuple(place for low, high in pairs for place in range(low, high))


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
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        per_channel = module.running_mean if module.running_mean is not None else module.weight
        if per_channel is not None:
            module.num_features = len(per_channel)
    elif isinstance(module, nn.GroupNorm) and module.affine:
        module.num_groups = len(module.weight) * module.num_groups // module.num_channels
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _set_heads(cut: nn.Module, name: str, heads: int) -> None:
    """Let an attention say how many heads its weights have now."""
    module = cut.get_submodule(name)
    if isinstance(module, nn.MultiheadAttention):
        cut.set_submodule(name, HeadsAttention(module, heads))
        return
    before = next((n for n in (getattr(module, each, None) for each in _COUNTS_OF_HEADS) if n), None)
    for attribute in (*_COUNTS_OF_HEADS, *_WIDTHS_OF_HEADS):
        value = getattr(module, attribute, None)
        if isinstance(value, int) and before is not None:
            setattr(module, attribute, value * heads // before)


def _resize_splits(module: nn.Module) -> None:
    """The parts of a split are as wide as the weights of the convolutions that read them."""
    convolutions = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    widths = [conv.weight.shape[1] if conv.groups == 1 else conv.weight.shape[0] for conv in convolutions]
    for attribute in OWN_SPLITS[type(module).__name__]:
        if hasattr(module, attribute):
            setattr(module, attribute, widths)


def _split_of_unit(unit: ShuffleUnitV2) -> None:
    """The half that is passed on is as wide as the half that is worked on."""
    first = next(module for module in unit.branch.modules() if isinstance(module, nn.Conv2d))
    if hasattr(unit, "kept_channels"):
        unit.kept_channels = first.weight.shape[1]


def _read(document: Mapping[str, Any]) -> tuple[Kept, Mapping[str, int]]:
    try:
        return read_kept(document["kept"]), document.get("outputs", {})
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"a prune edit tells what is kept, got {document!r:.80}; write it with PrunePlan.to_json"
        ) from error


EDIT = Edit(_read, lambda network, stays: keep_channels(network, *stays))
