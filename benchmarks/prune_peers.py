"""Half the macs of strangers' networks: gossamer beside torch-pruning, the same networks in one process, in turns.

The peer lives in .venv-peers, as in `cost_peers`. It prunes by group norms over the whole network in steps until half
of the macs are left, as its README says; the last layer is left alone. Seconds are of the processor.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

from benchmarks.cost_peers import ROOT, environment

NETWORKS = (
    "torchvision:mobilenet_v2",
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x1_0",
    "timm:ghostnet_100",
    "timm:efficientnet_b0",
    "timm:regnety_002",
    "timm:repvgg_a0",
    "torchvision:densenet121",
    "torchvision:squeezenet1_1",
    "resnet20_cifar",
    "resnet56_cifar",
)


def run() -> Iterator[str]:
    """One line a network: the share of macs that each leaves, whether it runs, and what it took."""
    done = subprocess.run(
        [str(environment()), "-m", "benchmarks._prune_peers", *NETWORKS],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        yield f"the peer could not be run: {done.stderr.strip().splitlines()[-1][:200]}"
        return
    for name, tools in json.loads(done.stdout).items():
        yield f"{name}: " + "; ".join(f"{tool} {_told(answer)}" for tool, answer in tools.items())


def _told(answer: dict[str, float | str]) -> str:
    if "failed" in answer:
        return f"fails ({answer['failed']})"
    return f"{float(answer['share']):.4f} of the macs in {float(answer['seconds']):.1f} s, narrowest layer {answer['least']}"
