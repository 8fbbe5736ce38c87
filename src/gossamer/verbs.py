"""The verbs as functions, with the words of the command line: `gossamer.fit`, `gossamer.train` and so on.

Each takes the options of its config by keyword (declared once, in `gossamer.runs` and `gossamer.fit`), and besides
`out`, the run's folder, `resume`, to go on with an interrupted run, and `quiet`: progress is shown at a terminal and in a
notebook, with `quiet=False` also elsewhere, with `quiet=True` nowhere. A `reporter` hears of it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gossamer.fit.api import FitResult
    from gossamer.report.document import FitDocument
    from gossamer.runs.bench import BenchResult
    from gossamer.runs.compress.run import CompressRun
    from gossamer.runs.export.run import ExportRun
    from gossamer.runs.reporter import Reporter
    from gossamer.runs.train.run import TrainRun

__all__ = ["bench", "compress", "export", "fit", "report", "train"]

_APART = frozenset({"data", "model", "models", "to", "out", "resume", "reporter", "quiet"})


def fit(
    data: Any,
    *,
    within: str,
    minutes: float = 20.0,
    max_drop: float | str = 0.01,
    families: str | None = None,
    sizes: str | None = None,
    precision: str = "auto",
    teacher: str = "auto",
    online: bool = False,
    on: str = "onnxruntime",
    threads: int = 1,
    view: str = "auto",
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    split_seed: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    quiet: bool | None = None,
) -> FitResult:
    """From pictures and a budget to a bundle whose every figure was measured on the file that ships.

    `data` is a folder, a CSV table, a torch Dataset or DataLoader. `within` is a budget such as "latency<=5ms, size<=1MB";
    `on` the runtime it holds for, on so many `threads`. `minutes` bounds the whole run. `max_drop` is what a lossy step may
    cost on validation (0.01 or "1%"). See `gossamer fit --help` for the others.

    Raises:
        BudgetError, DataError, RunFolderError, UnknownRuntimeError, GossamerError: bad arguments or data.
        GoalNotMetError: no network of the catalogue can meet the budget; nothing was trained.
        MissingExtraError: torch or lightning is not installed.
    """
    options = _options(locals())
    from gossamer.fit.api import fit_data
    from gossamer.fit.config import FitConfig

    config = _config(FitConfig, options, data=_data(data))
    return fit_data(config, out=out, resume=resume, reporter=_watched(reporter, quiet))


def train(
    data: Any,
    *,
    model: str,
    size: str | int | None = None,
    resize: str | None = None,
    recipe: str | None = None,
    set: Sequence[str] = (),
    teacher: str | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    metric: str = "auto",
    strategy: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    online: bool = False,
    on: str = "onnxruntime",
    threads: int = 1,
    view: str = "auto",
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    split_seed: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    quiet: bool | None = None,
) -> TrainRun | None:
    """Train one network on labelled pictures and publish it as a bundle with an fp32 file for `on`.

    `data` as in `fit`. `model` is a name as `build` takes it, with `@WEIGHTS` to start from published ones, or a bundle
    folder to go on with. `recipe` is a name of `gossamer.train.recipes`; `set` changes single numbers of it, as
    `key=value`. `teacher` is a bundle or a trained network to follow, several joined by `+`. A run is `epochs` or `minutes`
    long, the recipe's epochs without. `metric` chooses the best weights: a figure of the task, or loss.

    Returns None in all processes but the first of several.

    Raises:
        DataError, ModelError, RunFolderError, GossamerError: bad arguments or data.
        MissingExtraError: torch or lightning is not installed.
    """
    options = _options(locals())
    options["size"] = None if size is None else str(size)
    from gossamer.runs.needs import need_torch

    need_torch()
    from gossamer.runs.train.config import TrainConfig
    from gossamer.runs.train.run import train_network

    config = _config(TrainConfig, options, data=_data(data), model=str(model))
    return train_network(config, out=out, resume=resume, reporter=_watched(reporter, quiet))


def compress(
    model: Any,
    *,
    method: Sequence[str] | str = (),
    apply: Sequence[str] | str = (),
    data: Any = "",
    max_drop: float | str = 0.01,
    minutes: float = 0.0,
    online: bool = False,
    input: str | None = None,
    on: str = "onnxruntime",
    threads: int = 1,
    view: str = "auto",
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    split_seed: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    quiet: bool | None = None,
) -> CompressRun:
    """A smaller network by methods one after the other, each guarded by what `max_drop` allows on `data`.

    `model` is MODEL as the command line takes it, a `Bundle`, or a module that `build` or `prune` made; `method` e.g.
    "prune:macs=50%", or several; `apply` plan files instead.

    Raises:
        GossamerError and its children: bad arguments, data or network.
        MissingExtraError: torch is not installed.
    """
    options = _options(locals())
    from gossamer.runs.needs import need_torch

    need_torch()
    from gossamer.runs.compress.config import CompressConfig
    from gossamer.runs.compress.run import compress_model
    from gossamer.runs.python_model import named_model

    text, opened = named_model(model, input, rebuilt=True)
    config = _config(CompressConfig, options, model=text, data=_data(data))
    return compress_model(config, model=opened, out=out, resume=resume, reporter=_watched(reporter, quiet))


def export(
    model: Any,
    *,
    to: Sequence[str] | str,
    uint8: bool = False,
    nms: bool = False,
    data: Any = "",
    max_drop: float | str = 0.01,
    online: bool = False,
    input: str | None = None,
    threads: int = 1,
    view: str = "auto",
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    split_seed: int = 0,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    quiet: bool | None = None,
) -> ExportRun:
    """A network as files for runtimes and precisions, in one bundle: `to` e.g. ["onnxruntime:int8", "litert"].

    With `uint8` each file for onnxruntime has one beside it that takes a picture's bytes and gives shares; with `nms` files of
    detectors for onnxruntime and openvino suppress in their graph.

    `model` is MODEL as the command line takes it, a `Bundle`, or any module; `input`, BANDSxHEIGHTxWIDTH, tells what a module
    takes: three bands are RGB pictures normalised as ImageNet's. int8 is calibrated on `data` and judged by it.

    Raises:
        GossamerError and its children: bad arguments, data or network.
        MissingExtraError: torch or a runtime is not installed.
    """
    options = _options(locals())
    from gossamer.runs.needs import need_torch

    need_torch()
    from gossamer.runs.export.config import ExportConfig
    from gossamer.runs.export.run import export_model
    from gossamer.runs.python_model import named_model

    text, opened = named_model(model, input)
    targets = to if isinstance(to, str) else ",".join(to)
    config = _config(ExportConfig, options, model=text, data=_data(data), to=targets)
    return export_model(config, model=opened, out=out, resume=resume, reporter=_watched(reporter, quiet))


def bench(
    models: Sequence[str] | str,
    *,
    on: str = "onnxruntime",
    threads: str | int = "1",
    input: str | None = None,
    seconds: float = 2.0,
    sort: str = "latency",
    compare: bool = False,
    online: bool = False,
    seed: int = 0,
    reporter: Reporter | None = None,
    quiet: bool | None = None,
) -> BenchResult:
    """Time networks, bundles and files side by side, in turns in every round.

    Raises:
        GossamerError and its children: bad arguments or models.
        MissingExtraError: the runtime, or torch for a network, is not installed.
    """
    options = _options(locals())
    options["threads"] = str(threads)
    from gossamer.runs.bench import bench_models
    from gossamer.runs.bench_config import BenchConfig

    named = (models,) if isinstance(models, str | Path) else tuple(models)
    config = _config(BenchConfig, options, models=tuple(str(name) for name in named))
    return bench_models(config, reporter=_watched(reporter, quiet))


def report(run: str | Path, *, out: str | Path | None = None) -> FitDocument:
    """Write the page of a finished run of fit or train again, from its figures; the document that it shows.

    Raises:
        RunFolderError: the folder holds no finished run, or its figures are damaged.
    """
    from gossamer.runs.report import report_run

    return report_run(run, out=out)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """What a function was given, but for what is turned into options by itself."""
    return {name: value for name, value in given.items() if name not in _APART}


def _watched(reporter: Reporter | None, quiet: bool | None) -> Reporter:
    from gossamer.runs.reporter import watched

    return watched(reporter, quiet=quiet)


def _config(cls: Any, options: dict[str, Any], **more: Any) -> Any:
    from gossamer.runs.config import of_keywords

    return of_keywords(cls, {**options, **more})


def _data(data: Any) -> str:
    from gossamer.runs.python_data import as_data

    return as_data(data)
