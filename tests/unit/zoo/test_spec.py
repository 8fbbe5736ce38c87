"""The names people type and the JSON that rebuilds a network."""

from __future__ import annotations

import json

import pytest

from gossamer.errors import ModelError
from gossamer.zoo.spec import ModelSpec, parse_model


@pytest.mark.parametrize(
    ("text", "name", "stages", "weights"),
    [
        ("mobilenet_v2_0.5", "mobilenet_v2_0.5", None, None),
        ("  mobilenet_v2 ", "mobilenet_v2", None, None),
        ("efficientnet_lite0[:5]", "efficientnet_lite0", 5, None),
        ("efficientnet_lite0@wheel", "efficientnet_lite0", None, "wheel"),
        ("efficientnet_lite0[:5]@wheel", "efficientnet_lite0", 5, "wheel"),
        ("mobilenet_v2@some/dir/w@2.pth", "mobilenet_v2", None, "some/dir/w@2.pth"),
        ("timm:resnet18", "timm:resnet18", None, None),
        ("torchvision:resnet18@file.pth", "torchvision:resnet18", None, "file.pth"),
    ],
)
def test_what_is_typed(text, name, stages, weights):
    spec, found = parse_model(text)
    assert (spec.name, found) == (name, weights)
    assert spec.edits == (() if stages is None else ({"edit": "truncate", "stages": stages},))
    assert spec.label == text.strip().partition("@")[0]


def test_the_entrys_arguments_are_overridden_by_the_callers():
    assert parse_model("mobilenet_v2_0.5")[0].arguments == {"width": 0.5}
    assert parse_model("mobilenet_v2_0.5", width=0.6, dropout=0.0)[0].arguments == {
        "width": 0.6,
        "dropout": 0.0,
    }
    assert parse_model("timm:resnet18", drop_rate=0.1)[0].arguments == {"drop_rate": 0.1}


@pytest.mark.parametrize(
    "text",
    ["", "  ", "[:3]", "@wheel", "mobilenet_v2[:]", "mobilenet_v2[3]", "mobilenet_v2[:-1]", "mobilenet_v2@"],
)
def test_what_is_not_understood(text):
    with pytest.raises(
        ModelError,
        match=r"a model reads NAME, NAME\[:stages\], NAME\[:blocks,blocks,\.\.\.\] or NAME@WEIGHTS, got .*`gossamer zoo` lists names",
    ):
        parse_model(text)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ModelError, match=r"no network 'mobilnet_v2'; did you mean 'mobilenet_v2'.*\?"):
        parse_model("mobilnet_v2")


def test_json_round_trip():
    spec = ModelSpec(
        "squeezenet_1.1", {"version": "1.1", "num_classes": 3}, ({"edit": "truncate", "stages": 2},)
    )
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.label == "squeezenet_1.1[:2]"


def test_a_summary_leaves_out_what_is_listed_place_by_place():
    edits = (
        {"edit": "truncate", "stages": 2},
        {"edit": "prune", "places": [[0, 1], [2]], "layers": {"a": 1}, "share": 0.5, "how": "l2"},
    )
    spec = ModelSpec("squeezenet_1.1", {"num_classes": 3}, edits)
    assert spec.summary() == {
        "name": "squeezenet_1.1",
        "arguments": {"num_classes": 3},
        "edits": [{"edit": "truncate", "stages": 2}, {"edit": "prune", "share": 0.5, "how": "l2"}],
    }
    assert spec.to_json()["edits"][1]["places"] == [[0, 1], [2]]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "x"},
        {"name": "x", "arguments": {}},
        {"name": "x", "arguments": 3, "edits": []},
        {"name": "x", "arguments": {}, "edits": [3]},
    ],
)
def test_a_damaged_document(document):
    with pytest.raises(ModelError, match="a model spec needs name, arguments and edits"):
        ModelSpec.from_json(document)
