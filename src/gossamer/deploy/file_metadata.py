"""What every file that ships carries beside its network, whichever runtime it is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gossamer import __version__
from gossamer.deploy import bundle
from gossamer.deploy.contract import InputContract
from gossamer.zoo.spec import ModelSpec

__all__ = ["file_metadata"]


def file_metadata(
    spec: ModelSpec,
    contract: InputContract,
    labels: Sequence[str],
    precision: str,
    *,
    task: str = "classify",
    outputs: Sequence[str] = ("scores",),
    temperature: float = 1.0,
) -> dict[str, Any]:
    """What a file needs to be used alone; `precision` is empty for a packed one, whose tensors have their own."""
    return {
        "version": bundle.VERSION,
        "task": task,
        "labels": list(labels),
        "input": contract.to_json(),
        "model": spec.summary(),
        "precision": precision,
        "outputs": list(outputs),
        "temperature": temperature,
        "gossamer": __version__,
    }
