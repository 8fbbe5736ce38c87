import math
import re
from xml.etree import ElementTree

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from gossamer.report import charts
from gossamer.report.document import Curve, CurvePoint, LayerRow
from gossamer.report.svg import Anchor, Box, element, number, place_labels, shorten, spread, text_width

NAMES = st.text(max_size=30)


def parse(chart):
    root = ElementTree.fromstring(str(chart))
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root[0].tag == "title"
    assert root[0].text
    return root


def with_class(root, word):
    return [node for node in root.iter() if word in (node.get("class") or "").split()]


def texts(root):
    return [node.text for node in root.iter("text")]


class TestSvg:
    @given(NAMES, NAMES)
    def test_anything_is_escaped(self, words, value):
        node = ElementTree.fromstring(str(element("text", words, data_name=value)))
        assert len(node) == 0
        assert len(node.text or "") <= len(words)

    @pytest.mark.parametrize(
        ("value", "text"), [(1.0, "1"), (-0.04, "0"), (2.25, "2.2"), (-3.5, "-3.5"), (100, "100")]
    )
    def test_number(self, value, text):
        assert number(value) == text

    @given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.booleans())
    def test_scale_holds_its_values_and_has_ticks(self, values, log):
        scale = spread(values, 50, 400, log=log)
        assert scale.low < scale.high
        assert all(50 <= scale(value) <= 400 for value in values)
        ticks = scale.ticks(5)
        assert 1 <= len(ticks) <= 12
        assert ticks == sorted(set(ticks))
        assert all(scale.low <= tick <= scale.high or math.isclose(tick, scale.high) for tick in ticks)

    def test_scale_is_logarithmic_beyond_a_decade(self):
        assert spread([1, 10.1], 0, 1).log
        assert not spread([1, 9.9], 0, 1).log
        assert not spread([0, 100], 0, 1).log
        assert spread([1, 100], 0, 100)(10) == pytest.approx(50)

    @given(st.text(max_size=60), st.floats(20, 200))
    def test_shortened_text_fits(self, words, room):
        assert text_width(shorten(words, room)) <= room

    @given(
        st.lists(
            st.builds(
                Anchor,
                st.floats(50, 400),
                st.floats(40, 260),
                st.text("abcdef_0.5", min_size=1, max_size=24),
                st.booleans(),
            ),
            max_size=25,
        )
    )
    def test_labels_never_overlap_and_stay_inside(self, anchors):
        area = Box(50, 20, 412, 280)
        dots = [Box(anchor.x - 5, anchor.y - 5, anchor.x + 5, anchor.y + 5) for anchor in anchors]
        placed = place_labels(anchors, dots, area)
        for index, label in enumerate(placed):
            assert label.box.within(area)
            assert not any(label.box.overlaps(other.box) for other in placed[:index])
            if not label.anchor.must:
                assert not any(label.box.overlaps(dot) for dot in dots)


class TestScatter:
    @pytest.mark.parametrize("metric", ["latency", "size"])
    def test_every_network_is_drawn_and_one_is_chosen(self, metric):
        rows = samples.tried()
        root = parse(charts.scatter(rows, metric, limit=5.0, floor=0.92))
        assert len(with_class(root, "pt")) == sum(row.score is not None for row in rows)
        costed = [row for row in rows if row.score is None and row.latency_ms is not None]
        assert len(with_class(root, "rug")) == len(costed)
        assert len(with_class(root, "chosen")) == 1
        assert [node.text for node in with_class(root, "chosen-name")] == ["mobilenet_v3_small_0.75 int8"]

    def test_limits_are_drawn_only_where_given(self):
        rows = samples.tried()
        assert len(with_class(parse(charts.scatter(rows, "latency", limit=5.0, floor=0.9)), "limit")) == 2
        assert len(with_class(parse(charts.scatter(rows, "latency", limit=5.0)), "limit")) == 1
        bare = parse(charts.scatter(rows, "latency"))
        assert with_class(bare, "limit") == []
        assert list(bare.iter("pattern")) == []

    def test_limit_beyond_the_points_is_inside_the_picture(self):
        root = parse(charts.scatter(samples.tried(), "latency", limit=500.0))
        assert 56 < float(with_class(root, "limit")[0].get("x1")) < 412
        assert "limit 500 ms" in texts(root)

    def test_better_is_higher_and_slower_is_further_right(self):
        low, high = samples.tried()[0], samples.tried()[2]
        spots = with_class(parse(charts.scatter([low, high], "latency")), "trained")
        places = [[float(part) for part in re.findall(r"[\d.]+", spot.get("transform"))] for spot in spots]
        assert places[0][0] < places[1][0]
        assert places[0][1] > places[1][1]

    def test_never_trained_alone_and_nothing_at_all(self):
        untrained = [row for row in samples.tried() if row.score is None]
        root = parse(charts.scatter(untrained, "latency", limit=5.0))
        assert with_class(root, "pt") == []
        assert charts.scatter([], "latency") == ""
        assert charts.scatter([untrained[-1]], "size") == ""

    def test_chosen_without_accuracy_is_marked_in_the_rug(self):
        row = samples.tried()[0].model_copy(update={"score": None, "status": "chosen"})
        assert len(with_class(parse(charts.scatter([row], "latency")), "chosen")) == 1

    @given(NAMES)
    def test_any_name(self, name):
        rows = [row.model_copy(update={"name": name}) for row in samples.tried()[:3]]
        parse(charts.scatter(rows, "latency"))


class TestCurves:
    @pytest.mark.parametrize(("what", "lines"), [("score", 4), ("loss", 8)])
    def test_one_line_a_network_and_the_chosen_one_last(self, what, lines):
        root = parse(charts.training_curves(samples.curves(), what))
        drawn = with_class(root, "line")
        assert len(drawn) == lines
        assert "chosen-line" in drawn[-1].get("class")

    def test_colours_agree_with_the_legend(self):
        legend = ElementTree.fromstring(str(charts.curve_legend(samples.curves(9))))
        root = parse(charts.training_curves(samples.curves(9), "score"))
        in_legend = [node.get("class") for node in with_class(legend, "line")]
        assert sorted(in_legend) == sorted(node.get("class") for node in with_class(root, "line"))
        assert len(in_legend) == 9

    def test_none_one_point_and_not_a_number(self):
        assert charts.training_curves([], "loss") == ""
        assert charts.training_curves([Curve(name="a", chosen=False, points=[])], "loss") == ""
        point = CurvePoint(seconds=1, epoch=1, train_loss=math.nan, val_loss=math.inf, val_score=0.5)
        curve = Curve(name="a", chosen=True, points=[point])
        assert len(with_class(parse(charts.training_curves([curve], "score")), "line")) == 1
        assert with_class(parse(charts.training_curves([curve], "loss")), "line") == []


class TestConfusion:
    @pytest.mark.parametrize("classes", [1, 2, 3, 7, 10, 11, 20])
    def test_counts_are_shown_up_to_twenty(self, classes):
        table = samples.confusion(classes)
        root = parse(charts.confusion_matrix([f"c{i}" for i in range(classes)], table))
        shown = [int(node.text) for node in with_class(root, "count")]
        assert shown == [count for row in table for count in row if count]

    @pytest.mark.parametrize("classes", [21, 50, 100])
    def test_many_classes_hide_counts_and_keep_every_cell(self, classes):
        table = samples.confusion(classes)
        chart = charts.confusion_matrix([f"a class called {i}" for i in range(classes)], table)
        root = parse(chart)
        assert with_class(root, "count") == []
        cells = sum(path.get("d").count("M") for path in root.iter("path"))
        assert cells == sum(count > 0 for row in table for count in row)
        assert len(chart) < 60_000

    def test_shades_of_many_classes_are_tenths_begun(self):
        """Of 100 pictures 89 are the ninth tenth, 11 the second; one of 1,000 is the first and is seen."""
        table = [[0] * 21 for _ in range(21)]
        table[0][0], table[0][1] = 89, 11
        table[1][1], table[1][5] = 999, 1
        root = parse(charts.confusion_matrix([f"c{i}" for i in range(21)], table))
        shades = {
            path.get("d"): (path.get("class"), path.get("fill-opacity"))
            for path in root.iter("path")
            if "h1v1" in (path.get("d") or "")
        }
        assert shades == {
            "M0 0h1v1h-1z": ("hit", "0.91"),
            "M1 0h1v1h-1z": ("miss", "0.28"),
            "M1 1h1v1h-1z": ("hit", "1.00"),
            "M5 1h1v1h-1z": ("miss", "0.19"),
        }

    def test_names_are_thinned_at_a_hundred(self):
        chart = charts.confusion_matrix([f"name {i}" for i in range(100)], samples.confusion(100))
        assert len(with_class(parse(chart), "tick")) < 150

    @given(st.lists(NAMES, min_size=2, max_size=5))
    def test_any_name(self, labels):
        parse(charts.confusion_matrix(labels, samples.confusion(len(labels))))

    def test_empty_and_classes_without_pictures(self):
        assert charts.confusion_matrix([], []) == ""
        assert with_class(parse(charts.confusion_matrix(["a", "b"], [[0, 0], [0, 0]])), "hit") == []


class TestCost:
    @given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=30))
    def test_shares_add_up(self, costs):
        layers = [
            LayerRow(name=f"l{i}", kind=f"k{i % 3}", output="1", params=0, macs=macs, bytes=traffic)
            for i, (macs, traffic) in enumerate(costs)
        ]
        for bars in (charts.cost_by_layer(layers), charts.cost_by_kind(layers)):
            assert sum(bar.macs for bar in bars) == pytest.approx(
                1.0 if any(row.macs for row in layers) else 0.0
            )
            assert sum(bar.bytes for bar in bars) == pytest.approx(
                1.0 if any(row.bytes for row in layers) else 0.0
            )
            assert len(with_class(parse(charts.cost_bars(bars, "cost")), "bar")) == 2 * len(bars)

    def test_others_are_one_bar(self):
        bars = charts.cost_by_layer(samples.layers(50))
        assert len(bars) == 13
        assert bars[-1].name == "38 others"
        assert len(charts.cost_by_layer(samples.layers(12))) == 12

    def test_empty(self):
        assert charts.cost_bars([], "cost") == ""
