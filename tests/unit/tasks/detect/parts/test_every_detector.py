"""Every detector of the catalogue: one array in eval mode, losses in training mode, new classes, a spec that rebuilds it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.adapt import adapt
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import shipped_params
from gossamer.tasks.detect.parts.criterion import Criterion, losses_of
from gossamer.tasks.detect.parts.detector import Predictions
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import of_task
from gossamer.zoo.counted import counted
from gossamer.zoo.spec import ModelSpec

DETECTORS = of_task("detect")
FREE = [name for name in DETECTORS if name.endswith("nms_free")]
CHEAPEST = sorted(
    {
        min((n for n, e in DETECTORS.items() if e.builder == builder), key=lambda n: counted(n, 256).params)
        for builder in {entry.builder for entry in DETECTORS.values()}
    }
)
PICTURES = torch.rand(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor(
    [
        [[1.0, 10, 20, 70, 80, 3600, 0], [0, 90, 30, 150, 90, 3600, 0], [-1, 0, 0, 0, 0, 0, 0]],
        [[2.0, 30, 10, 60, 90, 2400, 0], [-1, 0, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0, 0]],
    ]
)


def _on_meta(name, **arguments):
    with torch.device("meta"):
        return build(name, **arguments).eval()


@pytest.mark.parametrize("name", DETECTORS)
def test_one_array_at_any_input(name):
    network = _on_meta(name, num_classes=5)
    for height, width in ((96, 160), (224, 128)) if name in CHEAPEST else ((96, 160),):
        outputs = network(torch.empty(2, 3, height, width, device="meta"))
        assert outputs.shape[0] == 2
        assert outputs.shape[1] >= height * width / 32**2
        assert outputs.shape[2] == 4 + 5


@pytest.mark.parametrize("name", DETECTORS)
def test_its_row_names_parts_that_there_are(name):
    network = _on_meta(name)
    criterion = Criterion.of(network.criterion)
    assert criterion.objectness == "" or not name.startswith(
        ("nanodet", "picodet", "efficientdet", "ssdlite")
    )
    assert json.loads(json.dumps(network.criterion)) == network.criterion


@pytest.mark.parametrize("name", CHEAPEST)
def test_other_bands_and_classes(name):
    network = _on_meta(name, in_channels=7, num_classes=3)
    assert network(torch.empty(1, 7, 96, 96, device="meta")).shape[2] == 7
    with torch.device("meta"):
        adapt(network, in_channels=2, num_classes=9)
    assert network(torch.empty(1, 2, 96, 96, device="meta")).shape[2] == 13


@pytest.mark.parametrize("name", CHEAPEST)
def test_the_spec_rebuilds_it(name):
    network = build(name, num_classes=3, seed=4).eval()
    spec = ModelSpec.from_json(json.loads(json.dumps(network.spec.to_json())))
    again = build(spec, seed=4).eval()
    with torch.no_grad():
        ours = network(PICTURES)
        assert torch.isfinite(ours).all()
        assert torch.equal(again(PICTURES), ours)
    assert float(ours[..., 4:].min()) >= 0
    assert float(ours[..., 4:].max()) <= 1
    assert (ours[..., 2:4] >= ours[..., :2]).all()


@pytest.mark.parametrize("name", [*CHEAPEST, *FREE])
def test_losses_reach_every_parameter(name):
    network = build(name, num_classes=3, seed=1).train()
    predictions = network(PICTURES)
    assert isinstance(predictions, Predictions)
    losses = losses_of(predictions, TARGETS)
    assert losses.shape == (2,)
    assert torch.isfinite(losses).all()
    losses.sum().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None]
    assert without == []
    broken = [key for key, p in network.named_parameters() if not torch.isfinite(p.grad).all()]
    assert broken == []


@pytest.mark.parametrize("name", CHEAPEST)
def test_new_classes_keep_what_tells_boxes(name):
    network = build(name, num_classes=4, seed=2).eval()
    with torch.no_grad():
        before = network(PICTURES)
        network.replace_classes(6)
        after = network(PICTURES)
    assert after.shape[2] == 4 + 6
    if "thundernet" not in name:  # proposals are chosen by scores, and are then others
        assert torch.equal(after[..., :4], before[..., :4])


@pytest.mark.parametrize("name", CHEAPEST)
def test_folded_norms_change_nothing(name):
    network = build(name, num_classes=3, seed=5).eval()
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.uniform_(-0.2, 0.2, generator=generator)
        norm.running_var.uniform_(0.5, 1.5, generator=generator)
    if "thundernet" in name:  # nearly equal scores change places
        network.proposals.classes.weight.data *= 100
    fused = fuse(network)
    left = sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    with torch.no_grad():
        ours, theirs = fused(PICTURES), network(PICTURES)
    assert (ours - theirs).abs().max() < 2e-3
    assert left < len(norms) / 2


def test_the_shared_tower_of_efficientdet_keeps_the_norms_of_its_levels():
    fused = fuse(build("efficientdet_d0", num_classes=3))
    left = [name for name, module in fused.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) == 2 * 5 * 3
    assert all(".norms." in name for name in left)


@pytest.mark.parametrize("name", ["nanodet_plus_m_320", "yolox_nano_nms_free"])
def test_what_only_training_runs_does_not_ship(name):
    arguments = {"guidance": True} if name.startswith("nanodet") else {}
    network = build(name, num_classes=3, **arguments)
    assert network.auxiliary is not None
    fused = fuse(network)
    assert fused.auxiliary is None
    assert not any(key.startswith("auxiliary.") for key in fused.state_dict())
    shipped = sum(p.numel() for p in shipped_params(network))
    assert shipped < sum(p.numel() for p in network.parameters())
    assert network.train()(PICTURES).auxiliary is not None


def test_a_one_to_one_head_does_not_move_the_levels():
    network = build("nanodet_plus_m_320_nms_free", num_classes=3, seed=0).train()
    network(PICTURES).rows.scores.sum().backward()
    assert all(p.grad is None for p in [*network.backbone.parameters(), *network.neck.parameters()])
    assert any(p.grad is not None for p in network.head.parameters())
    network(PICTURES).auxiliary.scores.sum().backward()
    assert any(p.grad is not None for p in network.neck.parameters())


def test_guidance_can_be_kept_from_moving_what_it_looks_at():
    network = build("nanodet_plus_m_320", num_classes=3, guidance=True).train()
    network.auxiliary.detached = True
    network(PICTURES).auxiliary.scores.sum().backward()
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.auxiliary.neck.parameters() if p.dim() == 4)


def test_the_second_stage_has_priors_of_each_picture():
    network = build("thundernet_snet49", num_classes=3, proposals=50).train()
    predictions = network(PICTURES)
    assert predictions.priors.boxes_cxcywh.shape == (2, 50, 4)
    assert predictions.rows.scores.shape == (2, 50, 4)
    assert predictions.first.rows.scores.shape == (2, 6 * 10 * 25, 1)
    assert not predictions.priors.boxes_cxcywh.requires_grad
    assert predictions.priors.of(1).boxes_cxcywh.shape == (50, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("yolo_fastest_1.1", {"version": "2"}, "version 1.0 or 1.1, got '2'"),
        (
            "ssdlite_mobilenet_v2",
            {"backbone": "mobilenet_v9"},
            "no backbone 'mobilenet_v9' here; did you mean",
        ),
        ("thundernet_snet49", {"size": "50"}, "of size 49, 146 or 535 .*, got '50'"),
        ("yolox_nano", {"widht": 1.0}, "yolox_nano has no argument 'widht'; did you mean 'width'"),
    ],
)
def test_what_cannot_be_built(name, arguments, message):
    with pytest.raises(ModelError, match=message):
        build(name, **arguments)


def test_an_input_too_small_for_the_strides():
    network = build("yolox_nano")
    assert network.min_input == 32
    with pytest.raises(ModelError, match="at least 32 x 32 pixels"):
        network(torch.rand(1, 3, 31, 64))
