"""gossamer export: one network as files for several runtimes and precisions, in one bundle. With --resume, file by file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossamer._files import write_json, write_text
from gossamer._text import markdown
from gossamer.data.bands import RGB
from gossamer.data.check import CheckReport
from gossamer.deploy import bundle
from gossamer.errors import GossamerError
from gossamer.report.document import TableRows
from gossamer.report.html import render
from gossamer.runs.answers import Answers
from gossamer.runs.checking import checked_data, name_of
from gossamer.runs.export.bytes_file import NAME
from gossamer.runs.export.config import ExportConfig
from gossamer.runs.export.file import Exported, FileJudge, Files
from gossamer.runs.folder import RunFolder, name_after, open_run
from gossamer.runs.judge import Judge
from gossamer.runs.made_page import made_document
from gossamer.runs.model import Model, at_input, open_model
from gossamer.runs.needs import need_torch
from gossamer.runs.options import command_line
from gossamer.runs.provenance import provenance
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.tasks import Task
from gossamer.train.pace import save_average

__all__ = ["ExportRun", "export_model"]

_WITHOUT = "without_nms_ms"
"""Column of files that end in suppression."""


@dataclass(frozen=True)
class ExportRun:
    """The bundle with all files, what each of them measured, and whether all are as they should be."""

    bundle: bundle.Bundle
    files: tuple[Exported, ...]
    headline: str
    run: Path

    @property
    def met(self) -> bool:
        """Whether every lossy file keeps the guard and every fp32 file gives the network's scores."""
        return all(file.met for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "headline": self.headline,
            "met": self.met,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "model": self.bundle.spec.label,
            "files": [file.model_dump() for file in self.files],
        }

    def _repr_html_(self) -> str:
        return (self.run / "report.html").read_text(encoding="utf-8")


def export_model(
    config: ExportConfig,
    *,
    model: Model | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> ExportRun:
    """Write a network for every runtime and precision that `config.to` names; the bundle runs on the first.

    `model` is the network where it has no name that `config.model` could tell.

    Raises:
        GossamerError and its children: bad arguments, data or network.
        MissingExtraError: torch or a runtime is not installed.
    """
    need_torch()
    config.check()
    if config.data:
        name_of(config.data, config)
    model = at_input(model or open_model(config.model, seed=config.seed, online=config.online), config.input)
    if config.uint8 and model.contract.bands != RGB:
        raise GossamerError(
            f"--uint8 is for pictures of red, green and blue, {config.model} takes {', '.join(model.contract.bands)}; leave it out"
        )
    if config.nms and model.task.ending(model.labels) is None:
        raise GossamerError(
            f"--nms is for networks whose answers are suppressed, {config.model} is for {model.task.name}; leave it out"
        )
    with open_run(config, name_after(config.model, "exported"), out, resume=resume) as run:
        return _exported(config, model, run, reporter or Quiet())


def _exported(config: ExportConfig, model: Model, run: RunFolder, reporter: Reporter) -> ExportRun:
    targets = config.targets
    labels, judge, report = model.labels, None, None
    try:
        if config.data:
            report = checked_data(config.data, config, run, reporter, heading=f"check: {config.data}")
            known = Judge(model, report, config, run, reporter)
            labels, judge = known.labels, FileJudge(known, report, config, run, reporter)
        makes = Files(config, model, labels, judge, run, reporter)
        files = []
        for number, target in enumerate(targets, 1):
            reporter.heading(f"{number} of {len(targets)}  {target}")
            name = f"2-file-{target.runtime}-{target.precision}"
            with reporter.bar(f"making and judging {target}", None):
                files.append(run.stage(name, Exported, lambda target=target: makes.make(target)))  # type: ignore[misc]
            reporter.line(files[-1].verdict, style="" if files[-1].met else "yellow")
    except GossamerError:
        if not run.resumed and not any((run.path / "stages").glob("2-file-*.json")):
            run.discard()
        raise
    headline = _headline(config, model, files, "" if judge is None else judge.what)
    answers = None
    if judge is not None and judge.labelled:
        answers = run.stage("3-answers", Answers, lambda: _answers(judge, files[0], run))
    saved = _published(config, model, labels, files, headline, run, report, answers)
    for folder in ("cache", "work"):
        shutil.rmtree(run.path / folder, ignore_errors=True)
    done = ExportRun(saved, tuple(files), headline, run.path)
    run.event("done", met=done.met)
    return done


def _headline(config: ExportConfig, model: Model, files: Sequence[Exported], what: str) -> str:
    told = []
    for file in files:
        shown = "" if file.test is None else f", {model.task.headline.shown(file.test)} test {what}"
        told.append(
            f"{file.runtime} {file.precision} {file.size_bytes / 1e6:.2f} MB, {file.latency['p50_ms']:.2f} ms{shown}"
        )
    return f"{model.spec.label}: {'; '.join(told)} (threads: {config.threads})"


def _answers(judge: FileJudge, file: Exported, run: RunFolder) -> Answers:
    """What the page shows of the file that the bundle runs on."""
    return judge.answers(file.runtime, run.path / file.file, file.temperature)


def _published(
    config: ExportConfig,
    model: Model,
    labels: Sequence[str],
    files: Sequence[Exported],
    headline: str,
    run: RunFolder,
    report: CheckReport | None,
    answers: Answers | None,
) -> bundle.Bundle:
    rows = [_row(file, model.task) for file in files]
    if not any(file.ending for file in files):
        rows = [{name: value for name, value in row.items() if name != _WITHOUT} for row in rows]
    numbers = {"bytes", "of_fp32", "p50_ms", "time_of_fp32", _WITHOUT, "points_lost", "test"} & rows[0].keys()
    title = f"{model.spec.label} as files for {len(files)} targets, threads: {config.threads}"
    table = TableRows(
        title="The files",
        lead=f"{title}; each held against the fp32 file of its own runtime. The bundle runs on the first.",
        columns=list(rows[0]),
        numbers=sorted(numbers),
        rows=[["" if value is None else str(value) for value in row.values()] for row in rows],
    )
    origin = {**provenance(config, run.path, more={"from": config.model}), **model.seen}
    document = made_document(
        title=model.spec.label,
        headline=headline,
        met=all(file.met for file in files),
        command=command_line("export", config),
        provenance=origin,
        task=model.task,
        labels=labels,
        network=model.network,
        shape=model.contract.shape,
        latency=files[0].latency,
        size_bytes=files[0].size_bytes,
        tables=[table],
        report=report,
        answers=answers,
    )
    page = render(document)
    weights = run.path / "weights.safetensors"
    save_average(weights, model.network)
    met = all(file.met for file in files)
    saved = bundle.save(
        run.path / "bundle",
        spec=model.spec,
        weights=weights,
        task=model.task.name,
        labels=labels,
        contract=model.contract,
        files=[(f.runtime, f.precision, config.threads, run.path / f.file) for f in files],
        measured={"files": [file.model_dump() for file in files], "met": met, **_calibrated(answers)},
        provenance=origin,
        texts={"report.html": page},
        card=_card(headline, files),
        temperatures=[file.temperature for file in files],
        beside={f"deploy/{f.runtime}-{f.precision}/{NAME}": run.path / f.uint8 for f in files if f.uint8},
    )
    write_json(
        run.path / "report.json", {"headline": headline, "met": met, "files": [f.model_dump() for f in files]}
    )
    write_text(run.path / "report.html", page)
    return saved


def _calibrated(answers: Answers | None) -> dict[str, Any]:
    """How sure the first file is, for `measured`."""
    sure = None if answers is None else answers.calibration
    return {} if sure is None else {"calibration": sure.model_dump()}


def _row(file: Exported, task: Task) -> dict[str, Any]:
    return {
        "runtime": file.runtime,
        "precision": file.precision,
        "how": file.setting,
        "bytes": f"{file.size_bytes:,}",
        "of_fp32": f"{file.size_ratio:.2f}",
        "p50_ms": f"{file.latency['p50_ms']:.3f}",
        "time_of_fp32": f"{file.latency_ratio:.2f}",
        _WITHOUT: None if file.plain_ms is None else f"{file.plain_ms:.3f}",
        "points_lost": None if file.drop is None else f"{100 * file.drop:.1f}",
        "test": None if file.test is None else task.headline.shown(file.test),
        "verdict": file.verdict,
    }


def _uint8_line(file: Exported) -> str:
    """What the file is that takes bytes, for MODEL_CARD.md."""
    return (
        f"- `deploy/{file.runtime}-{file.precision}/{NAME}` takes `picture`, uint8 (1, height, width, 3) of the contract's "
        "size, red first: preprocessing stands in its graph, of one class a picture the softmax too, as `shares` "
        f"(they differ from this file's by {file.uint8_difference:.1e} at most)"
    )


def _card(headline: str, files: Sequence[Exported]) -> str:
    lines = [f"# Exported network\n\n{markdown(headline)}\n"]
    for file in files:
        lines.append(
            f"\n## {file.runtime} {file.precision}\n\n- {markdown(file.verdict)}\n- made by: {markdown(file.setting)}"
        )
        if file.uint8:
            lines.append(_uint8_line(file))
        lines += [
            f"- tried: {markdown(f'{each.setting}, {each.told}' if each.told else f'{each.setting}, {100 * each.drop:.1f} points lost')}"
            for each in file.tried
        ]
    return "\n".join(lines) + "\n"
