"""Whether a network still answers as it should: held against the data, or against what it answered at first."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.prune.scores import Batches
from gossamer.data.bands import RGB
from gossamer.data.cache import Pixels
from gossamer.data.check import CheckReport
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.modes import said_by
from gossamer.runs.checking import check_split, view_of
from gossamer.runs.folder import RunFolder
from gossamer.runs.model import Model
from gossamer.runs.model_config import ModelConfig
from gossamer.runs.pictures import SplitPictures, split_pictures, together
from gossamer.runs.reporter import Reporter
from gossamer.tasks import Outputs, get_task

__all__ = ["ABOVE_CHANCE", "Judge"]

_CALIBRATION_PICTURES = 256
_CALIBRATION_BATCH = 32
_JUDGED_BATCH = 64
ABOVE_CHANCE = 3.0
"""A classifier by name knows the data's classes in their order if it is right this many times as often as chance."""


class Judge:
    """Pictures to calibrate on, and the metric on others: the task's headline where targets are known, else agreement.

    Agreement is the same figure where what the uncompressed network answers is taken for true.
    """

    def __init__(
        self, model: Model, report: CheckReport, config: ModelConfig, run: RunFolder, reporter: Reporter
    ) -> None:
        """Raises: ModelError: the data are of another task, or have other labels than the bundle."""
        self.contract, self.view = model.contract, view_of(config.view, report)
        self.task = get_task(report.dataset.task)
        self._check(model, report, config)
        self.train: SplitPictures = split_pictures(report, "train", self.contract, run, reporter)
        self.val: SplitPictures = split_pictures(report, "val", self.contract, run, reporter)
        self._network = model.network
        theirs = tuple(report.dataset.labels)
        outputs = self._outputs(model.network, self.val.pixels)
        right = None
        if model.named or len(model.labels) == len(theirs):
            right = self.task.worth(outputs, self.val.targets, theirs)
        self.labelled = model.named or (right is not None and right >= ABOVE_CHANCE / len(theirs))
        self.labels = theirs if self.labelled else model.labels
        self.truth = self.val.targets if self.labelled else self.task.answers(outputs)
        self.base = right if self.labelled and right is not None else 1.0
        """The metric of the network as it came."""
        if not model.named:
            told = (
                "has other classes"
                if right is None
                else f"names {100 * right:.1f} % of validation as the data do"
            )
            judged = "its classes are the data's" if self.labelled else "judged by agreement with itself"
            reporter.line(f"the network {told}: {judged}")

    def _check(self, model: Model, report: CheckReport, config: ModelConfig) -> None:
        if model.bundle is not None:
            check_split(model.bundle, report, config.split_seed)
        if model.named and model.task.name != self.task.name:
            raise ModelError(
                f"{config.model} was trained to {model.task.name}, {config.data} holds targets of {self.task.name}; "
                "give the data that it was trained on"
            )
        if not model.named and self.task.name != "classify":
            raise ModelError(
                f"{config.data} holds targets of {self.task.name}, which {config.model} was not trained for; train it first, "
                "gossamer train DATA --model NAME, and give its bundle"
            )
        theirs = tuple(report.dataset.labels)
        if model.named and model.labels != theirs:
            raise ModelError(
                f"{config.model} knows {len(model.labels)} {self.task.nouns or 'quantities'} "
                f"({', '.join(model.labels[:3])} ...), {config.data} has "
                f"{len(theirs)} ({', '.join(theirs[:3])} ...); give the data that it was trained on"
            )
        names = RGB if report.bands is None else report.bands.names
        if names != model.contract.bands:
            raise ModelError(
                f"{config.model} takes the bands {', '.join(model.contract.bands)}, {config.data} is read as "
                f"{', '.join(names)}; choose them with --bands"
            )

    @property
    def what(self) -> str:
        """The metric's name."""
        return self.task.headline.words if self.labelled else "agreement"

    def shown(self, value: float) -> str:
        """A value of the metric for a person."""
        return self.task.headline.shown(value)

    def batches(self, seed: int) -> Batches:
        """Calibration pictures of the training split, with targets where they are known."""
        order = np.random.default_rng(seed).permutation(len(self.train.pixels))[:_CALIBRATION_PICTURES]
        groups = []
        for start in range(0, len(order), _CALIBRATION_BATCH):
            part = np.sort(order[start : start + _CALIBRATION_BATCH])
            pictures = torch.from_numpy(self.contract.normalise(self.train.pixels[part]))
            targets = torch.from_numpy(self.train.targets[part]) if self.labelled else None
            groups.append((pictures, targets))
        return groups

    def metric(self, network: nn.Module) -> float:
        """How well the network answers the validation pictures as it should; 1 is perfect."""
        return self.task.worth(self._outputs(network, self.val.pixels), self.truth, self.labels)

    def truth_of(self, pictures: SplitPictures) -> NDArray[Any]:
        """What a network should answer: the targets, or what the uncompressed network says."""
        if self.labelled:
            return pictures.targets
        return self.task.answers(self._outputs(self._network, pictures.pixels))

    def _outputs(self, network: nn.Module, pixels: Pixels) -> Outputs:
        rows, quick = [], _quick(network)
        for start in range(0, len(pixels), _JUDGED_BATCH):
            pictures = torch.from_numpy(self.contract.normalise(pixels[start : start + _JUDGED_BATCH]))
            said = said_by(quick, pictures.contiguous(memory_format=torch.channels_last))
            rows.append(self.task.condensed(said))
        return together(rows)


def _quick(network: nn.Module) -> nn.Module:
    """A copy that gives the same outputs in 0.54 to 0.83 of the time: norms folded, channels last."""
    try:
        made = fuse(network)
    except ModelError:  # a foreign network whose numbers cannot be followed
        made = copy.deepcopy(network)
    return made.eval().to(memory_format=torch.channels_last)
