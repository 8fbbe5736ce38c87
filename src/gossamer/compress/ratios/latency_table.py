"""Milliseconds of every layer at the channels it would have: measured alone, at a few counts, on lines between them.

The table of NetAdapt (Yang et al., 1804.03230, section 3.3): layers of one shape are measured once, and a network's
latency is the sum of its layers'.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.ratios.environment import Environment, input_sides
from gossamer.compress.trace.channels import Product
from gossamer.search.space import Counts
from gossamer.timing.table.block_times import Job, Timer, time_jobs
from gossamer.timing.table.blocks_of import Unit
from gossamer.timing.table.latency_table import Platform

__all__ = ["LayerTable"]

_POINTS = 4
"""Counts of each axis that are measured, at most."""
_LOT = 48
"""Files that are timed side by side."""


@dataclass(frozen=True)
class _Kind:
    """Layers of one kind take the same time at the same counts."""

    depthwise: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Any
    groups: int
    sides: tuple[int, int]
    inputs: int
    outputs: int

    def grid(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts of inputs and outputs to measure; what comes in groups goes in groups."""
        if self.depthwise:
            return np.ones(1, np.int64), _spread(self.outputs, 1)
        return _spread(self.inputs, self.groups), _spread(self.outputs, self.groups)

    def job(self, inputs: int, outputs: int, file: Path) -> Job:
        """A file of such a layer alone, with that many channels."""
        inputs, groups = (outputs, outputs) if self.depthwise else (inputs, self.groups)
        weight = (outputs, inputs // groups, *self.kernel)
        shape = (1, inputs, *self.sides)
        file.write_bytes(_conv_file(shape, weight, self.stride, self.pads(), groups))
        spread = sum(self.pads()[::2]), sum(self.pads()[1::2])
        sides = [
            (side + pad - kernel) // stride + 1
            for side, pad, kernel, stride in zip(self.sides, spread, self.kernel, self.stride, strict=True)
        ]
        macs = prod(weight) * prod(sides)
        return Job(
            Unit(file.stem, "layer", file.stem, b"", shape, macs, 0, outputs, self.kernel[0], self.stride[0]),
            file,
        )

    def pads(self) -> list[int]:
        """As ONNX has them: the starts of both axes, then the ends."""
        if isinstance(self.padding, str):
            both = [(side - 1) // 2 if self.padding == "same" else 0 for side in self.kernel]
            return [*both, *both]
        return [*self.padding, *self.padding]


def _conv_file(
    shape: Sequence[int], weight: Sequence[int], stride: Sequence[int], pads: Sequence[int], groups: int
) -> bytes:
    """An ONNX file of one convolution; written node by node, as exporting hundreds of layers takes minutes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = np.random.default_rng(0).standard_normal(tuple(weight)).astype(np.float32)
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=list(stride),
        pads=list(pads),
        group=groups,
        kernel_shape=list(weight[2:]),
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, weight[0], None, None])],
        [numpy_helper.from_array(values, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString()
    return found


def _spread(most: int, groups: int) -> NDArray[np.int64]:
    counts = np.linspace(most / 10, most, _POINTS)
    return np.unique((np.maximum(counts // groups, 1) * groups).astype(np.int64))


class LayerTable:
    """Times of an environment's convolutions and linear layers on a runtime of this machine, one picture at a time."""

    def __init__(
        self,
        environment: Environment,
        *,
        runtime: str = "onnxruntime",
        threads: int = 1,
        timer: Timer = time_jobs,
    ) -> None:
        """Measure what is needed: about sixteen files for each kind of layer, a tenth of a second each."""
        self._environment = environment
        self._kinds = _kinds(environment)
        platform = Platform.here(runtime=runtime, threads=threads)
        self._times = _measured(sorted(set(self._kinds.values()), key=repr), platform, timer)

    def milliseconds(self, counts: Counts) -> float:
        """The sum over the layers of the network that keeps these counts."""
        channels = self._environment.prunable.channels
        kept = channels.kept_labels(self._environment.kept(counts))
        total = 0.0
        for each in channels.products:
            if each.layer in self._kinds:
                inputs, outputs = (
                    int((labels < 0).sum() + kept[labels[labels >= 0]].sum())
                    for labels in (each.inputs, each.outputs)
                )
                total += self._at(self._kinds[each.layer], inputs, outputs)
        return total

    def _at(self, kind: _Kind, inputs: int, outputs: int) -> float:
        ins, outs = kind.grid()
        times = self._times[kind]
        by_output = np.array([np.interp(inputs, ins, times[:, at]) for at in range(len(outs))])
        return float(np.interp(outputs, outs, by_output))


def _measured(kinds: Sequence[_Kind], platform: Platform, timer: Timer) -> dict[_Kind, NDArray[np.float64]]:
    """Kind -> milliseconds (inputs, outputs) on its grid; more channels never take less."""
    wanted = [(kind, a, b) for kind in kinds for a in kind.grid()[0] for b in kind.grid()[1]]
    found: list[float] = []
    for start in range(0, len(wanted), _LOT):
        with tempfile.TemporaryDirectory() as folder:
            jobs = [
                kind.job(int(inputs), int(outputs), Path(folder, f"{number}.onnx"))
                for number, (kind, inputs, outputs) in enumerate(wanted[start : start + _LOT])
            ]
            found += [timing.latency_ms for timing in timer(jobs, platform)]
    times, at = {}, 0
    for kind in kinds:
        ins, outs = kind.grid()
        block = np.array(found[at : at + len(ins) * len(outs)]).reshape(len(ins), len(outs))
        times[kind] = np.maximum.accumulate(np.maximum.accumulate(block, 0), 1)
        at += block.size
    return times


def _kinds(environment: Environment) -> dict[str, _Kind]:
    """Layer -> its kind, of the convolutions and linear layers whose channels the network's products are."""
    modules = dict(environment.network.named_modules())
    products = {each.layer: each for each in environment.prunable.channels.products}
    named = {name: modules[name] for name in products if isinstance(modules.get(name), nn.Conv2d | nn.Linear)}
    sides = input_sides(environment.network, environment.shape, list(named))
    return {
        name: _kind(module, sides[name], products[name]) for name, module in named.items() if name in sides
    }


def _kind(module: Any, sides: tuple[int, int], product: Product) -> _Kind:
    inputs, outputs = len(product.inputs), len(product.outputs)
    if isinstance(module, nn.Linear):
        return _Kind(
            False, (1, 1), (1, 1), (0, 0), 1, (1, 1), inputs, outputs
        )  # as a convolution of one pixel
    depthwise = module.groups == module.in_channels == module.out_channels > 1
    groups = 1 if depthwise else module.groups
    kernel, stride = module.kernel_size, module.stride
    return _Kind(depthwise, kernel, stride, module.padding, groups, sides, inputs, outputs)
