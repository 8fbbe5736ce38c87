"""A trial before the work: a network that runs, and whose file runs, on one picture (torch)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import ModelError
from gossamer.nn.modes import in_eval
from gossamer.runs.model import Model

__all__ = ["try_export"]

_TOLERANCE = 1e-3
"""Of outputs that differ only in the order of additions, relative to the largest."""


def try_export(model: Model, on: str) -> None:
    """Export a network that is not the zoo's to the runtime that is asked for and run the file, so that no work is in vain.

    Raises:
        ModelError: it does not run, cannot be exported, or its file says something else.
        BundleError: its file does not run.
        MissingExtraError: the runtime is not installed.
    """
    if ":" not in model.spec.name and not model.spec.edits:
        return  # the zoo's own are exported by its tests
    runtime = get_runtime(on, making=True)
    picture = np.random.default_rng(0).standard_normal(model.contract.shape).astype(np.float32)
    with torch.no_grad(), in_eval(model.network):
        outputs = model.network(torch.from_numpy(picture))
        ours = (outputs if isinstance(outputs, torch.Tensor) else outputs[0]).numpy()
        with tempfile.TemporaryDirectory(prefix="gossamer-trial-") as folder:
            path = Path(folder, f"model{runtime.suffix}")
            runtime.export(model.network, model.contract, path, outputs=model.task.outputs)
            theirs = runtime.load(path, threads=1).run(picture)[0]
    apart = float(np.abs(ours - theirs).max()) / (float(np.abs(ours).max()) or 1.0)
    if not apart <= _TOLERANCE:
        raise ModelError(
            f"a file says what its network says, that of {model.spec.label} on {on} differs by {apart:.2g} of the largest "
            "output; train another network, or ship it on another runtime with --on"
        )
