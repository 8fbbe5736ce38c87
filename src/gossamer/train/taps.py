"""Maps inside a network, taken while it runs: where they are, and what they are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gossamer.nn.modes import in_eval, taken_off
from gossamer.nn.network import Architecture, Network, Stage

__all__ = ["Site", "dry_run", "tapped"]


class Site(NamedTuple):
    """A module that makes a map, and the map's channels."""

    module: nn.Module
    channels: int
    pick: int | None = None
    """Its place in what the module gives, where that is a list of maps."""

    def of(self, output: Any) -> Tensor:
        """The map in what the module gave."""
        found: Tensor = output if self.pick is None else output[self.pick]
        return found


@contextlib.contextmanager
def tapped(modules: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """Number in `modules` -> what that module last gave, filled while networks run within."""
    outputs: dict[int, Tensor] = {}
    handles = [module.register_forward_hook(_keep(outputs, i)) for i, module in enumerate(modules)]
    with taken_off(handles):
        yield outputs


def _keep(outputs: dict[int, Tensor], index: int) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.pop(index, None)  # the order of the dict is that of the last calls
        outputs[index] = output

    return hook


def dry_run(network: nn.Module, inputs: Tensor) -> tuple[Any, dict[int, Site]]:
    """What the network gives for (1, bands, H, W), and its maps: halvings of the side -> the last that has them.

    Of a network of ours they are what the stages give, or the part that it names by `maps_part`. Of another they are the outputs (1, C, h, w) with more than
    one place that shrink both sides alike: of one resolution the last of those that lie least deep in modules, and
    none at all where nothing shrinks (a transformer's tokens are no map).
    """
    part = network.maps_part if isinstance(network, Architecture) else ""
    ours = isinstance(network, Network) or bool(part)
    if part:
        places = [(0, network.get_submodule(part))]
    elif isinstance(network, Network):  # a block: not every network calls its stages whole
        places = [(0, stage[-1]) for stage in network.stages if isinstance(stage, Stage)]
    else:
        places = [(name.count("."), module) for name, module in network.named_modules() if name]
    with in_eval(network), torch.no_grad(), tapped([module for _, module in places]) as outputs:
        result = network(inputs)
    found: dict[int, tuple[int, Site]] = {}
    for index, output in outputs.items():
        depth, module = places[index]
        for pick, one in enumerate(output if part else [output]):
            level = _halvings(inputs, one, one_place=ours)
            if level is not None and (level not in found or depth <= found[level][0]):
                found[level] = depth, Site(module, one.shape[1], pick if part else None)
    if len(found) < 2 and not ours:
        found = {}
    return result, {level: found[level][1] for level in sorted(found)}


def _halvings(inputs: Tensor, output: Any, *, one_place: bool) -> int | None:
    if not isinstance(output, Tensor) or output.ndim != 4 or (output[0, 0].numel() == 1 and not one_place):
        return None
    down, across = (round(math.log2(inputs.shape[i] / output.shape[i])) for i in (2, 3))
    return down if down == across and down >= 0 else None
