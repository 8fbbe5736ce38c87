"""Teachers by text: bundles, names with weights, several, and what is no teacher."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from gossamer.deploy import bundle
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.runs.teacher import load_teacher
from gossamer.train.teachers import Ensemble
from gossamer.types import Size
from gossamer.zoo.build import build

SIDE, CLASSES = 32, 3
CONTRACT = InputContract.of("imagenet", SIDE)


@pytest.fixture
def saved(tmp_path):
    """`saved(name, classes)` -> the folder of a bundle."""

    def save(name, classes):
        network = build("mobilenet_v2_0.35", num_classes=classes, seed=len(name))
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        (tmp_path / "model.onnx").write_bytes(b"-")
        bundle.save(
            tmp_path / name, spec=network.spec, weights=tmp_path / "weights.safetensors", task="classify",
            labels=[str(i) for i in range(classes)], contract=CONTRACT, measured={}, provenance={}, texts={},
            files=[("onnxruntime", "fp32", 1, tmp_path / "model.onnx")],
        )  # fmt: skip
        return tmp_path / name

    return save


def test_a_bundle_is_a_teacher_and_several_are_an_ensemble(saved):
    first, second = saved("a", CLASSES), saved("bb", CLASSES)
    network, contract = load_teacher(str(first), task="classify", width=CLASSES, size=Size(64, 64))
    assert contract == CONTRACT
    both, contract = load_teacher(f"{first}+{second}", task="classify", width=CLASSES, size=Size(64, 64))
    assert isinstance(both, Ensemble)
    assert contract == CONTRACT
    inputs = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(both.members[0].eval()(inputs), network(inputs))
    with pytest.raises(
        ModelError, match=r"5 classes apart, the bundle .*a has 3; train it on these data first"
    ):
        load_teacher(str(first), task="classify", width=5, size=Size(64, 64))


def test_a_named_network_with_weights_of_these_classes_is_a_teacher(tmp_path):
    network = build("resnet20_cifar", seed=3).eval()
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    found, contract = load_teacher(f"resnet20_cifar@{path}", task="classify", width=10, size=Size(48, 48))
    assert contract == InputContract.of("imagenet", 48)
    inputs = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found(inputs), network(inputs))


def test_timm_networks_are_normalised_as_timm_says(tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("tf_efficientnet_lite0").eval()
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    found, contract = load_teacher(
        f"timm:tf_efficientnet_lite0@{path}", task="classify", width=1000, size=Size(64, 64)
    )
    assert contract == InputContract.of("inception", 64)
    assert not found.training


@pytest.mark.parametrize(
    ("text", "classes", "message"),
    [
        ("mobilenet_v2", 1000, r"^a teacher has been trained, 'mobilenet_v2' is a name without weights; give NAME@WEIGHTS"),
        ("mobilenet_v2[:3]@torchvision", 1000, r"is a cut network without a trained head"),
        ("mobilenet_v2@torchvision", 7, r"^a teacher tells the student's 7 classes apart, mobilenet_v2@torchvision has 1000; train it on these data first, `gossamer train DATA --model NAME`"),
        ("mobilenet_v2@torchvision", 1000, r"^the weights mobilenet_v2@torchvision lie on a public hub; allow it with --online"),
        ("timm:resnet18@nowhere.pth", 1000, r"^weights are a source or a file"),
    ],
)  # fmt: skip
def test_what_is_no_teacher(text, classes, message):
    with pytest.raises(ModelError, match=message):
        load_teacher(text, task="classify", width=classes, size=Size(64, 64))
