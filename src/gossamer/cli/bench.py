"""gossamer bench: networks, bundles and files side by side, timed in the same rounds on their runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gossamer.cli._common import print_json, print_lines
from gossamer.cli._verb import extra, verb_of
from gossamer.runs.bench_config import BenchConfig

__all__ = ["bench_verb"]

COLUMNS = (
    "model",
    "input",
    "runtime",
    "precision",
    "threads",
    "params",
    "macs",
    "size_bytes",
    "p50_ms",
    "p95_ms",
    "state",
)
_TABLE = Annotated[Path | None, typer.Option("--out", "-o", help="Write a .csv, .md or .html table as well.")]


def _bench(config: BenchConfig, *, out: Path | None, json: bool) -> None:
    """Time several models side by side: all of them take turns in every round, so that their ratios hold on a busy machine."""
    from gossamer.cli._tables import check_table, table_lines, write_table
    from gossamer.runs.bench import bench_models
    from gossamer.runs.reporter import RichReporter

    config.check()
    check_table(out)
    result = bench_models(config, reporter=RichReporter())
    shown = [{**row, "input": "x".join(map(str, row["input"]))} for row in result.rows]
    if out is not None:
        write_table(out, COLUMNS, shown, title="Networks timed side by side")
    if json:
        print_json(result.to_json(compare=config.compare))
        return
    print_lines([*table_lines(COLUMNS, shown), *_ratio_lines(result.ratios)])


def _ratio_lines(ratios: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        f"{r['model']} takes {r['ratio']:.3f} times as long as {r['to']} on {r['threads']} thread(s) "
        f"({r['low']:.3f} to {r['high']:.3f})"
        for r in ratios
    ]
    return ["", *lines] if lines else []


bench_verb = verb_of(BenchConfig, _bench, run=False, more=[extra("out", _TABLE, None)])
