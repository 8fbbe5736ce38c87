"""What machine this is and how busy it is: written beside every figure measured on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

__all__ = ["busy_seconds", "describe_machine", "load_per_core", "versions"]

PACKAGES = (
    "gossamer",
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "numpy",
    "pillow",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "safetensors",
)


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions by package; those not installed are left out."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load_per_core() -> float:
    """Runnable processes per core, averaged over the last minute; this process counts too."""
    load: float = psutil.getloadavg()[0]
    return load / (os.cpu_count() or 1)


def busy_seconds() -> tuple[float, float]:
    """Processor seconds since start: (of all processes on all cores, of this process)."""
    times = psutil.cpu_times()
    whole = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    own = psutil.Process().cpu_times()
    return whole, own.user + own.system


def describe_machine() -> dict[str, Any]:
    """CPU, cores, memory, system and Python, as a JSON object."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_per_core": round(load_per_core(), 2),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
