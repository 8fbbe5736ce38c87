"""Tiny networks with life in them, and plain ways to run what they become."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage, classifier
from gossamer.types import Size

SIDE = 33
CONTRACT = InputContract(Size(SIDE, SIDE))


def tiny_network(*, same: bool = True, seed: int = 0, classes: int = 5) -> Network:
    """Stem, two stages, head; batch norms as after training, weights that tell inputs apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stem = ConvNormAct(3, 16, 3, 2, same=same)
        first = Stage([InvertedResidual(16, 24, 64, stride=2, same=same)], channels=24, reduction=4)
        second = Stage([InvertedResidual(24, 24, 96, kernel=5, same=same)], channels=24, reduction=4)
        network = Network(stem, [first, second], classifier(24, classes, conv_channels=96))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.2 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.2 + torch.rand(module.num_features, generator=generator))
            module.weight.data.copy_(1 + 0.3 * torch.randn(module.num_features, generator=generator))
            module.bias.data.copy_(0.3 * torch.randn(module.num_features, generator=generator))
    return network.eval()


def inputs(count: int, *, side: int = SIDE, seed: int = 0) -> list[np.ndarray]:
    """Prepared inputs (1, 3, side, side) that differ in colour and in pattern."""
    rng = np.random.default_rng(seed)
    colours = rng.normal(0, 1.5, (count, 1, 3, 1, 1))
    return list((colours + rng.normal(0, 1, (count, 1, 3, side, side))).astype(np.float32))


def traced(network: nn.Module, side: int = SIDE) -> onnx.ModelProto:
    """The exporter's own graph, before any edit of ours."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, 3, side, side),), buffer, input_names=["input"], output_names=["scores"],
            opset_version=18, dynamo=False,
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


def run(model: onnx.ModelProto, value: np.ndarray, *, optimise: bool = True) -> np.ndarray:
    """The first output of a graph."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: value})[0]


def scores(network: nn.Module, value: np.ndarray) -> np.ndarray:
    """What torch says."""
    with torch.no_grad():
        return network(torch.from_numpy(value)).numpy()
