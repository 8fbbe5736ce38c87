"""Any text is a budget or one line of refusal; any budget reads its own print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import BudgetError
from gossamer.types import Budget

UNITS = {
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "MiB": 1024.0**2},
    "memory": {"GB": 1e9, "KiB": 1024.0},
    "params": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "macs": {"": 1.0, "M": 1e6},
}
VALUES = st.floats(1e-6, 1e9, allow_nan=False)


@st.composite
def limits(draw: st.DrawFn) -> tuple[str, str, str, float]:
    """(text, metric, op, value in base units)."""
    metric = draw(st.sampled_from(sorted(UNITS)))
    unit = draw(st.sampled_from(sorted(UNITS[metric])))
    op = draw(st.sampled_from(["<=", "<"]))
    value = draw(VALUES)
    space = draw(st.sampled_from(["", " ", "  "]))
    case = draw(st.sampled_from([str.lower, str.upper, str]))
    return (
        f"{space}{case(metric)}{space}{op}{space}{value!r}{space}{case(unit)}",
        metric,
        op,
        value * UNITS[metric][unit],
    )


@given(st.lists(limits(), min_size=1, max_size=5, unique_by=lambda limit: limit[1]))
def test_what_is_written_is_what_is_meant(items):
    budget = Budget.parse(",".join(text for text, *_ in items))
    assert [(limit.metric, limit.op, limit.value) for limit in budget.limits] == [
        tuple(item[1:]) for item in items
    ]


@given(st.lists(limits(), min_size=1, max_size=5, unique_by=lambda limit: limit[1]))
def test_the_print_reads_back_to_three_digits(items):
    budget = Budget.parse(",".join(text for text, *_ in items))
    again = Budget.parse(str(budget))
    for limit, other in zip(budget.limits, again.limits, strict=True):
        assert (other.metric, other.op) == (limit.metric, limit.op)
        assert abs(other.value - limit.value) <= 0.0051 * limit.value


@given(st.text(max_size=40) | st.text(alphabet="latencysizemacs<>=0123456789.,-+eE%kMGB ", max_size=40))
def test_any_other_text_is_refused_in_one_line(text):
    refusal = ""
    try:
        limits = Budget.parse(text).limits
    except BudgetError as error:
        limits, refusal = (), str(error)
    assert bool(limits) is not bool(refusal)
    assert "\n" not in refusal
    assert all(limit.value > 0 for limit in limits)


@given(limits(), VALUES, VALUES)
def test_a_limit_is_monotonic(item, a, b):
    (limit,) = Budget.parse(item[0]).limits
    low, high = sorted((a, b))
    assert limit.holds(low) or not limit.holds(high)
