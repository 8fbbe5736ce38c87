"""Torch networks as fp32 ONNX files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

from gossamer._files import write_bytes
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.files.onnx import compact, fold_constants, fold_pads, write_out_pads
from gossamer.files.onnx_bodies import inline_branches
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import Architecture
from gossamer.nn.plain_pools import PlainPools

__all__ = ["export"]

OPSET = 18


def export(
    network: Any,
    contract: InputContract,
    path: Path,
    *,
    outputs: Sequence[str] = ("scores",),
    names: bool = False,
) -> None:
    """Write a torch network as fp32 ONNX for one picture at a time, norms, branches and padding folded in.

    Torch's tracing exporter is used: under a second a network where the other takes 4 to 20, and after the runtime's
    own optimiser both give the same graph at the same speed (measured, docs/decisions/0005). `outputs` names what
    the network gives, in its order. With `names` nodes keep the names of the modules they come from, which a shipped
    file has no use for.

    Raises:
        ModelError: the network cannot be traced.
    """
    if isinstance(network, Architecture):
        network = fuse(network)
    buffer = io.BytesIO()
    example = torch.zeros(contract.shape, device=_device(network))
    try:
        with warnings.catch_warnings(), torch.no_grad(), PlainPools():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (example,),
                buffer,  # type: ignore[arg-type]  # the tracing exporter takes a file object
                input_names=["input"],
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the tracer raises whatever the network's own code raises
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"cannot export {type(network).__name__} to ONNX: {reason}; check that it runs on one picture"
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    inline_branches(model)
    fold_pads(model)
    write_out_pads(model)
    fold_constants(model)
    if not names:
        compact(model)
    write_bytes(path, model.SerializeToString())


def _device(network: Any) -> Any:
    first = next(network.parameters(), None)
    return "cpu" if first is None else first.device
