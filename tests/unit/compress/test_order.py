"""The order of a chain: every method has its place, and a harmful order says why."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gossamer.compress.methods import METHODS
from gossamer.compress.order import check_order
from gossamer.errors import GossamerError


def test_what_stands_late_says_why():
    methods = {name: METHODS.load(name) for name in METHODS}
    assert {name for name, method in methods.items() if method.place > 0} == {
        name for name, method in methods.items() if method.spoils
    }


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["pack"],
        ["prune", "prune"],
        ["slim", "prune", "factorise", "sparsify", "quantize", "pack"],
        ["prune", "pack"],
    ],
)
def test_good_orders(names):
    check_order(names)
    places = [METHODS.load(name).place for name in names]
    assert all(a <= b for a, b in pairwise(places))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["factorise", "prune"],
            r"^prune cannot follow factorise: factors tie .*; give them as prune then factorise$",
        ),
        (["quantize", "prune"], r"^prune cannot follow quantize: its grid"),
        (["quantize", "factorise"], r"^factorise cannot follow quantize"),
        (
            ["prune", "pack", "quantize"],
            r"^quantize cannot follow pack: .*; give them as prune then quantize then pack$",
        ),
        (["pack", "pack"], r"^pack cannot follow pack: .*; leave one out$"),
    ],
)
def test_harmful_orders(names, message):
    with pytest.raises(GossamerError, match=message):
        check_order(names)
