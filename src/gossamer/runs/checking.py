"""The first stage of every run: the data doctor, and the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel

from gossamer.data.check import CheckReport, check, is_aerial, look
from gossamer.data.findings import Finding
from gossamer.deploy.bundle import Bundle
from gossamer.errors import ModelError, RunFolderError
from gossamer.runs.config import DataConfig
from gossamer.runs.folder import RunFolder
from gossamer.runs.reporter import Reporter
from gossamer.tasks import get_task

__all__ = [
    "check_split",
    "checked_data",
    "finding_lines",
    "labels_told",
    "name_of",
    "opened",
    "short",
    "view_of",
]


View = Literal["ground", "aerial"]
_EXAMPLES = 2
_MOST_LINES = 8


class _Checked(BaseModel):
    """What the check stage leaves: enough to see that a resumed run has the same data."""

    fingerprint: str
    split: str = ""
    """`CheckReport.split_digest`; empty in runs of before."""
    report: dict[str, Any]


def check_split(bundle: Bundle, report: CheckReport, split_seed: int) -> None:
    """A network that was trained on these data has seen what another split holds back.

    Raises:
        ModelError: it was trained on another split of the same pictures.
    """
    told = bundle.provenance
    if told.get("data fingerprint") != report.fingerprint:
        return
    theirs = str(told.get("split seed", told.get("seed", split_seed)))  # one seed drew both before
    given = None not in {sample.split for sample in report.dataset.samples}
    if "split" in told:
        same = told["split"] == report.split_digest
    else:  # a bundle of before knows its seed alone
        same = given or theirs == str(split_seed)
    if same:
        return
    if theirs != str(split_seed) and not given:
        raise ModelError(
            f"{bundle.folder} was trained on these pictures as split seed {theirs} parts them, and has seen some that split "
            f"seed {split_seed} holds back to validate and test; use --split-seed {theirs}"
        )
    raise ModelError(
        f"{bundle.folder} was trained on these pictures parted otherwise, and has seen some that are held back here to "
        "validate and test; give --groups and the columns split and group as they were then"
    )


def short(findings: Sequence[Finding]) -> tuple[list[Finding], dict[str, int]]:
    """The first two findings of every code and severity, and how many more there are of each code."""
    shown: Counter[tuple[str, str]] = Counter()
    more: Counter[str] = Counter()
    examples: list[Finding] = []
    for finding in findings:
        kind = (finding.severity, finding.code)
        shown[kind] += 1
        if shown[kind] <= _EXAMPLES:
            examples.append(finding)
        else:
            more[finding.code] += 1
    return examples, dict(more)


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """For a person: a line each, but of many of one code two, and how many there are."""
    examples, more = short(findings)
    lines: list[str] = []
    for place, finding in enumerate(examples):
        lines.append(f"{finding.severity:7}  {finding.code:15}  {finding.message}")
        last = all(other.code != finding.code for other in examples[place + 1 :])
        if last and finding.code in more:
            lines.append(
                f"{'':7}  {finding.code:15}  and {more[finding.code]:,} more of these; --json has them all"
            )
    return lines


def labels_told(report: CheckReport) -> str:
    """How many labels there are of which kind, in words."""
    task, labels = get_task(report.dataset.task), report.dataset.labels
    return f"{len(labels)} {task.nouns}" if task.nouns else f"{task.noun} {', '.join(labels)}"


def view_of(view: str, report: CheckReport) -> View:
    """Whether the pictures have an up: as asked for, else as the check found."""
    for known in get_args(View):
        if view == known:
            return known  # type: ignore[no-any-return]
    return "aerial" if is_aerial(report.upright) else "ground"


def name_of(data: str, config: DataConfig) -> str:
    """The name of the data, once the options that go with them are known to fit: no picture is read for it but one.

    Raises:
        DataError: no such data, or options that do not fit them.
    """
    return look(data, groups=config.groups, bands=config.bands).source.name


def opened(data: str, config: DataConfig, *, tick: Callable[[int, int], None] | None = None) -> CheckReport:
    """The data as every option of the config says; `tick` hears (done, total).

    Raises:
        DataError: nothing usable is left, or a picture is bad and the config asks to stop there.
    """
    return check(
        data,
        on_bad=config.on_bad,
        groups=config.groups,
        bands=config.bands,
        split_seed=config.split_seed,
        tick=tick,
    )


def checked_data(
    data: str, config: DataConfig, run: RunFolder, reporter: Reporter, *, heading: str
) -> CheckReport:
    """Opened again at every start: seconds, and the only way to know that a resumed run has the same data.

    Raises:
        DataError, RunFolderError: the data cannot be used, or changed since the run began.
    """
    reporter.heading(heading)
    with reporter.bar("reading", 1.0) as bar:
        report = opened(data, config, tick=lambda done, total: bar.update(done / total))
    kept = run.stage(
        "1-check",
        _Checked,
        lambda: _Checked(fingerprint=report.fingerprint, split=report.split_digest, report=report.to_json()),
    )
    if kept.fingerprint != report.fingerprint:
        raise RunFolderError(
            f"--resume needs the same data, the pictures in {data} changed since {run.path} began; start a new run with another --out"
        )
    if kept.split not in ("", report.split_digest):
        raise RunFolderError(
            f"--resume needs the same split, pictures of {data} have come into another since {run.path} began (a table, or "
            "folders of groups, changed); start a new run with another --out"
        )
    counts = {name: len(report.split.of(name)) for name in ("train", "val", "test")}
    reporter.line(
        f"{len(report.dataset.samples)} pictures, {labels_told(report)}; "
        + ", ".join(f"{name} {count}" for name, count in counts.items())
        + (f"; {len(report.skipped)} skipped" if report.skipped else "")
    )
    examples, more = short(report.findings)
    for finding in examples[:_MOST_LINES]:
        reporter.line(
            f"{finding.severity}: {finding.message}",
            style="yellow" if finding.severity != "note" else "dim",
        )
    left = sum(more.values()) + len(examples[_MOST_LINES:])
    if left:
        reporter.line(f"and {left:,} more, in the report and in `gossamer check {data} --json`", style="dim")
    return report
