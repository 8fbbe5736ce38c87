"""A packed file on ONNX Runtime: decoded by numpy, joined with its graph, run without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gossamer.deploy.runtimes.onnxruntime.run import OrtSession, engine, missing
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


class PackedSession(OrtSession):
    """A packed file ready to run; nothing is written to disk."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises: BundleError: it is missing, damaged, or holds weights alone."""
        packed = read_packed(path)
        if not packed.graph:
            raise BundleError(
                f"{path} holds weights alone, without the graph to run them; write it with gossamer compress --method pack"
            )
        broken = (f"{path} holds no graph that can be run", "fetch or write it again")
        try:
            model = join_graph(packed.graph, list(packed.tensors.values())).SerializeToString()
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        except ValueError as error:  # names that are no text, or more than an ONNX model can hold
            raise BundleError(f"{broken[0]} ({error}); {broken[1]}") from error
        super().__init__(model, threads, broken=broken)
        self._metadata = {METADATA_KEY: json.dumps(packed.metadata)}

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file carries beside the network, as an ONNX file's properties would."""
        return self._metadata


def load(path: Path, *, threads: int = 1) -> PackedSession:
    """Open a packed file of a whole network.

    Raises:
        BundleError: it is missing, damaged, or holds weights alone.
    """
    return PackedSession(path, threads)
