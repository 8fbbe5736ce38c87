"""Which learning rate or batch would suit a network on given pictures: measured, nothing is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gossamer.data.cache import load_pictures
from gossamer.data.check import check
from gossamer.fit.api import need_torch
from gossamer.fit.config import TrainConfig
from gossamer.fit.start import Start, recipe_name
from gossamer.train.finders import find_batch, find_learning_rate

__all__ = ["find_for"]

_PICTURES = 2048


def find_for(
    data: str | Path,
    model: str,
    what: str,
    *,
    recipe: str | None = None,
    settings: Sequence[str] = (),
    size: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Find the learning `rate` or the `batch`, as `what` says. Measured on up to 2,048 training pictures; the answer has `advice`, a sentence with the setting to use.

    Raises:
        DataError, ModelError, GossamerError: bad arguments or data.
    """
    import numpy as np

    need_torch()
    config = TrainConfig(
        data=str(data),
        model=model,
        recipe=recipe_name(model, recipe),
        settings=tuple(settings),
        size=size,
        seed=seed,
    ).checked()
    report = check(data, seed=seed)
    start = Start(config, report)
    side = start.candidate.size
    if what == "batch":
        batch = find_batch(start.network, start.contract, size=side)
        return {
            "batch": batch,
            "advice": f"larger batches than {batch} are not faster here: --set batch={batch}",
        }
    chosen = np.random.default_rng(seed).permutation(report.split.train)[:_PICTURES]
    samples = [report.dataset.samples[i] for i in chosen]
    with tempfile.TemporaryDirectory(prefix="gossamer-find-") as folder:
        array = load_pictures([s.path for s in samples], side, Path(folder), key=report.fingerprint)
        labels = np.array([s.label for s in samples], np.int64)
        curve = find_learning_rate(
            start.network, start.contract, start.recipe, array.pixels, labels, seed=seed
        )
    advice = f"the loss falls fastest at a rate of {curve.suggestion:.2g}: --set learning_rate={curve.suggestion:.2g}"
    return {**curve.to_json(), "advice": advice}
