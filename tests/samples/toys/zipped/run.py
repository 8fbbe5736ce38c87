"""Opens and runs the file."""

from __future__ import annotations

import json
import zipfile

from gossamer.errors import BundleError
from gossamer.files.metadata import METADATA_KEY

precisions = ("fp32",)
suffix = ".zip"


def missing(*, making=False):
    return None


def engine():
    import onnx.reference

    return onnx.reference


def write_metadata(path, document):
    with zipfile.ZipFile(path) as file:
        model = file.read("model.onnx")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.onnx", model)
        file.writestr(METADATA_KEY, json.dumps(document))


class Session:
    def __init__(self, path):
        with zipfile.ZipFile(path) as file:
            self._evaluator = engine().ReferenceEvaluator(file.read("model.onnx"))
            others = [name for name in file.namelist() if name != "model.onnx"]
            self.metadata = {name: file.read(name).decode() for name in others}
        port = self._evaluator.proto_.graph.input[0]
        self.outputs, self._input = tuple(self._evaluator.output_names), port.name
        self.shape = tuple(side.dim_value for side in port.type.tensor_type.shape.dim)

    def run(self, batch):
        return tuple(self._evaluator.run(None, {self._input: batch}))


def load(path, *, threads):
    try:
        return Session(path)
    except Exception as error:  # of the zip, of protobuf, of the evaluator
        raise BundleError(
            f"{path} is no zip with a network ({str(error)[:80]!r}); export it again"
        ) from error
