"""A graph that takes a picture's bytes says what the plain file says of the normalised picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from PIL import Image

from gossamer.deploy.contract import InputContract
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.predict import predict
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError
from gossamer.runs.export.bytes_file import write_bytes_file
from gossamer.runs.export.config import ExportConfig
from gossamer.runs.export.run import export_model
from gossamer.runs.model import open_model
from gossamer.tasks import get_task
from gossamer.testing.networks import enliven
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.spec import parse_model

LABELS = ["field", "forest", "river"]
CONTRACT = InputContract(
    Size(32, 48), scale=1 / 255, offset=0.1, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), resize="letterbox"
)


@pytest.fixture(scope="module")
def network():
    spec, _ = parse_model("shufflenet_v2_0.25[:1]", num_classes=3)
    return spec, enliven(build(spec), (3, 32, 48))


@pytest.mark.parametrize("task", ["classify", "multi-label", "regress"])
def test_bytes_in_give_what_the_plain_file_gives(network, tmp_path, task):
    spec, module = network
    runtime, plain = get_runtime("onnxruntime"), tmp_path / "model.onnx"
    outputs = get_task(task).outputs
    runtime.export(module, CONTRACT, plain, outputs=outputs)
    temperature = 1.7 if task == "classify" else 1.0
    metadata = file_metadata(
        spec, CONTRACT, LABELS, "fp32", task=task, outputs=outputs, temperature=temperature
    )
    runtime.write_metadata(plain, metadata)
    made = write_bytes_file(plain, CONTRACT, get_task(task), metadata, threads=1)
    assert made.difference < 1e-5
    model = onnx.load(made.path)
    onnx.checker.check_model(model, full_check=True)
    taken = model.graph.input[0]
    assert taken.name == "picture"
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [side.dim_value for side in taken.type.tensor_type.shape.dim] == [1, 32, 48, 3]
    noise = np.random.default_rng(1).integers(0, 256, (60, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for inputs in (tmp_path / "noise.png", noise):
        ours, theirs = predict(made.path, inputs)[0], predict(plain, inputs)[0]
        assert ours.labels == theirs.labels
        assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)
    if task == "classify":
        said = runtime.load(made.path, threads=1).run(CONTRACT.pixels(Image.fromarray(noise)))[0]
        assert said.sum() == pytest.approx(1, abs=1e-5)
        assert sorted(said[0], reverse=True) == pytest.approx(list(theirs.scores), abs=1e-5)


def test_bytes_are_for_red_green_and_blue(tmp_path):
    model = open_model("shufflenet_v2_0.25[:1]")
    model = replace(model, contract=replace(model.contract, bands=("b1", "b2", "b3")))
    config = ExportConfig(model="three bands", to="onnxruntime", uint8=True)
    with pytest.raises(
        GossamerError, match="--uint8 is for pictures of red, green and blue, three bands takes b1, b2, b3"
    ):
        export_model(config, model=model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
