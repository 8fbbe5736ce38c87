"""The inside of `prune_peers`: runs in the peers' environment, prints JSON."""

from __future__ import annotations

import copy
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gossamer.compress.prune.targets import prune
from gossamer.cost.meter import measure
from gossamer.nn.network import last_layer
from gossamer.zoo.build import build

SHARE, STEPS = 0.5, 50


def main(names: list[str]) -> None:
    """A JSON object: network -> tool -> share, seconds, least, or failed."""
    warnings.simplefilter("ignore")
    tools: dict[str, Callable[[nn.Module, torch.Tensor], nn.Module]] = {
        "gossamer": _ours,
        "gossamer, multiples of 8": lambda network, picture: _ours(network, picture, 8),
        "torch-pruning": _theirs,
    }
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        side = 32 if "cifar" in name else 224
        network = build(name).eval()
        picture = torch.randn(1, 3, side, side)
        whole = measure(network, tuple(picture.shape)).macs
        found[name] = {tool: _answer(act, network, picture, whole) for tool, act in tools.items()}
    print(json.dumps(found))


def _answer(
    act: Callable[[nn.Module, torch.Tensor], nn.Module], network: nn.Module, picture: torch.Tensor, whole: int
) -> dict[str, Any]:
    start = time.process_time()
    try:
        pruned = act(copy.deepcopy(network), picture)
        seconds = time.process_time() - start
        pruned.train()(torch.cat([picture, picture])).sum().backward()
        share = measure(pruned.eval(), tuple(picture.shape)).macs / whole
        least = min(m.out_channels for m in pruned.modules() if isinstance(m, nn.Conv2d))
    except Exception as error:  # whatever a tool raises is its answer
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}
    return {"share": share, "seconds": seconds, "least": least}


def _ours(network: nn.Module, picture: torch.Tensor, multiple: int = 1) -> nn.Module:
    return prune(network, picture, macs=SHARE, multiple=multiple)


def _theirs(network: nn.Module, picture: torch.Tensor) -> nn.Module:
    import torch_pruning as tp

    pruner = tp.pruner.BasePruner(
        network,
        picture,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[last_layer(network)[1]],
    )
    whole, _ = tp.utils.count_ops_and_params(network, picture)
    for _ in range(STEPS):
        pruner.step()
        left, _ = tp.utils.count_ops_and_params(network, picture)
        if left <= SHARE * whole:
            break
    return network


if __name__ == "__main__":
    main(sys.argv[1:])
