"""The main job as one call: stages in order, each result kept, each repeated only where it was not finished."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gossamer.data.dataset import open_dataset
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GoalNotMetError, GossamerError, MissingExtraError
from gossamer.fit.checking import checked_data
from gossamer.fit.config import FitConfig, parse_share
from gossamer.fit.folder import RunFolder, open_run
from gossamer.fit.reporter import Quiet, Reporter

__all__ = ["FitResult", "fit", "need_torch"]

_RESERVE_SHARE = 0.06
_RESERVE_SECONDS = 40.0
_MIN_TRAIN_SHARE = 0.3


class _Plan(BaseModel):
    """How long training may take."""

    train_seconds: float


@dataclass(frozen=True)
class FitResult:
    """The bundle, whether the budget was met, and where the run lies."""

    bundle: Bundle
    met: bool
    headline: str
    run: Path
    report: Path

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        measured: Mapping[str, Any] = self.bundle.measured
        return {
            "met": self.met,
            "headline": self.headline,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "report": str(self.report),
            "model": self.bundle.spec.label,
            "input": list(self.bundle.contract.shape[1:]),
            "precision": self.bundle.files[0].precision,
            "file": str(self.bundle.folder / self.bundle.files[0].path),
            "measured": {
                "accuracy": measured["accuracy"],
                "interval": measured["interval"],
                "latency": measured["latency"],
                "size_bytes": measured["size_bytes"],
                "memory_bytes": measured["memory_bytes"],
            },
        }


def fit(
    data: str | Path,
    *,
    within: str,
    on: str = "onnxruntime",
    threads: int = 1,
    minutes: float = 20.0,
    max_drop: float | str = 0.01,
    on_bad: str = "skip",
    groups: str | None = None,
    bands: str = "auto",
    view: str = "auto",
    teacher: str = "auto",
    online: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> FitResult:
    """From pictures and a budget to a bundle whose every figure was measured on the file that ships.

    `within` is a budget such as "latency<=5ms, size<=1MB"; `on` the runtime it holds for, on so many `threads`.
    `minutes` bounds the whole run. `max_drop` is the validation accuracy a lossy step may cost (0.01 or "1%").
    `out` is the run's folder, `runs/NAME` by default; `resume` goes on with what it holds.

    Raises:
        BudgetError, DataError, RunFolderError, UnknownRuntimeError, GossamerError: bad arguments or data.
        GoalNotMetError: no network of the catalogue can meet the budget; nothing was trained.
        MissingExtraError: torch or lightning is not installed.
    """
    drop = parse_share(max_drop, "max_drop") if isinstance(max_drop, str) else max_drop
    config = FitConfig.model_validate(
        {
            "data": str(data),
            "within": within,
            "on": on,
            "threads": threads,
            "minutes": minutes,
            "max_drop": drop,
            "on_bad": on_bad,
            "groups": groups,
            "bands": bands,
            "view": view,
            "teacher": teacher,
            "online": online,
            "seed": seed,
        }
    ).checked()
    get_runtime(config.on, making=True)
    need_torch()
    with open_run(config, open_dataset(data).name, out, resume=resume) as run:
        return _Fit(config, run, reporter or Quiet()).go()


def need_torch() -> None:
    """Raises MissingExtraError where torch or lightning is not installed."""
    for package in ("torch", "lightning"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("training", package, "train")


class _Fit:
    """One run, stage by stage."""

    def __init__(self, config: FitConfig, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.run, self.reporter = config, run, reporter
        self.started = time.monotonic()

    def go(self) -> FitResult:
        from gossamer.fit.compression import Compressed, compress
        from gossamer.fit.page import Outcome
        from gossamer.fit.publish import Published, metadata_of, publish
        from gossamer.fit.shortlist import Shortlist, make_shortlist
        from gossamer.fit.training import Trained, Trainer
        from gossamer.fit.verification import Verified, verify

        config, run, reporter = self.config, self.run, self.reporter
        try:
            report = checked_data(config, run, reporter, heading=f"1 of 6  check: {config.data}")
        except GossamerError:
            if not run.resumed:
                run.discard()
            raise
        pictures, num_classes = len(report.split.train), len(report.dataset.labels)
        reporter.heading(f"2 of 6  shortlist: what meets {config.budget} on {config.on}")
        short = run.stage(
            "2-shortlist",
            Shortlist,
            lambda: make_shortlist(
                config,
                short_side=report.short_side,
                num_classes=num_classes,
                pictures=pictures,
                reporter=reporter,
                bands=report.bands,
            ),
        )
        if not short.chosen:
            run.event("goal not met", reason=short.verdict)
            raise GoalNotMetError(short.verdict)
        reporter.line("to train: " + ", ".join(c.key for c in short.chosen))
        seconds = run.stage("2-plan", _Plan, self._plan).train_seconds
        reporter.heading(f"3 of 6  train: {len(short.chosen)} networks in {seconds / 60:.1f} minutes")
        trainer = Trainer(config, report, run, reporter)
        trained = run.stage("3-train", Trained, lambda: trainer.train(short.chosen, seconds))
        reporter.heading("4 of 6  compress: the least file that keeps accuracy")
        compressed = run.stage(
            "4-compress", Compressed, lambda: compress(config, report, trained, run, reporter)
        )
        network = next(n for n in trained.networks if n.candidate.key == compressed.network)
        reporter.heading("5 of 6  verify: the test pictures, on the file that ships")
        metadata = metadata_of(report, network, compressed)
        verified = run.stage(
            "5-verify", Verified, lambda: verify(config, report, network, compressed, metadata, run, reporter)
        )
        reporter.heading("6 of 6  publish: bundle and report")
        outcome = Outcome(shortlist=short, trained=trained, compressed=compressed, verified=verified)
        published = run.stage("6-publish", Published, lambda: publish(config, report, outcome, run))
        trainer.clean()
        run.event("done", met=published.met)
        return FitResult(
            load(run.path / published.bundle),
            published.met,
            published.headline,
            run.path,
            run.path / published.report,
        )

    def _plan(self) -> _Plan:
        """What is left of the minutes for training, less a share for what follows; decided once a run."""
        whole = 60 * self.config.minutes
        left = whole * (1 - _RESERVE_SHARE) - _RESERVE_SECONDS - (time.monotonic() - self.started)
        return _Plan(train_seconds=max(left, whole * _MIN_TRAIN_SHARE))
