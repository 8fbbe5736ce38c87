"""What a run was asked for: written to config.yaml, compared on --resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from gossamer.errors import BudgetError, GossamerError, RunFolderError
from gossamer.types import Budget

__all__ = ["FitConfig", "RunConfig", "TrainConfig", "parse_share"]


class RunConfig(BaseModel):
    """What the arguments of every run share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    on: str = "onnxruntime"
    threads: int = 1
    """Of the deployed network."""
    on_bad: Literal["skip", "stop"] = "skip"
    groups: str | None = None
    bands: str = "auto"
    """Which bands are read: auto, rgb, all, or names and numbers with commas."""
    view: Literal["auto", "aerial", "ground"] = "auto"
    online: bool = False
    """Whether weights may be fetched from torchvision's and timm's hubs."""
    seed: int = 0

    def check_common(self) -> None:
        """An error where a value makes no sense.

        Raises:
            GossamerError: one line for a person.
        """
        if self.threads < 1:
            raise GossamerError(f"threads is at least 1, got {self.threads}; use --threads 1")
        if self.seed < 0:
            raise GossamerError(f"seed is at least 0, got {self.seed}; use --seed 0")

    def to_yaml(self) -> str:
        """The configuration as YAML."""
        return str(yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True))

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """Read what `to_yaml` wrote.

        Raises:
            RunFolderError: the file is missing or damaged.
        """
        try:
            document: Any = yaml.safe_load(path.read_text())
            return cls.model_validate(document)
        except (OSError, yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise RunFolderError(
                f"{path.parent} holds no run that can be resumed ({reason}); start a new one with another --out"
            ) from error

    def differences(self, other: RunConfig) -> list[str]:
        """The names of the arguments that differ."""
        ours, theirs = self.model_dump(), other.model_dump()
        return [name for name in ours if ours[name] != theirs[name]]


class FitConfig(RunConfig):
    """The arguments of `gossamer fit`."""

    within: str
    minutes: float = 20.0
    max_drop: float = 0.01
    """Highest loss of validation accuracy that a lossy step may cost, a share."""
    teacher: Literal["auto", "none"] = "auto"

    @property
    def budget(self) -> Budget:
        return Budget.parse(self.within)

    def checked(self) -> FitConfig:
        """The same, or an error where a value makes no sense.

        Raises:
            BudgetError, GossamerError: one line for a person.
        """
        if not self.budget.limits:
            raise BudgetError("a budget needs at least one limit; write e.g. 'latency<=5ms'")
        if not 0.05 <= self.minutes <= 60 * 24 * 7:
            raise GossamerError(
                f"minutes is between 0.05 and 10,080 (a week), got {self.minutes:g}; use --minutes 20"
            )
        self.check_common()
        return self


class TrainConfig(RunConfig):
    """The arguments of `gossamer train`."""

    model: str
    recipe: str
    settings: tuple[str, ...] = ()
    """`key=value` over the recipe."""
    teacher: str | None = None
    epochs: float | None = None
    minutes: float | None = None
    size: int | None = None
    metric: Literal["accuracy", "balanced", "loss"] = "accuracy"
    strategy: Literal["auto", "ddp"] = "auto"
    devices: int = 1
    nodes: int = 1

    @property
    def command(self) -> str:
        """The command that trains the same again."""
        parts = ["gossamer", "train", self.data, "--model", self.model, "--recipe", self.recipe]
        for setting in self.settings:
            parts += ["--set", setting]
        for option, value, usual in (
            ("--teacher", self.teacher, None),
            ("--epochs", self.epochs, None),
            ("--minutes", self.minutes, None),
            ("--size", self.size, None),
            ("--metric", self.metric, "accuracy"),
            ("--groups", self.groups, None),
            ("--bands", self.bands, "auto"),
            ("--view", self.view, "auto"),
            ("--on", self.on, "onnxruntime"),
            ("--threads", self.threads, 1),
        ):
            if value != usual:
                parts += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        parts += ["--online"] if self.online else []
        quoted = [f'"{part}"' if " " in part else part for part in parts]
        return " ".join([*quoted, "--seed", str(self.seed)])

    def checked(self) -> TrainConfig:
        """The same, or an error where a value makes no sense.

        Raises:
            GossamerError: one line for a person.
        """
        self.check_common()
        if self.epochs is not None and self.minutes is not None:
            raise GossamerError(
                f"a run is so many epochs or so many minutes, got --epochs {self.epochs:g} and --minutes {self.minutes:g}; give one"
            )
        for name, value, least, most in (
            ("epochs", self.epochs, 0.01, 100_000),
            ("minutes", self.minutes, 0.05, 60 * 24 * 7),
            ("size", self.size, 16, 4096),
            ("devices", self.devices, 1, 1024),
            ("nodes", self.nodes, 1, 1024),
        ):
            if value is not None and not least <= value <= most:
                raise GossamerError(
                    f"{name} is between {least:g} and {most:,}, got {value:g}; use e.g. --{name} {max(least, 1):g}"
                )
        return self


def parse_share(text: str, option: str) -> float:
    """A share written as `1%` or `0.01`, between 0 and 1.

    Raises:
        GossamerError: it is none.
    """
    try:
        value = float(text.strip().removesuffix("%")) / (100.0 if text.strip().endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise GossamerError(
            f"{option} is a share between 0 and 1 or a percentage, got {text!r}; write e.g. 1%"
        )
    return value
