"""The options of `gossamer train`."""

from __future__ import annotations

from typing import Literal

from gossamer.errors import GossamerError
from gossamer.runs.config import TrainedConfig, parse_size
from gossamer.runs.options import config, option
from gossamer.types import RESIZE_RULES

__all__ = ["TrainConfig"]

_TRAINING, _NETWORK, _PROCESSES = "Training", "Network", "Processes"


@config
class TrainConfig(TrainedConfig):
    """What a training was asked for."""

    data: str = option(
        ...,
        "Folder of pictures, file of annotations, or demo:scenes, demo:boxes: made in code.",
        positional=True,
    )
    model: str = option(
        ...,
        "Catalogue name, NAME@WEIGHTS, detector:BACKBONE+NECK+HEAD, timm:NAME, torchvision:NAME or a bundle.",
        group=_NETWORK,
    )
    size: str | None = option(
        None, "Side in pixels, or HEIGHTxWIDTH; by the pictures without.", group=_NETWORK, example="128"
    )
    resize: str | None = option(
        None,
        f"How pictures come to that size: {', '.join(RESIZE_RULES)}.",
        group=_NETWORK,
        choices=RESIZE_RULES,
    )
    recipe: str | None = option(
        None,
        "small-data, from-scratch, finetune-compressed, paper:FAMILY or a FILE.yaml that --print-recipe wrote; by the weights without.",
        group=_TRAINING,
    )
    set: tuple[str, ...] = option((), "key=value over the recipe; may be given again.", group=_TRAINING)
    teacher: str | None = option(
        None, "Trained network to follow: a bundle, or several with +.", group=_TRAINING
    )
    epochs: float | None = option(
        None, "Passes over the training split.", group=_TRAINING, least=0.01, most=100_000, example="10"
    )
    minutes: float | None = option(
        None, "Training time instead.", group=_TRAINING, least=0.05, most=60 * 24 * 7, example="10"
    )
    metric: str = option(
        "auto",
        "What the best weights are chosen by: a figure of the task, balanced, or loss.",
        group=_TRAINING,
    )
    strategy: Literal["auto", "ddp"] = option(
        "auto", "auto, or ddp for several processes.", group=_PROCESSES, choices=("auto", "ddp")
    )
    devices: int = option(1, "Processes, one a GPU, on each machine.", group=_PROCESSES, least=1, most=1024)
    nodes: int = option(1, "Machines, started by torchrun or SLURM.", group=_PROCESSES, least=1, most=1024)

    def check(self) -> None:
        """As of every config; and epochs and minutes are not given both.

        Raises:
            GossamerError: one line for a person.
        """
        super().check()
        if self.epochs is not None and self.minutes is not None:
            raise GossamerError(
                f"a run is so many epochs or so many minutes, got --epochs {self.epochs:g} and --minutes {self.minutes:g}; give one"
            )
        if self.size is not None:
            parse_size(self.size)
