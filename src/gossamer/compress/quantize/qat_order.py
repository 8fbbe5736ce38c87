"""Calibrating a network of binary inputs: layer by layer in the order they run, on what comes out of those before.

Of what the float network computes little is left behind the first signs, so neither its ranges nor the statistics of
its norms fit: both are taken again on the way, as the pictures arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gossamer.compress.quantize.pictures import run_on
from gossamer.nn.modes import taken_off

__all__ = ["Hook", "calibrate_in_order", "hooked"]

Hook = Callable[[nn.Module, tuple[Tensor, ...]], None]
"""Is called with a module and what comes into it."""


def calibrate_in_order(
    changed: nn.Module, names: Sequence[str], pictures: Tensor, calibrate: Callable[[str, Tensor], None]
) -> list[str]:
    """Calibrate these layers, each once, on what comes in when its turn is, and take norms' statistics: in place.

    `calibrate` gets a name and what came in of `pictures` (B, C, H, W). The result are layers that were not reached.
    """
    missing = dict.fromkeys(names)

    def settle(name: str) -> Hook:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if name in missing:
                del missing[name]
                calibrate(name, args[0])

        return hook

    norms = [n for n, m in changed.named_modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    with hooked(changed, {n: settle(n) for n in names} | dict.fromkeys(norms, _take_statistics)):
        run_on(changed, pictures)
    return list(missing)


@torch.no_grad()
def _take_statistics(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
    """A hook: the norm's statistics become those of what comes in."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(norm.running_mean, Tensor)
    assert isinstance(norm.running_var, Tensor)
    values = args[0].transpose(0, 1).flatten(1)
    norm.running_mean.copy_(values.mean(1))
    norm.running_var.copy_(values.var(1, correction=0))


@contextmanager
def hooked(network: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """These hooks before the forward of layers, for as long as the block runs."""
    handles = [network.get_submodule(n).register_forward_pre_hook(hook) for n, hook in hooks.items()]
    with taken_off(handles):
        yield
