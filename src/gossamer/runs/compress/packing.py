"""The packed file of a compressed network: written where the last method packs, opened again and held against ONNX."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from torch import nn

from gossamer._files import sha256, write_bytes
from gossamer.compress.codebook.method import Pack
from gossamer.compress.codebook.network_file import network_file
from gossamer.compress.codebook.network_plan import NetworkPackPlan
from gossamer.compress.methods import parse_method
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.packed import run as packed_files
from gossamer.deploy.runtimes.packed.tensors import read_packed
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import GossamerError, ModelError

__all__ = ["PackedFile", "is_packing", "write_packed_network"]


class PackedFile(BaseModel):
    """A packed file and what it takes."""

    file: str
    """Below the run folder."""
    sha256: str
    size_bytes: int
    graph_bytes: int
    decode_seconds: float
    """To read the file and give its weights back, with numpy."""
    target_bytes: int | None
    met: bool
    """Whether it has the size that was asked for."""

    @property
    def told(self) -> str:
        """The file in a few words."""
        wanted = "" if self.met else f", {self.target_bytes:,} bytes were asked for"
        return f"{self.size_bytes / 1e6:.3f} MB packed{wanted}"


def is_packing(method: object) -> bool:
    """Whether a method packs: what it makes may not be trained any more."""
    return isinstance(method, Pack)


def write_packed_network(
    run: Path,
    network: nn.Module,
    text: str,
    plan: Path,
    contract: InputContract,
    metadata: Mapping[str, Any],
    like: Session,
    *,
    threads: int,
) -> PackedFile | None:
    """Write export/model.gsm if the plan, the last one of the run, packs; None where it does not.

    `text` is the method as a person typed it, or the file of a plan. `like` runs the ONNX file of the same network.

    Raises:
        ModelError: the packed file says something else than `like`.
    """
    document = json.loads(plan.read_text(encoding="utf-8"))
    if document.get("edit") != "pack":
        return None
    data = network_file(network, contract, NetworkPackPlan.from_json(document).tensors, metadata)
    path = run / "export" / f"model{packed_files.suffix}"
    write_bytes(path, data)
    start = time.perf_counter()
    packed = read_packed(path)
    seconds = time.perf_counter() - start
    picture = np.random.default_rng(0).standard_normal(contract.shape).astype(np.float32)
    apart = max(
        float(np.abs(ours - theirs).max())
        for ours, theirs in zip(
            packed_files.load(path, threads=threads).run(picture), like.run(picture), strict=True
        )
    )
    if not apart == 0:
        raise ModelError(
            f"a packed file says what the ONNX file of the same network says, {path} differs by {apart:g}; report this network"
        )
    target = _target(text)
    return PackedFile(
        file=path.relative_to(run).as_posix(),
        sha256=sha256(path),
        size_bytes=len(data),
        graph_bytes=packed.graph_bytes,
        decode_seconds=round(seconds, 3),
        target_bytes=target,
        met=target is None or len(data) <= target,
    )


def _target(text: str) -> int | None:
    """The size that was asked for, of a method; plans ask for none."""
    try:
        method: object = parse_method(text)
    except GossamerError:
        return None
    return int(method.size) if isinstance(method, Pack) and method.size is not None else None
