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

__all__ = ["RULES", "Drop", "Join", "Last", "Spread", "in_order", "load_in_order"]


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


class Spread(NamedTuple):
    """The first convolution looks at the pixels of 2 x 2 laid side by side as channels; ours has a kernel of twice the side."""

    places: tuple[tuple[int, int], ...]
    """Row and column of each of the four, in their order."""


Rule = Drop | Last | Join | Spread
RULES: Mapping[str, tuple[Rule, ...]] = {
    # torchvision lists the projection before the convolutions beside it
    "RegNet": (Last(r"trunk_output\.block\d\.block\d-\d+\.", r"proj\."),),
    # timm has a convolution a group, we have grouped convolutions
    "MixNet": (Join(r"(.*\.conv_pwl?)\.\d+\.weight"),),
    "GoogLeNet": (Drop(r"aux[12]\..*"),),
    "YOLOX": (Spread(((0, 0), (1, 0), (0, 1), (1, 1))),),
    # theirs has the projection behind the branch beside it
    "FastestDet": (Last(r"backbone\.stage\d\.0\.", r"branch_main\."),),
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
    """Our tensors and theirs after the family's rules, without counts of batches: position by position they are each other's.

    Where theirs have their norms folded in, ours get norms that change nothing but for their biases.
    """
    theirs = [(k, v) for k, v in state.items() if not k.endswith("num_batches_tracked")]
    for rule in RULES.get(family, ()):
        theirs = _apply(rule, theirs)
    if not any(key.endswith("running_mean") for key, _ in theirs):
        theirs = _beside_norms(network, theirs)
    return [(k, v) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")], theirs


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    if tensor.shape == wanted.shape or tensor.squeeze().shape == wanted.squeeze().shape:
        return True
    return wanted.dim() == 2 and tensor.dim() == 4 and tensor.flatten(1).shape == wanted.shape


def _beside_norms(network: nn.Module, theirs: Named) -> Named:
    """Biases of convolutions that have a norm here as those of norms of mean 0 and variance 1."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    rest, spread = list(theirs), []
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, nn.BatchNorm2d) or not rest:
            continue
        spread.append(rest.pop(0))
        if not rest or not rest[0][0].endswith("bias"):
            continue
        key, bias = rest.pop(0)
        if not isinstance(after, nn.BatchNorm2d) or layer.bias is not None:
            spread.append((key, bias))
            continue
        stem = f"{key.removesuffix('bias')}norm."
        scale = torch.full_like(bias, (1 + after.eps) ** 0.5)
        values = {"weight": scale, "bias": bias, "running_mean": torch.zeros_like(bias)}
        values["running_var"] = torch.ones_like(bias)
        spread += [(f"{stem}{leaf}", value) for leaf, value in values.items()]
    return spread + rest


def _laid_out(rule: Spread, weight: Tensor) -> Tensor:
    """(out, 4 * bands, k, k) -> (out, bands, 2k, 2k)."""
    parts = len(rule.places)
    out, channels, height, width = weight.shape
    whole = weight.new_zeros(out, channels // parts, 2 * height, 2 * width)
    for part, (row, column) in zip(weight.chunk(parts, 1), rule.places, strict=True):
        whole[:, :, row::2, column::2] = part
    return whole


def _apply(rule: Rule, tensors: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    if isinstance(rule, Spread):
        (key, first), *rest = tensors
        whole = first.dim() == 4 and first.shape[1] % len(rule.places) == 0
        return [(key, _laid_out(rule, first) if whole else first), *rest]
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
