"""What every network of the zoo keeps: shapes, gradients, bands, widths, seeds, export, and that it is a value."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gossamer.cost.meter import measure
from gossamer.cost.onnx_count import count_onnx
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import Network
from gossamer.testing.networks import enliven, noise, scores
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.spec import ModelSpec

__all__ = ["HEAVY", "ArchitectureContract", "CompileContract", "WholeContract"]

HEAVY = 2e7
"""Parameters beyond which a network is exported thinner, of about `_THIN`."""
_SIDE, _THIN = 64, 5e6


def _on_meta(name: str, **arguments: object) -> Network:
    with torch.device("meta"):
        network = build(name, **arguments)  # type: ignore[arg-type]
    assert isinstance(network, Network)
    return network.eval()


def _params(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


class ArchitectureContract:
    """Subclass it, set `name` to a key of `CATALOGUE`."""

    name: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> Network:
        """The network with five classes, drawn from seed 3; tests leave it as it is."""
        network = build(cls.name, num_classes=5, seed=3)
        assert isinstance(network, Network)
        return network.eval()

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls) -> Network:
        """The same of seed 4; tests leave it as it is."""
        network = build(cls.name, num_classes=5, seed=4)
        assert isinstance(network, Network)
        return network.eval()

    @pytest.fixture(scope="class")
    @classmethod
    def plain(cls) -> Network:
        """The network as it is in the catalogue, without memory for its weights."""
        return _on_meta(cls.name)

    def test_forward(self, network: Network) -> None:
        result = scores(network, noise(2, (3, _SIDE, _SIDE)))
        assert result.shape == (2, 5)
        assert torch.isfinite(result).all()
        assert float((result[0] - result[1]).abs().max()) > 0, "two pictures, one answer"

    def test_every_parameter_gets_a_finite_gradient(self, network: Network) -> None:
        network = copy.deepcopy(network).train()
        network(torch.from_numpy(noise(2, (3, _SIDE, _SIDE)))).square().sum().backward()
        assert [k for k, p in network.named_parameters() if p.grad is None] == []
        assert [k for k, p in network.named_parameters() if not torch.isfinite(p.grad).all()] == []  # type: ignore[arg-type]
        assert any(float(p.grad.abs().max()) > 0 for p in network.parameters() if p.grad is not None)

    def test_features_are_what_channels_and_reductions_say(self, plain: Network) -> None:
        maps = plain.features(torch.empty(1, 3, 192, 160, device="meta"))
        assert len(maps) == len(plain.channels) == len(plain.reductions) >= 3
        assert list(plain.reductions) == sorted(set(plain.reductions))
        for level, channels, reduction in zip(maps, plain.channels, plain.reductions, strict=True):
            assert level.shape[:2] == (1, channels)
            assert abs(level.shape[2] - 192 / reduction) <= 2, "SqueezeNet's stem, unpadded, loses two"
            assert abs(level.shape[3] - 160 / reduction) <= 2

    @pytest.mark.parametrize("bands", [1, 13])
    def test_any_number_of_bands(self, plain: Network, bands: int) -> None:
        network = _on_meta(self.name, in_channels=bands)
        classes = CATALOGUE[self.name].num_classes
        assert network(torch.empty(1, bands, _SIDE, _SIDE, device="meta")).shape == (1, classes)
        layers = [network.get_submodule(name) for name in network.image_layers()]
        weights = [layer.weight for layer in layers if isinstance(layer, nn.Conv2d)]
        assert len(weights) == len(layers)
        assert {weight.shape[1] for weight in weights} == {bands}
        one_band = sum(weight[:, 0].numel() for weight in weights)
        assert _params(network) - _params(plain) == (bands - 3) * one_band

    def test_any_number_of_classes(self) -> None:
        two, seven = (_on_meta(self.name, num_classes=count) for count in (2, 7))
        example = torch.empty(1, 3, _SIDE, _SIDE, device="meta")
        assert (two(example).shape, seven(example).shape) == ((1, 2), (1, 7))
        assert _params(two) < _params(seven)

    def test_width_is_respected(self, plain: Network) -> None:
        width = float(CATALOGUE[self.name].arguments.get("width", 1.0))
        counts = [_params(_on_meta(self.name, width=width * factor)) for factor in (1.0, 1.5, 2.5)]
        assert counts[0] == _params(plain)
        assert counts[0] < counts[1] < counts[2]

    def test_the_spec_survives_json_and_rebuilds_and_the_seed_decides_the_weights(
        self, network: Network, other: Network
    ) -> None:
        spec = ModelSpec.from_json(json.loads(json.dumps(network.spec.to_json())))  # type: ignore[operator, union-attr]
        assert spec == network.spec
        rebuilt = build(spec, seed=3)
        inputs = noise(1, (3, _SIDE, _SIDE))
        assert torch.equal(scores(rebuilt, inputs), scores(network, inputs))
        ours, again, drawn = network.state_dict(), rebuilt.state_dict(), other.state_dict()
        assert all(torch.equal(ours[key], again[key]) for key in ours)
        assert any(not torch.equal(ours[key], drawn[key]) for key in ours)

    def test_weights_survive_safetensors(self, network: Network, other: Network, tmp_path: Path) -> None:
        path = tmp_path / "weights.safetensors"
        save_file(network.state_dict(), path)
        rebuilt = copy.deepcopy(other)
        inputs = noise(1, (3, _SIDE, _SIDE))
        before = scores(rebuilt, inputs)
        rebuilt.load_state_dict(read_checkpoint(path))
        assert not torch.equal(before, scores(network, inputs))
        assert torch.equal(scores(rebuilt, inputs), scores(network, inputs))

    def test_a_typo_is_an_error_with_a_hint(self) -> None:
        with pytest.raises(
            ModelError, match=rf"^{self.name} has no argument 'widht'; did you mean 'width'\?$"
        ):
            build(self.name, widht=0.5)

    def test_the_exported_file_agrees_with_torch(self, network: Network, tmp_path: Path) -> None:
        """Networks of many parameters a little thinner: `WholeContract` exports them as they are."""
        params, width = _params(network), float(CATALOGUE[self.name].arguments.get("width", 1.0))
        if params > HEAVY:
            thinner = build(self.name, num_classes=5, seed=3, width=width * (_THIN / params) ** 0.5)
            assert isinstance(thinner, Network)
        else:
            thinner = copy.deepcopy(network)
        _check_exported(thinner, tmp_path / "m.onnx")

    def test_an_input_too_small_for_the_strides_is_an_error_that_says_so(self, plain: Network) -> None:
        side = plain.min_input
        assert plain(torch.empty(1, 3, side, side, device="meta")).shape[0] == 1
        message = rf"^the input must be at least {side} x {side} pixels .*, got {side - 1} x {side}; "
        with pytest.raises(ModelError, match=message):
            plain(torch.empty(1, 3, side - 1, side, device="meta"))
        with pytest.raises(ModelError, match=rf"got {side} x {side - 1}; "):
            plain.features(torch.empty(1, 3, side, side - 1, device="meta"))


def _check_exported(network: Network, path: Path) -> None:
    """The file counts what was built and scores as it does."""
    enliven(network, (3, _SIDE, _SIDE))
    runtime = get_runtime("onnxruntime")
    runtime.export(network, InputContract(Size(_SIDE, _SIDE)), path)
    shipped, fused = count_onnx(path), measure(fuse(network), (1, 3, _SIDE, _SIDE))
    assert (shipped.macs, shipped.uncounted) == (fused.macs, ())
    session = runtime.load(path, threads=1)
    inputs = noise(8, (3, _SIDE, _SIDE))[:3]  # what the norms were fitted to: others may explode
    ours = np.concatenate([session.run(inputs[i : i + 1])[0] for i in range(3)])
    theirs = scores(network, inputs).numpy()
    spread = float(np.ptp(theirs, axis=0).max())
    assert spread > 1e-2 * np.abs(theirs).max(), "a network whose scores are all alike proves nothing"
    assert np.abs(ours - theirs).max() <= 3e-3 * spread


class WholeContract:
    """For networks of more than `HEAVY` parameters, which takes long: the exported file, at full width."""

    name: ClassVar[str]

    def test_the_exported_file_of_full_width_agrees_with_torch(self, tmp_path: Path) -> None:
        network = build(self.name, num_classes=5, seed=3)
        assert isinstance(network, Network)
        _check_exported(network, tmp_path / "m.onnx")


class CompileContract:
    """One entry a builder: torch.compile takes the whole network as one graph."""

    name: ClassVar[str]

    def test_one_graph_same_scores(self) -> None:
        network = build(self.name, num_classes=5, seed=3).eval()
        inputs = noise(1, (3, _SIDE, _SIDE))
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        try:
            assert torch.equal(scores(compiled, inputs), scores(network, inputs))  # type: ignore[arg-type]
        finally:
            torch.compiler.reset()
