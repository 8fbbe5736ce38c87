"""Other people's names and orders of tensors, brought to ours: one table of rules, then position by position.

A state dict lists tensors in the order its network was written down, which is nearly always the order of execution,
as in ours. So position is the mapping, every tensor is checked for shape and kind, and `RULES` holds what differs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError

__all__ = ["RULES", "Drop", "Join", "Last", "in_order", "load_in_order"]


class Drop(NamedTuple):
    """Tensors that only training needs and our networks do not have."""

    pattern: str


class Last(NamedTuple):
    """Tensors that stand before others of their block and belong behind them."""

    block: str
    pattern: str
    """What follows the block's name."""


class Join(NamedTuple):
    """Numbered tensors that we hold as one, put together along their outputs."""

    pattern: str
    """Its first group is the name without the number."""


Rule = Drop | Last | Join
RULES: Mapping[str, tuple[Rule, ...]] = {
    # torchvision lists the projection before the convolutions beside it
    "RegNet": (Last(r"trunk_output\.block\d\.block\d-\d+\.", r"proj\."),),
    # timm has a convolution a group, we have grouped convolutions
    "MixNet": (Join(r"(.*\.conv_pwl?)\.\d+\.weight"),),
    "GoogLeNet": (Drop(r"aux[12]\..*"),),
}
"""Family -> what differs in the checkpoints people have of it; rules that match nothing do nothing."""

_KINDS = {"weight", "bias", "running_mean", "running_var"}
_SHOWN = 6


def load_in_order(network: nn.Module, state: Mapping[str, Tensor], label: str, *, family: str = "") -> None:
    """Copy tensors by position after the family's rules: in place, all or nothing.

    A 1x1 convolution and a linear layer of the same sizes are taken for each other, as are a convolution over the
    whole map and the linear layer of the flattened map.

    Raises:
        ModelError: a count, a shape or a kind differs; the message lists what is left over and what stays empty.
    """
    ours, theirs = in_order(network, state, family=family)
    if len(theirs) != len(ours):
        raise ModelError(
            f"{label}: weights hold {len(theirs)} tensors, the network {len(ours)}; {_difference(theirs, ours)}"
            "they are of another network or variant"
        )
    loaded: dict[str, Tensor] = {}
    for (key, wanted), (their_key, tensor) in zip(ours, theirs, strict=True):
        if not _fits(tensor, wanted):
            raise ModelError(
                f"{label}: {their_key} has shape {tuple(tensor.shape)}, the network's {key} {tuple(wanted.shape)}; "
                "they are of another network or variant"
            )
        kinds = their_key.rpartition(".")[2], key.rpartition(".")[2]
        if kinds[0] != kinds[1] and set(kinds) <= _KINDS:
            raise ModelError(
                f"{label}: {their_key} stands where the network has {key}; "
                "the file does not keep the order of the layers, give the original state dict"
            )
        loaded[key] = tensor.reshape(wanted.shape)
    network.load_state_dict(loaded, strict=False)


Named = list[tuple[str, Tensor]]


def in_order(network: nn.Module, state: Mapping[str, Tensor], *, family: str = "") -> tuple[Named, Named]:
    """Our tensors and theirs after the family's rules, without counts of batches: position by position they are each other's."""
    theirs = [(k, v) for k, v in state.items() if not k.endswith("num_batches_tracked")]
    for rule in RULES.get(family, ()):
        theirs = _apply(rule, theirs)
    return [(k, v) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")], theirs


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    if tensor.shape == wanted.shape or tensor.squeeze().shape == wanted.squeeze().shape:
        return True
    return wanted.dim() == 2 and tensor.dim() == 4 and tensor.flatten(1).shape == wanted.shape


def _apply(rule: Rule, tensors: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    if isinstance(rule, Drop):
        return [(key, tensor) for key, tensor in tensors if not re.fullmatch(rule.pattern, key)]
    if isinstance(rule, Last):
        return _moved(rule, tensors)
    joined: list[tuple[str, Tensor]] = []
    for key, tensor in tensors:
        match = re.fullmatch(rule.pattern, key)
        name = f"{match[1]}.weight" if match else key
        if match and joined and joined[-1][0] == name:
            joined[-1] = (name, torch.cat([joined[-1][1], tensor]))
        else:
            joined.append((name, tensor))
    return joined


def _moved(rule: Last, tensors: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    moved: list[tuple[str, Tensor]] = []
    held: list[tuple[str, Tensor]] = []
    held_block = ""
    for key, tensor in tensors:
        match = re.match(rule.block, key)
        block = match[0] if match else ""
        if block != held_block:
            moved, held, held_block = moved + held, [], block
        late = bool(match) and re.match(rule.pattern, key[len(block) :]) is not None
        (held if late else moved).append((key, tensor))
    return moved + held


def _difference(theirs: Sequence[tuple[str, Tensor]], ours: Sequence[tuple[str, Tensor]]) -> str:
    """What the longest common order of shapes leaves over on either side."""
    left, right = ([tuple(t.squeeze().shape) for _, t in side] for side in (theirs, ours))
    unused: list[str] = []
    unfilled: list[str] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for tag, start, end, own_start, own_end in matcher.get_opcodes():
        if tag != "equal":
            unused += [key for key, _ in theirs[start:end]]
            unfilled += [key for key, _ in ours[own_start:own_end]]
    return "".join(
        f"{what}: {_listed(keys)}; " for what, keys in (("unused", unused), ("unfilled", unfilled)) if keys
    )


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
