"""The file beside an ONNX Runtime file that takes a picture's bytes: preprocessing and shares stand in its graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gossamer._files import write_bytes
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.temperature import cooled
from gossamer.files.metadata import PICTURES
from gossamer.runs.calibration import has_shares
from gossamer.tasks import Task

__all__ = ["NAME", "RUNTIME", "BytesFile", "write_bytes_file"]

NAME, RUNTIME = "uint8.onnx", "onnxruntime"


class BytesFile(NamedTuple):
    """Where it lies, and the largest difference of its shares (or outputs) from those of the file it was made of."""

    path: Path
    difference: float


def write_bytes_file(
    source: Path, contract: InputContract, task: Task, metadata: Mapping[str, Any], *, threads: int
) -> BytesFile:
    """Write `source`, an ONNX file with its contract, once more beside it: uint8 (1, H, W, 3) in, shares out of `classify`.

    Both are asked about one picture of noise.
    """
    import onnx

    from gossamer.files.onnx import write_metadata
    from gossamer.files.onnx_pictures import SHARES, take_bytes

    temperature, choice = float(metadata["temperature"]), has_shares(task, len(metadata["labels"]))
    std = np.asarray(contract.std, np.float64)
    model = onnx.load(source)
    shift = (contract.offset - np.asarray(contract.mean, np.float64)) / std
    take_bytes(
        model, (contract.scale / std).tolist(), shift.tolist(), temperature=temperature if choice else None
    )
    outputs = [SHARES, *task.outputs[1:]] if choice else list(task.outputs)
    write_metadata(model, {**metadata, "temperature": 1.0, "outputs": outputs, "takes": PICTURES})
    path = source.with_name(NAME)
    write_bytes(path, model.SerializeToString())
    noise = np.random.default_rng(0).integers(
        0, 256, (1, *contract.size, len(contract.bands)), dtype=np.uint8
    )
    runtime = get_runtime(RUNTIME)
    ours = runtime.load(path, threads=threads).run(noise)[0]  # type: ignore[arg-type]  # bytes as they are
    theirs = cooled(runtime.load(source, threads=threads).run(contract.normalise(noise)), temperature)
    shares = task.shares(theirs)
    return BytesFile(path, float(np.abs(ours - (theirs[0] if shares is None else shares)).max()))
