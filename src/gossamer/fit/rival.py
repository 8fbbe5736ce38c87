"""The teacher cut to the budget: pruned, its layers fitted, measured until it fits. It trains beside the shortlist's best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.prune.repair import reconstruct
from gossamer.compress.prune.scores import Batches
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError
from gossamer.fit.candidates import Candidate
from gossamer.fit.config import FitConfig
from gossamer.fit.shortlist import Measured, measure_candidate
from gossamer.nn.objective import Objective
from gossamer.runs.pictures import SplitPictures
from gossamer.timing.table.latency_table import Platform
from gossamer.train.pace import save_average
from gossamer.zoo.spec import ModelSpec

__all__ = ["Rival", "cut_to_budget"]

_PICTURES, _BATCH = 256, 32
_FILE_BYTES = 60_000
"""Of an int8 file beside its weights, about."""
_TRIES = 5
_HEADROOM = 0.98
"""Of the size limit: what the shortlist leaves, and a little more."""
_LEAST = 0.1
"""Below this share of the teacher's params nothing of it is left worth keeping."""


class Rival(BaseModel):
    """The cut network, or why there is none."""

    candidate: Candidate | None
    note: str


def cut_to_budget(
    network: nn.Module,
    teacher: Candidate,
    config: FitConfig,
    pictures: SplitPictures,
    folder: Path,
    *,
    width: int,
    objective: Objective,
    below: Callable[[Path], str],
) -> Rival:
    """Prune the trained teacher until its files, measured, are within the budget; weights go into the folder.

    `below` gives a path as it stands in the run folder.
    """
    contract = teacher.input_contract()
    order = np.random.default_rng(config.seed).permutation(len(pictures.targets))[:_PICTURES]
    batches = [
        (
            torch.from_numpy(contract.normalise(pictures.pixels[np.sort(part)])),
            torch.from_numpy(pictures.targets[np.sort(part)]),
        )
        for part in np.array_split(order, -(-len(order) // _BATCH))
    ]
    share = _params_share(config, teacher)
    found: Measured | None = None
    for _ in range(_TRIES):
        if share < _LEAST:
            break
        try:
            block = Platform.here(runtime=config.on).channel_block
            cut = _cut(network, contract.shape, batches, share, block, objective)
        except GossamerError as error:
            return Rival(candidate=None, note=f"{teacher.key} was not cut: {error}")
        found = measure_candidate(_candidate(cut, teacher, contract.shape), config, width, folder)
        if found.fits:
            folder.mkdir(parents=True, exist_ok=True)
            save_average(folder / "start.safetensors", cut)
            made = found.candidate.model_copy(update={"start": below(folder / "start.safetensors")})
            note = f"{made.key}: {teacher.key} cut to {made.params / 1e6:.2f} M params and {made.macs / 1e6:.0f} M macs"
            return Rival(candidate=made, note=note)
        share *= _shrink(found, config)
    return Rival(candidate=None, note=f"{teacher.key} does not fit the budget at a tenth of its params")


def _shrink(found: Measured, config: FitConfig) -> float:
    """By how much the next try is smaller: as far as the size is over its limit, at least a little."""
    limit = config.budget.limit("size")
    least = min((file.size_bytes for file in found.files), default=0)
    over = limit is not None and least > _HEADROOM * limit.value
    return 0.99 * _HEADROOM * limit.value / least if limit is not None and over else 0.8


def _params_share(config: FitConfig, teacher: Candidate) -> float:
    """Where the limits of size and params put it, at one byte a weight."""
    shares = [0.9]
    if (size := config.budget.limit("size")) is not None:
        shares.append((_HEADROOM * size.value - _FILE_BYTES) / teacher.params)
    if (params := config.budget.limit("params")) is not None:
        shares.append(params.value / teacher.params)
    return min(shares)


def _cut(
    network: nn.Module,
    shape: tuple[int, ...],
    batches: Batches,
    share: float,
    block: int,
    objective: Objective,
) -> nn.Module:
    prunable = Prunable(network, shape, importance="reconstruction", batches=batches, objective=objective)
    prunable = prunable.in_multiples(prunable.widest_multiple(block))
    plan = prunable.plan(prunable.choose(share, what="params"))
    cut = apply_pruning(network, plan).eval()
    check_pruned(network, cut, plan, shape)
    return reconstruct(network, cut, plan, batches)


def _candidate(cut: nn.Module, teacher: Candidate, shape: tuple[int, ...]) -> Candidate:
    cost = measure(cut, shape)
    spec: ModelSpec = cut.spec  # type: ignore[assignment]
    return teacher.model_copy(
        update={
            "variant": "pruned",
            "weights": None,
            "edits": [dict(edit) for edit in spec.edits],
            "fitting": [],
            "params": cost.params,
            "macs": cost.macs,
        }
    )
