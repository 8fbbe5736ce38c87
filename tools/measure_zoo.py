"""Times the zoo on this machine: python -m tools.measure_zoo [--fresh] [--flagged].

Every network of at most `MACS_LIMIT` macs at its own input is exported with random weights and timed as
`gossamer measure --latency` does, some at a time in turns. Writes docs/assets/zoo-latency.csv, and beside it in JSON
what it was measured with. Rows that are there are kept; --fresh measures all, --flagged those that are not clean.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gossamer._files import write_json, write_text
from gossamer._machine import describe_machine, versions
from gossamer.zoo.rows import Row, rows

DOCS = Path(__file__).resolve().parents[1] / "docs"
CSV, SIDE = "assets/zoo-latency.csv", "assets/zoo-latency.json"
"""Below the docs folder."""
MACS_LIMIT = 2_500_000_000
RUNTIME, THREADS = "onnxruntime", 1
SECONDS, GROUP = 0.3, 6
"""What is spent on a network, and how many take turns."""


class Timed(NamedTuple):
    """One line of the table."""

    name: str
    input: int
    p50_ms: float
    p95_ms: float
    state: str


class Setting(NamedTuple):
    """What the figures were measured with."""

    machine: str
    runtime: str
    version: str
    precision: str
    threads: int
    macs_limit: int
    date: str

    @property
    def threads_text(self) -> str:
        """For a person."""
        return "1 thread" if self.threads == 1 else f"{self.threads} threads"


def read_timed(path: Path) -> list[Timed]:
    """The table, empty where it is not there."""
    if not path.is_file():
        return []
    lines = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return [
        Timed(line["name"], int(line["input"]), float(line["p50_ms"]), float(line["p95_ms"]), line["state"])
        for line in lines
    ]


def read_setting(path: Path) -> Setting:
    """What the table was measured with."""
    return Setting(**json.loads(path.read_text(encoding="utf-8")))


def wanted() -> list[Row]:
    """The rows to time: what exports to the same file as another entry, its deploy form, is left out."""
    found = rows()
    names = {row.name for row in found}
    return [row for row in found if row.own.macs <= MACS_LIMIT and f"{row.name}_deploy" not in names]


def setting() -> Setting:
    """This machine, today."""
    machine = describe_machine()
    words = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"
    return Setting(
        words,
        "ONNX Runtime",
        versions()["onnxruntime"],
        "fp32",
        THREADS,
        MACS_LIMIT,
        datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    )


def measure_group(group: Sequence[Row], folder: Path) -> list[Timed]:
    """The networks exported and timed in turns."""
    import numpy as np

    from gossamer.deploy.contract import InputContract
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.timing.latency import measure_latency
    from gossamer.zoo.build import build

    runtime = get_runtime(RUNTIME)
    runs = {}
    for row in group:
        contract = InputContract.of("imagenet", row.own.input)
        path = folder / f"{row.name}{runtime.suffix}"
        runtime.export(build(row.name).eval(), contract, path)
        session = runtime.load(path, threads=THREADS)
        path.unlink()
        noise = np.random.default_rng(0).standard_normal(contract.shape, dtype=np.float32)
        runs[row.name] = lambda session=session, noise=noise: session.run(noise)
    figures = measure_latency(runs, seconds=SECONDS, threads=THREADS)
    return [
        Timed(
            row.name,
            row.own.input,
            round(figures[row.name].p50_ms, 3),
            round(figures[row.name].p95_ms, 3),
            figures[row.name].state,
        )
        for row in group
    ]


def _kept(fresh: bool, now: Setting) -> dict[str, Timed]:
    if fresh or not (DOCS / CSV).is_file():
        return {}
    before = read_setting(DOCS / SIDE)
    if before._replace(date=now.date) != now:
        sys.exit(
            f"rows of one table come from one machine and setting, got {before} and {now}; "
            "measure all again with --fresh"
        )
    known = {row.name: row.own.input for row in wanted()}
    return {one.name: one for one in read_timed(DOCS / CSV) if known.get(one.name) == one.input}


def _write(timed: Iterable[Timed], now: Setting) -> None:
    order = {row.name: index for index, row in enumerate(wanted())}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Timed._fields)
    writer.writerows(sorted(timed, key=lambda one: order[one.name]))
    write_json(DOCS / SIDE, now._asdict())
    write_text(DOCS / CSV, text.getvalue())


def main(arguments: Sequence[str]) -> None:
    """Measure what is missing, some at a time; each group is written as it is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fresh", action="store_true", help="measure all again")
    parser.add_argument("--flagged", action="store_true", help="measure again what is not clean")
    options = parser.parse_args(arguments)
    now = setting()
    done = _kept(options.fresh, now)
    kept = {name for name, one in done.items() if one.state == "clean" or not options.flagged}
    missing = [row for row in wanted() if row.name not in kept]
    with tempfile.TemporaryDirectory(prefix="gossamer-zoo-") as folder:
        for start in range(0, len(missing), GROUP):
            for one in measure_group(missing[start : start + GROUP], Path(folder)):
                done[one.name] = one
                sys.stderr.write(f"{one.name:32} {one.p50_ms:9.3f} ms  {one.state}\n")
            _write(done.values(), now)
            sys.stderr.write(f"{min(start + GROUP, len(missing))} of {len(missing)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
