"""gossamer compress: methods one after the other under a guard, then export, judge the file, publish. With --resume."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import nn

from gossamer._files import sha256, write_json, write_text
from gossamer.compress.method import Work
from gossamer.compress.methods import check_settings, parse_method, read_plan
from gossamer.compress.order import check_order
from gossamer.data.check import CheckReport
from gossamer.deploy import bundle
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import GossamerError
from gossamer.report.html import render
from gossamer.report.kept_channels import kept_channels
from gossamer.runs.answers import Answers, file_answers
from gossamer.runs.calibration import has_shares
from gossamer.runs.checking import checked_data, name_of
from gossamer.runs.choice import measure_together
from gossamer.runs.compress.config import CompressConfig
from gossamer.runs.compress.packing import PackedFile, write_packed_network
from gossamer.runs.compress.page import layer_changes, layer_table, step_card
from gossamer.runs.compress.steps import Step, Steps, network_after
from gossamer.runs.folder import RunFolder, name_after, open_run
from gossamer.runs.judge import Judge
from gossamer.runs.made_page import made_document
from gossamer.runs.model import Model, at_input, open_model
from gossamer.runs.needs import need_torch
from gossamer.runs.options import command_line
from gossamer.runs.pictures import answers_of, split_pictures, together
from gossamer.runs.provenance import provenance
from gossamer.runs.reporter import Quiet, Reporter
from gossamer.runs.trial import try_export
from gossamer.tasks import Outputs
from gossamer.timing.latency import compare
from gossamer.zoo.spec import ModelSpec

__all__ = ["CompressRun", "compress_model", "propose"]


@dataclass(frozen=True)
class CompressRun:
    """The bundle, what each method came to, and whether everything asked for was done within the guard."""

    bundle: bundle.Bundle
    steps: tuple[Step, ...]
    measured: dict[str, Any]
    headline: str
    run: Path
    met: bool

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "headline": self.headline,
            "met": self.met,
            "run": str(self.run),
            "bundle": str(self.bundle.folder),
            "model": self.bundle.spec.label,
            "measured": self.measured,
            "steps": [step.model_dump(exclude={"spec"}) for step in self.steps],
        }

    def _repr_html_(self) -> str:
        return (self.run / "report.html").read_text(encoding="utf-8")


def propose(config: CompressConfig, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """The first method's plan as a JSON object, without pictures; nothing is changed.

    Further methods depend on what it does, and a plan that looks at pictures is in the folder of a run.

    Raises:
        GossamerError, ModelError: bad arguments.
    """
    need_torch()
    _check(config)
    if not config.method:
        raise GossamerError("a plan is made by a method, got none; add e.g. --method prune:macs=50%")
    if config.data:
        raise GossamerError(
            f"--plan goes by the weights alone and would not look at {config.data}; leave out --data, or run the method: the "
            "plan that it applies is in steps/*/plan.json"
        )
    model = at_input(open_model(config.model, seed=config.seed, online=config.online), config.input)
    work = Work(shape=model.contract.shape, on=config.on, threads=config.threads, seed=config.seed)
    proposal = parse_method(config.method[0]).propose(model.network, work)
    for note in proposal.notes:
        (reporter or Quiet()).line(note)
    return proposal.plan(proposal.parts).to_json()


def _check(config: CompressConfig) -> None:
    """What the config itself cannot know without torch: the methods, and their order."""
    config.check()
    plans = [read_plan(Path(file))[0] for file in config.apply]
    methods = [parse_method(text) for text in config.method]
    for method in methods:
        check_settings(method)
    check_order([method.name for method in methods or plans])


def compress_model(
    config: CompressConfig,
    *,
    model: Model | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> CompressRun:
    """Apply methods, or plans, to a network; the bundle holds the smaller one and a file for `config.on`.

    `model` is the network where it has no name that `config.model` could tell.

    Raises:
        GossamerError and its children: bad arguments, data or network.
        MissingExtraError: torch is not installed.
    """
    need_torch()
    _check(config)
    get_runtime(config.on, making=True)
    if config.data:
        name_of(config.data, config)
    model = at_input(model or open_model(config.model, seed=config.seed, online=config.online), config.input)
    try_export(model, config.on)
    with open_run(config, name_after(config.model, "compressed"), out, resume=resume) as run:
        return _Run(config, model, run, reporter or Quiet()).go()


class _Measured(BaseModel):
    """What the exported files measured."""

    file: str
    sha256: str
    figures: dict[str, Any]
    packed: PackedFile | None = None
    temperature: float = 1.0
    """What scores are divided by before shares are told from them: from validation pictures, or the bundle's it is of."""
    answers: Answers | None = None
    """Of the file to the test pictures, where the data's classes are the network's."""


class _Run:
    """One run, stage by stage."""

    def __init__(self, config: CompressConfig, model: Model, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.model, self.run, self.reporter = config, model, run, reporter

    def go(self) -> CompressRun:
        config, run, reporter = self.config, self.run, self.reporter
        report: CheckReport | None = None
        try:
            if config.data:
                report = checked_data(config.data, config, run, reporter, heading=f"check: {config.data}")
            judge = None if report is None else Judge(self.model, report, config, run, reporter)
            steps = Steps(config, self.model, judge, run, reporter).all()
        except GossamerError:
            if not run.resumed and not any((run.path / "stages").glob("2-step-*.json")):
                run.discard()
            raise
        last = network_after(run.path, steps[-1])
        reporter.heading("export and measure the file")
        with reporter.bar("exporting and timing", None):
            found = run.stage("3-measure", _Measured, lambda: self._measured(steps[-1], last, judge, report))
        met = all(step.met for step in steps) and (found.packed is None or found.packed.met)
        headline = self._headline(steps, found, judge)
        labels = self.model.labels if judge is None else judge.labels
        saved = self._publish(steps, last, found, headline, labels, report, met=met)
        shutil.rmtree(run.path / "cache", ignore_errors=True)
        run.event("done", met=met)
        return CompressRun(saved, tuple(steps), found.figures, headline, run.path, met)

    def _measured(
        self, step: Step, network: nn.Module, judge: Judge | None, report: CheckReport | None
    ) -> _Measured:
        runtime, contract = get_runtime(self.config.on), self.model.contract
        labels = self.model.labels if judge is None else judge.labels
        folder = self.run.path / "export"
        folder.mkdir(exist_ok=True)
        paths = {
            "after": folder / f"model{runtime.suffix}",
            "before": folder / f"uncompressed{runtime.suffix}",
        }
        task = self.model.task
        runtime.export(network, contract, paths["after"], outputs=task.outputs)
        runtime.export(self.model.network, contract, paths["before"], outputs=task.outputs)
        spec: ModelSpec = network.spec  # type: ignore[assignment]
        heat = self._temperature(runtime.load(paths["after"], threads=self.config.threads), judge)
        runtime.write_metadata(paths["after"], self._metadata(spec, labels, "fp32", heat))
        sessions = {k: runtime.load(path, threads=self.config.threads) for k, path in paths.items()}
        timed = measure_together(paths, on=self.config.on, threads=self.config.threads, seconds=2.0)
        figures: dict[str, Any] = {
            "latency": timed["after"].to_json(),
            "latency_before": timed["before"].to_json(),
            "latency_share": round(compare(timed["after"], timed["before"]).ratio, 4),
            "size_bytes": paths["after"].stat().st_size,
            "size_bytes_before": paths["before"].stat().st_size,
        }
        answers = None
        if judge is not None and report is not None:
            told, answers = self._judged(sessions, judge, report, heat)
            figures |= told
        packed = write_packed_network(
            self.run.path,
            network,
            step.method,
            self.run.path / step.plan,
            contract,
            self._metadata(ModelSpec.from_json(step.spec), labels, "", heat),
            sessions["after"],
            threads=self.config.threads,
        )
        if packed is not None:
            figures["packed"] = packed.model_dump()
        return _Measured(
            file=paths["after"].relative_to(self.run.path).as_posix(),
            sha256=sha256(paths["after"]),
            figures=figures,
            packed=packed,
            temperature=heat,
            answers=answers,
        )

    def _temperature(self, session: Session, judge: Judge | None) -> float:
        """From the validation pictures where they tell it, else that of the bundle that the network is from."""
        if judge is not None and judge.labelled and has_shares(judge.task, len(judge.labels)):
            pixels, contract = judge.val.pixels, self.model.contract
            outputs = answers_of(session, contract, judge.task, pixels, self.reporter, "calibrating scores")
            return judge.task.temperature(outputs, judge.val.targets)
        return 1.0 if self.model.bundle is None else self.model.bundle.temperature()

    def _metadata(
        self, spec: ModelSpec, labels: Sequence[str], precision: str, temperature: float
    ) -> dict[str, Any]:
        task = self.model.task
        return file_metadata(
            spec,
            self.model.contract,
            labels,
            precision,
            task=task.name,
            outputs=task.outputs,
            temperature=temperature,
        )

    def _judged(
        self, sessions: dict[str, Any], judge: Judge, report: CheckReport, temperature: float
    ) -> tuple[dict[str, Any], Answers | None]:
        """The task's figures of both files on the test split, or how far they agree; and what the page shows."""
        contract, task = self.model.contract, judge.task
        test = split_pictures(report, "test", contract, self.run, self.reporter)
        pixels, targets, *_ = test
        rows: dict[str, list[Outputs]] = {name: [] for name in sessions}
        with self.reporter.bar("testing the files", len(pixels)) as bar:
            for i in range(len(pixels)):
                picture = contract.normalise(pixels[i : i + 1])
                for name, session in sessions.items():
                    rows[name].append(task.condensed(session.run(picture)))
                bar.update(i + 1)
        outputs = {name: together(each) for name, each in rows.items()}
        same = task.agreement(outputs["after"], outputs["before"], judge.labels)
        figures: dict[str, Any] = {"agreement": same, "test_pictures": len(pixels)}
        if judge.labelled:
            for name, ending in (("after", ""), ("before", "_before")):
                score = task.score(judge.labels)
                score.update(outputs[name], targets)
                known = score.figures()
                figures |= {f"{each.name}{ending}": known[each.name] for each in task.criteria}
                if name == "after":
                    figures["interval"] = score.intervals()[task.headline.name]
            answers = file_answers(
                sessions["after"], contract, report, task, test, outputs["after"], temperature
            )
            if answers.calibration is not None:
                figures["calibration"] = answers.calibration.model_dump()
            return figures, answers
        return figures, None

    def _headline(self, steps: Sequence[Step], found: _Measured, judge: Judge | None) -> str:
        figures = found.figures
        told = (
            f"{self.config.model}: {steps[-1].macs[0] / steps[0].macs[1]:.1%} of the macs, "
            f"{steps[-1].params[0] / steps[0].params[1]:.1%} of the params, {figures['latency_share']:.0%} of the latency "
            f"({figures['latency']['p50_ms']:.2f} ms on {self.config.on}, {self.config.threads} threads), "
            f"{figures['size_bytes'] / 1e6:.2f} MB"
        ) + ("" if found.packed is None else f", {found.packed.told}")
        headline, count = self.model.task.headline, figures.get("test_pictures", 0)
        if headline.name in figures:
            now, was = (figures[f"{headline.name}{each}"] for each in ("", "_before"))
            told += f"; {self.model.task.told(now, count)}, {headline.shown(was)} before"
        elif "agreement" in figures:
            told += (
                f"; agrees with what it said before by {100 * figures['agreement']:.1f} % on {count} pictures"
            )
        return told

    def _origin(self, steps: Sequence[Step]) -> dict[str, Any]:
        methods = " then ".join(step.method for step in steps)
        more = {"from": self.config.model, "methods": methods}
        return {**provenance(self.config, self.run.path, more=more), **self.model.seen}

    def _publish(
        self,
        steps: Sequence[Step],
        last: nn.Module,
        found: _Measured,
        headline: str,
        labels: Sequence[str],
        report: CheckReport | None,
        *,
        met: bool,
    ) -> bundle.Bundle:
        rows = layer_changes(self.model.network, last, self.model.contract.shape)
        spec, origin = ModelSpec.from_json(steps[-1].spec), self._origin(steps)
        document = made_document(
            title=self.config.model,
            headline=headline,
            met=met,
            command=command_line("compress", self.config),
            provenance=origin,
            task=self.model.task,
            labels=labels,
            network=last,
            shape=self.model.contract.shape,
            latency=found.figures["latency"],
            size_bytes=found.figures["size_bytes"],
            tables=[layer_table(rows)],
            report=report,
            answers=found.answers,
            notes=[f"{step.method}: {note}" for step in steps for note in step.notes],
        )
        page = render(document)
        write_text(self.run.path / "channels.svg", kept_channels(self.config.model, rows))
        threads = self.config.threads
        files = [(self.config.on, "fp32", threads, self.run.path / found.file)]
        if found.packed is not None:
            files.append(("packed", "", threads, self.run.path / found.packed.file))
        saved = bundle.save(
            self.run.path / "bundle",
            spec=spec,
            weights=self.run.path / steps[-1].weights,
            task=self.model.task.name,
            labels=labels,
            contract=self.model.contract,
            files=files,
            measured={**found.figures, "met": met},
            provenance=origin,
            texts={"report.html": page},
            card=step_card(headline, steps),
            temperatures=[found.temperature] * len(files),
        )
        write_json(
            self.run.path / "report.json", {"headline": headline, "met": met, "layers": rows, **found.figures}
        )
        write_text(self.run.path / "report.html", page)
        return saved
