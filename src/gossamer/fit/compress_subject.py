"""What is compressed: a network with its input contract and, of a bundle, the names of its classes; and pictures."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.prune.scores import Batches
from gossamer.data.bands import RGB
from gossamer.data.cache import Pixels
from gossamer.data.check import CheckReport
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.fit.checking import check_seed
from gossamer.fit.compress_config import SubjectConfig
from gossamer.fit.folder import RunFolder
from gossamer.fit.pictures import SplitPictures, split_pictures
from gossamer.fit.reporter import Reporter
from gossamer.fit.training import view_of
from gossamer.nn.edits.fuse import fuse
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.of_bundle import network_of
from gossamer.zoo.spec import ModelSpec, parse_model
from gossamer.zoo.weights import find_source

__all__ = ["Judge", "Subject", "open_subject", "trained_on"]

_CALIBRATION_PICTURES = 256
_CALIBRATION_BATCH = 32
_JUDGED_BATCH = 64
_ABOVE_CHANCE = 3.0
"""A network by name knows the data's classes in their order if it is right this many times as often as chance."""


@dataclass(frozen=True)
class Subject:
    """A network as it came."""

    network: nn.Module
    spec: ModelSpec
    contract: InputContract
    labels: tuple[str, ...]
    """Of a bundle; else the numbers of the classes."""
    named: bool
    """Whether `labels` are names."""
    bundle: Bundle | None = None
    """Where it came from, if from one."""


def open_subject(config: SubjectConfig) -> Subject:
    """A bundle's network, or one by name with its weights.

    Raises:
        ModelError, BundleError: it cannot be built.
    """
    if (Path(config.model) / "model.json").is_file():
        bundle = load(config.model)
        return Subject(
            network_of(bundle),
            bundle.spec,
            _asked(bundle.contract, config),
            bundle.labels,
            named=True,
            bundle=bundle,
        )
    spec, weights = parse_model(config.model)
    network = build(config.model, seed=config.seed).eval()
    source = find_source(spec.name, weights)[1] if weights is not None else None
    side = CATALOGUE[spec.name].input if spec.name in CATALOGUE else 224
    contract = _asked(InputContract.of("imagenet" if source is None else source.preprocessing, side), config)
    with torch.no_grad():
        scores = network(torch.zeros(contract.shape))
    if scores.dim() != 2:
        raise ModelError(
            f"networks are taken that give scores (B, classes), {config.model} gives {tuple(scores.shape)}"
        )
    known = ModelSpec(spec.name, getattr(network, "spec", spec).arguments, spec.edits)
    return Subject(network, known, contract, tuple(str(i) for i in range(scores.shape[1])), named=False)


def trained_on(subject: Subject) -> dict[str, Any]:
    """Which pictures, and which split of them, the network has seen: what is made of it has seen the same."""
    known = {} if subject.bundle is None else subject.bundle.provenance
    return {key: known[key] for key in ("data fingerprint", "seed") if key in known}


def _asked(contract: InputContract, config: SubjectConfig) -> InputContract:
    if config.input is None:
        return contract
    bands, height, width = config.input
    if bands != len(contract.bands) or height != width:
        raise ModelError(
            f"the network takes {len(contract.bands)} bands of a square, got --input {bands}x{height}x{width}; "
            f"give e.g. {len(contract.bands)}x{height}x{height}"
        )
    return InputContract.from_json({**contract.to_json(), "size": list(Size(height, width))})


class Judge:
    """Pictures to calibrate on, and the metric on others: accuracy where the classes are known, else agreement.

    Agreement is how often a network names what the uncompressed one names.
    """

    def __init__(
        self,
        subject: Subject,
        report: CheckReport,
        config: SubjectConfig,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        """Raises: ModelError: the data have other classes than the bundle."""
        if subject.bundle is not None:
            check_seed(subject.bundle, report, config.seed)
        self.contract, self.view = subject.contract, view_of(config, report)
        theirs = tuple(report.dataset.labels)
        if subject.named and subject.labels != theirs:
            raise ModelError(
                f"{config.model} knows {len(subject.labels)} classes ({', '.join(subject.labels[:3])} ...), {config.data} has "
                f"{len(theirs)} ({', '.join(theirs[:3])} ...); give the data that it was trained on"
            )
        names = RGB if report.bands is None else report.bands.names
        if names != subject.contract.bands:
            raise ModelError(
                f"{config.model} takes the bands {', '.join(subject.contract.bands)}, {config.data} is read as "
                f"{', '.join(names)}; choose them with --bands"
            )
        side = subject.contract.size.height
        self.train: SplitPictures = split_pictures(report, "train", side, run, reporter)
        self.val: SplitPictures = split_pictures(report, "val", side, run, reporter)
        self._network = subject.network
        answers = self._answers(subject.network, self.val.pixels)
        right = float(np.mean(answers == self.val.labels))
        fits = len(subject.labels) == len(theirs) and right >= _ABOVE_CHANCE / len(theirs)
        self.labelled = subject.named or fits
        self.labels = theirs if fits else subject.labels
        self.truth = self.val.labels if self.labelled else answers
        self.base = right if self.labelled else 1.0
        """The metric of the network as it came."""
        if not subject.named:
            reporter.line(
                f"the network names {100 * right:.1f} % of validation as the data do: "
                + ("its classes are the data's" if fits else "judged by agreement with itself")
            )

    @property
    def what(self) -> str:
        """The metric's name."""
        return "accuracy" if self.labelled else "agreement"

    def batches(self, seed: int) -> Batches:
        """Calibration pictures of the training split, with labels where they are known."""
        order = np.random.default_rng(seed).permutation(len(self.train.pixels))[:_CALIBRATION_PICTURES]
        found = []
        for start in range(0, len(order), _CALIBRATION_BATCH):
            part = np.sort(order[start : start + _CALIBRATION_BATCH])
            pictures = torch.from_numpy(self.contract.normalise(self.train.pixels[part]))
            labels = torch.from_numpy(self.train.labels[part]) if self.labelled else None
            found.append((pictures, labels))
        return found

    def metric(self, network: nn.Module) -> float:
        """Share of the validation pictures that the network names as it should."""
        return float(np.mean(self._answers(network, self.val.pixels) == self.truth))

    def truth_of(self, pictures: SplitPictures) -> NDArray[np.int64]:
        """What a network should name these pictures: their labels, or what the uncompressed network names them."""
        return pictures.labels if self.labelled else self._answers(self._network, pictures.pixels)

    def _answers(self, network: nn.Module, pixels: Pixels) -> NDArray[np.int64]:
        found, quick = [], _quick(network)
        with torch.no_grad():
            for start in range(0, len(pixels), _JUDGED_BATCH):
                pictures = torch.from_numpy(self.contract.normalise(pixels[start : start + _JUDGED_BATCH]))
                rows = pictures.contiguous(memory_format=torch.channels_last)
                found.append(quick(rows).argmax(1).numpy())
        return np.concatenate(found)


def _quick(network: nn.Module) -> nn.Module:
    """A copy that gives the same scores in 0.54 to 0.83 of the time: norms folded, channels last."""
    try:
        made = fuse(network)
    except ModelError:  # a foreign network whose numbers cannot be followed
        made = copy.deepcopy(network)
    return made.eval().to(memory_format=torch.channels_last)
