"""A Python in which torch and what comes with it are not installed, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

BLOCKED = (
    "torch",
    "torchvision",
    "lightning",
    "pytorch_lightning",
    "lightning_fabric",
    "timm",
    "tensorboard",
    "torchmetrics",
)

# The path finder is replaced by one that does not find the blocked packages: both `import` and `find_spec` then see
# what they see where nothing is installed.
PRELUDE = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in {BLOCKED!r}:
            return None
        return PathFinder.find_spec(fullname, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
assert Without in sys.meta_path
"""


def python(code, *arguments, cwd=None):
    """Run code without torch; stdout, stderr and returncode."""
    environment = {k: v for k, v in os.environ.items() if k != "GOSSAMER_DEBUG"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + code, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=300,
    )  # fmt: skip


def gossamer(*arguments, cwd=None):
    """Run the command line without torch."""
    return python("from gossamer.cli import main\nsys.argv[0] = 'gossamer'\nmain()\n", *arguments, cwd=cwd)
