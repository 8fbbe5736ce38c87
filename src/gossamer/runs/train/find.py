"""Which learning rate or batch would suit a network on given pictures: measured, nothing is kept."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gossamer.data.cache import load_pictures
from gossamer.runs.checking import opened
from gossamer.runs.names import check_names
from gossamer.runs.needs import need_torch
from gossamer.runs.train.config import TrainConfig
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
    samples = [dataset.samples[i] for i in chosen]
    objective = objective_of(dataset.task)
    with tempfile.TemporaryDirectory(prefix="gossamer-find-") as folder:
        array = load_pictures(
            [s.path for s in samples],
            start.contract.size,
            Path(folder),
            key=report.fingerprint,
            rule=start.contract.resize,
            bands=None if report.bands is None else report.bands.names,
            value_range=report.value_range,
        )
        curve = find_learning_rate(
            start.network,
            start.contract,
            start.recipe,
            array.pixels,
            start.task.array([s.target for s in samples], dataset.labels),
            objective=objective,
            width=len(dataset.labels),
            bands=report.bands,
            seed=config.seed,
        )
    advice = f"the loss falls fastest at a rate of {curve.suggestion:.2g}: --set learning_rate={curve.suggestion:.2g}"
    return {**curve.to_json(), "advice": advice}
