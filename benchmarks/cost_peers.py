"""Our counter beside fvcore, ptflops, thop, torchinfo and calflops: the same networks, in one process, interleaved.

The peers live in an environment of their own, .venv-peers, which borrows torch from .venv.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-peers"
PEERS = ("fvcore", "ptflops", "thop", "torchinfo", "calflops", "transformers", "torch-pruning")
"""transformers is what calflops imports and does not ask for."""
NETWORKS = ("mobilenet_v3_large@224", "efficientnet_b4@380", "shufflenet_v2_1.0@224", "vgg16@224")
TARGETS = {"mobilenet_v3_large": 1.0, "efficientnet_b4": 3.0}
"""How many times faster than the fastest peer we mean to be."""


def run() -> Iterator[str]:
    """One line a network and counter, with the ratio of macs and of processor time to ours."""
    python = environment()
    done = subprocess.run(
        [str(python), "-m", "benchmarks._cost_peers", *NETWORKS],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        yield f"the peers could not be run: {done.stderr.strip().splitlines()[-1][:200]}"
        return
    for name, counters in json.loads(done.stdout).items():
        ours = counters.pop("ours")
        yield f"{name}: {ours['macs'] / 1e6:.1f} M macs, {1e3 * ours['seconds']:.0f} ms of processor from the name to the figure"
        for peer, answer in counters.items():
            if "failed" in answer:
                yield f"  {peer}: failed, {answer['failed']}"
                continue
            yield (
                f"  {peer}: {answer['macs'] / ours['macs']:.4f} of our macs, "
                f"{answer['seconds'] / ours['seconds']:.1f} times our processor time"
            )
        fastest = min(a["seconds"] for a in counters.values() if "seconds" in a)
        if name in TARGETS:
            times = fastest / ours["seconds"]
            yield f"  {times:.1f} times faster than the fastest of them ({times / TARGETS[name]:.2f} of the target)"


def environment(folder: Path = ENVIRONMENT, packages: Sequence[str] = PEERS, *options: str) -> Path:
    """The peers' Python, made where it is not there; torch is borrowed from ours. `options` are pip's."""
    python, marker = folder / "bin" / "python", folder / ".installed"
    wanted = " ".join(packages)
    if not marker.exists() or marker.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        here = sysconfig.get_path("purelib")
        theirs = next((folder / "lib").glob("python*/site-packages"))
        (theirs / "torch_of_gossamer.pth").write_text(f"{here}\n{ROOT / 'src'}\n")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *options, *packages], check=True)
        marker.write_text(wanted)
    return python
