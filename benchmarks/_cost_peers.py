"""Runs in the peers' environment: ours and every counter that is installed there, interleaved; prints one JSON document."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn

from gossamer.cost.meter import measure
from gossamer.zoo.build import build

ROUNDS = 5


def _fvcore(network: nn.Module, x: torch.Tensor) -> float:
    from fvcore.nn import FlopCountAnalysis

    return float(FlopCountAnalysis(network, x).unsupported_ops_warnings(False).total())


def _ptflops(network: nn.Module, x: torch.Tensor) -> float:
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        network, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return float(macs)


def _thop(network: nn.Module, x: torch.Tensor) -> float:
    from thop import profile

    return float(profile(network, inputs=(x,), verbose=False)[0])


def _torchinfo(network: nn.Module, x: torch.Tensor) -> float:
    from torchinfo import summary

    return float(summary(network, input_data=x, verbose=0).total_mult_adds)


def _calflops(network: nn.Module, x: torch.Tensor) -> float:
    from calflops import calculate_flops

    _, macs, _ = calculate_flops(
        network, input_shape=tuple(x.shape), output_as_string=False, print_results=False, print_detailed=False
    )
    return float(macs)


PEERS: dict[str, Callable[[nn.Module, torch.Tensor], float]] = {
    "fvcore": _fvcore,
    "ptflops": _ptflops,
    "thop": _thop,
    "torchinfo": _torchinfo,
    "calflops": _calflops,
}


def _ours(name: str, size: int) -> float:
    with torch.device("meta"):
        network = build(name).eval()
    return float(measure(network, (1, 3, size, size)).macs)


def _theirs(count: Callable[[nn.Module, torch.Tensor], float], name: str, size: int) -> float:
    """From the name to the figure, as ours: they need a network with weights and a picture."""
    with torch.no_grad():
        return count(build(name).eval(), torch.zeros(1, 3, size, size))


def compare(name: str, size: int) -> dict[str, dict[str, float | str]]:
    """Counter -> macs and median processor seconds, or why it failed."""
    tasks: dict[str, Callable[[], float]] = {"ours": lambda: _ours(name, size)}
    for peer, count in PEERS.items():
        tasks[peer] = lambda count=count: _theirs(count, name, size)  # type: ignore[misc]
    seconds: dict[str, list[float]] = {task: [] for task in tasks}
    found: dict[str, float] = {}
    failed: dict[str, str] = {}
    for _ in range(ROUNDS):
        for task, run in tasks.items():
            if task in failed:
                continue
            start = time.process_time()
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    found[task] = run()
            except Exception as error:  # another's code
                failed[task] = f"{type(error).__name__}: {error}"[:200]
                continue
            seconds[task].append(time.process_time() - start)
    answer: dict[str, dict[str, float | str]] = {task: {"failed": why} for task, why in failed.items()}
    for task in found:
        if task not in failed:
            answer[task] = {"macs": found[task], "seconds": statistics.median(seconds[task])}
    return answer


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    wanted = [argument.split("@") for argument in sys.argv[1:]]
    print(json.dumps({name: compare(name, int(size)) for name, size in wanted}))
