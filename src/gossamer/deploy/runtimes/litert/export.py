"""Torch networks as fp32 .tflite files."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gossamer._files import atomic_path
from gossamer._quiet import quiet
from gossamer.deploy.contract import InputContract
from gossamer.errors import MissingExtraError, ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import Architecture
from gossamer.nn.plain_pools import WithPlainPools

__all__ = ["export"]


def export(
    network: Any, contract: InputContract, path: Path, *, outputs: Sequence[str] = ("scores",)
) -> None:
    """Write a torch network as an fp32 .tflite file for one picture at a time, norms and branches folded in.

    `outputs` are names of what the network gives, in its order; they stand in the metadata alone.

    Raises:
        ModelError: the network cannot be converted.
        MissingExtraError: the converter is not installed.
    """
    network = fuse(network) if isinstance(network, Architecture) else copy.deepcopy(network)
    example = torch.zeros(contract.shape)
    with quiet():
        converter = _converter()
        try:
            converted = converter.convert(WithPlainPools(network.cpu()).eval(), (example,))
            with atomic_path(path) as temporary:
                converted.export(str(temporary))
        except Exception as error:  # the converter raises whatever the network's own code raises
            failed = error
        else:
            return
    reason = " ".join(str(failed).split())[:200]
    raise ModelError(
        f"cannot export {type(network).__name__} to LiteRT: {reason}; check that it runs on one picture"
    ) from failed


def _converter() -> Any:
    try:
        import litert_torch
    except ImportError as error:
        raise MissingExtraError("exporting to litert", "litert-torch", "litert") from error
    return litert_torch
