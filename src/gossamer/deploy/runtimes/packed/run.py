"""A packed file on ONNX Runtime: decoded by numpy, joined with its graph, run without torch."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.graph import join_graph
from gossamer.deploy.runtimes.packed.tensors import read_packed
from gossamer.errors import BundleError
from gossamer.files.metadata import METADATA_KEY
from gossamer.types import Precision

__all__ = ["engine", "load", "made_by", "missing", "precisions", "suffix"]

precisions: Sequence[Precision] = ()
"""None: every tensor has its own."""
suffix = ".gsm"
made_by = "gossamer compress --method pack"


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """(package, extra) that is not installed, or None; the graph inside runs on ONNX Runtime."""
    return None if importlib.util.find_spec("onnxruntime") else ("onnxruntime", "all")


def engine() -> Any:
    """The package that runs the files."""
    import onnxruntime

    return onnxruntime


class PackedSession:
    """A packed file ready to run, sequentially on a fixed number of threads; nothing is written to disk."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime as ort

        packed = read_packed(path)
        if not packed.graph:
            raise BundleError(
                f"{path} holds weights alone, without the graph to run them; write it with gossamer compress --method pack"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            model = join_graph(packed.graph, list(packed.tensors.values())).SerializeToString()
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        except Exception as error:  # the runtime's own exception types differ by version
            reason = str(error).splitlines()[0][:160]
            raise BundleError(
                f"{path} holds no graph that can be run ({reason}); fetch or write it again"
            ) from error
        self._input = self._session.get_inputs()[0].name
        self._metadata = {METADATA_KEY: json.dumps(packed.metadata)}

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file carries beside the network, as an ONNX file's properties would."""
        return self._metadata

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input it takes: (1, bands, H, W)."""
        return tuple(side if isinstance(side, int) else 1 for side in self._session.get_inputs()[0].shape)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `run` gives, in its order."""
        return tuple(port.name for port in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Every output of one prepared input (1, bands, H, W)."""
        return tuple(self._session.run(None, {self._input: batch}))


def load(path: Path, *, threads: int = 1) -> PackedSession:
    """Open a packed file of a whole network.

    Raises:
        BundleError: it is missing, damaged, or holds weights alone.
    """
    return PackedSession(path, threads)
