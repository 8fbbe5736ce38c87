"""One method after the other, each guarded: what it made is written before the next begins."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from gossamer._files import write_json
from gossamer.compress.codebook.method import PackWork
from gossamer.compress.guard import Refused, guarded
from gossamer.compress.method import Method, Plan, Proposal, TrainedMethod
from gossamer.compress.methods import parse_method, read_plan
from gossamer.compress.sparse.plan import SparsePlan
from gossamer.compress.sparse.shaping import Gradual
from gossamer.cost.meter import measure
from gossamer.deploy.file_metadata import file_metadata
from gossamer.errors import GossamerError
from gossamer.nn.shaping import Shaping, Together
from gossamer.runs.compress.config import CompressConfig
from gossamer.runs.compress.packing import is_packing
from gossamer.runs.folder import RunFolder
from gossamer.runs.judge import Judge
from gossamer.runs.model import Model
from gossamer.runs.reporter import Bar, Reporter
from gossamer.tasks import get_objective
from gossamer.train.loop import train_until
from gossamer.train.objective import objective_of
from gossamer.train.pace import Listener, save_average
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Pulse, Seconds, Training
from gossamer.types import within
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.spec import ModelSpec

__all__ = ["Step", "Steps", "network_after"]

_MILDER = (1.0, 0.6, 0.3)
"""Shares of a method's ambition that are tried where training follows, until the guard is content."""


_AT_ONCE = 1e-9
"""A progress from which on all zeros are due."""


class RefusedPart(BaseModel):
    """A part that the guard did not let through."""

    part: str
    reason: str


class Step(BaseModel):
    """What one method came to."""

    method: str
    spec: dict[str, Any]
    weights: str
    """Below the run folder."""
    plan: str
    """Below the run folder; the plan as it was applied."""
    macs: tuple[int, int]
    """After, before."""
    params: tuple[int, int]
    metric: tuple[float, float] | None
    """After, and of the uncompressed network, on the validation split; None where nothing was measured."""
    cut: float | None = None
    """The metric before fine-tuning."""
    refused: list[RefusedPart] = []
    ambition: float = 1.0
    evaluations: int = 0
    met: bool = True
    notes: list[str] = []
    seconds: float = 0.0


class Steps:
    """Runs the methods of a configuration on a network."""

    def __init__(
        self,
        config: CompressConfig,
        model: Model,
        judge: Judge | None,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        """Raises: GossamerError: fine-tuning is asked for, and the data do not have the network's classes."""
        if config.minutes and judge is not None and not judge.labelled:
            raise GossamerError(
                f"fine-tuning needs pictures of the network's own classes, those in {config.data} are of others; "
                "leave out --minutes, or give a bundle trained on them"
            )
        self.config, self.model, self.judge = config, model, judge
        self.run, self.reporter = run, reporter
        self.told: set[str] = set()
        """Notes that were said while a method worked."""
        self.zeros: SparsePlan | None = None
        """Those that an earlier method made: training after it keeps them."""
        labels = model.labels if judge is None else judge.labels
        task = model.task
        self.work = PackWork(
            shape=model.contract.shape,
            batches=() if judge is None else judge.batches(config.seed),
            metric=None if judge is None else judge.metric,
            on=config.on,
            threads=config.threads,
            seed=config.seed,
            objective=get_objective(task.name),
            trains=judge is not None and config.minutes > 0,
            tell=lambda line: reporter.line(line, style="dim"),
            metadata=file_metadata(
                model.spec, model.contract, labels, "", task=task.name, outputs=task.outputs
            ),
        )

    def all(self) -> list[Step]:
        """Every method in turn, finished ones read back."""
        done: list[Step] = []
        network = self.model.network
        jobs = [(text, None) for text in self.config.method] + [("plan", Path(p)) for p in self.config.apply]
        for number, (text, file) in enumerate(jobs, 1):
            self.reporter.heading(f"{number} of {len(jobs)}  {text if file is None else file}")
            job = self._make(number, text, network) if file is None else self._replay(number, file, network)
            step = self.run.stage(f"2-step-{number}", Step, job)
            for note in step.notes:
                if note not in self.told:
                    self.reporter.line(note)
            done.append(step)
            network = network_after(self.run.path, step)
            document = json.loads((self.run.path / step.plan).read_text(encoding="utf-8"))
            if document.get("edit") == "sparsify":
                self.zeros = SparsePlan.from_json(document)
        return done

    # one method

    def _make(self, number: int, text: str, network: nn.Module) -> Callable[[], Step]:
        def job() -> Step:
            method, start = parse_method(text), time.monotonic()
            if self.judge is not None and self.config.minutes and not is_packing(method):
                step = self._trained(number, text, method, network, self.judge)
            else:
                step = self._guarded(number, text, method, network)
            return step.model_copy(update={"seconds": round(time.monotonic() - start, 1)})

        return job

    def _guarded(self, number: int, text: str, method: Method, network: nn.Module) -> Step:
        """As many parts as the guard lets through; all of them where there is nothing to judge by."""
        with self.reporter.bar(f"{method.name}: choosing", None):
            proposal = method.propose(network, self.work)
        for note in proposal.notes:
            self.reporter.line(note, style="dim")
            self.told.add(note)
        with self.reporter.bar(f"{method.name}: applying", None) as bar:
            return self._as_allowed(number, text, method, proposal, network, bar)

    def _as_allowed(
        self, number: int, text: str, method: Method, proposal: Proposal, network: nn.Module, bar: Bar
    ) -> Step:
        """The proposal in as many parts as the guard lets through; the bar hears of every try."""
        tries = itertools.count(1)

        def make(parts: Sequence[str]) -> nn.Module:
            bar.update(0, text=f"try {next(tries)}, {len(parts)} of {len(proposal.parts)} parts")
            thorough = len(parts) == len(proposal.parts)
            return method.apply(network, proposal.plan(parts), replace(self.work, thorough=thorough))

        notes = list(proposal.notes)
        refused: Sequence[Refused] = ()
        parts, evaluations, score = proposal.parts, 0, None
        if self.judge is None:
            made = make(parts)
            notes.append("nothing was judged: there are no pictures (--data)")
        else:
            found = guarded(
                network, parts, make, self.judge.metric, max_drop=self.config.max_drop, base=self.judge.base
            )
            made, parts, refused = found.network, found.parts, found.refused
            evaluations, score = found.evaluations, found.score
            if parts and refused:  # parts were tried with a quick repair
                better = method.apply(network, proposal.plan(parts), self.work)
                if (again := self.judge.metric(better)) > score:
                    made, score = better, again
            notes.append(_judged(self.judge, score, len(refused), len(proposal.parts)))
        plan = proposal.plan(parts)
        return self._step(
            str(number), text, network, made, plan, score, refused, notes, evaluations=evaluations
        )

    def _trained(self, number: int, text: str, method: Method, network: nn.Module, judge: Judge) -> Step:
        """The whole method, then distillation from the uncompressed network; milder while too much is lost."""
        trained = sum(not is_packing(parse_method(each)) for each in self.config.method)
        seconds = 60 * self.config.minutes / trained
        tried: list[tuple[bool, float, Step]] = []
        for attempt, ambition in enumerate(_MILDER, 1):
            milder = method if ambition == 1 else method.milder(ambition)
            if ambition < 1 and milder == method:
                break  # a pattern of zeros stays what it is
            with self.reporter.bar(f"{method.name}: choosing and applying, try {attempt}", None):
                proposal = milder.propose(network, self.work)
                plan = proposal.plan(proposal.parts)
                made = milder.apply(network, plan, self.work)
                cut = judge.metric(made)
            self.reporter.line(f"{judge.shown(cut)} before fine-tuning", style="dim")
            shaping = self._shaping(milder, made, plan)
            score = self._fine_tune(made, f"{number}-{attempt}", seconds, judge, shaping)
            notes = [*proposal.notes, f"fine-tuned from {judge.shown(cut)}: {_judged(judge, score, 0, 0)}"]
            kept = within(judge.base - score, self.config.max_drop)
            step = self._step(f"{number}-{attempt}", text, network, made, plan, score, (), notes)
            told = {"cut": cut, "ambition": ambition, "evaluations": attempt, "met": kept and ambition == 1}
            tried.append((kept, score, step.model_copy(update=told)))
            if kept:
                break
            self.reporter.line(notes[-1], style="yellow")
        return max(tried, key=lambda each: each[:2])[2]

    def _shaping(self, method: Method, network: nn.Module, plan: Plan) -> Shaping | None:
        """What the method works with between steps; zeros of an earlier one stay as many as they are."""
        own = method.shaping(network, plan) if isinstance(method, TrainedMethod) else None
        held = [Gradual(self.zeros.layers, until=_AT_ONCE)] if self.zeros is not None else []
        parts = tuple(each for each in (own, *held) if each is not None)
        return Together(parts) if len(parts) > 1 else next(iter(parts), None)

    def _fine_tune(
        self, network: nn.Module, name: str, seconds: float, judge: Judge, shaping: Shaping | None
    ) -> float:
        """Train in place for so long; the metric afterwards."""
        objective = objective_of(judge.task.name)
        recipe = objective.fitting(
            named_recipe("finetune-compressed", view=judge.view, pictures=len(judge.train.targets))
        )
        teaching = Teaching(
            self.model.network,
            network,
            recipe.distillation,
            width=len(judge.labels),
            objective=objective,
            contract=judge.contract,
        )
        training = Training(
            network=network,
            contract=judge.contract,
            recipe=recipe,
            pictures=Pictures(
                judge.train.pixels,
                judge.train.targets,
                judge.val.pixels,
                judge.val.targets,
                judge.train.bands,
            ),
            folder=self.run.path / "train" / name,
            length=Seconds(seconds),
            seed=self.config.seed,
            task=judge.task,
            labels=judge.labels,
            teaching=teaching,
            shaping=shaping,
            threads=torch.get_num_threads(),
        )
        with self.reporter.bar("fine-tuning", seconds) as bar:
            train_until(training, seconds, listener=_Follow(bar, judge.shown))
        network.load_state_dict(read_checkpoint(training.folder / "best.safetensors"))
        network.eval()
        return judge.metric(network)

    # a plan that somebody wrote or edited

    def _replay(self, number: int, file: Path, network: nn.Module) -> Callable[[], Step]:
        def job() -> Step:
            method, plan = read_plan(file)
            with self.reporter.bar(f"{method.name}: applying", None):
                made = method.apply(network, plan, replace(self.work, trains=False))  # no training follows
                score = None if self.judge is None else self.judge.metric(made)
            notes = [] if score is None or self.judge is None else [_judged(self.judge, score, 0, 0)]
            step = self._step(str(number), str(file), network, made, plan, score, (), notes)
            lost = 0.0 if score is None or self.judge is None else self.judge.base - score
            return step.model_copy(update={"met": within(lost, self.config.max_drop)})

        return job

    # results

    def _step(
        self,
        name: str,
        text: str,
        before: nn.Module,
        after: nn.Module,
        plan: Plan,
        score: float | None,
        refused: Sequence[Refused],
        notes: list[str],
        *,
        evaluations: int = 0,
    ) -> Step:
        folder = self.run.path / "steps" / name
        folder.mkdir(parents=True, exist_ok=True)
        weights, document = folder / "best.safetensors", folder / "plan.json"
        save_average(weights, after)
        write_json(document, plan.to_json())
        costs = [measure(each, self.work.shape) for each in (after, before)]
        spec: ModelSpec = getattr(after, "spec", None) or self.model.spec
        return Step(
            method=text,
            spec=spec.to_json(),
            weights=weights.relative_to(self.run.path).as_posix(),
            plan=document.relative_to(self.run.path).as_posix(),
            macs=(costs[0].macs, costs[1].macs),
            params=(costs[0].params, costs[1].params),
            metric=None if score is None or self.judge is None else (score, self.judge.base),
            refused=[RefusedPart(part=each.part, reason=each.reason) for each in refused],
            evaluations=evaluations,
            met=not refused,
            notes=notes,
        )


def _judged(judge: Judge, score: float, refused: int, parts: int) -> str:
    told = f"{judge.shown(score)} {judge.what} of {judge.shown(judge.base)} on validation"
    return told + (f"; {refused} of {parts} parts refused" if refused else "")


class _Follow(Listener):
    """Moves the bar."""

    def __init__(self, bar: Bar, shown: Callable[[float], str]) -> None:
        self.bar, self.shown = bar, shown

    def pulse(self, now: Pulse) -> None:
        score = "" if now.val_score is None else f"  val {self.shown(now.val_score)}"
        self.bar.update(now.seconds, text=f"pass {now.passes:.1f}  loss {now.loss:.3f}{score}")


def network_after(run: Path, step: Step) -> nn.Module:
    """The network that a step left, rebuilt from its spec.

    Raises:
        GossamerError: its weights are not those of the spec.
    """
    network = build(ModelSpec.from_json(step.spec))
    try:
        network.load_state_dict(read_checkpoint(run / step.weights))
    except RuntimeError as error:
        raise GossamerError(
            f"{run / step.weights} is not of the network in {step.plan}; start the run again in another folder"
        ) from error
    return network.eval()
