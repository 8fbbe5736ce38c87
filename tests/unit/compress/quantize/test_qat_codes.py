"""Baked networks hold the very weights; codes are within their bits and give them again; files compute what torch does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_codes import bake, codes, decode
from gossamer.compress.quantize.qat_plan import plan_bits
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.errors import ModelError
from gossamer.nn.edits.quantize import quantized_layers
from gossamer.nn.layer_bits import KINDS
from gossamer.testing.networks import enliven, noise, scores, tiny_networks
from gossamer.zoo.build import build

SHAPE = (1, 3, 33, 33)


def _quantized(kind, activation_bits, name="same_pad", **choices):
    network = tiny_networks()[name]
    plan = plan_bits(network, SHAPE, weights=kind, activation_bits=activation_bits, **choices)
    return apply_bits(network, plan, [(torch.from_numpy(noise(16, SHAPE[1:], seed=7)), None)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_baked_network_is_the_quantized_one(kind, per_channel):
    changed = _quantized(kind, None, per_channel=per_channel)
    baked = bake(changed)
    assert not quantized_layers(baked)
    x = noise(4, SHAPE[1:])
    assert torch.equal(scores(baked, x), scores(changed, x))
    for name, layer in quantized_layers(changed).items():
        weight = baked.get_submodule(name).weight
        numbers, scale = codes(layer)
        assert torch.equal(decode(numbers, scale, layer.bits), weight)
        assert numbers.shape == tuple(weight.shape)
        assert len(np.unique(numbers)) <= 2**layer.bits.bits
        assert np.abs(numbers.astype(int)).max() <= 2 ** (layer.bits.bits - 1)
        assert scale.shape == ((len(weight),) if layer.bits.per_channel else ())


def test_a_baked_network_has_the_spec_of_before():
    network = enliven(build("resnet20_cifar", depth=8, width=0.5, num_classes=4), (3, 16, 16))
    changed = apply_bits(network, plan_bits(network, (1, 3, 16, 16), weights="pot", activation_bits=None))
    baked = bake(changed)
    again = build(baked.spec)
    again.load_state_dict(baked.state_dict())
    assert baked.spec == network.spec
    x = noise(2, (3, 16, 16))
    assert torch.equal(scores(again, x), scores(changed, x))


def test_what_cannot_be_baked():
    with pytest.raises(ModelError, match="Sequential has no quantized layer to bake"):
        bake(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(
        ModelError, match=r"inputs are binary \('stages.0.0.project.0' is the first of 1\).* take `codes`"
    ):
        bake(_quantized("binary", 1, name="plain"))


@pytest.mark.parametrize(
    ("kind", "bits", "activation_bits"),
    [
        ("uniform", 8, 8),
        ("uniform", 4, 8),
        ("uniform", 4, 4),
        ("pot", 5, 8),
        ("apot", 4, 8),
        ("apot", 5, None),
        ("ternary", 2, None),
        ("binary", 1, 1),
    ],
)
def test_the_file_computes_what_torch_does(kind, bits, activation_bits, tmp_path):
    changed = _quantized(kind, activation_bits, bits=bits)
    contract = InputContract.of("imagenet", SHAPE[-1])
    export(changed, contract, tmp_path / "net.onnx")
    session = load(tmp_path / "net.onnx", threads=1)
    inputs = noise(40, SHAPE[1:], seed=11)
    ours = np.concatenate([session.run(each[None])[0] for each in inputs])
    theirs = scores(changed, inputs).numpy()
    assert theirs.std(0).max() > 0.03
    off = np.abs(ours - theirs).max(1)
    # a number half way between two codes may go either way: such pictures are off by whole steps, and few
    assert np.mean(off <= 1e-4 * np.abs(theirs).max()) >= 0.8
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.95
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert ("QuantizeLinear" in operators) == (activation_bits is not None), (
        "first and last layers have 8 bits"
    )


def test_a_scale_for_the_whole_weight_is_exported_too(tmp_path):
    changed = _quantized("uniform", 8, bits=4, per_channel=False)
    export(changed, InputContract.of("imagenet", SHAPE[-1]), tmp_path / "net.onnx")
    session, inputs = load(tmp_path / "net.onnx", threads=1), noise(20, SHAPE[1:], seed=11)
    ours = np.concatenate([session.run(each[None])[0] for each in inputs])
    off = np.abs(ours - scores(changed, inputs).numpy()).max(1)
    assert np.mean(off <= 1e-4 * np.abs(ours).max()) >= 0.8


def test_a_folded_file_names_what_torch_does(tmp_path):
    changed = _quantized("uniform", 8, bits=8, fold=True)
    export(changed, InputContract.of("imagenet", SHAPE[-1]), tmp_path / "net.onnx")
    session, inputs = load(tmp_path / "net.onnx", threads=1), noise(40, SHAPE[1:], seed=11)
    ours = np.concatenate([session.run(each[None])[0] for each in inputs])
    theirs = scores(changed, inputs).numpy()
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.95
    # the runtime rounds biases to int32 too, which moves numbers near the middle of two codes
    assert np.abs(ours - theirs).max() <= 0.03 * np.abs(theirs).max()


def test_weights_of_8_bits_are_stored_as_bytes(tmp_path):
    contract = InputContract.of("imagenet", SHAPE[-1])
    export(tiny_networks()["same_pad"], contract, tmp_path / "float.onnx")
    export(_quantized("uniform", 8, bits=8), contract, tmp_path / "bytes.onnx")
    model = onnx.load(tmp_path / "bytes.onnx")
    stored = {t.data_type for t in model.graph.initializer if len(t.dims) == 4}
    assert stored == {onnx.TensorProto.INT8}
    assert (tmp_path / "bytes.onnx").stat().st_size < 0.6 * (tmp_path / "float.onnx").stat().st_size
