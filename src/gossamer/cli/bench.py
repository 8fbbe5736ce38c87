"""gossamer bench: networks, bundles and files side by side, timed in the same rounds on their runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines, say

if TYPE_CHECKING:
    from gossamer.timing.latency import Latency

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
SORTS = {"latency": "p50_ms", "macs": "macs", "params": "params", "size": "size_bytes", "name": "model"}


class _File(NamedTuple):
    """One file to time."""

    model: str
    precision: str
    path: Path


def bench_verb(
    models: Annotated[
        list[str], typer.Argument(help="Catalogue names, timm:NAME, bundle folders or files of the runtime.")
    ],
    on: Annotated[str, typer.Option("--on", help="Runtime.")] = "onnxruntime",
    threads: Annotated[str, typer.Option("--threads", help="Thread counts, e.g. 1,2.")] = "1",
    input: Annotated[
        str | None, typer.Option("--input", help="BANDSxHEIGHTxWIDTH of networks, e.g. 3x224x224.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", help="Time spent on each file and thread count.")
    ] = 2.0,
    sort: Annotated[str, typer.Option("--sort", help="latency, macs, params, size or name.")] = "latency",
    compare: Annotated[
        bool, typer.Option("--compare", help="Ratios to the first model, with their interval.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a .csv, .md or .html table as well.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Time several models side by side: all of them take turns in every round, so that their ratios hold on a busy machine."""
    import tempfile

    from gossamer.cli._tables import check_table, table_lines, write_table
    from gossamer.errors import GossamerError, nearest

    counts = _thread_counts(threads)
    if sort not in SORTS:
        raise GossamerError(f"--sort is one of {', '.join(SORTS)}, got {sort!r}; {nearest(sort, SORTS)}")
    if seconds <= 0:
        raise GossamerError(f"--seconds is above 0, got {seconds:g}")
    check_table(out)
    with tempfile.TemporaryDirectory(prefix="gossamer-bench-") as folder:
        files = [
            file
            for i, model in enumerate(models)
            for file in _files(model, on, input, seed, Path(folder, str(i)))
        ]
        timed = {count: _timed(files, on, count, seconds) for count in counts}
        rows = [_row(file, on, count, timed[count][i]) for count in counts for i, file in enumerate(files)]
    ratios = [r for count in counts for r in _ratios(files, timed[count], count)] if compare else []
    rows.sort(key=lambda row: (row["threads"], row[SORTS[sort]]))
    shown = [{**row, "input": "x".join(map(str, row["input"]))} for row in rows]
    if out is not None:
        write_table(out, COLUMNS, shown, title="Networks timed side by side")
    if json:
        print_json({"rows": rows, "ratios": ratios} if compare else rows)
        return
    print_lines([*table_lines(COLUMNS, shown), *_ratio_lines(ratios)])


def _thread_counts(text: str) -> list[int]:
    from gossamer.errors import GossamerError

    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise GossamerError(f"--threads is a list of whole numbers from 1, got {text!r}; write e.g. 1,2")
    return list(dict.fromkeys(counts))


def _files(model: str, on: str, input: str | None, seed: int, folder: Path) -> list[_File]:
    """The files of a model: its own, those of a bundle for this runtime, or an export made in the folder."""
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.errors import GossamerError

    runtime = get_runtime(on)
    path = Path(model)
    if path.suffix == runtime.suffix:
        if not path.is_file():
            raise GossamerError(
                f"a model is a name, a bundle or a file, got {model}, which does not exist; check the path"
            )
        return [_File(model, "as stored", path)]
    if (path / "model.json").is_file():
        found = sorted((path / "deploy").glob(f"{on}-*/*{runtime.suffix}"))
        if not found:
            raise GossamerError(f"bundle {model} has no file for {on}; name another runtime with --on")
        return [_File(model, file.parent.name.removeprefix(f"{on}-"), file) for file in found]
    return [_File(model, "fp32", _exported(model, on, input, seed, folder))]


def _exported(model: str, on: str, input: str | None, seed: int, folder: Path) -> Path:
    import importlib.util

    from gossamer.errors import MissingExtraError

    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(f"exporting {model}", "torch", "train")
    from gossamer.cli._subject import load_network, plain_contract
    from gossamer.deploy.runtimes import get_runtime

    runtime = get_runtime(on, making=True)
    network, shape = load_network(model, input, seed)
    folder.mkdir()
    path = folder / f"model{runtime.suffix}"
    say(f"exporting {model} at {'x'.join(map(str, shape))}")
    runtime.export(network, plain_contract(shape), path)
    return path


def _timed(files: Sequence[_File], on: str, threads: int, seconds: float) -> list[Latency]:
    import functools

    import numpy as np

    from gossamer.deploy.runtimes import get_runtime
    from gossamer.timing.latency import measure_latency

    runtime = get_runtime(on)
    runs = {}
    for index, file in enumerate(files):
        session = runtime.load(file.path, threads=threads)
        runs[str(index)] = functools.partial(session.run, np.zeros(session.shape, np.float32))
    say(f"timing {len(files)} files in turns on {threads} thread(s), about {seconds * len(files):.0f} s")
    found = measure_latency(runs, seconds=seconds, rounds=20, threads=threads)
    return [found[str(index)] for index in range(len(files))]


def _row(file: _File, on: str, threads: int, latency: Latency) -> dict[str, Any]:
    from gossamer.cost.file_count import count_file

    cost = count_file(file.path)
    return {
        "model": file.model,
        "input": list(cost.input[1:]),
        "runtime": on,
        "precision": file.precision,
        "threads": threads,
        "params": cost.params,
        "macs": cost.macs,
        "uncounted": list(cost.uncounted),
        "size_bytes": file.path.stat().st_size,
        **latency.to_json(),
    }


def _ratios(files: Sequence[_File], timed: Sequence[Latency], threads: int) -> list[dict[str, Any]]:
    from gossamer.timing.latency import compare

    found = []
    for file, latency in zip(files[1:], timed[1:], strict=True):
        ratio = compare(latency, timed[0])
        found.append(
            {
                "model": f"{file.model} {file.precision}",
                "to": f"{files[0].model} {files[0].precision}",
                "threads": threads,
                "ratio": ratio.ratio,
                "low": ratio.low,
                "high": ratio.high,
            }
        )
    return found


def _ratio_lines(ratios: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        f"{r['model']} takes {r['ratio']:.3f} times as long as {r['to']} on {r['threads']} thread(s) "
        f"({r['low']:.3f} to {r['high']:.3f})"
        for r in ratios
    ]
    return ["", *lines] if lines else []
