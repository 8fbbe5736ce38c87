"""ResNet-20 with few bits on CIFAR-10 (JPEG copies): k-means without training, then minutes of training at 4 bits to one.

Judged on all 10,000 test pictures: a standard error of at most 0.4 points. Whatever is chosen (weights of the best
validation, statistics of norms) is chosen on 1,000 pictures of the training split that nothing is trained on. Training
is the recipe `finetune-compressed` with AdamW and no smoothing; rate, batch, and whether the published float network
teaches, stand in `ROWS`. "fp32" is what the same training makes of the float network, from labels only. The published
weights were trained on PNG: part of what every row wins is getting used to JPEG. Times are of the processor, one thread,
validation among them.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks._pictures import answers, cifar, cifar_weights, tensors, trained
from gossamer.compress.prune.scores import Batches
from gossamer.compress.quantize.qat_apply import apply_bits
from gossamer.compress.quantize.qat_codebook import better_norms, share_weights
from gossamer.compress.quantize.qat_plan import BitPlan, plan_bits
from gossamer.compress.quantize.schedule import BinaryStages, shaping_of
from gossamer.deploy.contract import InputContract
from gossamer.nn.layer_bits import Kind
from gossamer.train.loop import train_until
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Steps, Training
from gossamer.zoo.checkpoints import read_checkpoint

SHAPE = (1, 3, 32, 32)
HELD, NORMS, CALIBRATION = 1000, 2048, 256


class Row(NamedTuple):
    """What is trained: kind and bits of the weights, bits of the activations; fp32 without a kind."""

    kind: Kind | None
    bits: int
    activation_bits: int | None
    rate: float = 1e-3
    taught: bool = False
    """By the published float network, beside the labels."""
    batch: int = 64
    second: float = 0.4
    """Of binary inputs: the progress from which on weights are binary too."""


ROWS: dict[str, Row] = {
    "fp32": Row(None, 32, None),
    "uniform-4": Row("uniform", 4, 8),
    "pot-5": Row("pot", 5, None),
    "apot-4": Row("apot", 4, None),
    "apot-5": Row("apot", 5, None),
    "ternary": Row("ternary", 2, None, taught=True),
    "binary": Row("binary", 1, None, taught=True),
    "binary-binary": Row("binary", 1, 1, rate=2e-3, taught=True, batch=32, second=0.3),
}


class Data(NamedTuple):
    """Pictures by what they are for."""

    fit: Pictures
    norms: Batches
    metric: Callable[[nn.Module], float]
    """Share right of the pictures held back."""
    test: Callable[[nn.Module], float]


def run() -> Iterator[str]:
    """One line a row; `GOSSAMER_LOW_BITS` may name rows, `GOSSAMER_LOW_BITS_STEPS` say how many steps each."""
    torch.set_num_threads(1)
    chosen = os.environ.get("GOSSAMER_LOW_BITS", ",".join(["kmeans", *ROWS])).split(",")
    steps = int(os.environ.get("GOSSAMER_LOW_BITS_STEPS", "500"))
    network, preprocessing = trained("resnet20_cifar", cifar_weights(20))
    contract = InputContract.of(preprocessing, 32)
    data = _data(preprocessing)
    yield f"fp32 as published: {100 * data.test(network):.2f} %"
    if "kmeans" in chosen:
        yield from _without_training(network, data)
    for name in [name for name in chosen if name in ROWS]:
        yield _trained(name, network, contract, data, steps)


def _data(preprocessing: str) -> Data:
    pixels, labels = cifar("train")
    judged, right = cifar("test")
    order = np.random.default_rng(0).permutation(len(pixels))
    held, rest = order[:HELD], order[HELD:]
    fit = Pictures(pixels[rest], labels[rest], pixels[held], labels[held])
    norms = [
        (tensors(pixels[rest[at : at + CALIBRATION]], preprocessing), None)
        for at in range(0, NORMS, CALIBRATION)
    ]

    def judge(pictures: torch.Tensor, wanted: np.ndarray) -> Callable[[nn.Module], float]:
        return lambda network: float(np.mean(answers(network, pictures, 250) == wanted))

    return Data(
        fit,
        norms,
        judge(tensors(fit.val, preprocessing), fit.val_labels),
        judge(tensors(judged, preprocessing), right),
    )


def _without_training(network: nn.Module, data: Data) -> Iterator[str]:
    """Codebooks of each layer; norms where that is better on what was held back, beside the float network's own."""
    for bits in (32, 4, 3):
        start = time.process_time()
        shared = network if bits == 32 else share_weights(network, bits)
        mended, share = better_norms(shared, data.norms, data.metric)
        seconds = time.process_time() - start
        name = "fp32" if bits == 32 else f"k-means {bits} bit"
        held = [f"{100 * data.metric(each):.1f}" for each in (shared, mended)]
        yield (
            f"{name}, no training: {100 * data.test(mended):.2f} %, norms {share:.0%} of the way to these pictures "
            f"(held back {held[0]} % before, {held[1]} % after, {seconds:.0f} CPU s)"
        )


def _trained(name: str, network: nn.Module, contract: InputContract, data: Data, steps: int) -> str:
    row = ROWS[name]
    plan = BitPlan({}, {})
    made = copy.deepcopy(network)
    if row.kind is not None:
        plan = plan_bits(network, SHAPE, weights=row.kind, bits=row.bits, activation_bits=row.activation_bits)
        made = apply_bits(network, plan, data.norms[:1])
    before = data.metric(made)
    recipe = replace(
        named_recipe("finetune-compressed", view="ground", pictures=len(data.fit.train)),
        learning_rate=row.rate,
        weight_decay=0.0 if row.taught else 0.05,
        batch=row.batch,
        label_smoothing=0.0,
        patience=1000,
    )
    teaching = None
    if row.taught:
        teaching = Teaching(network, made, recipe.distillation, num_classes=10, contract=contract)
    start = time.process_time()
    with tempfile.TemporaryDirectory(prefix="gossamer-bits-") as folder:
        training = Training(
            network=made,
            contract=contract,
            recipe=recipe,
            pictures=data.fit,
            folder=Path(folder),
            length=Steps(steps),
            labels=tuple("0123456789"),
            teaching=teaching,
            shaping=BinaryStages(row.second) if row.activation_bits == 1 else shaping_of(plan.layers),
        )
        train_until(training, steps)
        made.load_state_dict(read_checkpoint(Path(folder) / "best.safetensors"))
    seconds = time.process_time() - start
    made.eval()
    mended, share = better_norms(made, data.norms, data.metric, shares=(0.5, 1.0))
    costs = plan.costs()
    told = (
        f", {costs.weight_bytes / 1e3:.1f} kB of weights, {costs.bops / 1e6:.0f} M bit operations"
        if plan.layers
        else ""
    )
    return (
        f"{name}: {100 * data.test(mended):.2f} % after {steps} steps ({seconds:.0f} CPU s; held back {100 * before:.1f} % before, "
        f"{100 * data.metric(mended):.1f} % after, norms {share:.0%}){told}"
    )
