"""ONNX Runtime on the CPU: fp32, fp16 (weights stored in halves) and int8 files."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer._files import write_bytes
from gossamer.deploy.contract import InputContract
from gossamer.errors import BundleError, ModelError
from gossamer.types import Precision

__all__ = ["engine", "export", "load", "missing", "precisions", "suffix", "write_metadata"]

precisions: Sequence[Precision] = ("fp32", "fp16", "int8")
suffix = ".onnx"
OPSET = 18


def missing(*, making: bool = False) -> tuple[str, str] | None:
    """(package, extra) that is not installed, or None; what runs files makes them as well."""
    return None if importlib.util.find_spec("onnxruntime") else ("onnxruntime", "all")


def engine() -> Any:
    """The package that runs the files."""
    import onnxruntime

    return onnxruntime


def export(
    network: Any,
    contract: InputContract,
    path: Path,
    *,
    outputs: Sequence[str] = ("scores",),
    names: bool = False,
) -> None:
    """Write a torch network as fp32 ONNX for one picture at a time, norms, branches and padding folded in.

    Torch's tracing exporter is used: under a second a network where the other takes 4 to 20, and after the runtime's
    own optimiser both give the same graph at the same speed (measured, docs/decisions/0005). `outputs` names what
    the network gives, in its order. With `names` nodes keep the names of the modules they come from, which a shipped
    file has no use for.

    Raises:
        ModelError: the network cannot be traced.
    """
    import onnx
    import torch

    from gossamer.files.onnx import compact, fold_constants, fold_pads
    from gossamer.nn.fuse import fuse
    from gossamer.nn.network import Network

    if isinstance(network, Network):
        network = fuse(network)
    buffer = io.BytesIO()
    example = torch.zeros(contract.shape, device=_device(network))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (example,),
                buffer,  # type: ignore[arg-type]  # the tracing exporter takes a file object
                input_names=["input"],
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the tracer raises whatever the network's own code raises
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"cannot export {type(network).__name__} to ONNX: {reason}; check that it runs on one picture"
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    fold_pads(model)
    fold_constants(model)
    if not names:
        compact(model)
    write_bytes(path, model.SerializeToString())


def _device(network: Any) -> Any:
    first = next(network.parameters(), None)
    return "cpu" if first is None else first.device


def write_metadata(path: Path, document: Mapping[str, Any]) -> None:
    """Write contract, labels and provenance into the file's metadata_props, in place of those it holds."""
    import onnx

    from gossamer.files import onnx as onnx_file

    model = onnx.load(path)
    onnx_file.write_metadata(model, document)
    write_bytes(path, model.SerializeToString())


class OrtSession:
    """An ONNX file on ONNX Runtime, sequential execution on a fixed number of threads."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not path.is_file():
            raise BundleError(f"no such model file: {path}; check the path")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exception types differ by version
            reason = str(error).splitlines()[0][:160]
            raise BundleError(
                f"{path} is no ONNX file that can be run ({reason}); export it again"
            ) from error
        self._input = self._session.get_inputs()[0].name

    @property
    def metadata(self) -> Mapping[str, str]:
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(side if isinstance(side, int) else 1 for side in self._session.get_inputs()[0].shape)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(port.name for port in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return tuple(self._session.run(None, {self._input: batch}))


def load(path: Path, *, threads: int) -> OrtSession:
    """Open an ONNX file.

    Raises:
        BundleError: it is missing or damaged.
    """
    return OrtSession(path, threads)
