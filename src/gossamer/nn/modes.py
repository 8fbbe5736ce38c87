"""What a network is in for a while: eval mode, hooks; and what it says then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["in_eval", "said_by", "taken_off"]


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


def said_by(network: nn.Module, inputs: Tensor) -> tuple[NDArray[np.float32], ...]:
    """Every output of a network in eval mode for inputs (N, bands, H, W), without gradients; the first axis of each is N."""
    with torch.no_grad():
        outputs = network(inputs)
    return tuple(each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,)))
