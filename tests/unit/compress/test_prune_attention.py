"""Transformers of torchvision and timm lose heads: exact costs, the masked network's scores, the same in ONNX."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.compress.prune.apply import apply_pruning, masked
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.repair import absorb_means
from gossamer.compress.prune.targets import plan_pruning, prune
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.nn.edits.channels import keep_channels
from gossamer.types import Size
from gossamer.zoo.build import build


def _vision_transformer():
    torchvision = pytest.importorskip("torchvision")
    return torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=7
    )


def _timm(name, **arguments):
    return lambda: pytest.importorskip("timm").create_model(name, num_classes=7, **arguments)


FOREIGN = {
    "torchvision vit": (_vision_transformer, 32, 0.55),
    "vit": (_timm("vit_tiny_patch16_224", depth=2, img_size=64), 64, 0.55),
    "mobilevit": (_timm("mobilevit_xxs"), 64, 0.55),
    "mobilenetv4 hybrid": (_timm("mobilenetv4_hybrid_medium"), 64, 0.45),
    "levit": (_timm("levit_128s", img_size=64), 64, 0.55),
}


def _lively(maker):
    """Tables of position, last layers and scales start at zero: with noise they matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = maker().eval()
        for parameter in network.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_transformers_lose_heads(name, tmp_path):
    maker, side, share = FOREIGN[name]
    network = _lively(maker)
    shape = (1, 3, side, side)
    plan = plan_pruning(network, shape, macs=share)
    assert any(key.endswith("num_heads") for key in plan.outputs)
    cut = apply_pruning(network, plan).eval()
    cost = measure(cut, shape)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    assert share - 0.02 < plan.macs / plan.macs_before <= share
    assert measure(network, shape).macs == plan.macs_before
    picture = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    again = keep_channels(network, PrunePlan.from_json(plan.to_json()).kept, plan.outputs)
    with torch.no_grad():
        scores, whole = cut(picture), masked(network, plan)(picture)
        assert float((scores - network(picture)).abs().max() / scores.abs().max()) > 1e-3
        assert torch.equal(again(picture), scores)
    assert float((scores - whole).abs().max() / whole.abs().max()) < 1e-4
    contract = InputContract(Size(side, side), ("r", "g", "b"), mean=(0.0,) * 3, std=(1.0,) * 3)
    get_runtime("onnxruntime").export(cut, contract, tmp_path / "cut.onnx")
    found = get_runtime("onnxruntime").load(tmp_path / "cut.onnx", threads=1).run(picture.numpy())[0]
    assert np.abs(np.asarray(found).reshape(-1) - scores.numpy().reshape(-1)).max() < 1e-4


def test_a_network_by_name_is_built_again_without_its_heads():
    pytest.importorskip("timm")
    network = build("timm:vit_tiny_patch16_224", depth=1, img_size=32, num_classes=7).eval()
    small = prune(network, (1, 3, 32, 32), macs=0.5)
    again = build(type(small.spec).from_json(json.loads(json.dumps(small.spec.to_json())))).eval()
    again.load_state_dict(small.state_dict())
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(picture), small(picture))
    assert again.blocks[0].attn.num_heads == 2


def test_pictures_score_and_fit_what_torchs_own_attention_reads():
    network = _lively(_vision_transformer)
    draws = torch.Generator().manual_seed(0)
    batches = [(torch.randn(8, 3, 32, 32, generator=draws), None) for _ in range(2)]
    small = prune(network, (1, 3, 32, 32), macs=0.5, importance="reconstruction", batches=batches)
    plan = plan_pruning(network, (1, 3, 32, 32), macs=0.5, importance="reconstruction", batches=batches)
    name = "encoder.layers.encoder_layer_1.self_attention"
    assert f"{name}.num_heads" in plan.outputs
    cut = apply_pruning(network, plan)
    fitted, plain = (each.get_parameter(f"{name}.out_proj.weight") for each in (small, cut))
    assert not torch.equal(fitted, plain)
    with torch.no_grad():
        picture = batches[0][0]
        errors = [(each.eval()(picture) - network(picture)).square().mean() for each in (small, cut)]
    assert errors[0] < errors[1]


def test_without_pictures_layer_norms_give_their_beta():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5))
        nn.init.normal_(network[1].bias)
    plan = plan_pruning(network, (1, 3, 4, 4), params=0.7)
    assert set(plan.removed) == {"2"}
    fixed = absorb_means(network, apply_pruning(network, plan), plan, (1, 3, 4, 4))
    gone = np.setdiff1d(np.arange(8), plan.kept["4.weight"][1])
    with torch.no_grad():
        hidden = network[3](network[2](network[1].bias))
        wanted = network[4].bias + network[4].weight[:, gone] @ hidden[gone]
    assert torch.allclose(fixed[4].bias, wanted, atol=1e-6)
