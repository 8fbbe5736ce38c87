"""gossamer compress: methods one after the other under a guard, then export, judge the file, publish. With --resume."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from torch import nn

from gossamer._files import sha256, write_json, write_text
from gossamer._machine import describe_machine, versions
from gossamer.compress.method import Work
from gossamer.compress.methods import parse_method
from gossamer.cost.meter import measure
from gossamer.data.check import CheckReport
from gossamer.deploy import bundle
from gossamer.deploy.file_metadata import file_metadata
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError
from gossamer.fit.api import need_torch
from gossamer.fit.checking import checked_data
from gossamer.fit.compress_config import CompressConfig
from gossamer.fit.compress_steps import Step, Steps, network_after
from gossamer.fit.compress_subject import Judge, Subject, open_subject, trained_on
from gossamer.fit.folder import RunFolder, name_after, open_run
from gossamer.fit.packing import PackedFile, write_packed_network
from gossamer.fit.pictures import split_pictures
from gossamer.fit.reporter import Quiet, Reporter
from gossamer.report.kept_channels import kept_channels
from gossamer.report.table import table_page
from gossamer.timing.latency import compare, measure_latency
from gossamer.zoo.spec import ModelSpec

__all__ = ["CompressRun", "compress", "propose"]


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


def propose(config: CompressConfig, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """The first method's plan as a JSON object, without pictures; nothing is changed.

    Further methods depend on what it does, and a plan that looks at pictures is in the folder of a run.

    Raises:
        GossamerError, ModelError: bad arguments.
    """
    need_torch()
    config = config.checked()
    if not config.methods:
        raise GossamerError("a plan is made by a method, got none; add e.g. --method prune:macs=50%")
    if config.data:
        raise GossamerError(
            f"--plan goes by the weights alone and would not look at {config.data}; leave out --data, or run the method: the "
            "plan that it applies is in steps/*/plan.json"
        )
    subject = open_subject(config)
    work = Work(shape=subject.contract.shape, on=config.on, threads=config.threads, seed=config.seed)
    proposal = parse_method(config.methods[0]).propose(subject.network, work)
    for note in proposal.notes:
        (reporter or Quiet()).line(note)
    return proposal.plan(proposal.parts).to_json()


def compress(
    config: CompressConfig,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> CompressRun:
    """Apply methods, or plans, to a network; the bundle holds the smaller one and a file for `config.on`.

    Raises:
        GossamerError and its children: bad arguments, data or network.
        MissingExtraError: torch is not installed.
    """
    need_torch()
    config = config.checked()
    get_runtime(config.on, making=True)
    subject = open_subject(config)
    with open_run(config, name_after(config.model, "compressed"), out, resume=resume) as run:
        return _Run(config, subject, run, reporter or Quiet()).go()


class _Measured(BaseModel):
    """What the exported files measured."""

    file: str
    sha256: str
    figures: dict[str, Any]
    packed: PackedFile | None = None


class _Run:
    """One run, stage by stage."""

    def __init__(self, config: CompressConfig, subject: Subject, run: RunFolder, reporter: Reporter) -> None:
        self.config, self.subject, self.run, self.reporter = config, subject, run, reporter

    def go(self) -> CompressRun:
        config, run, reporter = self.config, self.run, self.reporter
        report: CheckReport | None = None
        try:
            if config.data:
                report = checked_data(config, run, reporter, heading=f"check: {config.data}")
            judge = None if report is None else Judge(self.subject, report, config, run, reporter)
            steps = Steps(config, self.subject, judge, run, reporter).all()
        except GossamerError:
            if not run.resumed and not any((run.path / "stages").glob("2-step-*.json")):
                run.discard()
            raise
        last = network_after(run.path, steps[-1])
        reporter.heading("export and measure the file")
        found = run.stage("3-measure", _Measured, lambda: self._measured(steps[-1], last, judge, report))
        met = all(step.met for step in steps) and (found.packed is None or found.packed.met)
        headline = self._headline(steps, found, judge)
        labels = self.subject.labels if judge is None else judge.labels
        saved = self._publish(steps, last, found, headline, labels, met=met)
        shutil.rmtree(run.path / "cache", ignore_errors=True)
        run.event("done", met=met)
        return CompressRun(saved, tuple(steps), found.figures, headline, run.path, met)

    def _measured(
        self, step: Step, network: nn.Module, judge: Judge | None, report: CheckReport | None
    ) -> _Measured:
        runtime, contract = get_runtime(self.config.on), self.subject.contract
        labels = self.subject.labels if judge is None else judge.labels
        folder = self.run.path / "export"
        folder.mkdir(exist_ok=True)
        paths = {
            "after": folder / f"model{runtime.suffix}",
            "before": folder / f"uncompressed{runtime.suffix}",
        }
        runtime.export(network, contract, paths["after"])
        runtime.export(self.subject.network, contract, paths["before"])
        spec: ModelSpec = network.spec  # type: ignore[assignment]
        runtime.write_metadata(paths["after"], file_metadata(spec, contract, labels, "fp32"))
        sessions = {k: runtime.load(path, threads=self.config.threads) for k, path in paths.items()}
        example = np.zeros(contract.shape, np.float32)
        timed = measure_latency(
            {name: functools.partial(session.run, example) for name, session in sessions.items()},
            seconds=2.0,
            threads=self.config.threads,
        )
        figures: dict[str, Any] = {
            "latency": timed["after"].to_json(),
            "latency_before": timed["before"].to_json(),
            "latency_share": round(compare(timed["after"], timed["before"]).ratio, 4),
            "size_bytes": paths["after"].stat().st_size,
            "size_bytes_before": paths["before"].stat().st_size,
        }
        if judge is not None and report is not None:
            figures |= self._judged(sessions, judge, report)
        packed = write_packed_network(
            self.run.path,
            network,
            step.method,
            self.run.path / step.plan,
            contract,
            file_metadata(ModelSpec.from_json(step.spec), contract, labels, ""),
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
        )

    def _judged(self, sessions: dict[str, Any], judge: Judge, report: CheckReport) -> dict[str, Any]:
        """Accuracy of both files on the test split, or how often they name the same."""
        pixels, labels, *_ = split_pictures(
            report, "test", self.subject.contract.size.height, self.run, self.reporter
        )
        answers: dict[str, list[int]] = {name: [] for name in sessions}
        with self.reporter.bar("testing the files", len(pixels)) as bar:
            for i in range(len(pixels)):
                picture = self.subject.contract.normalise(pixels[i : i + 1])
                for name, session in sessions.items():
                    answers[name].append(int(session.run(picture)[0].argmax()))
                bar.update(i + 1)
        same = float(np.mean(np.array(answers["after"]) == np.array(answers["before"])))
        found: dict[str, Any] = {"agreement": same, "test_pictures": len(pixels)}
        if judge.labelled:
            found["accuracy"] = float(np.mean(np.array(answers["after"]) == labels))
            found["accuracy_before"] = float(np.mean(np.array(answers["before"]) == labels))
        return found

    def _headline(self, steps: Sequence[Step], found: _Measured, judge: Judge | None) -> str:
        figures = found.figures
        told = (
            f"{self.config.model}: {steps[-1].macs[0] / steps[0].macs[1]:.1%} of the macs, "
            f"{steps[-1].params[0] / steps[0].params[1]:.1%} of the params, {figures['latency_share']:.0%} of the latency "
            f"({figures['latency']['p50_ms']:.2f} ms on {self.config.on}, {self.config.threads} threads), "
            f"{figures['size_bytes'] / 1e6:.2f} MB"
        ) + ("" if found.packed is None else f", {found.packed.told}")
        if "accuracy" in figures:
            told += (
                f"; {100 * figures['accuracy']:.1f} % of {figures['test_pictures']} test pictures right, "
                f"{100 * figures['accuracy_before']:.1f} % before"
            )
        elif "agreement" in figures:
            told += f"; names what it named before on {100 * figures['agreement']:.1f} % of {figures['test_pictures']} pictures"
        return told

    def _publish(
        self,
        steps: Sequence[Step],
        last: nn.Module,
        found: _Measured,
        headline: str,
        labels: Sequence[str],
        *,
        met: bool,
    ) -> bundle.Bundle:
        rows = _layer_rows(self.subject.network, last, self.subject.contract.shape)
        page = table_page(
            headline,
            list(rows[0]),
            rows,
            {"channels", "channels_before", "macs", "macs_before", "params", "params_before"},
            _shown,
        )
        write_text(self.run.path / "report.html", page)
        write_text(self.run.path / "channels.svg", kept_channels(self.config.model, rows))
        machine, threads = describe_machine(), self.config.threads
        files = [(self.config.on, "fp32", threads, self.run.path / found.file)]
        if found.packed is not None:
            files.append(("packed", "", threads, self.run.path / found.packed.file))
        saved = bundle.save(
            self.run.path / "bundle",
            spec=ModelSpec.from_json(steps[-1].spec),
            weights=self.run.path / steps[-1].weights,
            task="classify",
            labels=labels,
            contract=self.subject.contract,
            files=files,
            measured={**found.figures, "met": met},
            provenance={
                "from": self.config.model,
                "methods": " then ".join(step.method for step in steps),
                "machine": f"{machine['cpu']}, {machine['cores']} cores",
                "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
                "seed": str(self.config.seed),
                **trained_on(self.subject),
            },
            texts={"MODEL_CARD.md": _card(headline, steps), "report.html": page},
        )
        write_json(
            self.run.path / "report.json", {"headline": headline, "met": met, "layers": rows, **found.figures}
        )
        return saved


def _layer_rows(before: nn.Module, after: nn.Module, shape: Sequence[int]) -> list[dict[str, Any]]:
    """A row a layer that multiplies: channels, macs, params, after and before; what one of them lacks is empty."""
    costs = [
        {layer.name: layer for layer in measure(each, shape).layers if layer.macs} for each in (after, before)
    ]
    rows = []
    for name in dict.fromkeys([*costs[1], *costs[0]]):
        now, was = (found.get(name) for found in costs)
        rows.append(
            {
                "layer": name,
                "channels": _channels(now),
                "channels_before": _channels(was),
                "macs": None if now is None else now.macs,
                "macs_before": None if was is None else was.macs,
                "params": None if now is None else now.params,
                "params_before": None if was is None else was.params,
            }
        )
    return rows


def _channels(layer: Any) -> int | None:
    return None if layer is None or len(layer.output) < 2 else int(layer.output[1])


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _card(headline: str, steps: Sequence[Step]) -> str:
    lines = [f"# Compressed network\n\n{headline}\n"]
    for step in steps:
        lines.append(f"\n## {step.method}\n")
        lines += [f"- {note}" for note in step.notes]
        lines += [f"- left as it was: {each.part}: {each.reason}" for each in step.refused]
    return "\n".join(lines) + "\n"
