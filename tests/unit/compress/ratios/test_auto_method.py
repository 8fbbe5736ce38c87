"""Automatic ratios as a method: parts, plans, replay."""

from __future__ import annotations

import json

import pytest
import torch

from gossamer.compress.method import Method, Work
from gossamer.compress.ratios.method import Auto
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build
from gossamer.zoo.spec import ModelSpec

SHAPE = (1, 3, 32, 32)


@pytest.fixture(scope="module")
def network():
    return enliven(build("resnet20_cifar"), SHAPE[1:])


@pytest.fixture(scope="module")
def work(network):
    pictures = torch.randn(8, *SHAPE[1:], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(pictures)

    def metric(cut):
        with torch.no_grad():
            return float(1 / (1 + (cut(pictures) - wanted).square().mean()))

    return Work(SHAPE, metric=metric)


def test_a_proposal_is_cut_and_rebuilt_from_its_spec(network, work):
    told = []
    method = Auto(macs=0.6, driver="evolve", evaluations=12)
    assert isinstance(method, Method)
    proposal = method.propose(network, Work(SHAPE, metric=work.metric, tell=told.append))
    plan = proposal.plan(proposal.parts)
    assert 0.595 < plan.macs / plan.macs_before <= 0.6
    assert proposal.facts["score"] >= proposal.facts["uniform_score"]
    assert told
    assert told[0].startswith("evolve: 10 of 12 evaluations, best score 0.")
    cut = method.apply(network, method.read(json.loads(json.dumps(plan.to_json()))), work)
    assert measure(cut, SHAPE).macs == plan.macs
    again = build(ModelSpec.from_json(json.loads(json.dumps(cut.spec.to_json()))))
    again.load_state_dict(cut.state_dict())
    with torch.no_grad():
        picture = torch.randn(2, *SHAPE[1:])
        assert torch.equal(cut.eval()(picture), again.eval()(picture))


def test_parts_that_are_not_chosen_stay_whole(network, work):
    proposal = Auto(macs=0.6, driver="uniform").propose(network, work)
    part = proposal.parts[1]
    assert part in proposal.plan([part]).removed
    assert set(proposal.plan([part]).removed) < set(proposal.plan(proposal.parts).removed)
    assert proposal.plan([]).macs == proposal.plan([]).macs_before


def test_a_metric_is_needed(network):
    with pytest.raises(
        GossamerError, match="auto searches ratios by a metric on held-out pictures and none was given"
    ):
        Auto().propose(network, Work(SHAPE))


def test_milder_goes_a_share_of_the_way():
    assert Auto(macs=0.5).milder(0.5).macs == 0.75
