"""Makes the file."""

import tempfile
import zipfile
from pathlib import Path

from gossamer.deploy.runtimes.onnxruntime.export import export as export_onnx


def export(network, contract, path, *, outputs=("scores",)):
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.onnx")
        export_onnx(network, contract, model, outputs=outputs)
        with zipfile.ZipFile(path, "w") as file:
            file.write(model, model.name)
