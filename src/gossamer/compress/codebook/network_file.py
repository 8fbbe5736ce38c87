"""A torch network as one packed file that runs without torch: weights, graph and what prediction needs to know."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gossamer.compress.codebook.calibrate import network_tensors
from gossamer.compress.codebook.network_plan import file_plan
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.packed.graph import SplitGraph, split_graph
from gossamer.deploy.runtimes.packed.settings import PackPlan
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.nn.blocks.reparameterised import RepConv
from gossamer.nn.edits.fuse import fuse
from gossamer.types import Size

__all__ = ["contract_of", "folded", "network_file", "split_network"]


def folded(network: nn.Module) -> nn.Module:
    """The network with its norms and branches folded in, as it is packed and exported; itself where it has none.

    Raises:
        ModelError: a foreign network's data flow cannot be followed.
    """
    if any(isinstance(module, nn.BatchNorm2d | RepConv) for module in network.modules()):
        return fuse(network)
    return network


def contract_of(shape: tuple[int, ...]) -> InputContract:
    """A contract for inputs (1, bands, H, W) of which only the shape is known."""
    bands = shape[1]
    names = tuple(f"band {i}" for i in range(bands))
    return InputContract(Size(*shape[2:]), bands=names, mean=(0.0,) * bands, std=(1.0,) * bands)


def split_network(network: nn.Module, contract: InputContract) -> SplitGraph:
    """The exported graph without its constants, and these under the names of the folded network's tensors.

    Raises:
        ModelError: the network cannot be exported.
    """
    import onnx

    whole = folded(network)
    with tempfile.TemporaryDirectory(prefix="gossamer-pack-") as folder:
        path = Path(folder, "model.onnx")
        export(whole, contract, path)
        return split_graph(onnx.load(path), network_tensors(whole))


def network_file(
    network: nn.Module, contract: InputContract, plan: PackPlan, metadata: Mapping[str, Any]
) -> bytes:
    """The file of a network whose weights are those of the plan already (`NetworkPackPlan`): nothing more is lost.

    Raises:
        ModelError: the network cannot be exported or packed.
    """
    split = split_network(network, contract)
    return pack(split.tensors, file_plan(plan, list(split.tensors)), metadata, split.graph)
