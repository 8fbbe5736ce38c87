"""gossamer: from your pictures and a device budget to a deployed lightweight network.

The public names load on first use, so that importing gossamer needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Budget": "gossamer.types",
    "Bundle": "gossamer.deploy.bundle",
    "GossamerError": "gossamer.errors",
    "InputContract": "gossamer.deploy.contract",
    "ModelSpec": "gossamer.zoo.spec",
    "build": "gossamer.zoo.build",
    "check": "gossamer.data.check",
    "fit": "gossamer",
    "fuse": "gossamer.nn.edits.fuse",
    "load": "gossamer.deploy.bundle",
    "measure": "gossamer.cost.meter",
    "network_of": "gossamer.zoo.of_bundle",
    "predict": "gossamer.deploy.predict",
    "prune": "gossamer.compress.prune.targets",
    "train_network": "gossamer.fit.train_run",
}

__all__ = [
    "Budget",
    "Bundle",
    "GossamerError",
    "InputContract",
    "ModelSpec",
    "__version__",
    "build",
    "check",
    "fit",
    "fuse",
    "load",
    "measure",
    "network_of",
    "predict",
    "prune",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gossamer' has no attribute {name!r}")
    if name == "fit":
        return importlib.import_module("gossamer.fit")  # a package that can be called
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
