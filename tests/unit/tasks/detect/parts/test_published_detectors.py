"""Weights that others published: they load strictly, answer as theirs do, and see what is there."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from gossamer.nn.edits.fuse import fuse
from gossamer.nn.unfold import has_plain_norms, unfold_norms
from gossamer.runs.model import open_model, resized
from gossamer.zoo.build import build

pytestmark = pytest.mark.shared

FASTEST = "yolo-fastest-1.1/ModelZoo/yolo-fastest-1.1_coco/yolo-fastest-1.1"
FILES = {
    "fastestdet": "fastestdet/weights/weight_AP05_0.253207_280-epoch.pth",
    "yolo_fastest_1.1": f"{FASTEST}.weights",
    "yolo_fastest_1.1_xl": f"{FASTEST}-xl.weights",
    "yolox_nano": "yolox-nano-ncnn/yoloxN.bin",
    "nanodet_m_320": "nanodet-m-ncnn/nanodet_m.param",
    "nanodet_plus_m_416": "nanodet-plus-m-416-ncnn/nanodet_plus_m_416_ncnn_fp16.bin",
}
BIRD, ZEBRA = 14, 22
"""Of COCO's 80."""


@pytest.fixture(scope="module")
def weights(shared):
    return shared / "weights"


@pytest.fixture(scope="module")
def pictures(shared):
    return sorted((shared / "imagenet-sample" / "images").glob("*.jpg"))


def _best(outputs):
    """(box, class, score) of the surest prior."""
    scores = outputs[0, :, 4:]
    place = int(scores.max(1).argmax())
    return outputs[0, place, :4], int(scores[place].argmax()), float(scores[place].max())


@pytest.mark.parametrize("name", FILES)
def test_the_right_class_is_the_surest(name, weights, pictures):
    model = open_model(f"{name}@{weights / FILES[name]}")
    assert model.task.name == "detect"
    assert len(model.labels) == 80
    for wanted, word in ((ZEBRA, "_zebra"), (BIRD, "_magpie"), (BIRD, "_bulbul")):
        picture = next(path for path in pictures if word in path.name)
        with torch.no_grad():
            outputs = model.network(torch.from_numpy(model.contract.open(picture))).numpy()
        _, label, score = _best(outputs)
        assert label == wanted, f"{word} with {score:.2f}"
        assert score > 0.5


def test_fastestdet_is_its_onnx(weights, pictures):
    network = build(f"fastestdet@{weights / FILES['fastestdet']}").eval()
    contract = resized(open_model("fastestdet").contract, rule="squash")
    session = onnxruntime.InferenceSession(
        weights / "fastestdet" / "example" / "onnx-runtime" / "FastestDet.onnx"
    )
    fused = fuse(network)
    for picture in pictures[:10]:
        image = contract.pixels(contract.read(picture)).astype(np.float32).transpose(0, 3, 1, 2) / 255
        inputs = np.ascontiguousarray(image)
        theirs = session.run(None, {"input.1": np.ascontiguousarray(inputs[:, ::-1])})[0]
        with torch.no_grad():
            (maps,) = fused.head(fused.neck(fused.backbone.features(torch.from_numpy(inputs))))
            ours = torch.cat([maps.objectness.sigmoid(), maps.boxes, maps.scores.softmax(1)], 1).numpy()
        assert np.abs(ours - theirs).max() <= 1e-4


def test_norms_of_a_file_without_are_unfolded(weights, pictures):
    model = open_model(f"yolox_nano@{weights / FILES['yolox_nano']}")
    network = model.network
    assert has_plain_norms(network)
    inputs = torch.from_numpy(np.concatenate([model.contract.open(path) for path in pictures[:6]]))
    with torch.no_grad():
        before = network(inputs)
        unfold_norms(network, inputs)
        after = network(inputs)
    assert not has_plain_norms(network)
    assert (after[..., 4:] - before[..., 4:]).abs().max() < 1e-3
    assert (after[..., :4] - before[..., :4]).abs().max() < 0.05
    network.train()
    scores = network(inputs).rows.scores.sigmoid()
    assert float((scores > 0.5).float().mean()) < 0.01, "batch statistics are those of the norms"


def test_other_classes_keep_the_boxes(weights):
    name = f"yolo_fastest_1.1@{weights / FILES['yolo_fastest_1.1']}"
    inputs = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    whole, ours = build(name).eval(), build(name, num_classes=3).eval()
    with torch.no_grad():
        assert torch.equal(whole(inputs)[..., :4], ours(inputs)[..., :4])
    assert ours.spec.arguments["num_classes"] == 3
