"""The contract of a task: what a target is, how answers are scored, what is said to a person (numpy, no torch)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gossamer.data.geometry import Transform
from gossamer.types import Size

if TYPE_CHECKING:
    from PIL import Image

    from gossamer.tasks.places import Places

__all__ = [
    "Answer",
    "Criterion",
    "Ending",
    "Frame",
    "Mistake",
    "Outputs",
    "Remark",
    "Score",
    "Targets",
    "Task",
]

Outputs = tuple[NDArray[np.float32], ...]
"""What a network gives for N pictures, in the order of `Task.outputs`; the first axis of each is N."""

Targets = NDArray[Any]
"""What it should have given, one row a picture, (N, ...)."""


class Criterion(NamedTuple):
    """A figure that answers are judged by: a key of `measured` and a word of budgets."""

    name: str
    words: str
    """For a person."""
    larger: bool = True
    """Whether more of it is better."""
    share: bool = True
    """Whether it is at most 1; such figures are held against `max_drop`."""
    percent: bool = True
    """Whether a share is written in percent."""

    def shown(self, value: float) -> str:
        """A value of it for a person."""
        if self.share:
            return f"{100 * value:.1f} %" if self.percent else f"{value:.3f}"
        return f"{value:.4g}"


class Frame(NamedTuple):
    """How a picture lies in a network's input: what answers with places go back through."""

    transform: Transform
    picture: Size


class Ending(NamedTuple):
    """An edit by which an exported file gives what `Task.condensed` makes of its outputs."""

    name: str
    """One of `gossamer.files.onnx_endings.ENDINGS`; what the file's metadata tell it by."""
    arguments: Mapping[str, int | float]


class Remark(NamedTuple):
    """What would hurt in the targets of a data set; `code` is short and stays the same."""

    severity: Literal["error", "warning", "note"]
    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """What is said of one picture: names with figures, best first, and the same for programs."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    document: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the JSON object beside `file` and `error`."""
    row: Mapping[str, str] = field(default_factory=dict)
    """Columns of the CSV table between `file` and `error`."""
    unsure: bool = False
    """Whether nothing is said, since no label is as sure as was asked for."""


@dataclass(frozen=True)
class Mistake:
    """A picture that was answered wrongly, by its place among those that were asked."""

    index: int
    truth: str
    said: str
    score: float
    """How far off, or how sure: what mistakes are ordered by."""


class Score(ABC):
    """Takes answers in as they come and gives figures; two that saw different pictures can be put together."""

    @abstractmethod
    def update(self, outputs: Outputs, targets: Targets) -> None:
        """Take in the outputs for some pictures and their targets."""

    @abstractmethod
    def merge(self, other: Any) -> None:
        """Take in what another of the same kind saw."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Pictures seen."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Every criterion of the task by name, and perhaps more that training may choose by."""

    @abstractmethod
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of the criteria, from the number of pictures alone."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """What the report shows beside the figures: fields of `gossamer.report.document.TaskPage`."""


class Task(ABC):
    """A task; it keeps no state.

    Outputs are as `Outputs`, targets as `array` makes them, labels the names that belong to the numbers a network
    gives: of classes, or of quantities.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    """Names of what an exported file gives."""
    criteria: ClassVar[tuple[Criterion, ...]]
    """The first one judges: it is larger where answers are better and 1 where they are perfect, so that a loss of it
    can be held against `max_drop`."""
    noun: ClassVar[str]
    """What one of the labels is, for a person: class."""
    nouns: ClassVar[str] = ""
    """Several of them, where outputs are a choice among labels."""
    resize: ClassVar[str] = "short-side-centre-crop"
    """How pictures become inputs where nobody says: one of `gossamer.types.RESIZE_RULES`."""
    shape: ClassVar[str] = "rows of numbers (B, D)"
    """What a network of the task gives, for a sentence."""

    def width(self, shape: tuple[int, ...]) -> int | None:
        """How many labels a network tells of whose output has this shape, the batch first; None where it is of no such kind."""
        return shape[1] if len(shape) == 2 else None

    @property
    def headline(self) -> Criterion:
        """What networks are compared by."""
        return self.criteria[0]

    slow: ClassVar[bool] = False
    """Whether figures stay near nothing for the first passes, so that a few of them tell no network from another."""

    places: ClassVar[Places | None] = None
    """What can be done with answers that lie somewhere in a picture; None where they are of the whole of it."""

    # data

    def place(
        self, targets: Sequence[Any], pictures: Sequence[Size], transforms: Sequence[Transform], size: Size
    ) -> list[Any]:
        """Targets of samples as they lie in an input of `size`, once the sizes of their pictures are known: as they are by
        itself, since most have no place."""
        return list(targets)

    @abstractmethod
    def array(self, targets: Sequence[Any], labels: Sequence[str]) -> Targets:
        """Targets of samples, as a reader gives them, as one array (N, ...)."""

    @abstractmethod
    def text(self, target: Any, labels: Sequence[str]) -> str:
        """One target for a person; two targets with one text are the same."""

    @abstractmethod
    def kinds(self, targets: Sequence[Any], labels: Sequence[str]) -> list[tuple[str, ...]]:
        """What each sample is of: splits get their share of every kind, tables have a row a kind."""

    def kind_names(self, targets: Sequence[Any], labels: Sequence[str]) -> list[str]:
        """The kinds that `kinds` may give, in the order of tables: the labels by themselves."""
        return list(labels)

    @abstractmethod
    def settle(
        self, targets: Sequence[Any], labels: Sequence[str], where: str
    ) -> tuple[list[Any], tuple[str, ...]]:
        """Targets and labels after samples were left out of the data in `where`: labels that nothing bears go.

        Raises:
            DataError: what is left cannot be learned from.
        """

    def a_picture(self, count: int) -> str:
        """How well the headline figure is known from so many pictures, for a sentence that begins with it."""
        return "is known roughly"

    def remarks(
        self,
        targets: Sequence[Any],
        labels: Sequence[str],
        sizes: Sequence[Size | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Remark]:
        """What would hurt in the targets; nothing by itself. `sizes` are of the pictures as they are shown, `names` their files."""
        return []

    def edits(self, targets: Targets, labels: Sequence[str]) -> tuple[dict[str, Any], ...]:
        """Structural edits that fit a network's last layer to the training targets (N, ...); none by itself."""
        return ()

    # answers

    def row_shape(self, labels: Sequence[str]) -> tuple[int | None, ...]:
        """Of what a network gives a picture, None where any number will do: a number a label by itself."""
        return (len(labels),)

    def condensed(self, outputs: Outputs) -> Outputs:
        """What outputs tell, in less memory, where many pictures are kept: as they are by itself."""
        return outputs

    def ending(self, labels: Sequence[str]) -> Ending | None:
        """How a file does what `condensed` does; None, as by itself, where that is nothing, or no file can."""
        return None

    @abstractmethod
    def answers(self, outputs: Outputs) -> Targets:
        """The targets that these outputs would be right for, (N, ...)."""

    @abstractmethod
    def score(self, labels: Sequence[str]) -> Score:
        """A new score."""

    @abstractmethod
    def decode(
        self, outputs: Outputs, labels: Sequence[str], *, top: int, frame: Frame | None = None
    ) -> Answer:
        """What is said of one picture (N = 1); at most `top` labels where there are many.

        Places are told in pixels of the picture where `frame` says how it lay in the input.
        """

    def said(
        self,
        outputs: Outputs,
        labels: Sequence[str],
        *,
        top: int,
        frame: Frame | None = None,
        threshold: float | None = None,
    ) -> Answer:
        """As `decode`; with a threshold `doubted` too, where an answer of the task can be."""
        answer = self.decode(outputs, labels, top=top, frame=frame)
        return answer if threshold is None else self.doubted(answer, threshold) or answer

    @abstractmethod
    def mistakes(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> list[Mistake]:
        """The pictures that were answered wrongly, worst first."""

    def pictured(
        self, image: Image.Image, outputs: Outputs, target: Targets, labels: Sequence[str]
    ) -> Image.Image | None:
        """The network's input with what is said of it (N = 1) against its target (...), for a page; None, as by itself, where
        the picture alone shows the mistake."""
        return None

    # how sure

    def shares(self, outputs: Outputs) -> NDArray[np.float32] | None:
        """What each label gets of one choice, (N, K), rows of sum 1; None, as by itself, where outputs are no such choice."""
        return None

    def temperature(self, outputs: Outputs, targets: Targets) -> float:
        """What outputs are divided by so that `shares` tell how often they are right; 1, as by itself, changes nothing."""
        return 1.0

    def calibration_error(self, outputs: Outputs, targets: Targets) -> float | None:
        """How far shares are from how often they are right, 0 to 1; None, as by itself, without shares."""
        return None

    def doubted(self, answer: Answer, threshold: float) -> Answer | None:
        """The answer where only what is at least so sure is said; None, as by itself, where no answer can be unsure."""
        return None

    def details(
        self, score: Any, outputs: Outputs, targets: Targets, labels: Sequence[str]
    ) -> dict[str, Any]:
        """What the page shows of a file: what the score tells, and what all outputs of one split tell beside it."""
        details: dict[str, Any] = score.details()
        return details

    verb: ClassVar[str] = "reaches"
    """What a network does, before `told`."""

    def told(self, value: float, count: int) -> str:
        """The headline figure on so many test pictures, for a sentence."""
        return f"{self.headline.words} {self.headline.shown(value)} on {count} test pictures"

    def worth(self, outputs: Outputs, targets: Targets, labels: Sequence[str]) -> float:
        """The headline figure of these outputs."""
        score = self.score(labels)
        score.update(outputs, targets)
        return score.figures()[self.headline.name]

    def right(self, outputs: Outputs, targets: Targets) -> NDArray[np.bool_] | None:
        """Which pictures are answered rightly, (N,); None, as by itself, where an answer is no matter of right or wrong."""
        return None

    def drop_interval(
        self, before: Outputs, after: Outputs, targets: Targets, labels: Sequence[str]
    ) -> tuple[float, float] | None:
        """95 % interval of what the headline figure falls by on the same pictures; None, as by itself, where drawing pictures
        again and scoring them anew is quick enough."""
        return None

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """The headline figure of our outputs where the answers of theirs are taken for true: 1 where both say the same."""
        return self.worth(ours, self.answers(theirs), labels)
