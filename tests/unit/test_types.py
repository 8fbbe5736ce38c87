"""Sizes, quantities and the budget grammar: what it takes, what it refuses, and what the refusal says."""

from __future__ import annotations

import pytest

from gossamer.errors import BudgetError
from gossamer.types import PRECISIONS, Budget, Limit, Size, Verdict, format_quantity


def test_size_is_height_then_width():
    assert Size(2, 3) == (2, 3)
    assert Size(height=480, width=640).width == 640
    assert str(Size(480, 640)) == "480x640"


def test_precisions_are_the_three_words_of_the_contracts():
    assert PRECISIONS == ("fp32", "fp16", "int8")


@pytest.mark.parametrize(
    ("text", "metric", "op", "value"),
    [
        ("latency<=5ms", "latency", "<=", 5.0),
        ("latency <= 0.005 s", "latency", "<=", 5.0),
        ("LATENCY<250us", "latency", "<", 0.25),
        ("latency<=5e-1ms", "latency", "<=", 0.5),
        ("size<=1MB", "size", "<=", 1_000_000),
        ("size<=1mib", "size", "<=", 1_048_576),
        ("size<=900kB", "size", "<=", 900_000),
        ("size<512b", "size", "<", 512),
        ("memory<=1GiB", "memory", "<=", 1024**3),
        ("params<=350k", "params", "<=", 350_000),
        ("params<=350000", "params", "<=", 350_000),
        ("macs<=0.3G", "macs", "<=", 3e8),
        ("macs<=300M", "macs", "<=", 3e8),
        ("accuracy>=0.9", "accuracy", ">=", 0.9),
        ("accuracy>90%", "accuracy", ">", 0.9),
        ("accuracy>=100%", "accuracy", ">=", 1.0),
    ],
)
def test_one_limit(text, metric, op, value):
    (limit,) = Budget.parse(text).limits
    assert (limit.metric, limit.op) == (metric, op)
    assert limit.value == pytest.approx(value, rel=1e-12)


def test_many_limits_keep_their_order_and_text():
    budget = Budget.parse("  size<=1MB , latency<=5ms,accuracy>=0.9, ")
    assert [limit.metric for limit in budget.limits] == ["size", "latency", "accuracy"]
    assert budget.text == "size<=1MB , latency<=5ms,accuracy>=0.9,"
    assert str(budget) == "size <= 1 MB, latency <= 5 ms, accuracy >= 90.0 %"
    assert budget.limit("latency") == Limit("latency", "<=", 5.0)
    assert budget.limit("params") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"at least one limit, got an empty text; write e\.g\."),
        (" , ,", r"at least one limit, got an empty text"),
        (
            "latency<=0ms",
            r"no network can have latency of 0 or less, got 'latency<=0ms'; give a value above 0",
        ),
        ("latency<=-5ms", r"no network can have latency of -5 or less"),
        ("size<=0MB", r"no network can have size of 0 or less"),
        ("params<=0", r"no network can have params of 0 or less"),
        ("speed<1", r"unknown budget metric 'speed' in 'speed<1'; .*(latency|accuracy)"),
        ("latancy<=5ms", r"unknown budget metric 'latancy'.*did you mean 'latency'\?"),
        ("size<=1 lightyear", r"unknown unit 'lightyear' for size; use B, kB, MB or GB"),
        ("latency<=5MB", r"unknown unit 'MB' for latency; use us, ms or s"),
        ("accuracy>=0.9ms", r"unknown unit 'ms' for accuracy; use % or none"),
        ("latency>=5ms", r"latency takes <= or <, got '>=' in 'latency>=5ms'; write 'latency<=5ms'"),
        ("accuracy<=0.9", r"accuracy takes >= or >, got '<='.*write 'accuracy>=0\.9'"),
        ("latency=5ms", r"latency takes <= or <, got '='"),
        ("latency==5ms", r"latency takes <= or <, got '=='"),
        (
            "latency<=5",
            r"latency needs a unit \(us, ms or s\), got 'latency<=5'; write e\.g\. 'latency<=5ms'",
        ),
        ("size<=5", r"size needs a unit \(B, kB, MB or GB\)"),
        ("memory<=100", r"memory needs a unit"),
        ("latency<=5ms, latency<=6ms", r"one limit a metric, got latency twice.*keep the tighter one"),
        ("latency<=5ms, LATENCY<1s", r"got latency twice"),
        ("latency<=nan ms", r"reads 'metric op value unit', got 'latency<=nan ms'"),
        ("latency<=inf ms", r"reads 'metric op value unit'"),
        ("latency<=1e999ms", r"needs a finite number, got '1e999'"),
        ("size<=1.2.3MB", r"needs a number, got '1\.2\.3'"),
        ("size<=.MB", r"needs a number, got '\.'"),
        ("latency 5ms", r"reads 'metric op value unit', got 'latency 5ms'"),
        ("<=5ms", r"reads 'metric op value unit'"),
        ("latency<=", r"reads 'metric op value unit'"),
        ("latency<=ms", r"reads 'metric op value unit'"),
        ("5ms>=latency", r"reads 'metric op value unit'"),
        ("accuracy>=90", r"share above 0 and at most 1 \(or 100 %\), got 'accuracy>=90'"),
        ("accuracy>=1.01", r"share above 0 and at most 1"),
        ("accuracy>=101%", r"share above 0 and at most 1"),
        ("accuracy>=0", r"share above 0 and at most 1"),
        ("accuracy>=-0.5", r"share above 0 and at most 1"),
    ],
)
def test_refusals_say_rule_and_value_in_one_line(text, message):
    with pytest.raises(BudgetError, match=message) as caught:
        Budget.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("op", "below", "at", "above"),
    [
        ("<=", True, True, False),
        ("<", True, False, False),
        (">=", False, True, True),
        (">", False, False, True),
    ],
)
def test_a_limit_holds_by_its_operator(op, below, at, above):
    limit = Limit("accuracy", op, 0.5)
    assert [limit.holds(v) for v in (0.4, 0.5, 0.6)] == [below, at, above]


def test_judging_names_what_was_not_measured():
    budget = Budget.parse("latency<=5ms, size<=1MB, params<=1M")
    verdicts = budget.judge({"size": 2_000_000, "latency": 5.0, "unasked": 1.0})
    assert [(v.limit.metric, v.measured, v.met) for v in verdicts] == [
        ("latency", 5.0, True),
        ("size", 2_000_000, False),
        ("params", None, False),
    ]
    assert Verdict(budget.limits[0], 5.1).met is False


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency", 4.5678, "4.57 ms"),
        ("latency", 123.4, "123 ms"),
        ("accuracy", 0.94512, "94.5 %"),
        ("size", 999, "999 B"),
        ("size", 1_234_567, "1.23 MB"),
        ("memory", 2.5e9, "2.5 GB"),
        ("params", 350_000, "350 k"),
        ("macs", 300_774_272, "301 M"),
        ("params", 12, "12"),
    ],
)
def test_quantities_for_a_person(metric, value, text):
    assert format_quantity(metric, value) == text
