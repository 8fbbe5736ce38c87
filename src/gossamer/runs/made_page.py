"""The page of compress and export: what is told of a trained network's file, without training, with tables of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gossamer.data.check import CheckReport
from gossamer.report import document as doc
from gossamer.runs.answers import Answers
from gossamer.runs.page import answer_figures, data_rows, layer_rows, task_page
from gossamer.tasks import Criterion, Task
from gossamer.types import format_quantity

__all__ = ["made_document"]


def made_document(
    *,
    title: str,
    headline: str,
    met: bool,
    command: str,
    provenance: Mapping[str, Any],
    task: Task,
    labels: Sequence[str],
    network: nn.Module,
    shape: Sequence[int],
    latency: Mapping[str, Any],
    size_bytes: int,
    tables: Sequence[doc.TableRows],
    report: CheckReport | None,
    answers: Answers | None,
    notes: Sequence[str] = (),
) -> doc.FitDocument:
    """The document of a network, in eval mode, at input `shape`, whose file has this latency and size.

    `answers` are None without pictures, and where the data's classes are not the network's.
    """
    layers = layer_rows(network, shape)
    splits, findings = data_rows(report)
    figures = [
        *([] if answers is None else _answer_figures(task, answers)),
        doc.Figure(
            label="Latency, median",
            value=f"{latency['p50_ms']:.2f} ms",
            origin="measured",
            note=f"{latency['runs']} runs",
        ),
        doc.Figure(
            label="File",
            value=format_quantity("size", size_bytes),
            origin="measured",
            note=f"{size_bytes:,} bytes",
        ),
        _counted("Parameters", "params", sum(row.params for row in layers)),
        _counted("Multiply-accumulates", "macs", sum(row.macs for row in layers)),
    ]
    return doc.FitDocument(
        title=title,
        created=str(provenance["created"]),
        command=command,
        met=met,
        headline=headline,
        budget=[],
        figures=figures,
        tried=[],
        curves=[],
        labels=list(labels),
        task=task_page(task, {} if answers is None else answers.details),
        worst=[] if answers is None else [doc.WorstPicture(**row.model_dump()) for row in answers.worst],
        compression=[],
        tables=list(tables),
        layers=layers,
        splits=splits,
        pictures=0 if report is None else len(report.dataset.samples),
        findings=findings,
        flags=[],
        notes=list(notes),
        provenance={key: str(value) for key, value in provenance.items()},
    )


def _answer_figures(task: Task, answers: Answers) -> list[doc.Figure]:
    figures = [_figure(each, answers) for each in task.criteria]
    return figures + answer_figures(answers.details, answers.calibration)


def _figure(criterion: Criterion, answers: Answers) -> doc.Figure:
    low, high = (criterion.shown(value) for value in answers.intervals[criterion.name])
    return doc.Figure(
        label=f"Test {criterion.words}",
        value=criterion.shown(answers.figures[criterion.name]),
        origin="measured",
        note=f"{answers.pictures} pictures, 95 % between {low} and {high}",
    )


def _counted(label: str, metric: str, value: int) -> doc.Figure:
    return doc.Figure(label=label, value=format_quantity(metric, value), origin="counted")
