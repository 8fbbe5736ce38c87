"""What a report of `gossamer fit` says, as data: written beside the run as report.json, rendered by `html.render`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gossamer.types import format_quantity

__all__ = [
    "BudgetLine",
    "ClassScore",
    "CompressionRow",
    "Curve",
    "CurvePoint",
    "Figure",
    "FindingRow",
    "FitDocument",
    "LayerRow",
    "SplitRow",
    "TableRows",
    "TaskPage",
    "TriedRow",
    "WorstPicture",
]

Origin = Literal["measured", "flagged", "predicted", "published", "counted"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetLine(_Row):
    """One limit of the budget beside its figure, both in base units: ms, bytes, counts, shares."""

    metric: str
    op: Literal["<=", "<", ">=", ">"]
    limit: float
    measured: float | None
    met: bool

    @property
    def used(self) -> float | None:
        """measured / limit for at-most limits, limit / measured for at-least ones; None when not measured."""
        if self.measured is None:
            return None
        if self.op in ("<=", "<"):
            return self.measured / self.limit
        return self.limit / self.measured if self.measured > 0 else float("inf")

    @property
    def limit_text(self) -> str:
        """The limit for a person: at most 5 ms."""
        words = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}
        return f"{words[self.op]} {format_quantity(self.metric, self.limit)}"

    @property
    def measured_text(self) -> str:
        """The figure for a person, with its unit."""
        return "not measured" if self.measured is None else format_quantity(self.metric, self.measured)


class Figure(_Row):
    """One headline figure of the shipped file."""

    label: str
    value: str
    origin: Origin
    note: str = ""


class TriedRow(_Row):
    """One network at one resolution and precision: how far it came and what was measured of it."""

    name: str
    input: str
    precision: str
    params: int
    macs: int
    size_bytes: int | None
    latency_ms: float | None
    score: float | None
    """The task's first figure on the validation split, a share; None where it was never trained."""
    status: Literal["chosen", "trained", "shortlisted", "over budget", "passed over", "refused"]
    note: str = ""


class CurvePoint(_Row):
    """One evaluation during training."""

    seconds: float
    epoch: float
    train_loss: float
    val_loss: float
    val_score: float


class Curve(_Row):
    """The training of one network, all rungs in one line."""

    name: str
    chosen: bool
    points: list[CurvePoint]


class ClassScore(_Row):
    """One class or label on the test split, of the exported file."""

    label: str
    pictures: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None
    """The area under the steps of precision over recall; None where no test picture is of it."""
    ap50: float | None = None
    """Of boxes at an IoU of 0.5."""
    boxes: int | None = None
    """That there are, where things have places."""


class WorstPicture(_Row):
    """A test picture that the exported file gets wrong: with most confidence, or farthest off."""

    file: str
    label: str
    predicted: str
    score: float
    jpeg_base64: str
    saliency_base64: str = ""
    """What the network sees, dark where hiding it changes little."""


class CompressionRow(_Row):
    """One precision that was tried, measured on its own file."""

    precision: str
    size_bytes: int
    latency_ms: float
    score: float
    drop: float
    """What is lost of the fp32 file's score on the validation split, a share."""
    chosen: bool
    reason: str


class LayerRow(_Row):
    """The counted cost of one layer of the network."""

    name: str
    kind: str
    output: str
    params: int
    macs: int
    bytes: int


class SplitRow(_Row):
    """How many pictures of a class, a label or a range of values each split holds."""

    label: str
    train: int
    val: int
    test: int


class FindingRow(_Row):
    """One thing the data doctor found."""

    severity: Literal["error", "warning", "note"]
    code: str
    message: str


class Line(_Row):
    """A curve of shares over shares."""

    chart: str
    name: str
    points: list[tuple[float, float]]


class TaskPage(_Row):
    """What the report says of the answers: the words of the task, and what its score shows beside the figures."""

    words: str = "accuracy"
    """The figure that networks are compared by."""
    nouns: str = "classes"
    """What targets are counted by in the table of splits."""
    confusion: list[list[int]] = []
    """Rows are true classes, columns predicted ones, in the order of the document's labels."""
    classes: list[ClassScore] = []
    top5: float | None = None
    """How often the true class is among the best five of more."""
    lines: list[Line] = []
    """Curves of the answers, several to a chart."""
    threshold: float | None = None
    """The score from which on boxes are counted in the confusion and the table of classes."""
    points: list[tuple[float, float]] = []
    """True and said values of test pictures."""
    quantity: str = ""
    """What the values are of."""
    shares: bool = True
    """Whether mistakes are ordered by a share, how sure the network was, and not by a distance."""


class TableRows(_Row):
    """A table of texts under a heading; columns named in `numbers` stand to the right."""

    title: str
    lead: str
    columns: list[str]
    numbers: list[str]
    rows: list[list[str]]


class FitDocument(_Row):
    """The whole report."""

    title: str
    created: str
    command: str
    met: bool
    headline: str
    """The answer in one sentence."""
    budget: list[BudgetLine]
    figures: list[Figure]
    tried: list[TriedRow]
    curves: list[Curve]
    labels: list[str]
    task: TaskPage
    worst: list[WorstPicture]
    compression: list[CompressionRow]
    tables: list[TableRows] = []
    """What only one verb has to tell: files of export, layers of compress."""
    layers: list[LayerRow]
    splits: list[SplitRow]
    pictures: int = 0
    """Of all splits; 0 where each is counted once in the rows of `splits`."""
    findings: list[FindingRow]
    flags: list[str]
    """Reasons to read the measured figures with care (a busy machine, few test pictures)."""
    notes: list[str]
    """Choices made on the way and what fell short."""
    provenance: dict[str, str]
