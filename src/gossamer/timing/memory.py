"""Peak memory of a deployed file: read off a fresh process that does nothing but load and run it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gossamer.errors import BundleError

__all__ = ["PeakMemory", "measure_memory"]

_RUNS = 3


@dataclass(frozen=True)
class PeakMemory:
    """Resident bytes: of the whole process at its highest, and what the file added to the bare runtime."""

    process_bytes: int
    model_bytes: int


def measure_memory(path: Path, *, runtime: str, threads: int, shape: tuple[int, ...]) -> PeakMemory:
    """Load and run the file in a new process and read its highest resident size.

    Raises:
        BundleError: the file cannot be run there.
    """
    command = [
        sys.executable,
        "-m",
        "gossamer.timing.memory",
        str(path),
        runtime,
        str(threads),
        json.dumps(shape),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise BundleError(f"cannot run {path} in a fresh process: {reason}")
    before, after = json.loads(result.stdout)
    return PeakMemory(after, max(0, after - before))


def _peak_bytes() -> int:
    """VmHWM where the system has it: getrusage would hand down the peak of the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import psutil

        return int(psutil.Process().memory_info().rss)


def _measure_here(path: Path, runtime: str, threads: int, shape: tuple[int, ...]) -> tuple[int, int]:
    import numpy as np

    from gossamer.deploy.runtimes import get_runtime

    loaded = get_runtime(runtime)
    loaded.engine()
    before = _peak_bytes()
    session = loaded.load(path, threads=threads)
    batch = np.zeros(shape, np.float32)
    for _ in range(_RUNS):
        session.run(batch)
    return before, _peak_bytes()


if __name__ == "__main__":
    _file, _runtime, _threads, _shape = sys.argv[1:]
    sys.stdout.write(
        json.dumps(_measure_here(Path(_file), _runtime, int(_threads), tuple(json.loads(_shape))))
    )
