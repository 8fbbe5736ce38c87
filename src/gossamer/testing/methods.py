"""What every compression method keeps: it chooses first, changes nothing that it was given, and can be replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gossamer.compress.method import Method, Plan, Work
from gossamer.compress.methods import METHODS, parse_method
from gossamer.nn.edits import replay
from gossamer.testing.networks import enliven, noise, scores
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.spec import ModelSpec

__all__ = ["MethodContract"]

_NETWORK, _SIDE = "mobilenet_v1_0.25", 32
_SHAPE = (1, 3, _SIDE, _SIDE)


class MethodContract:
    """Subclass it, set `name` to a key of `METHODS` and `text` to settings that take something away."""

    name: ClassVar[str]
    text: ClassVar[str]
    trains: ClassVar[bool] = False
    """Whether the method only works where training follows."""
    nothing_is_exact: ClassVar[bool] = True
    """Whether a plan of no parts changes no score by a bit; else by rounding: norms are folded in."""
    mildest_is_nothing: ClassVar[bool] = True
    """Whether the mildest form takes nothing away; few bits, or zeros of which there is one at least, are never none."""
    pictures: ClassVar[bool] = True
    """Whether there are pictures to calibrate and judge on."""

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> nn.Module:
        """What is compressed: a small network of the catalogue, with life in it."""
        network = build(_NETWORK, num_classes=5)
        spec = network.spec
        enliven(network, (3, _SIDE, _SIDE))
        network.spec = spec
        return network

    @pytest.fixture(scope="class")
    @classmethod
    def work(cls) -> Work:
        """Few pictures, and a metric that anyone can work out."""
        pictures = torch.from_numpy(noise(4, (3, _SIDE, _SIDE)))
        batches = [(pictures, torch.tensor([0, 1, 2, 3]))]
        if not cls.pictures:
            return Work(_SHAPE, trains=cls.trains)
        return Work(_SHAPE, batches=batches, metric=_spread, trains=cls.trains)

    @pytest.fixture(scope="class")
    @classmethod
    def method(cls) -> Method:
        """The method with its settings."""
        return parse_method(cls.text)

    @pytest.fixture(scope="class")
    @classmethod
    def plan(cls, method: Method, network: nn.Module, work: Work) -> Plan:
        """All that is proposed."""
        proposal = method.propose(network, work)
        return proposal.plan(proposal.parts)

    @pytest.fixture(scope="class")
    @classmethod
    def applied(cls, method: Method, network: nn.Module, work: Work, plan: Plan) -> nn.Module:
        """The compressed network."""
        return method.apply(network, plan, work).eval()

    def test_it_stands_in_the_table_under_its_name(self, method: Method) -> None:
        assert self.name in METHODS
        assert isinstance(method, Method)
        assert method.name == self.name == self.text.partition(":")[0]

    def test_what_it_was_given_is_untouched(self, method: Method, network: nn.Module, work: Work) -> None:
        before, modes = _state(network), [m.training for m in network.modules()]
        proposal = method.propose(network, work)
        assert proposal.parts, "settings that take nothing away prove nothing"
        method.apply(network, proposal.plan(proposal.parts), work)
        assert _same(before, network.state_dict())
        assert [m.training for m in network.modules()] == modes
        assert all(not module._forward_hooks for module in network.modules())

    def test_no_parts_are_no_change(self, method: Method, network: nn.Module, work: Work) -> None:
        if len(method.propose(network, work).parts) == 1:
            pytest.skip("it is all or nothing")
        kept = method.apply(network, method.propose(network, work).plan(()), work)
        self._unchanged(network, kept)

    def test_the_mildest_form_is_no_change(self, method: Method, network: nn.Module, work: Work) -> None:
        if not self.mildest_is_nothing:
            pytest.skip("its mildest form still does something")
        mild = method.milder(0.0)
        proposal = mild.propose(network, work)
        self._unchanged(network, mild.apply(network, proposal.plan(proposal.parts), work))

    def _unchanged(self, network: nn.Module, kept: nn.Module) -> None:
        value = noise(3, (3, _SIDE, _SIDE), seed=9)
        before, after = scores(network, value), scores(kept, value)
        allowed = 0.0 if self.nothing_is_exact else 1e-5 * float(before.abs().max())
        assert float((before - after).abs().max()) <= allowed

    def test_a_plan_survives_json(
        self, method: Method, network: nn.Module, work: Work, plan: Plan, applied: nn.Module
    ) -> None:
        document = json.loads(json.dumps(plan.to_json(), allow_nan=False))
        again = method.read(document)
        assert json.loads(json.dumps(again.to_json())) == document
        assert _same(_state(applied), method.apply(network, again, work).state_dict())

    def test_edits_are_replayed_to_the_bit(self, network: nn.Module, applied: nn.Module) -> None:
        before: ModelSpec = network.spec  # type: ignore[assignment]
        after: ModelSpec = getattr(applied, "spec", None) or before
        assert after.edits[: len(before.edits)] == before.edits
        replayed = network
        for edit in after.edits[len(before.edits) :]:
            replayed = replay(replayed, json.loads(json.dumps(edit)))
        self._loads(replayed, applied.state_dict(), applied)

    def test_spec_and_weights_bring_it_back(
        self, network: nn.Module, applied: nn.Module, tmp_path: Path
    ) -> None:
        spec: ModelSpec = getattr(applied, "spec", None) or network.spec  # type: ignore[assignment]
        save_file({k: v.contiguous() for k, v in applied.state_dict().items()}, tmp_path / "w.safetensors")
        again = build(ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))), seed=5)
        self._loads(again, read_checkpoint(tmp_path / "w.safetensors"), applied)

    def _loads(self, network: nn.Module, state: dict[str, Tensor], applied: nn.Module) -> None:
        assert set(network.state_dict()) == set(state)
        network.load_state_dict(state)
        value = noise(3, (3, _SIDE, _SIDE), seed=9)
        assert torch.equal(scores(network, value), scores(applied, value))


def _spread(network: nn.Module) -> float:
    """How far apart the scores of some inputs lie, at most 1."""
    return float(scores(network, noise(4, (3, _SIDE, _SIDE), seed=2)).std().tanh())


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _same(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in before)
