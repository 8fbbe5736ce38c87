"""What a network is in for a while: eval mode, hooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.utils.hooks import RemovableHandle

__all__ = ["in_eval", "taken_off"]


@contextmanager
def in_eval(network: nn.Module) -> Iterator[None]:
    """In eval mode inside; every module in its own mode again after."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def taken_off(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Hooks that were set are taken off after, whatever happens inside."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
