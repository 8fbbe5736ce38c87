"""gossamer bench: networks, bundles and files side by side, timed in the same rounds on their runtime."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gossamer.cost.file_count import COUNTED, count_file
from gossamer.deploy.bundle import load
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError
from gossamer.runs.bench_config import SORTS, BenchConfig
from gossamer.runs.model_config import parse_input
from gossamer.runs.needs import need_torch
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.timing.latency import Latency, compare, measure_latency

__all__ = ["BenchResult", "bench_models"]


class BenchResult(NamedTuple):
    """A row a file and thread count, and ratios to the first model where they were asked for."""

    rows: list[dict[str, Any]]
    ratios: list[dict[str, Any]]

    def to_json(self, *, compare: bool = False) -> Any:
        """The rows, or both where ratios were asked for."""
        return {"rows": self.rows, "ratios": self.ratios} if compare else self.rows


class _File(NamedTuple):
    """One file to time."""

    model: str
    precision: str
    path: Path


class _Timed(NamedTuple):
    """What one file took, and the shape of its input."""

    latency: Latency
    shape: tuple[int, ...]


def bench_models(config: BenchConfig, *, reporter: Reporter | None = None) -> BenchResult:
    """Time several models side by side: all of them take turns in every round, so that their ratios hold on a busy machine.

    Raises:
        GossamerError and its children: bad arguments or models.
        MissingExtraError: the runtime, or torch for a network, is not installed.
    """
    config.check()
    told = reporter or Quiet()
    for model in config.models:
        _check_model(model, config)
    with tempfile.TemporaryDirectory(prefix="gossamer-bench-") as folder:
        files = [
            file
            for i, model in enumerate(config.models)
            for file in _files(model, config, Path(folder, str(i)), told)
        ]
        timed = {count: _timed(files, config, count, told) for count in config.counts}
        rows = [
            _row(file, config.on, count, timed[count][i])
            for count in config.counts
            for i, file in enumerate(files)
        ]
    ratios = [r for count in config.counts for r in _ratios(files, timed[count], count)]
    column = SORTS[config.sort]
    rows.sort(key=lambda row: (row["threads"], row[column] is None, row[column]))
    return BenchResult(rows, ratios if config.compare else [])


def _check_model(model: str, config: BenchConfig) -> None:
    """Said of every model before the first is timed."""
    path = Path(model)
    if path.suffix == get_runtime(config.on).suffix or (path / "model.json").is_file():
        return
    need_torch()
    from gossamer.runs.model import check_name

    get_runtime(config.on, making=True)
    check_name(model, online=config.online)


def _files(model: str, config: BenchConfig, folder: Path, told: Reporter) -> list[_File]:
    """The files of a model: its own, those of a bundle for this runtime, or an export made in the folder."""
    runtime = get_runtime(config.on)
    path = Path(model)
    if path.suffix == runtime.suffix:
        if not path.is_file():
            raise GossamerError(
                f"a model is a name, a bundle or a file, got {model}, which does not exist; check the path"
            )
        return [_File(model, "as stored", path)]
    if (path / "model.json").is_file():
        bundle = load(path)
        files = [file for file in bundle.files if file.runtime == config.on]
        if not files:
            raise GossamerError(f"bundle {model} has no file for {config.on}; name another runtime with --on")
        found = sorted((bundle.checked(file.path), file.precision or config.on) for file in files)
        return [_File(model, precision, file) for file, precision in found]
    return [_File(model, "fp32", _exported(model, config, folder, told))]


def _exported(model: str, config: BenchConfig, folder: Path, told: Reporter) -> Path:
    need_torch()
    from gossamer.runs.model import plain_contract
    from gossamer.runs.plain import load_network

    runtime = get_runtime(config.on, making=True)
    network, shape = load_network(model, config.input, config.seed, online=config.online)
    folder.mkdir()
    path = folder / f"model{runtime.suffix}"
    told.line(f"exporting {model} at {'x'.join(map(str, shape))}")
    runtime.export(network, plain_contract(shape), path)
    return path


def _timed(files: Sequence[_File], config: BenchConfig, threads: int, told: Reporter) -> list[_Timed]:
    runtime = get_runtime(config.on)
    sessions = [runtime.load(file.path, threads=threads) for file in files]
    shapes = [
        _shape(session.shape, config.input, file) for session, file in zip(sessions, files, strict=True)
    ]
    runs = {
        str(index): functools.partial(session.run, np.zeros(shape, np.float32))
        for index, (session, shape) in enumerate(zip(sessions, shapes, strict=True))
    }
    told.line(
        f"timing {len(files)} files in turns on {threads} thread(s), about {config.seconds * len(files):.0f} s"
    )
    found = measure_latency(runs, seconds=config.seconds, rounds=20, threads=threads)
    return [_Timed(found[str(index)], shape) for index, shape in enumerate(shapes)]


def _shape(own: tuple[int, ...], asked: str | None, file: _File) -> tuple[int, ...]:
    """Of the input that a file is timed at: its own, sizes that it leaves open (told as 1) as asked for."""
    if asked is None:
        return own
    wanted = (1, *parse_input(asked))
    if len(own) != len(wanted) or any(have not in (1, want) for have, want in zip(own, wanted, strict=True)):
        raise GossamerError(
            f"{file.path} takes an input of {'x'.join(map(str, own[1:]))}, got --input {asked}; leave it out or give that shape"
        )
    return wanted


def _row(file: _File, on: str, threads: int, timed: _Timed) -> dict[str, Any]:
    """One row of the answer; params and macs are None for files that cannot be counted."""
    cost = count_file(file.path, timed.shape) if file.path.suffix in COUNTED else None
    return {
        "model": file.model,
        "input": list(timed.shape[1:]),
        "runtime": on,
        "precision": file.precision,
        "threads": threads,
        "params": None if cost is None else cost.params,
        "macs": None if cost is None else cost.macs,
        "uncounted": [] if cost is None else list(cost.uncounted),
        "size_bytes": file.path.stat().st_size,
        **timed.latency.to_json(),
    }


def _ratios(files: Sequence[_File], timed: Sequence[_Timed], threads: int) -> list[dict[str, Any]]:
    rows = []
    for file, each in zip(files[1:], timed[1:], strict=True):
        ratio = compare(each.latency, timed[0].latency)
        rows.append(
            {
                "model": f"{file.model} {file.precision}",
                "to": f"{files[0].model} {files[0].precision}",
                "threads": threads,
                "ratio": ratio.ratio,
                "low": ratio.low,
                "high": ratio.high,
            }
        )
    return rows
