"""Rows of the catalogue: figures side by side, filtered by a budget, sorted, and words for a person."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from gossamer.errors import BudgetError, GossamerError, ModelError
from gossamer.types import Budget
from gossamer.zoo import rows as zoo
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted

ROWS = zoo.rows()
BY_NAME = {row.name: row for row in ROWS}


def test_every_network_has_a_row_in_the_order_of_the_catalogue():
    assert [row.name for row in ROWS] == list(CLASSIFIERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_holds_the_count_beside_the_published_figures(row):
    entry = CLASSIFIERS[row.name]
    assert (row.own.input, row.own.published) == (entry.input, entry.published)
    assert {at.input: at.published for at in row.resolutions} == entry.grid
    assert all(large.input > small.input for large, small in pairwise(row.resolutions))
    for at in (row.own, *row.resolutions):
        assert (at.params, at.macs) == counted(row.name, at.input)[:2]
        assert at.params > 0
        assert at.macs > 0


def test_the_deviation_is_counted_over_published():
    own = BY_NAME["mobilenet_v2"].own
    assert own.params_deviation == round(own.params / own.published.params - 1, 4)
    assert own.macs_deviation == round(own.macs / own.published.macs - 1, 4)
    silent = BY_NAME["shufflenet_v1_g1_1.0"].own
    assert silent.params_deviation is None
    assert silent.macs_deviation is not None
    ours = BY_NAME["mobilenet_v2_0.25"].own
    assert (ours.published, ours.params_deviation, ours.macs_deviation, ours.top1) == (None,) * 4


def test_an_accuracy_on_other_pictures_is_none_on_imagenet():
    row = BY_NAME["resnet56_cifar"]
    assert row.own.top1 > 0.9
    assert row.imagenet_top1 is None
    assert row.top1_elsewhere
    assert "accuracy" not in row.measured()
    assert not BY_NAME["resnet50"].top1_elsewhere
    assert not BY_NAME["mobilenet_v2_0.25"].top1_elsewhere


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError, match="the catalogue has no network 'mobilenet_v9'; did you mean"):
        zoo.row("mobilenet_v9")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_json(row):
    document = json.loads(json.dumps(row.to_json(), allow_nan=False))
    assert list(document) == [
        "name", "family", "paper", "input", "params", "macs", "published", "deviation", "note", "weights",
        "resolutions",
    ]  # fmt: skip
    assert len(document["resolutions"]) == len(row.entry.grid)
    for at in document["resolutions"]:
        assert list(at) == ["input", "macs", "published", "deviation"]
        assert set(at["published"]) == {"params", "macs", "top1", "source"}
        assert at["deviation"]["macs"] is not None


# --- choosing -------------------------------------------------------------------------------------


def _names(budget):
    return {row.name for row in zoo.within(ROWS, Budget.parse(budget))}


def test_within_keeps_what_keeps_every_limit():
    found = _names("macs<=300M, params<=5M, accuracy>=70%")
    expected = {
        name
        for name, entry in CLASSIFIERS.items()
        if (count := counted(name, entry.input)).macs <= 300e6
        and count.params <= 5e6
        and entry.num_classes == 1000
        and entry.published is not None
        and (entry.published.top1 or 0) >= 0.7
    }
    assert found == expected
    assert "mobilenet_v3_large_0.75" in found
    assert "mobilenet_v2" not in found, "300.8 M"


def test_size_is_four_bytes_a_parameter():
    (row,) = [row for row in ROWS if row.name == "squeezenet_1.1"]
    assert row.param_bytes == 4 * row.own.params == 4_941_984
    assert "squeezenet_1.1" in _names("size<=4941984B")
    assert "squeezenet_1.1" not in _names("size<4941984B")


def test_without_a_published_accuracy_a_limit_on_it_is_not_kept():
    found = _names("accuracy>=1%")
    assert "mobilenet_v2_0.25" not in found
    assert "resnet56_cifar" not in found
    assert found == {row.name for row in ROWS if row.imagenet_top1 is not None}


@pytest.mark.parametrize(
    ("budget", "instead"),
    [
        ("latency<=5ms", "time one network with `gossamer measure NAME --latency onnxruntime`"),
        ("params<=1M, memory<=50MB", "give this limit to `gossamer fit`"),
    ],
)
def test_what_the_catalogue_cannot_judge_is_refused(budget, instead):
    message = "the catalogue judges params, macs, size and accuracy, got a limit on "
    with pytest.raises(BudgetError, match=message) as caught:
        zoo.within(ROWS, Budget.parse(budget))
    assert repr(budget) in str(caught.value)
    assert instead in str(caught.value)


def test_why_none_counts_what_keeps_each_limit():
    budget = Budget.parse("macs<=100M, accuracy>=80%")
    assert zoo.within(ROWS, budget) == []
    cheap, good = len(_names("macs<=100M")), len(_names("accuracy>=80%"))
    assert zoo.why_none(ROWS, budget) == (
        f"no network within 'macs <= 100 M, accuracy >= 80.0 %': of {len(ROWS)}, {cheap} keep macs <= 100 M, "
        f"{good} keep accuracy >= 80.0 %, none keeps all; loosen a limit"
    )
    alone = zoo.why_none(ROWS[:2], Budget.parse("macs<1"))
    assert alone == "no network within 'macs < 1': of 2, 0 keep macs < 1; loosen a limit"


def test_a_family_is_found_in_any_case():
    found = zoo.of_family(ROWS, "mobileNETv3")
    assert {row.entry.family for row in found} == {"MobileNetV3"}
    assert len(found) == sum(entry.family == "MobileNetV3" for entry in CLASSIFIERS.values())


def test_families_part_the_catalogue():
    families = {entry.family for entry in CLASSIFIERS.values()}
    assert len({family.lower() for family in families}) == len(families)
    assert sum(len(zoo.of_family(ROWS, family)) for family in families) == len(CLASSIFIERS)


def test_an_unknown_family_names_the_three_nearest():
    with pytest.raises(
        GossamerError, match=r"has no family 'MobileNetV9'; did you mean '.+', '.+' or '.+'\?"
    ):
        zoo.of_family(ROWS, "MobileNetV9")


@pytest.mark.parametrize("key", zoo.SORT_KEYS)
@pytest.mark.parametrize("descending", [False, True])
def test_sorted_with_the_unknown_last(key, descending):
    found = zoo.sort(ROWS, key, descending=descending)
    values = [zoo.SORT_KEYS[key](row) for row in found]
    known = [value for value in values if value is not None]
    assert sorted(row.name for row in found) == sorted(CLASSIFIERS)
    assert values == sorted(known, reverse=descending) + [None] * (len(values) - len(known))
    assert (None in values) == (key in ("top1", "ap"))


def test_an_unknown_key_is_refused():
    with pytest.raises(GossamerError, match="sorted by name, params, macs, top1, ap, got 'latency'; write"):
        zoo.sort(ROWS, "latency")


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (7, "7"), (999, "999"), (1000, "1.00 k"), (999_499, "999 k"), (999_500, "1.00 M"),
        (6_990_000, "6.99 M"), (9_995_000, "10.0 M"), (138_357_544, "138 M"), (15_470_264_320, "15.5 G"),
    ],
)  # fmt: skip
def test_three_digits(count, text):
    assert zoo.short(count) == text


@pytest.mark.parametrize(
    ("share", "options", "text"),
    [
        (None, {}, "-"),
        (0.718, {}, "71.8"),
        (0.71625, {"digits": 2}, "71.62"),
        (0.0101, {"sign": True}, "+1.0"),
        (-0.0101, {"sign": True}, "-1.0"),
        (-0.0004, {"sign": True}, "0.0"),
        (0.0, {"sign": True}, "0.0"),
    ],
)
def test_percent(share, options, text):
    assert zoo.percent(share, **options) == text
