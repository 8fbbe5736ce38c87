"""int8 files of one network for one runtime, in the order in which they are tried until a guard is content.

First the plain file at every setting of the runtime, then that of a network whose scales and biases were edited for
int8, at last, where the runtime's quantizer can do it, a file whose worst layers stay fp32.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.quantize.edits import Edits, edit_for_int8
from gossamer.data.cache import Pixels
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.convert import convert, post_training
from gossamer.deploy.runtimes.parts import MixedFile, PostTraining, Setting
from gossamer.errors import ModelError
from gossamer.tasks import Task, get_objective

__all__ = ["Inputs", "calibration_inputs", "int8_files"]

_CALIBRATION_PICTURES = 256
_EDIT_PICTURES = 32
_SENSITIVITY_PICTURES = 32
_MIXED_TIMES = 4
"""What finding the worst layers takes, in files of the ways before it."""
_MOST_FP32 = 6
"""Layers that may stay fp32 before int8 is given up."""

Inputs = Sequence[NDArray[np.float32]]


def calibration_inputs(pixels: Pixels, contract: InputContract, seed: int) -> Inputs:
    """Prepared inputs (1, bands, H, W) of up to 256 of the training pictures (N, H, W, bands), drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(pixels))[:_CALIBRATION_PICTURES]
    return [contract.normalise(pixels[i : i + 1]) for i in sorted(order.tolist())]


def int8_files(
    network: nn.Module,
    contract: InputContract,
    source: Path,
    calibration: Inputs,
    score: Callable[[Path], float],
    *,
    task: Task,
    on: str,
    max_drop: float,
    tell: Callable[[str], None],
    until: float = math.inf,
) -> Iterator[tuple[Path, str]]:
    """(file, how it was made), each written beside the exported fp32 file `source` when it is asked for.

    `score` measures a file, a share, the higher the better: which layers stay fp32 is found by it. Where the first setting
    cannot be made no file is; what cannot be made further down is told and passed over (NNCF's full bias correction fails
    on some graphs with branches). After the first none is begun that is not expected to be ready by `until`, a time of
    `time.monotonic`.
    """
    makes = post_training(on)
    ways: list[Callable[[], tuple[Path, str]]] = [
        *(partial(_plain, source, calibration, how, on) for how in makes.ladder),
        partial(_edited, network, contract, source, calibration, makes.ladder[0], task, on),
    ]
    if makes.keep_worst is not None:
        ways.append(partial(_mixed, makes, makes.keep_worst, source, calibration, score, max_drop))
    longest = 0.0
    for number, way in enumerate(ways):
        began = time.monotonic()
        expected = longest * (_MIXED_TIMES if number == len(ways) - 1 else 1)
        if number and began + expected > until:
            tell(f"{len(ways) - number} more ways to int8 were not tried: the minutes are used up")
            return
        try:
            made = way()
            longest = max(longest, time.monotonic() - began)
        except ModelError as error:
            tell(str(error))
            if number == 0:
                return
        else:
            yield made


def _plain(source: Path, calibration: Inputs, how: Setting, on: str) -> tuple[Path, str]:
    return convert(source, "int8", calibration, how, on=on), how.label


def _edited(
    network: nn.Module,
    contract: InputContract,
    source: Path,
    calibration: Inputs,
    how: Setting,
    task: Task,
    on: str,
) -> tuple[Path, str]:
    edits, exported = Edits(), source.parent / "edited" / source.name
    exported.parent.mkdir(exist_ok=True)
    pictures = torch.from_numpy(np.concatenate(list(calibration[:_EDIT_PICTURES])))
    edited = edit_for_int8(network, pictures, edits, objective=get_objective(task.name))
    get_runtime(on, making=True).export(edited, contract, exported, outputs=task.outputs)
    return convert(exported, "int8", calibration, how, on=on), f"{how.label}, {edits.label}"


def _mixed(
    makes: PostTraining,
    keep_worst: Callable[..., MixedFile],
    source: Path,
    calibration: Inputs,
    score: Callable[[Path], float],
    max_drop: float,
) -> tuple[Path, str]:
    target = source.with_name(f"int8-mixed{source.suffix}")
    found = keep_worst(
        source,
        target,
        calibration[:: len(calibration) // _SENSITIVITY_PICTURES or 1],
        score,
        max_drop=max_drop,
        most=_MOST_FP32,
    )
    return target, f"{makes.ladder[0].label}, {len(found.kept)} layers in fp32"
