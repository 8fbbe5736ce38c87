"""What machine this is, how busy and how fast it is at the moment: written beside every figure measured on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

__all__ = [
    "MachineState",
    "ProcessorTimes",
    "available_bytes",
    "describe_machine",
    "load_per_core",
    "machine_state",
    "processor_times",
    "versions",
]

CPU_FOLDER = Path("/sys/devices/system/cpu")
"""Where Linux tells the clock of each core."""

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
    "openvino",
    "nncf",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
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


class ProcessorTimes(NamedTuple):
    """Seconds: of the clock, and of processor time since start on all cores."""

    clock: float
    all: float
    """Used by all processes."""
    own: float
    """Used by this process."""
    stolen: float | None
    """Taken by the host of a virtual machine; None where the system does not tell."""


def processor_times() -> ProcessorTimes:
    """Read the clock and the processor time."""
    times = psutil.cpu_times()
    stolen = getattr(times, "steal", None)
    not_used = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests are counted within user and nice
    own = psutil.Process().cpu_times()
    used = sum(times) - sum(getattr(times, name, 0.0) for name in not_used)
    return ProcessorTimes(time.perf_counter(), used, own.user + own.system, stolen)


@dataclass(frozen=True)
class MachineState:
    """How busy and how fast the machine is at one moment; None where the system does not tell."""

    load_per_core: float
    """Runnable processes a core, averaged by the system over the last minute."""
    frequency_mhz: float | None
    """Clock of the fastest core: the one at work, where others idle."""
    max_frequency_mhz: float | None
    """What the fastest core can reach."""
    governor: str | None
    """What chooses the clock, e.g. `powersave`; where cores differ, all their governors."""
    others: float | None
    """Share of all cores that other processes used since the reading before."""
    steal: float | None
    """Share of all cores that the host of a virtual machine took since the reading before."""
    times: ProcessorTimes


def machine_state(since: MachineState | None = None, *, root: Path = CPU_FOLDER) -> MachineState:
    """Read the state of the machine; shares of the cores are between `since` and now, None without it."""
    times = processor_times()
    others = steal = None
    if since is not None:
        before = since.times
        seconds = max(times.clock - before.clock, 1e-9) * (os.cpu_count() or 1)
        others = _share(times.all - before.all - (times.own - before.own), seconds)
        if times.stolen is not None and before.stolen is not None:
            steal = _share(times.stolen - before.stolen, seconds)
    current, highest = _frequencies(root)
    return MachineState(load_per_core(), current, highest, _governor(root), others, steal, times)


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part) / whole)


def _frequencies(root: Path) -> tuple[float | None, float | None]:
    """(current, highest) clock in MHz."""
    current = _megahertz(_by_core(root, "scaling_cur_freq"))
    highest = _megahertz(_by_core(root, "cpuinfo_max_freq"))
    if current is not None or root != CPU_FOLDER:
        return current, highest
    try:
        told = psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError, RuntimeError):  # what systems without a clock raise
        return None, highest
    return (None, highest) if told is None else (told.current or None, highest or told.max or None)


def _megahertz(kilohertz: Sequence[str]) -> float | None:
    numbers = [int(text) for text in kilohertz if text.isdigit()]
    return max(numbers) / 1e3 if numbers else None


def _governor(root: Path) -> str | None:
    return ", ".join(sorted(set(_by_core(root, "scaling_governor")))) or None


def _by_core(root: Path, name: str) -> list[str]:
    """What the cores say under a name; those that do not tell are left out."""
    found = []
    for file in root.glob(f"cpu[0-9]*/cpufreq/{name}"):
        try:
            found.append(file.read_text().strip())
        except OSError:
            continue
    return [text for text in found if text]


def available_bytes() -> int:
    """Memory that programs can take without anything being swapped out."""
    return int(psutil.virtual_memory().available)


def describe_machine() -> dict[str, Any]:
    """CPU, cores, memory, system and Python, as a JSON object; highest clock and governor where they can be read."""
    highest, governor = _frequencies(CPU_FOLDER)[1], _governor(CPU_FOLDER)
    clock = {"max_frequency_mhz": highest, "governor": governor}
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_per_core": round(load_per_core(), 2),
        **{name: value for name, value in clock.items() if value is not None},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
