"""What `train` puts together before it begins: pictures, length, teacher."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from gossamer._files import cache_folder, sha256
from gossamer.data.check import CheckReport
from gossamer.deploy.contract import InputContract
from gossamer.runs.folder import RunFolder
from gossamer.runs.pictures import split_pictures
from gossamer.runs.reporter import Reporter
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.train.start import Start
from gossamer.train.loop import steps_of
from gossamer.train.objective import objective_of
from gossamer.train.processes import Processes
from gossamer.train.score_cache import ScoreCache, make_room
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Seconds, Training

__all__ = ["Mapped", "pictures_of", "training_of"]


class Mapped:
    """The first process's folder, for those that only read its pictures."""

    def __init__(self, path: Path) -> None:
        self.path = path


def pictures_of(
    report: CheckReport, contract: InputContract, run: RunFolder | Mapped, reporter: Reporter
) -> Pictures:
    """Training and validation pictures at the contract's size, kept in the run's folder."""
    train, val = (split_pictures(report, name, contract, run, reporter) for name in ("train", "val"))
    return Pictures(train.pixels, train.targets, val.pixels, val.targets, train.bands)


def training_of(
    config: TrainConfig, report: CheckReport, start: Start, pictures: Pictures, folder: Path
) -> Training:
    """The training that the options ask for, with the teacher where there is one."""
    recipe, width = start.recipe, len(report.dataset.labels)
    epochs = config.epochs if config.epochs is not None else recipe.epochs
    steps = steps_of(len(pictures.train_targets), batch=recipe.batch, epochs=epochs)
    length = steps if config.minutes is None else Seconds(60 * config.minutes)
    teaching = None
    if start.teacher is not None:
        teacher, contract = start.teacher
        cache = None
        objective = objective_of(start.task.name)
        if objective.probes and config.minutes is None and config.devices * config.nodes == 1:
            seen = f"{config.seed} {report.fingerprint} {report.split_digest} {start.contract.to_json()} {steps.count}"
            key = f"{_teacher_digest(config.teacher or '')} {recipe.of_pictures()} {seen}"
            make_room(cache_folder() / "teachers")
            cache = ScoreCache(
                cache_folder() / "teachers" / _digest(key),
                steps=steps.count,
                batch=recipe.batch,
                width=width,
                key=key,
            )
        teaching = Teaching(
            teacher,
            start.network,
            recipe.distillation,
            width=width,
            objective=objective,
            contract=start.contract,
            teacher_contract=contract,
            cache=cache,
        )
    return Training(
        network=start.network,
        contract=start.contract,
        recipe=recipe,
        pictures=pictures,
        folder=folder / "train",
        length=length,
        seed=config.seed,
        task=start.task,
        labels=tuple(report.dataset.labels),
        teaching=teaching,
        threads=torch.get_num_threads(),
        metric=start.metric,
        processes=Processes(config.strategy, config.devices, config.nodes),
    )


def _teacher_digest(text: str) -> str:
    """What the teachers are, not only what they are called: a bundle may be trained again under its name."""
    found = []
    for part in [text] if Path(text).is_dir() else text.split("+"):
        name = part.strip()
        files = (Path(name, "weights.safetensors"), Path(name.partition("@")[2] or "."))
        found.append(f"{name} {next((sha256(file) for file in files if file.is_file()), '')}")
    return " + ".join(found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]
