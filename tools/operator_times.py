"""Where the time goes in two networks on this machine: python -m tools.operator_times [--measure] [docs folder].

With --measure alexnet and mobilenet_v2 are profiled in turns, the best turn of each node is kept, and
docs/assets/operator-times.csv is written. In any case the picture and the table of the page are made from that file.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import datetime
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gossamer._files import write_text
from gossamer._machine import describe_machine, versions
from gossamer.deploy.runtimes.node_times import Profile
from gossamer.report.operator_bars import Row, operator_bars

DOCS = Path(__file__).resolve().parents[1] / "docs"
CSV, PICTURE = "assets/operator-times.csv", "assets/operator-times.svg"
PAGE = "explanation/where-the-time-goes.md"
"""Below the docs folder."""
NETWORKS = ("alexnet", "mobilenet_v2")
ROUNDS, RUNS, THREADS = 10, 30, 1
START, END = "<!-- generated -->", "<!-- /generated -->"


class Line(NamedTuple):
    """One operator of one network; `bound_ms` is the sum of its nodes' bounds."""

    network: str
    operator: str
    nodes: int
    ms: float
    share: float
    macs: int
    bytes: int
    bound_ms: float
    machine: str
    runtime: str
    threads: int
    date: str


def measure() -> list[Line]:
    """Profiles in turns, each node at its best, held against this machine's peaks."""
    from gossamer.deploy.contract import InputContract
    from gossamer.deploy.runtimes.onnxruntime.export import export
    from gossamer.deploy.runtimes.onnxruntime.profile import profile_file
    from gossamer.timing.roofline import peaks, roofline
    from gossamer.zoo.build import build
    from gossamer.zoo.catalogue import CATALOGUE

    best: dict[str, Profile] = {}
    with tempfile.TemporaryDirectory(prefix="gossamer-operators-") as folder:
        for name in NETWORKS:
            contract = InputContract.of("imagenet", CATALOGUE[name].input)
            export(build(name).eval(), contract, Path(folder, f"{name}.onnx"), names=True)
        for turn in range(ROUNDS):
            for name in NETWORKS:
                found = profile_file(Path(folder, f"{name}.onnx"), threads=THREADS, runs=RUNS)
                best[name] = _best(best.get(name, found), found)
                sys.stderr.write(f"{turn + 1} of {ROUNDS} {name:16} {found.ms:8.2f} ms\n")
    limit = peaks(threads=THREADS, again=True)
    machine, date = describe_machine()["cpu"], datetime.date.today().isoformat()
    runtime = f"onnxruntime {versions()['onnxruntime']}"
    lines = []
    for name, profile in best.items():
        bounds = roofline(profile, limit).nodes
        for total in profile.operators():
            bound = sum(
                b.bound_ms for n, b in zip(profile.nodes, bounds, strict=True) if n.kind == total.kind
            )
            lines.append(
                Line(
                    name, total.kind, total.nodes, round(total.ms, 3), round(total.share, 5), total.macs,
                    total.bytes_moved, round(bound, 3), machine, runtime, THREADS, date,
                )
            )  # fmt: skip
    return lines


def _best(one: Profile, other: Profile) -> Profile:
    """The nodes of two profiles of one file, each with its shorter time."""
    pairs = zip(one.nodes, other.nodes, strict=True)
    return dataclasses.replace(one, nodes=tuple(min(pair, key=lambda node: node.ms) for pair in pairs))


def read(file: Path) -> list[Line]:
    """What was measured."""
    with file.open(newline="") as text:
        return [
            Line(
                row["network"], row["operator"], int(row["nodes"]), float(row["ms"]), float(row["share"]),
                int(row["macs"]), int(row["bytes"]), float(row["bound_ms"]), row["machine"], row["runtime"],
                int(row["threads"]), row["date"],
            )
            for row in csv.DictReader(text)
        ]  # fmt: skip


def write(docs: Path, lines: Sequence[Line]) -> None:
    """The picture, and the table between the markers of the page."""
    rows = []
    for name in NETWORKS:
        own = [line for line in lines if line.network == name]
        rows.append(Row(name, sum(line.ms for line in own), [(line.operator, line.share) for line in own]))
    picture = operator_bars("Share of time by operator: " + " and ".join(NETWORKS), rows)
    write_text(docs / PICTURE, f"{picture}\n")
    page = docs / PAGE
    before, _, rest = page.read_text().partition(START)
    table = "\n".join(_table(lines))
    write_text(page, f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}")


def _table(lines: Sequence[Line]) -> Iterator[str]:
    first = lines[0]
    yield "| network | operator | nodes | ms | share | MMAC | MB | bound, ms | distance |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for name in NETWORKS:
        own = [line for line in lines if line.network == name]
        for line in [*(each for each in own if each.share >= 0.01), _whole(own)]:
            distance = f"{line.ms / line.bound_ms:.1f}" if line.bound_ms else "-"
            yield (
                f"| {name} | {line.operator} | {line.nodes} | {line.ms:.2f} | {100 * line.share:.1f} % | "
                f"{line.macs / 1e6:.1f} | {line.bytes / 1e6:.1f} | {line.bound_ms:.2f} | {distance} |"
            )
    yield ""
    yield (
        f"{first.runtime} on {first.machine}, {first.threads} thread, fp32, {first.date}. Operators below 1 % are in "
        "the sum only."
    )


def _whole(own: Sequence[Line]) -> Line:
    return own[0]._replace(
        operator="**all**",
        nodes=sum(line.nodes for line in own),
        ms=sum(line.ms for line in own),
        share=1.0,
        macs=sum(line.macs for line in own),
        bytes=sum(line.bytes for line in own),
        bound_ms=sum(line.bound_ms for line in own),
    )


def main(arguments: Sequence[str]) -> None:
    """Measure where asked for, then draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="measure on this machine first")
    parser.add_argument("docs", nargs="?", type=Path, default=DOCS, help="docs folder")
    options = parser.parse_args(arguments)
    if options.measure:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Line._fields)
        writer.writerows(measure())
        write_text(options.docs / CSV, text.getvalue())
    write(options.docs, read(options.docs / CSV))


if __name__ == "__main__":
    main(sys.argv[1:])
