"""Cutting the channels that a plan leaves out: a new module, checked against the old one with those channels at zero."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gossamer.compress.prune.plan import PrunePlan
from gossamer.errors import ModelError
from gossamer.nn.edits.channels import keep_channels
from gossamer.nn.modes import in_eval
from gossamer.nn.standardised import plain_convolutions

__all__ = ["apply_pruning", "check_pruned", "masked"]

_TOLERANCE = 1e-4
"""Of scores that differ only in the order of additions, relative to the largest."""


def apply_pruning(network: nn.Module, plan: PrunePlan) -> nn.Module:
    """The network without the channels that the plan leaves out; the one given is left as it is.

    Its `spec`, where it has one, tells the edit, so that `build` makes the same network again.

    Raises:
        ModelError: the plan is of another network.
    """
    pruned = keep_channels(network, plan.kept, plan.outputs)
    spec: Any = getattr(network, "spec", None)
    if spec is not None:
        pruned.spec = spec.with_edit(plan.to_json())
    return pruned


def masked(network: nn.Module, plan: PrunePlan) -> nn.Module:
    """A copy in full size whose removed channels are zero: what the pruned network must equal."""
    twin = copy.deepcopy(plain_convolutions(network)).eval()
    tensors: dict[str, Tensor] = {**dict(twin.named_parameters()), **dict(twin.named_buffers())}
    with torch.no_grad():
        for name, axes in plan.kept.items():
            if name.endswith("running_var"):
                continue
            for axis, places in axes.items():
                gone = np.setdiff1d(np.arange(tensors[name].shape[axis]), places)
                tensors[name].index_fill_(axis, torch.from_numpy(gone).to(tensors[name].device), 0.0)
    return twin


def _paired(ours: Any, theirs: Any) -> list[tuple[Tensor, Tensor]]:
    """The floating-point tensors that two networks give, in tuples, lists and dicts too, one beside the other.

    Raises:
        ValueError: there is none, or they are of other shapes.
    """
    left, right = ([t for t in tree_leaves(each) if isinstance(t, Tensor)] for each in (ours, theirs))
    pairs = [pair for pair in zip(left, right, strict=True) if pair[0].is_floating_point()]
    if not pairs:
        raise ValueError("it gives no numbers")
    if wrong := next((pair for pair in pairs if pair[0].shape != pair[1].shape), None):
        raise ValueError(f"it gives {tuple(wrong[0].shape)} in place of {tuple(wrong[1].shape)}")
    return pairs


def check_pruned(network: nn.Module, pruned: nn.Module, plan: PrunePlan, shape: Sequence[int]) -> None:
    """Run both on the same random numbers.

    Raises:
        ModelError: the pruned network does not run, or gives other scores than the masked one.
    """
    device = next(network.parameters()).device
    picture = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0)).to(device)
    try:
        with torch.no_grad(), in_eval(pruned):
            pairs = _paired(pruned(picture), masked(network, plan)(picture))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{type(network).__name__} cannot be pruned so: its forward has numbers of its own that do not fit ({line}); "
            "prune a network of the zoo, or keep the layers around them"
        ) from error
    difference = max(
        float((ours - theirs).abs().max()) / (float(theirs.abs().max()) or 1.0) for ours, theirs in pairs
    )
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"{type(network).__name__} cannot be pruned so: its scores differ by {difference:.2g} of the largest from those "
            "with the same channels at zero; prune a network of the zoo"
        )
