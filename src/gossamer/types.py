"""The words that cross module borders: sizes, precisions and budgets (standard library only)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from gossamer.errors import BudgetError, nearest

__all__ = ["Budget", "Limit", "Precision", "Size", "Verdict", "format_quantity", "within"]

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
RESIZE_RULES = ("short-side-centre-crop", "squash", "letterbox", "none")
"""Names of the rules by which a picture becomes an input; `gossamer.data.geometry` holds them."""


class Size(NamedTuple):
    """Height and width in pixels, in that order everywhere."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


_DROP_TOLERANCE = 1e-9
"""Shares are quotients of counts: two that are equal may differ by rounding."""


def within(drop: float, max_drop: float) -> bool:
    """Whether a lossy step loses no more of its figure than it may: THE rule, with its one tolerance."""
    return drop <= max_drop + _DROP_TOLERANCE


class _Metric(NamedTuple):
    units: Mapping[str, float]
    default_unit: str | None
    at_most: bool
    base_unit: str


_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024.0, "mib": 1024.0**2, "gib": 1024.0**3}
_SHARE = {"": 1.0, "%": 0.01}
SHARES_OF_ONE = ("accuracy", "map", "f1", "r2", "ap", "ap50", "miou", "pixel_accuracy")
"""Figures of tasks that are larger where answers are better, 1 at most."""
_ERRORS = ("mae", "rmse")
"""Figures of tasks in the unit of the data, smaller where answers are better."""
TASK_FIGURES = (*SHARES_OF_ONE, *_ERRORS)
"""Metrics of a budget that are told from answers, not from files."""
_METRICS: dict[str, _Metric] = {
    "latency": _Metric({"us": 1e-3, "ms": 1.0, "s": 1e3}, None, True, "ms"),
    "size": _Metric(_BYTES, None, True, "B"),
    "params": _Metric(_COUNTS, "", True, ""),
    "macs": _Metric(_COUNTS, "", True, ""),
    "memory": _Metric(_BYTES, None, True, "B"),
    **dict.fromkeys(SHARES_OF_ONE, _Metric(_SHARE, "", False, "")),
    **dict.fromkeys(_ERRORS, _Metric({"": 1.0}, "", True, "")),
}
_UNIT_NAMES = {
    "latency": "us, ms or s",
    "size": "B, kB, MB or GB",
    "memory": "B, kB, MB or GB",
    "params": "k, M, G or none",
    "macs": "k, M, G or none",
    **dict.fromkeys(SHARES_OF_ONE, "% or none"),
    **dict.fromkeys(_ERRORS, "none: they are in the unit of the data"),
}
_ITEM = re.compile(
    r"^\s*([A-Za-z_][A-Za-z_0-9]*)\s*(<=|>=|<|>|==|=)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(.*?)\s*$"
)


def format_quantity(metric: str, value: float) -> str:
    """A value of a budget metric for a person: ms, MB in powers of ten, M for counts, % for shares."""
    if metric == "latency":
        return f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
    if metric in SHARES_OF_ONE:
        return f"{100 * value:.1f} %"
    if metric in _ERRORS:
        return f"{value:.4g}"
    unit = "B" if metric in ("size", "memory") else ""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


@dataclass(frozen=True)
class Limit:
    """One line of a budget, in base units: ms for latency, bytes for size and memory, shares for accuracy and its like."""

    metric: str
    op: Literal["<=", "<", ">=", ">"]
    value: float

    def holds(self, measured: float) -> bool:
        """Whether a measured value, in base units, keeps this limit."""
        if self.op == "<=":
            return measured <= self.value
        if self.op == "<":
            return measured < self.value
        if self.op == ">=":
            return measured >= self.value
        return measured > self.value

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {format_quantity(self.metric, self.value)}"


@dataclass(frozen=True)
class Verdict:
    """One limit held against what was measured; measured is None where it was not measured."""

    limit: Limit
    measured: float | None

    @property
    def met(self) -> bool:
        return self.measured is not None and self.limit.holds(self.measured)


@dataclass(frozen=True)
class Budget:
    """What the deployed network may cost: `latency<=5ms, size<=1MB` and so on, one limit a metric."""

    limits: tuple[Limit, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read comma-separated `metric op value unit`.

        Raises:
            BudgetError: unknown metric or unit, an operator in the wrong direction, a value nothing can meet.
        """
        items = [item for item in text.split(",") if item.strip()]
        if not items:
            raise BudgetError(
                "a budget needs at least one limit, got an empty text; write e.g. 'latency<=5ms, size<=1MB'"
            )
        limits = [_parse_limit(item) for item in items]
        seen: set[str] = set()
        for limit in limits:
            if limit.metric in seen:
                raise BudgetError(
                    f"a budget takes one limit a metric, got {limit.metric} twice in {text!r}; keep the tighter one"
                )
            seen.add(limit.metric)
        return cls(tuple(limits), text.strip())

    def limit(self, metric: str) -> Limit | None:
        """The limit on a metric, or None."""
        return next((limit for limit in self.limits if limit.metric == metric), None)

    def judge(self, measured: Mapping[str, float]) -> list[Verdict]:
        """Each limit with its measured value, in the order the budget was written."""
        return [Verdict(limit, measured.get(limit.metric)) for limit in self.limits]

    def __str__(self) -> str:
        return ", ".join(str(limit) for limit in self.limits)


def _parse_limit(item: str) -> Limit:
    match = _ITEM.match(item)
    if match is None:
        raise BudgetError(
            f"a limit reads 'metric op value unit', got {item.strip()!r}; write e.g. 'latency<=5ms'"
        )
    name, op, number, unit = match.groups()
    metric = name.lower()
    if metric not in _METRICS:
        raise BudgetError(f"unknown budget metric {name!r} in {item.strip()!r}; {nearest(metric, _METRICS)}")
    rule = _METRICS[metric]
    allowed = ("<=", "<") if rule.at_most else (">=", ">")
    if op not in allowed:
        raise BudgetError(
            f"{metric} takes {allowed[0]} or {allowed[1]}, got {op!r} in {item.strip()!r}; write '{metric}{allowed[0]}{number}{unit}'"
        )
    if unit == "" and rule.default_unit is None:
        raise BudgetError(
            f"{metric} needs a unit ({_UNIT_NAMES[metric]}), got {item.strip()!r}; write e.g. '{metric}{op}{number}{rule.base_unit}'"
        )
    if unit.lower() not in rule.units:
        raise BudgetError(f"unknown unit {unit!r} for {metric}; use {_UNIT_NAMES[metric]}")
    return Limit(metric, op, _checked_value(metric, number, rule.units[unit.lower()], item.strip()))  # type: ignore[arg-type]


def _checked_value(metric: str, number: str, factor: float, item: str) -> float:
    try:
        value = float(number) * factor
    except ValueError:
        raise BudgetError(
            f"a limit needs a number, got {number!r} in {item!r}; write e.g. '{metric}<=5'"
        ) from None
    if not math.isfinite(value):
        raise BudgetError(f"a limit needs a finite number, got {number!r} in {item!r}")
    if metric in SHARES_OF_ONE:
        if not 0 < value <= 1:
            raise BudgetError(
                f"{metric} is a share above 0 and at most 1 (or 100 %), got {item!r}; write e.g. '{metric}>=0.9'"
            )
    elif value <= 0:
        raise BudgetError(
            f"no network can have {metric} of {number} or less, got {item!r}; give a value above 0"
        )
    return value
