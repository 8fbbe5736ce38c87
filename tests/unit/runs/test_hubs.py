"""No verb asks a hub without --online; with it the hub is asked."""

from __future__ import annotations

import pytest

from gossamer.errors import ModelError
from gossamer.runs.model import check_name, open_model
from gossamer.runs.plain import load_network
from gossamer.runs.teacher import check_teacher

ON_HUBS = ("mobilenet_v3_small@timm", "mobilenet_v2@torchvision", "mobilenet_v3_small@imagenet")


@pytest.fixture
def hubs(monkeypatch):
    """What hubs were asked for; they answer that there is nothing."""
    asked = []

    def answer(identifier):
        asked.append(identifier)
        raise ModelError(f"nothing here of {identifier}")

    monkeypatch.setattr("gossamer.zoo.weights._read_timm", answer)
    monkeypatch.setattr("gossamer.zoo.weights._read_torchvision", answer)
    return asked


WAYS = {
    "train, compress and export": lambda name, online: open_model(name, online=online),
    "bench and measure": lambda name, online: load_network(name, None, 0, online=online),
}


@pytest.mark.parametrize("name", ON_HUBS)
@pytest.mark.parametrize("way", WAYS)
def test_a_hub_is_asked_only_where_it_is_allowed(hubs, way, name):
    with pytest.raises(
        ModelError,
        match=r"^the weights \S+@(timm|torchvision) lie on a public hub; allow it with --online or give a file",
    ):
        WAYS[way](name, False)
    assert hubs == []
    with pytest.raises(ModelError, match=r"^nothing here of "):
        WAYS[way](name, True)
    assert len(hubs) == 1


@pytest.mark.parametrize("name", ON_HUBS)
def test_names_are_checked_without_asking(hubs, name):
    for check in (check_name, check_teacher):
        check(name, online=True)
        with pytest.raises(ModelError, match="--online"):
            check(name, online=False)
    assert hubs == []


def test_weights_in_a_wheel_are_no_hub(hubs):
    check_name("efficientnet_lite0[:5]@imagenet", online=False)
    assert hubs == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "the catalogue has no network 'nothing'"),
        ("shufflenet_v2_0.25[:99]", "a network is cut after stage 1 to"),
        ("mobilenet_v2@nowhere.pth", "weights are a source or a file"),
        ("keras:mobilenet", "a network comes from the catalogue, timm, torchvision or of parts"),
    ],
)
def test_names_that_are_none(text, message):
    with pytest.raises(ModelError, match=message):
        check_name(text, online=False)


def test_teachers_joined_are_each_looked_at(hubs):
    with pytest.raises(
        ModelError, match="a teacher has been trained, 'mobilenet_v2' is a name without weights"
    ):
        check_teacher("mobilenet_v2@torchvision + mobilenet_v2", online=True)
    assert hubs == []
