"""Do the guidelines of ShuffleNet V2 hold here? Times of networks of equal macs, in the same rounds.

python -m benchmarks.guidelines [--threads 1,2] [--seconds 2] [--out FILE.json] [--flagged]
python -m tools.guidelines_page then writes the page and its picture.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from benchmarks._guideline_networks import GROUPS, SIDE, Case, Group, built
from gossamer._files import write_json
from gossamer._machine import describe_machine
from gossamer.cost.meter import measure
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.runs.model import plain_contract
from gossamer.timing.latency import Latency, compare, measure_latency
from gossamer.timing.table.latency_table import Platform

ROUNDS, TRIES = 40, 3


def run() -> Iterator[str]:
    """Ratio of every network to the first of its group, or for G5 to the nearest multiple of 16 channels."""
    for group in GROUPS:
        yield from _table(timed_group(group, threads=1, seconds=1.0))


def timed_group(group: Group, *, threads: int, seconds: float) -> dict[str, Any]:
    """The group's networks timed in the same rounds, as a JSON object; of three tries the one with fewest flags."""
    macs = {case.name: measure(built(case), (1, case.channels, SIDE, SIDE)).macs for case in group.cases}
    with tempfile.TemporaryDirectory(prefix="gossamer-guidelines-") as name:
        files = {case.name: _exported(case, Path(name, f"{i}.onnx")) for i, case in enumerate(group.cases)}
        runs = {case.name: _runner(case, files[case.name], threads) for case in group.cases}
        ran = {name: _ran(file) for name, file in files.items()}
        figures = _timed(group, runs, threads=threads, seconds=seconds)
    return {
        "guideline": group.guideline,
        "series": group.series,
        "threads": threads,
        "networks": [_row(case, macs, ran[case.name], figures) for case in group.cases],
    }


def _timed(
    group: Group, runs: Mapping[str, Callable[[], object]], *, threads: int, seconds: float
) -> dict[str, Latency]:
    tries: list[dict[str, Latency]] = []
    for count in range(1, TRIES + 1):
        _say(
            f"{group.guideline}, {group.series}: {len(runs)} networks on {threads} thread(s), "
            f"about {seconds * len(runs):.0f} s, try {count} of at most {TRIES}"
        )
        tries.append(measure_latency(runs, seconds=seconds, rounds=ROUNDS, threads=threads))
        if not _flagged(tries[-1]):
            break
    return min(tries, key=_flagged)


def _flagged(figures: Mapping[str, Latency]) -> int:
    return sum(bool(figure.flags) for figure in figures.values())


def _exported(case: Case, path: Path) -> Path:
    export(built(case), plain_contract((case.channels, SIDE, SIDE)), path)
    return path


def _runner(case: Case, file: Path, threads: int) -> Callable[[], object]:
    noise = np.random.default_rng(0).standard_normal((1, case.channels, SIDE, SIDE), dtype=np.float32)
    return functools.partial(load(file, threads=threads).run, noise)


class _Ran(NamedTuple):
    """What the runtime made of a file."""

    macs: int
    """With the channels that it fills up to its block."""
    blocked: float
    """Share of the convolutions in its blocked layout."""


def _ran(file: Path) -> _Ran:
    """Every convolution here keeps the map's size."""
    graph = rewritten(file)
    weights = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("Conv", "FusedConv")]
    blocked = sum(node.domain.endswith("nchwc") for node in nodes) / len(nodes)
    return _Ran(SIDE * SIDE * sum(weights[node.input[1]] for node in nodes), blocked)


def rewritten(file: Path) -> Any:
    """The ONNX graph as the runtime rewrites it on this machine."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(file.with_suffix(".optimized"))
    ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath).graph


def _row(case: Case, macs: Mapping[str, int], ran: _Ran, figures: Mapping[str, Latency]) -> dict[str, Any]:
    own, base = figures[case.name], figures[case.base]
    ratio = compare(own, base)
    return {
        "name": case.name,
        "base": case.base,
        "macs": macs[case.name],
        "macs_ratio": round(macs[case.name] / macs[case.base], 4),
        "ran_macs": ran.macs,
        "blocked": ran.blocked,
        "p50_ms": round(own.p50_ms, 4),
        "p95_ms": round(own.p95_ms, 4),
        "ratio": round(ratio.ratio, 4),
        "low": round(ratio.low, 4),
        "high": round(ratio.high, 4),
        "state": own.state,
    }


def _table(group: Mapping[str, Any]) -> Iterator[str]:
    yield f"{group['guideline']}, {group['series']}, {group['threads']} thread(s)"
    yield f"  {'network':22} {'MMAC':>8} {'ms':>8} {'ratio':>7} {'interval':>16} {'per mac':>8}  against, state"
    for row in group["networks"]:
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        yield (
            f"  {row['name']:22} {row['macs'] / 1e6:8.1f} {row['p50_ms']:8.3f} {row['ratio']:7.3f} {interval:>16} "
            f"{row['ratio'] / row['macs_ratio']:8.3f}  {row['base']}, {row['state']}"
        )


# --- command line ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(f"{message}; --help shows what can be given")


def _threads(text: str) -> list[int]:
    counts = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(
            f"thread counts are whole numbers from 1, got {text!r}; write e.g. 1,2"
        )
    return list(dict.fromkeys(counts))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError(
            f"seconds a network are above 0 and at most 600, got {text!r}; write e.g. 2"
        )
    return seconds


def _out(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".json" or path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"a .json file in a folder that exists is written, got {text!r}")
    return path


def main(arguments: Sequence[str]) -> None:
    """Time every group on every thread count, print tables, write JSON where asked for."""
    parser = _Parser(prog="python -m benchmarks.guidelines", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=_threads, default=[1], help="thread counts, e.g. 1,2")
    parser.add_argument("--seconds", type=_seconds, default=2.0, help="time spent on each network")
    parser.add_argument("--out", type=_out, help="write a .json file as well")
    parser.add_argument(
        "--flagged", action="store_true", help="keep the groups of --out whose figures are all clean"
    )
    options = parser.parse_args(arguments)
    setting = _setting(options.seconds, arguments)
    clean = _clean(options.out, setting) if options.flagged else {}
    found = []
    for threads in options.threads:
        for group in GROUPS:
            kept = clean.get((threads, group.guideline, group.series, *(case.name for case in group.cases)))
            found.append(kept or timed_group(group, threads=threads, seconds=options.seconds))
            print("\n".join(_table(found[-1])), flush=True)
    if options.out is not None:
        write_json(options.out, {**setting, "groups": found})


def _clean(file: Path | None, setting: Mapping[str, Any]) -> dict[tuple[object, ...], dict[str, Any]]:
    """The groups of an earlier file whose figures are all clean, by threads, guideline, series and names."""
    if file is None or not file.is_file():
        sys.exit(f"--flagged measures again what a file holds, got --out {file}; leave --flagged out")
    before = json.loads(file.read_text(encoding="utf-8"))
    groups = before.pop("groups")
    free = {"command": "", "date": ""}
    if {**before, **free} != {**setting, **free}:
        sys.exit(
            f"groups of one file come from one machine and setting, {file} has others; leave --flagged out"
        )
    return {
        (
            group["threads"],
            group["guideline"],
            group["series"],
            *(row["name"] for row in group["networks"]),
        ): group
        for group in groups
        if all(row["state"] == "clean" for row in group["networks"])
    }


def _setting(seconds: float, arguments: Iterable[str]) -> dict[str, Any]:
    machine, platform = describe_machine(), Platform.here()
    return {
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB",
        "instructions": list(platform.isa),
        "runtime": "ONNX Runtime",
        "version": platform.runtime_version,
        "precision": platform.precision,
        "side": SIDE,
        "rounds": ROUNDS,
        "seconds": seconds,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "command": " ".join(("python -m benchmarks.guidelines", *arguments)),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
