"""Which learning rate or batch would suit a network on given pictures: measured, nothing is kept."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gossamer.runs.checking import opened
from gossamer.runs.names import check_names
from gossamer.runs.needs import need_torch
from gossamer.runs.pictures import split_pictures
from gossamer.runs.train.config import TrainConfig
from gossamer.runs.train.prepare import Mapped
from gossamer.runs.train.start import Start, recipe_name
from gossamer.train.finders import find_batch, find_learning_rate
from gossamer.train.objective import objective_of

__all__ = ["find_for"]

_PICTURES = 2048


def find_for(config: TrainConfig, what: Literal["rate", "batch"]) -> dict[str, Any]:
    """Find the learning `rate` or the `batch` of a training, with every option that the training would have.

    Measured on up to 2,048 training pictures; the answer has `advice`, a sentence with the setting to use.

    Raises:
        DataError, ModelError, GossamerError: bad arguments or data.
    """
    need_torch()
    check_names(config)
    config = replace(config, recipe=recipe_name(config.model, config.recipe))
    report = opened(config.data, config)
    start = Start(config, report)
    if what == "batch":
        batch = find_batch(start.network, start.contract, size=start.contract.size)
        return {
            "batch": batch,
            "advice": f"larger batches than {batch} are not faster here: --set batch={batch}",
        }
    dataset = report.dataset
    chosen = np.random.default_rng(config.seed).permutation(report.split.train)[:_PICTURES]
    some = replace(report, split=replace(report.split, train=tuple(chosen.tolist())))
    objective = objective_of(dataset.task)
    with tempfile.TemporaryDirectory(prefix="gossamer-find-") as folder:
        pictures = split_pictures(some, "train", start.contract, Mapped(Path(folder)))
        curve = find_learning_rate(
            start.network,
            start.contract,
            start.recipe,
            pictures.pixels,
            pictures.targets,
            objective=objective,
            width=len(dataset.labels),
            bands=report.bands,
            seed=config.seed,
        )
    advice = f"the loss falls fastest at a rate of {curve.suggestion:.2g}: --set learning_rate={curve.suggestion:.2g}"
    return {**curve.to_json(), "advice": advice}
