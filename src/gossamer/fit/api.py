"""The main job as one call: stages in order, each result kept, each repeated only where it was not finished."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import BudgetError, GoalNotMetError, GossamerError, nearest
from gossamer.fit.config import FitConfig
from gossamer.runs.checking import checked_data, name_of, view_of
from gossamer.runs.folder import RunFolder, open_run
from gossamer.runs.needs import need_torch
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.tasks import get_task
from gossamer.types import TASK_FIGURES

__all__ = ["FitResult", "fit_data"]


@dataclass(frozen=True)
class FitResult:
    """The bundle, whether the budget was met, and where the run lies."""

    bundle: Bundle
    met: bool
    headline: str
    run: Path
    report: Path
    probe: float | None = None
    """Score of the linear probe's network on the validation split, below which nothing ships; None without weights."""
    starved: str | None = None
    """What to say where the clock ended a training that was still rising."""

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        from gossamer.runs.publish import measured_answer

        return {
            "met": self.met,
            "headline": self.headline,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "report": str(self.report),
            "model": self.bundle.spec.label,
            "task": self.bundle.task,
            "input": list(self.bundle.contract.shape[1:]),
            "precision": self.bundle.files[0].precision,
            f"probe_{get_task(self.bundle.task).headline.name}": self.probe,
            "starved": self.starved,
            "file": str(self.bundle.folder / self.bundle.files[0].path),
            "measured": measured_answer(self.bundle),
        }

    def _repr_html_(self) -> str:
        return self.report.read_text(encoding="utf-8")


def fit_data(
    config: FitConfig,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> FitResult:
    """From pictures and a budget to a bundle whose every figure was measured on the file that ships.

    Raises:
        BudgetError, DataError, RunFolderError, UnknownRuntimeError, GossamerError: bad arguments or data.
        GoalNotMetError: no network of the catalogue can meet the budget; nothing was trained.
        MissingExtraError: torch or lightning is not installed.
    """
    config.check()
    runtime = get_runtime(config.on, making=True)
    if not any(config.ships(precision) for precision in runtime.precisions):
        raise GossamerError(
            f"{config.on} makes files in {', '.join(runtime.precisions)}, got --precision {config.precision}; choose one of these"
        )
    need_torch()
    with open_run(config, name_of(config.data, config), out, resume=resume, extends=True) as run:
        return _Fit(config, run, reporter or Quiet()).go()


class _Fit:
    """One run, stage by stage."""

    def __init__(self, config: FitConfig, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.run, self.reporter = config, run, reporter
        self.started = time.monotonic()

    def go(self) -> FitResult:
        from gossamer.fit.compression import Compressed, compress
        from gossamer.fit.endings import Endings, can_end
        from gossamer.fit.halving import Halving
        from gossamer.fit.minutes import Minutes, share_out
        from gossamer.fit.page import Outcome, publish_outcome
        from gossamer.fit.refit import Refit, refit
        from gossamer.fit.shortlist import Shortlist, make_shortlist
        from gossamer.runs.publish import Published, metadata_of
        from gossamer.runs.starved import starved
        from gossamer.runs.trained import Trained
        from gossamer.runs.verify import Verified, verify

        config, run, reporter = self.config, self.run, self.reporter
        try:
            report = checked_data(config.data, config, run, reporter, heading=f"1 of 6  check: {config.data}")
            _check_budget(config, report.dataset.task)
        except GossamerError:
            if not run.resumed:
                run.discard()
            raise
        reporter.heading(f"2 of 6  shortlist: what meets {config.budget} on {config.on}")
        task, dataset = get_task(report.dataset.task), report.dataset
        targets = task.array([dataset.samples[i].target for i in report.split.train], dataset.labels)
        short = run.stage(
            "2-shortlist",
            Shortlist,
            lambda: make_shortlist(
                config,
                short_side=report.short_side,
                width=len(dataset.labels),
                pictures=len(report.split.train),
                reporter=reporter,
                bands=report.bands,
                value_range=report.value_range,
                fitting=task.edits(targets, dataset.labels),
                task=dataset.task,
            ),
        )
        if not short.chosen:
            run.event("goal not met", reason=short.verdict)
            raise GoalNotMetError(short.verdict)
        reporter.line("to train: " + ", ".join(c.key for c in short.chosen))
        minutes = run.stage(
            "3-minutes",
            Minutes,
            lambda: share_out(
                60 * config.minutes,
                time.monotonic() - self.started,
                short,
                validated=len(report.split.val),
                tested=len(report.split.test),
            ),
        )
        if minutes.note:
            reporter.line(minutes.note, style="yellow")
        seconds, count = minutes.training, len(short.chosen)
        way = Endings if can_end(short.chosen, len(report.split.train) + len(report.split.val)) else Halving
        what = short.chosen[0].key if way is Endings or count == 1 else f"{count} networks"
        reporter.heading(f"3 of 6  train: {what} in {seconds / 60:.1f} minutes")
        trainer = way(config, report, run, reporter, view=view_of(config.view, report))
        trained = run.stage("3-train", Trained, lambda: trainer.train(short.chosen, seconds))
        reporter.heading("4 of 6  compress: the least file that keeps accuracy")
        compressed = run.stage(
            "4-compress",
            Compressed,
            lambda: compress(config, report, trained, run, reporter, seconds=minutes.rest),
        )
        network = next(n for n in trained.networks if n.network.key == compressed.network)
        held_out: Path | None = None
        if isinstance(trainer, Endings):
            again = run.stage(
                "4-refit", Refit, lambda: refit(trainer, short.chosen[0], network, compressed, seconds)
            )
            if again.network is not None and again.compressed is not None:
                held_out = run.path / compressed.chosen.file  # it had not seen the validation pictures
                network, compressed = again.network, again.compressed
        reporter.heading("5 of 6  verify: the test pictures, on the file that ships")
        metadata = metadata_of(report, network.network, compressed.precision)
        verified = run.stage(
            "5-verify",
            Verified,
            lambda: verify(
                config,
                report,
                network.load(run.path),
                network.network.input_contract,
                run.path / compressed.file,
                metadata,
                run,
                reporter,
                held_out=held_out,
            ),
        )
        reporter.heading("6 of 6  publish: bundle and report")
        outcome = Outcome(shortlist=short, trained=trained, compressed=compressed, verified=verified)
        published = run.stage(
            "6-publish", Published, lambda: publish_outcome(config, report, outcome, network, run)
        )
        trainer.clean()
        run.event("done", met=published.met)
        return FitResult(
            load(run.path / published.bundle),
            published.met,
            published.headline,
            run.path,
            run.path / published.report,
            trained.probe,
            starved(network, config.minutes),
        )


def _check_budget(config: FitConfig, task: str) -> None:
    """A budget's figures are those of the data's task.

    Raises:
        BudgetError: it names one of another task.
    """
    own = [each.name for each in get_task(task).criteria]
    for limit in config.budget.limits:
        if limit.metric in TASK_FIGURES and limit.metric not in own:
            raise BudgetError(
                f"{limit.metric} is no figure of {task}, which {config.data} is for; {nearest(limit.metric, own)}"
            )
