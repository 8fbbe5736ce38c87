"""Methods by name: every entry of the table can be made, and a text that is not understood says what would be."""

from __future__ import annotations

import json

import pytest

from gossamer.compress.method import Method, Work
from gossamer.compress.methods import METHODS, parse_method, read_plan
from gossamer.compress.prune.method import Prune
from gossamer.compress.prune.targets import plan_pruning
from gossamer.errors import GossamerError
from gossamer.zoo.build import build


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_one(name):
    assert isinstance(parse_method(name), Method)


def test_values_are_read_by_the_fields_types():
    found = parse_method("prune: params=1M, importance=l1, multiple=8, keep=stem.*+head.*, floor=25%")
    assert found == Prune(params=1e6, importance="l1", multiple=8, keep=("stem.*", "head.*"), floor=0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("purne:macs=50%", r"^methods are prune, .* did you mean 'prune'"),
        ("prune:mac=50%", r"^prune takes key=value with macs, .* did you mean 'macs'"),
        ("prune:macs", r"^prune takes key=value"),
        ("prune:macs=half", r"^prune: macs is a number such as 50%.* got 'half'"),
        ("prune:macs=50%,macs=40%", r"^prune takes macs once"),
        ("prune:importance=l3", r"^prune: importance is one of l1"),
        ("prune:multiple=1.5", r"^prune: multiple is a whole number, got '1.5'"),
        ("factorise:check=maybe", r"^factorise: check is yes or no, got 'maybe'"),
    ],
)
def test_what_is_not_understood(text, message):
    with pytest.raises(GossamerError, match=message):
        parse_method(text)


def test_a_plan_file_finds_its_method(tmp_path):
    plan = plan_pruning(build("mobilenet_v1_0.25", num_classes=10), (1, 3, 64, 64), macs=0.8)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_json()))
    method, again = read_plan(file)
    assert (method.name, again) == ("prune", plan)
    file.write_text('{"edit": "fuse"}')
    with pytest.raises(GossamerError, match="holds the edit 'fuse'"):
        read_plan(file)
    with pytest.raises(GossamerError, match=r"is no plan \(FileNotFoundError"):
        read_plan(tmp_path / "none.json")


class TestPruneByDrop:
    def _proposal(self, allowed, metric):
        network = build("mobilenet_v1_0.25", num_classes=10, seed=0).eval()
        work = Work(shape=(1, 3, 64, 64), metric=metric)
        proposal = parse_method(f"prune:drop={allowed},multiple=1").propose(network, work)
        return proposal.plan(proposal.parts)

    def test_finds_the_fewest_macs_that_the_metric_allows(self):
        """The metric is the share of the params that are left: what may be lost of it is known."""
        whole = sum(p.numel() for p in build("mobilenet_v1_0.25", num_classes=10).parameters())

        def metric(each):
            return sum(p.numel() for p in each.parameters()) / whole

        plan = self._proposal("30%", metric)
        assert 0.70 <= plan.params / plan.params_before <= 0.72

    def test_leaves_a_network_whole_that_may_lose_nothing(self):
        scores = iter([1.0] + [0.5] * 20)
        plan = self._proposal("1%", lambda _each: next(scores))
        assert plan.macs == plan.macs_before

    def test_needs_pictures(self):
        with pytest.raises(GossamerError, match="--data"):
            self._proposal("1%", None)


class TestMilderPruning:
    def _stays(self, text, share, what):
        network = build("mobilenet_v1_0.25", num_classes=10, seed=0).eval()
        proposal = parse_method(text).milder(share).propose(network, Work(shape=(1, 3, 64, 64)))
        plan = proposal.plan(proposal.parts)
        return getattr(plan, what) / getattr(plan, f"{what}_before")

    @pytest.mark.parametrize("what", ["macs", "params"])
    def test_goes_a_share_of_the_way(self, what):
        assert self._stays(f"prune:{what}=50%,multiple=1", 0.5, what) == pytest.approx(0.75, abs=0.01)

    def test_goes_a_share_of_the_way_to_a_number(self):
        whole = sum(p.numel() for p in build("mobilenet_v1_0.25", num_classes=10).parameters())
        text = f"prune:params={whole // 2},multiple=1"
        assert self._stays(text, 1.0, "params") == pytest.approx(0.5, abs=0.01)
        assert self._stays(text, 0.6, "params") == pytest.approx(0.7, abs=0.01)

    def test_goes_a_share_of_a_share(self):
        assert parse_method("prune:macs=50%").milder(0.6).milder(0.5) == Prune(macs=0.5, ambition=0.3)

    def test_is_not_typed(self):
        with pytest.raises(GossamerError, match="prune takes key=value"):
            parse_method("prune:macs=50%,ambition=0.5")


class TestPruneInFullVectors:
    def _plan(self, text, name="mobilenet_v1_0.5"):
        network = build(name, num_classes=10, seed=0).eval()
        proposal = parse_method(text).propose(network, Work(shape=(1, 3, 64, 64)))
        return proposal.plan(proposal.parts)

    def test_keeps_widths_that_fill_the_processors_vectors(self):
        plan = self._plan("prune:macs=50%")
        assert 0.485 <= plan.macs / plan.macs_before <= 0.5
        assert plan.removed
        assert all(after % 8 == 0 for after, _ in plan.removed.values())

    def test_takes_the_multiple_that_was_asked_for(self):
        plan = self._plan("prune:macs=50%,multiple=1")
        assert plan.macs / plan.macs_before > 0.497
        assert any(after % 8 for after, _ in plan.removed.values())

    def test_narrows_its_steps_where_a_network_is_narrow(self):
        plan = self._plan("prune:macs=50%", "resnet20_cifar")
        assert 0.485 <= plan.macs / plan.macs_before <= 0.5
