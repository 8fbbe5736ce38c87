"""Run every benchmark and print its ratio, with the machine it was measured on."""

from __future__ import annotations

import sys

from benchmarks import (
    auto_ratios,
    building,
    busy_machine,
    cost_peers,
    detect_evaluate,
    detect_parity,
    detect_path,
    detect_peers,
    export,
    guidelines,
    int8_accuracy,
    int8_mobilenet_v3,
    kernels,
    low_bits,
    prediction,
    prediction_offline,
    prune_accuracy,
    prune_peers,
    resume,
    runtimes_int8,
    sparsity,
    squeezenet_file,
    startup,
    train_layouts,
    train_peers,
    train_scaling,
)
from gossamer._machine import describe_machine, versions

BENCHMARKS = {
    "auto_ratios": auto_ratios.run,
    "startup": startup.run,
    "building": building.run,
    "busy_machine": busy_machine.run,
    "cost_peers": cost_peers.run,
    "detect_evaluate": detect_evaluate.run,
    "detect_parity": detect_parity.run,
    "detect_path": detect_path.run,
    "detect_peers": detect_peers.run,
    "export": export.run,
    "guidelines": guidelines.run,
    "int8_accuracy": int8_accuracy.run,
    "int8_mobilenet_v3": int8_mobilenet_v3.run,
    "kernels": kernels.run,
    "low_bits": low_bits.run,
    "prediction": prediction.run,
    "prediction_offline": prediction_offline.run,
    "prune_accuracy": prune_accuracy.run,
    "prune_peers": prune_peers.run,
    "resume": resume.run,
    "runtimes_int8": runtimes_int8.run,
    "sparsity": sparsity.run,
    "squeezenet_file": squeezenet_file.run,
    "train_layouts": train_layouts.run,
    "train_peers": train_peers.run,
    "train_scaling": train_scaling.run,
}


def main(names: list[str]) -> None:
    """Run the named benchmarks, all without names."""
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_per_core']} a core")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    for name in names or list(BENCHMARKS):
        print(f"\n{name}")
        for line in BENCHMARKS[name]():
            print(f"  {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
