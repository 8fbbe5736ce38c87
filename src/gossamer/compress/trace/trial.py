"""Trial cuts on the meta device: layers around which a forward has numbers of its own are kept whole, the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gossamer.compress.trace.labels import Tracer
from gossamer.compress.trace.values import Channels
from gossamer.nn.edits.channels import keep_channels
from gossamer.nn.modes import taken_off

__all__ = ["freeze_stubborn"]

_MOST_TRIALS = 400
Group = Sequence[int]
"""Sets that are one layer's channels."""


def freeze_stubborn(twin: nn.Module, tracer: Tracer, picture: Tensor) -> None:
    """Cut a third of every layer; while that does not run, freeze the layers around the module where it fails.

    Of the layers that touch that module's weights those are frozen that do not run when cut alone, all where each does.
    """
    with torch.no_grad():
        shapes = _shapes(twin(picture))
    left = _MOST_TRIALS
    while left > 0:
        channels = tracer.channels()
        groups = [group for group in channels.alike() if len(group) > 1]
        failed = _failure(twin, channels, groups, picture, shapes)
        if failed is None:
            return
        near = _around(channels, groups, failed)
        stubborn = [group for group in near if _failure(twin, channels, [group], picture, shapes) is not None]
        left -= 1 + len(near)
        kind = type(twin.get_submodule(failed)).__name__
        for group in stubborn or near:
            labels = np.flatnonzero(np.isin(channels.sets, group))
            tracer.freeze(
                labels, f"around {failed or 'the network'} ({kind}), whose forward has numbers of its own"
            )


def _around(channels: Channels, groups: Sequence[Group], failed: str) -> list[Group]:
    """Groups that touch the weights of a module, or of the smallest one around it that some touch; all where none does."""
    scope = failed
    while True:
        prefix = f"{scope}." if scope else ""
        touched = [channels.set_of(slot.labels) for slot in channels.slots if slot.name.startswith(prefix)]
        sets = set(np.concatenate(touched).tolist()) if touched else set()
        near = [group for group in groups if sets.intersection(group)]
        if near or not scope:
            return near or list(groups)
        scope = scope.rpartition(".")[0]


def _failure(
    twin: nn.Module,
    channels: Channels,
    groups: Sequence[Group],
    picture: Tensor,
    shapes: Sequence[tuple[int, ...]],
) -> str | None:
    """The module where the network fails without a third of these groups; None where it runs and gives what it gave."""
    kept = np.ones(channels.count, np.bool_)
    for group in groups:
        kept[list(group[: -(-len(group) // 3)])] = False
    if kept.all():
        return None
    cut = keep_channels(twin, channels.places(kept), channels.given(kept))
    path = [""]
    try:
        with torch.no_grad(), taken_off(list(_entered(cut, path))):
            result = _shapes(cut(picture))
    except Exception:  # a stranger's forward may raise anything
        return path[-1]
    return None if result == shapes else ""


def _entered(network: nn.Module, path: list[str]) -> Iterator[Any]:
    """Hooks that keep the names of the modules that run, the innermost last."""
    for name, module in network.named_modules():

        def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
            path.append(name)

        def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
            path.pop()

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)


def _shapes(result: Any) -> list[tuple[int, ...]]:
    leaves: Iterable[Any] = tree_leaves(result)
    return [tuple(leaf.shape) for leaf in leaves if isinstance(leaf, Tensor)]
