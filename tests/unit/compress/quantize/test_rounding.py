"""Bias correction and AdaRound on a small network, simulated and in the runtime's own file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from gossamer.compress.quantize.adaround import AdaRoundSettings, adaround
from gossamer.compress.quantize.bias import correct_bias, correct_biases
from gossamer.compress.quantize.edits import Edits, edit_for_int8
from gossamer.compress.quantize.flow import heavy_layers
from gossamer.compress.quantize.ranges import find_range
from gossamer.compress.quantize.simulate import asymmetric_grid, fake_quantize, symmetric_grid
from gossamer.compress.quantize.sweep import Rounding, channel_means, sweep
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.post_training import to_int8
from gossamer.errors import DataError, ModelError
from gossamer.nn.edits.fuse import fuse

COARSE = Rounding(bits=4)
QUICK = AdaRoundSettings(steps=120, samples=512, batch=128)


def _simulated(network, pictures, rounding):
    """Scores of the network with rounded weights (activations as they are)."""
    ours = fuse(network)
    for layer in heavy_layers(ours).values():
        layer.weight.data = rounding.weight(layer.weight.data)
    with torch.no_grad():
        return ours(pictures)


def _scores(network, pictures):
    with torch.no_grad():
        return network.eval()(pictures)


def test_the_mean_of_what_a_layer_gives_is_restored(pictures):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3)
    )
    exact = [_scores(network[:depth], pictures) for depth in (1, 2, 3)]
    corrected = correct_biases(network, pictures, rounding=COARSE)
    shifts = []
    for ours in (network, corrected):
        first, second = ours[0], ours[2]
        with torch.no_grad():
            x = fake_quantize(pictures, asymmetric_grid(*find_range(pictures)))
            x = torch.conv2d(x, COARSE.weight(first.weight), first.bias, padding=1)
            shifts.append((x - exact[0]).mean((0, 2, 3)).abs().max())
            x = fake_quantize(x.relu(), asymmetric_grid(*find_range(exact[1])))
            x = torch.conv2d(x, COARSE.weight(second.weight), second.bias)
            shifts.append((x - exact[2]).mean((0, 2, 3)).abs().max())
    assert float(max(shifts[2:])) < 1e-5
    assert float(shifts[1]) > 1e-3
    assert torch.equal(corrected[2].weight, network[2].weight)


def test_a_layer_without_bias_gets_one(pictures):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)
    )
    assert correct_biases(network, pictures, rounding=COARSE)[0].bias.shape == (4,)
    assert network[0].bias is None


def test_biases_are_corrected_alike_before_a_layer_runs_and_once_it_has(little, pictures):
    """AdaRound corrects in `visit`, bias correction alone in `settle`, which saves a run of every layer."""
    before = sweep(
        little,
        pictures,
        lambda _, layer, inputs, exact: correct_bias(layer, inputs, exact, COARSE),
        rounding=COARSE,
    )
    after = correct_biases(little, pictures, rounding=COARSE)
    plain, other = heavy_layers(fuse(little)), heavy_layers(before)
    for name, layer in heavy_layers(after).items():
        bias, way = layer.bias.detach(), other[name].bias.detach()
        moved = float((bias - plain[name].bias.detach()).abs().max())
        assert moved > 1e-4
        assert float((bias - way).abs().max()) < 0.05 * moved
        assert torch.equal(layer.weight, plain[name].weight)


def test_a_visit_sees_rounded_inputs_and_the_exact_outputs_at_its_places(little, pictures):
    untouched, seen = pictures.clone(), {}
    sweep(little, pictures, lambda name, _, inputs, exact: seen.update({name: (inputs, exact)}), samples=40)
    assert torch.equal(pictures, untouched)
    inputs, exact = seen["stem.0"]
    assert torch.equal(inputs, fake_quantize(pictures, asymmetric_grid(*find_range(pictures))))
    assert (exact.low, exact.high) == find_range(pictures)
    stem = _scores(fuse(little).stem[0], pictures)
    assert torch.equal(exact.outputs, stem.permute(0, 2, 3, 1).flatten(0, 2)[exact.places])
    assert exact.outputs.shape == (40, 8)
    assert torch.allclose(exact.mean, stem.permute(0, 2, 3, 1).flatten(0, 2).mean(0), atol=1e-5)
    scores = _scores(little, pictures)
    assert torch.allclose(seen["classifier"][1].outputs, scores[seen["classifier"][1].places], atol=1e-5)
    assert torch.allclose(channel_means(scores), scores.mean(0))


def test_infinite_activations_are_refused_though_the_scores_are_finite(pictures):
    class Huge(torch.nn.Module):
        def forward(self, x):
            return x * 1e30 * 1e30

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), Huge(), torch.nn.Conv2d(4, 2, 1), Capped())
    with pytest.raises(ModelError, match="a range is finite with low <= high"):
        correct_biases(network, pictures)


class Capped(torch.nn.Module):
    """Scores that are finite whatever comes in."""

    def forward(self, x):
        return torch.nan_to_num(x).clamp(-1, 1).mean((2, 3))


def test_adaround_is_nearer_than_nearest_and_stays_on_the_grid(little, pictures):
    held = torch.randn(32, 3, 24, 24, generator=torch.Generator().manual_seed(9))
    exact = _scores(little, held)
    nearest = correct_biases(little, pictures, rounding=COARSE)
    adaptive = adaround(little, pictures, rounding=COARSE, settings=QUICK)
    errors = [(_simulated(n, held, COARSE) - exact).square().mean() for n in (nearest, adaptive)]
    assert errors[1] < errors[0]
    plain, moved = fuse(little), 0
    for name, layer in heavy_layers(adaptive).items():
        own = plain.get_submodule(name).weight.detach()
        grid = symmetric_grid(own, bits=4)
        assert torch.allclose(fake_quantize(layer.weight.detach(), grid), layer.weight.detach(), atol=1e-6)
        assert ((layer.weight.detach() - own).abs() <= grid.scale * 1.001).all()
        assert torch.allclose(symmetric_grid(layer.weight.detach(), bits=4).scale, grid.scale)
        moved += int((layer.weight.detach() - fake_quantize(own, grid)).abs().gt(1e-6).sum())
    assert moved > 20


def test_adaround_repeats_itself(little, pictures):
    first, second = (adaround(little, pictures, settings=QUICK, rounding=COARSE, seed=4) for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_the_runtime_stores_the_codes_that_adaround_chose(little, pictures, tmp_path):
    adaptive = adaround(little, pictures, settings=QUICK)
    export(adaptive, InputContract.of("inception", 24), tmp_path / "fp32.onnx")
    to_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", [p[None].numpy() for p in pictures])
    stored = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    for layer in heavy_layers(adaptive).values():
        weight = layer.weight.detach()
        codes = (weight / symmetric_grid(weight).scale).round().numpy().astype(np.int8)
        assert any(codes.shape == other.shape and (codes == other).all() for other in stored)


def test_edits_come_in_their_order(planted, pictures):
    assert Edits().label == "equalized, biases corrected"
    assert Edits(equalize=False, round=True).label == "rounded adaptively, biases corrected"
    assert edit_for_int8(planted, pictures, Edits(equalize=False, correct=False)) is planted
    tensor = Rounding(per_channel=False)
    exact = _scores(planted, pictures)
    errors = [
        float((_simulated(n, pictures, tensor) - exact).square().mean())
        for n in (planted, edit_for_int8(planted, pictures, rounding=tensor))
    ]
    assert errors[1] < 0.05 * errors[0]


def test_bad_input_gives_one_error(little, pictures):
    with pytest.raises(DataError, match="got shape"):
        edit_for_int8(little, pictures[0])
    with pytest.raises(DataError, match="calibration needs prepared pictures"):
        correct_biases(little, pictures[:0])
    with pytest.raises(ModelError, match="at least 1 step"):
        adaround(little, pictures, settings=AdaRoundSettings(steps=0))
    with torch.no_grad():
        little.left[0].bias[0] = float("inf")
    with pytest.raises(ModelError, match=r"in left\.0\.bias"):
        sweep(little, pictures, lambda *_: None)
