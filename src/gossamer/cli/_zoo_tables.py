"""The zoo in words: the list of networks, and one network with its stages, as lines."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gossamer.zoo.rows import percent, short

if TYPE_CHECKING:
    from gossamer.zoo.entry import WeightSource
    from gossamer.zoo.rows import AtInput, Row

__all__ = ["list_lines", "network_lines"]

LEGEND = "params, macs: counted; dev: counted / published - 1, in %; top-1: published, in %"


def list_lines(rows: Sequence[Row]) -> list[str]:
    """A head, one line a network, and what the columns mean."""
    detectors = rows[0].entry.task == "detect"
    heads = ("<network", "input", "params", "dev", "macs", "dev", "AP" if detectors else "top-1", "<weights")
    lines = _table(heads, [_cells(row) for row in rows])
    count = f"{len(rows)} network{'s' if len(rows) > 1 else ''}"
    if any(row.top1_elsewhere for row in rows):
        count += "; *: top-1 on other pictures than ImageNet's"
    return [*lines, "", *_wrapped(count), *_wrapped(_legend(rows[0]))]


def _legend(row: Row) -> str:
    return (
        LEGEND
        if row.entry.task == "classify"
        else LEGEND.replace("top-1: published", "AP: published, of COCO")
    )


def _accuracy(at: AtInput, digits: int = 1) -> str:
    ap = None if at.published is None else at.published.ap
    return percent(at.top1 if ap is None else ap, digits=digits)


def _cells(row: Row) -> tuple[str, ...]:
    own = row.own
    return (
        row.name,
        str(own.input),
        short(own.params),
        percent(own.params_deviation, sign=True),
        short(own.macs),
        percent(own.macs_deviation, sign=True),
        _accuracy(own) + ("*" if row.top1_elsewhere else " "),
        ", ".join(row.entry.weights) or "-",
    )


def network_lines(row: Row, stages: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Figures, origin, weights and, where they are given, the stages of one network."""
    entry = row.entry
    title = f"{row.name}: {entry.family}, {entry.paper}, {entry.num_classes:,} classes"
    lines = [title, "", *_figure_lines(row), *_wrapped(_legend(row)), ""]
    facts = _facts(row)
    width = max(len(key) for key, _ in facts) + 2
    for key, text in facts:
        first, *rest = _wrapped(text, width)
        lines += [f"{key:{width}}{first}", *(" " * width + line for line in rest)]
    if stages is not None:
        lines += ["", *_stage_lines(row, stages)]
    return lines


def _figure_lines(row: Row) -> list[str]:
    judged = "AP" if row.entry.task == "detect" else "top-1"
    heads = ("<input", "params", "published", "dev", "macs", "published", "dev", judged)
    return _table(heads, [_figures(at) for at in (row.own, *row.resolutions)])


def _figures(at: AtInput) -> tuple[str, ...]:
    published = at.published
    return (
        f"{at.input} x {at.input}",
        f"{at.params:,}",
        _whole(None if published is None else published.params),
        percent(at.params_deviation, sign=True),
        f"{at.macs:,}",
        _whole(None if published is None else published.macs),
        percent(at.macs_deviation, sign=True),
        _accuracy(at, 2),
    )


def _facts(row: Row) -> list[tuple[str, str]]:
    entry = row.entry
    sources = [
        f"{row.name}@{source}: {weights.identifier} ({_needs(weights)})"
        for source, weights in entry.weights.items()
    ]
    files = [f"{row.name}@FILE of {name} ({_needs(weights)})" for name, weights in entry.formats.items()]
    return [
        ("published", "nothing" if entry.published is None else entry.published.source),
        ("note", entry.note or "-"),
        ("arguments", _arguments(entry.arguments) or "none"),
        *_listed("weights", sources or ["no source known"]),
        *_listed("files", files or ["none known"]),
    ]


def _listed(key: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(key if index == 0 else "", line) for index, line in enumerate(lines)]


def _needs(weights: WeightSource) -> str:
    words = [f"{weights.preprocessing} preprocessing"]
    if weights.bgr:
        words.append("trained on BGR")
    return ", ".join([*words, _arguments(weights.arguments)]).removesuffix(", ")


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def _stage_lines(row: Row, stages: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = ("<part", "blocks", "channels", "reduction", "output", "params", "macs", "of macs")
    cells = []
    for stage in stages:
        output = stage["output"]
        cells.append(
            (
                stage["name"],
                _whole(stage["blocks"]),
                _whole(stage["channels"]),
                _whole(stage["reduction"]),
                "-" if output is None else f"{output[1]} x {output[2]}",
                f"{stage['params']:,}",
                f"{stage['macs']:,}",
                percent(stage["macs"] / row.own.macs),
            )
        )
    return _table(heads, cells)


# --- how they are set -----------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns as wide as their longest, nothing cut; `<` before a head sets its column to the left."""
    names = [head.removeprefix("<") for head in heads]
    cells = [names, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    sides = ["<" if head.startswith("<") else ">" for head in heads]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """The text within the terminal, or one line where the output is piped."""
    if not sys.stdout.isatty():
        return [text]
    return textwrap.wrap(text, max(shutil.get_terminal_size().columns - indent, 40)) or [""]


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{round(value):,}"
