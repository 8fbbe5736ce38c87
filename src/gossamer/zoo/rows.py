"""The catalogue as rows: counted figures beside published ones, filtered and sorted. No torch here.

What `gossamer zoo` prints and what the page of the documentation is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gossamer.errors import BudgetError, GossamerError, nearest
from gossamer.types import Budget
from gossamer.zoo.catalogue import CATALOGUE, find_entry, of_task
from gossamer.zoo.counted import counts
from gossamer.zoo.entry import Entry, Published

__all__ = [
    "JUDGED",
    "SORT_KEYS",
    "AtInput",
    "Row",
    "check_judged",
    "of_family",
    "percent",
    "row",
    "rows",
    "short",
    "sort",
    "why_none",
    "within",
]

IMAGENET_CLASSES = 1000
BYTES_A_PARAM = 4
JUDGED = ("params", "macs", "size", "accuracy")
"""Budget metrics that the catalogue can judge."""
_INSTEAD = {
    "latency": "latency is a property of a machine: time one network with `gossamer measure NAME --latency onnxruntime`",
    "memory": "memory is measured on a running file: give this limit to `gossamer fit`",
}


@dataclass(frozen=True)
class AtInput:
    """A network at one input size: what is counted here beside what is published."""

    input: int
    """Pixels a side."""
    params: int
    macs: int
    published: Published | None

    @property
    def params_deviation(self) -> float | None:
        """counted / published - 1."""
        return _deviation(self.params, None if self.published is None else self.published.params)

    @property
    def macs_deviation(self) -> float | None:
        """counted / published - 1."""
        return _deviation(self.macs, None if self.published is None else self.published.macs)

    @property
    def top1(self) -> float | None:
        """Published top-1, a share; None where nobody published one."""
        return None if self.published is None else self.published.top1

    def _compared(self) -> dict[str, Any]:
        published = self.published
        return {
            "published": None if published is None else _figures(published),
            "deviation": {"params": self.params_deviation, "macs": self.macs_deviation},
        }


@dataclass(frozen=True)
class Row:
    """One network of the catalogue with its figures."""

    name: str
    entry: Entry
    own: AtInput
    """At the input that the entry is for."""
    resolutions: tuple[AtInput, ...]
    """At the other input sizes that figures are published for, largest first."""

    @property
    def average_precision(self) -> float | None:
        """Published COCO AP of a detector."""
        return None if self.own.published is None else self.own.published.ap

    @property
    def imagenet_top1(self) -> float | None:
        """Published top-1 on ImageNet; None for networks of another data set too."""
        return self.own.top1 if self.entry.num_classes == IMAGENET_CLASSES else None

    @property
    def top1_elsewhere(self) -> bool:
        """Whether the published top-1 is of another data set than ImageNet."""
        return self.own.top1 is not None and self.entry.num_classes != IMAGENET_CLASSES

    @property
    def param_bytes(self) -> int:
        """Bytes of the weights in fp32."""
        return BYTES_A_PARAM * self.own.params

    def measured(self) -> dict[str, float]:
        """What a budget is held against, in its base units; accuracy only where it is published."""
        found: dict[str, float] = {
            "params": self.own.params,
            "macs": self.own.macs,
            "size": self.param_bytes,
        }
        return found if self.imagenet_top1 is None else {**found, "accuracy": self.imagenet_top1}

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "name": self.name,
            "family": self.entry.family,
            "paper": self.entry.paper,
            "input": self.own.input,
            "params": self.own.params,
            "macs": self.own.macs,
            **self.own._compared(),
            "note": self.entry.note,
            "weights": list(self.entry.weights),
            "resolutions": [
                {"input": at.input, "macs": at.macs, **at._compared()} for at in self.resolutions
            ],
        }


def _figures(published: Published) -> dict[str, Any]:
    """What a source says, with what judges its kind of network."""
    judged = {"top1": published.top1} if published.ap is None else {"ap": published.ap}
    return {"params": published.params, "macs": published.macs, **judged, "source": published.source}


def row(name: str) -> Row:
    """The row of a catalogue name.

    Raises:
        ModelError: the catalogue does not hold it.
    """
    entry = find_entry(name)
    others = sorted(entry.grid.items(), reverse=True)
    return Row(
        name,
        entry,
        _at(name, entry.input, entry.published),
        tuple(_at(name, size, published) for size, published in others),
    )


def rows(task: str = "classify") -> list[Row]:
    """Every network for a task, in the order of the catalogue.

    Raises:
        GossamerError: the catalogue has none for it.
    """
    tasks = {entry.task for entry in CATALOGUE.values()}
    if task not in tasks:
        raise GossamerError(
            f"the catalogue has networks to {' and to '.join(sorted(tasks))}, got {task!r}; name one of these"
        )
    return [row(name) for name in of_task(task)]


def _at(name: str, size: int, published: Published | None) -> AtInput:
    count = counts()[name, size]
    return AtInput(size, count.params, count.macs, published)


def _deviation(counted: int, published: float | None) -> float | None:
    return None if not published else round(counted / published - 1, 4)


def short(count: int) -> str:
    """Params or macs to three digits, in k, M or G."""
    value = float(f"{count:.3g}")
    for factor, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:#.3g}".rstrip(".") + letter
    return str(count)


def percent(share: float | None, *, digits: int = 1, sign: bool = False) -> str:
    """A share in percent, without the mark of it; what rounds to nothing has no sign, "-" where there is none."""
    if share is None:
        return "-"
    text = f"{100 * share:{'+' if sign else ''}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


# --- choosing among them --------------------------------------------------------------------------


def check_judged(budget: Budget) -> None:
    """Refuse limits that the catalogue cannot judge.

    Raises:
        BudgetError: a limit on latency or memory; the message says what measures it.
    """
    for limit in budget.limits:
        if limit.metric not in JUDGED:
            raise BudgetError(
                f"the catalogue judges {', '.join(JUDGED[:-1])} and {JUDGED[-1]}, got a limit on {limit.metric} "
                f"in {budget.text!r}; {_INSTEAD[limit.metric]}"
            )


def within(found: Iterable[Row], budget: Budget) -> list[Row]:
    """The rows that keep every limit at their own input; one without a published top-1 keeps none on accuracy.

    Raises:
        BudgetError: a limit that the catalogue cannot judge.
    """
    check_judged(budget)
    return [one for one in found if all(verdict.met for verdict in budget.judge(one.measured()))]


def why_none(found: Sequence[Row], budget: Budget) -> str:
    """A line for a person whose budget no row keeps: how many keep each limit by itself."""
    verdicts = [budget.judge(one.measured()) for one in found]
    kept = [sum(of[index].met for of in verdicts) for index in range(len(budget.limits))]
    each = [f"{count} keep {limit}" for count, limit in zip(kept, budget.limits, strict=True)]
    together = ", none keeps all" if all(kept) else ""
    return f"no network within {str(budget)!r}: of {len(found)}, {', '.join(each)}{together}; loosen a limit"


def of_family(found: Iterable[Row], family: str) -> list[Row]:
    """The rows of a family; capitals and small letters are one.

    Raises:
        GossamerError: the catalogue has no such family.
    """
    listed = list(found)
    names = {one.entry.family.lower(): one.entry.family for one in listed}
    if family.lower() not in names:
        raise GossamerError(
            f"the catalogue has no family {family!r}; {nearest(family.lower(), names, count=3)}"
        )
    return [one for one in listed if one.entry.family == names[family.lower()]]


SORT_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "name": lambda one: one.name,
    "params": lambda one: one.own.params,
    "macs": lambda one: one.own.macs,
    "top1": lambda one: one.imagenet_top1,
    "ap": lambda one: one.average_precision,
}


def sort(found: Sequence[Row], key: str, *, descending: bool = False) -> list[Row]:
    """The rows by one of `SORT_KEYS`, smallest first; those without the figure come last either way.

    Raises:
        GossamerError: an unknown key.
    """
    if key not in SORT_KEYS:
        raise GossamerError(
            f"networks are sorted by {', '.join(SORT_KEYS)}, got {key!r}; write e.g. --sort macs"
        )
    value = SORT_KEYS[key]
    known = [one for one in found if value(one) is not None]
    unknown = [one for one in found if value(one) is None]
    return sorted(known, key=value, reverse=descending) + unknown
