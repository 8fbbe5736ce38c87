"""Rows of small layers in place of one: the structural edit of low-rank factorisation.

svd          a 1x1 convolution or a linear layer as two in a row
spatial-svd  k x l as k x 1, then 1 x l (Jaderberg et al., 1405.3866, scheme 2; Zhang et al., 1505.06798)
tucker2      1x1, k x l, 1x1 (Kim et al., 1511.06530, figure 2)
cp           1x1, depthwise k x 1, depthwise 1 x l, 1x1; sides of at least 5 (Lebedev et al., 1412.6553, figure 1)

Strides, paddings and dilations go to the factor that has that side; a bias goes to the last, so that what is padded
stays zero up to there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.edits.edit import Edit

__all__ = [
    "EDIT",
    "KINDS",
    "Kind",
    "Layer",
    "factor_layers",
    "full_ranks",
    "make_factors",
    "read_layers",
    "suits",
]

Kind = Literal["svd", "spatial-svd", "tucker2", "cp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Layer = nn.Conv2d | nn.Linear
_CP_SIDE = 5


def suits(layer: Layer, kind: str) -> bool:
    """Whether a layer's kernel is one that the kind is for; groups are for none."""
    if isinstance(layer, nn.Linear):
        return kind == "svd"
    if layer.groups != 1:
        return False
    pointwise = max(layer.kernel_size) == 1
    if kind == "svd":
        return pointwise
    return not pointwise and (kind != "cp" or min(layer.kernel_size) >= _CP_SIDE)


def full_ranks(layer: Layer, kind: str) -> tuple[int, ...]:
    """Ranks at which factors give the very layer: (r,), of tucker2 (r_out, r_in)."""
    out, into = layer.weight.shape[:2]
    height, width = layer.weight.shape[2:] if isinstance(layer, nn.Conv2d) else (1, 1)
    if kind == "tucker2":
        return min(out, into * height * width), min(into, out * height * width)
    if kind == "cp":
        return (height * width * min(out, into),)
    return (min(into * height, out * width),)


def factor_layers(
    network: nn.Module,
    layers: Mapping[str, tuple[str, Sequence[int]]],
    weights: Callable[[str, Layer], Sequence[Tensor]] | None = None,
) -> nn.Module:
    """A copy with rows of factors in place of these layers: name -> (kind, ranks).

    `weights` gives those of a layer's factors in order; without it factors are initialised as torch does, to be loaded
    or trained.

    Raises:
        ModelError: a layer is not there, or cannot be factorised so.
    """
    changed = copy.deepcopy(network)
    for name, (kind, ranks) in layers.items():
        try:
            old = changed.get_submodule(name)
        except AttributeError as error:
            raise ModelError(
                f"{name!r} is to be factorised, which {type(network).__name__} does not have; apply a plan to the network "
                "that it was made for"
            ) from error
        _check(name, old, kind, ranks)
        layer = cast(Layer, old)
        given = None if weights is None else weights(name, layer)
        new = make_factors(layer, cast(Kind, kind), ranks, given)
        parent, _, leaf = name.rpartition(".")
        setattr(changed.get_submodule(parent), leaf, new)
    return changed


def _check(name: str, layer: nn.Module, kind: str, ranks: Sequence[int]) -> None:
    if (
        not name
        or not isinstance(layer, nn.Conv2d | nn.Linear)
        or kind not in KINDS
        or not suits(layer, kind)
    ):
        raise ModelError(
            f"{kind!r} is not for the {type(layer).__name__} {name!r}: svd takes 1x1 convolutions and linear layers, "
            "spatial-svd and tucker2 larger kernels, cp those of 5 x 5 and more, all without groups; plan anew"
        )
    full = full_ranks(layer, kind)
    if len(ranks) != len(full) or any(not 1 <= rank <= most for rank, most in zip(ranks, full, strict=True)):
        raise ModelError(
            f"ranks of {kind} are from 1 to {' and '.join(map(str, full))} for {name!r}, got {list(ranks)}; plan anew"
        )


def make_factors(
    layer: Layer, kind: Kind, ranks: Sequence[int], weights: Sequence[Tensor] | None = None
) -> nn.Sequential:
    """The row of factors for a layer, in its mode and on its device; with weights given the bias is the layer's."""
    with torch.device("meta"):  # nothing is drawn from the caller's generator
        row = nn.Sequential(*_parts(layer, kind, ranks))
    row = row.to_empty(device=layer.weight.device).to(layer.weight.dtype).train(layer.training)
    for part in row:
        if weights is None:
            cast(Layer, part).reset_parameters()
        part.requires_grad_(layer.weight.requires_grad)
    for part, weight in zip(row, weights or (), strict=False):
        _fill(part, weight, layer)
    return row


def _fill(part: nn.Module, weight: Tensor, layer: Layer) -> None:
    with torch.no_grad():
        part.get_parameter("weight").copy_(weight)
        if part.bias is not None and layer.bias is not None:
            part.get_parameter("bias").copy_(layer.bias)


def _parts(layer: Layer, kind: Kind, ranks: Sequence[int]) -> list[nn.Module]:
    biased = layer.bias is not None
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, ranks[0], bias=False)
        return [first, nn.Linear(ranks[0], layer.out_features, bias=biased)]
    into, out = layer.in_channels, layer.out_channels
    middle, inner = ranks[0], ranks[-1]
    if kind == "svd":
        return [_conv(layer, into, middle, "hw"), _conv(layer, middle, out, "", bias=biased)]
    if kind == "spatial-svd":
        return [_conv(layer, into, middle, "h"), _conv(layer, middle, out, "w", bias=biased)]
    if kind == "tucker2":
        core = _conv(layer, inner, middle, "hw")
        return [_conv(layer, into, inner, ""), core, _conv(layer, middle, out, "", bias=biased)]
    sides = [_conv(layer, middle, middle, side, groups=middle) for side in "hw"]
    return [_conv(layer, into, middle, ""), *sides, _conv(layer, middle, out, "", bias=biased)]


def _conv(
    layer: nn.Conv2d, into: int, out: int, sides: str, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution that works as the layer does along these sides (h, w), and as a 1x1 along the others."""

    def along(values: tuple[int, ...], other: int) -> tuple[int, int]:
        return values[0] if "h" in sides else other, values[1] if "w" in sides else other

    padding = layer.padding if isinstance(layer.padding, str) else along(layer.padding, 0)
    return nn.Conv2d(
        into,
        out,
        along(layer.kernel_size, 1),
        along(layer.stride, 1),
        padding,
        along(layer.dilation, 1),
        groups,
        bias=bias,
        padding_mode=layer.padding_mode,
    )


def read_layers(document: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The layers of a factorise edit: name -> (kind, ranks).

    Raises:
        ModelError: a key is missing or of the wrong kind.
    """
    try:
        return {
            str(name): (str(entry["kind"]), tuple(int(rank) for rank in entry["ranks"]))
            for name, entry in document["layers"].items()
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"a factorise edit tells layers with kind and ranks, got {document!r:.80}; write it with FactorPlan.to_json"
        ) from error


EDIT = Edit(read_layers, factor_layers)
