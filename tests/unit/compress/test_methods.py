"""Methods by name: every entry of the table can be made, and a text that is not understood says what would be."""

from __future__ import annotations

import json

import pytest

from gossamer.compress.method import Method
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
    assert parse_method("prune:macs=50%").milder(0.5).macs == pytest.approx(0.75)


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
