"""Zeros in ResNet-20 on the CIFAR-10 JPEG set: at once, with and without pictures, and gradually in training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks._pictures import answers, cifar, cifar_weights, tensors, trained
from gossamer.compress.method import Work
from gossamer.compress.methods import parse_method
from gossamer.compress.sparse.method import Sparsify
from gossamer.deploy.contract import InputContract
from gossamer.train.loop import train_until
from gossamer.train.recipes import named_recipe
from gossamer.train.teachers import Teaching
from gossamer.train.training import Pictures, Seconds, Training
from gossamer.zoo.checkpoints import read_checkpoint

SHAPE = (1, 3, 32, 32)
SHARES = (0.5, 0.7, 0.8, 0.9)
PATTERNS = ("2:4", "1:4")
JUDGED, CHOSEN_ON, CALIBRATED_ON = 2_000, 1_000, 512
TRAINED_SECONDS = 120.0


def run() -> Iterator[str]:
    """Judged on 2,000 test pictures; what is kept with pictures is chosen on 1,000 training pictures."""
    torch.set_num_threads(1)
    network, pre = trained("resnet20_cifar", cifar_weights(20))
    (pixels, labels), (test, truth) = cifar("train", 1_000), cifar("test", JUDGED // 10)
    order = np.random.default_rng(0).permutation(len(labels))
    held, rest = order[:CHOSEN_ON], order[CHOSEN_ON:]
    judged, choosing = tensors(test, pre), tensors(pixels[held], pre)

    def right(each: nn.Module) -> float:
        return 100 * float(np.mean(answers(each, judged, 250) == truth))

    def metric(each: nn.Module) -> float:
        return float(np.mean(answers(each, choosing, 250) == labels[held]))

    parts = np.split(rest[:CALIBRATED_ON], 8)
    batches = [(tensors(pixels[part], pre), torch.from_numpy(labels[part])) for part in parts]
    yield f"whole: {right(network):.1f} % of {JUDGED}"
    for text in (
        *(f"share={share:.0%}" for share in SHARES),
        *(f"pattern={pattern}" for pattern in PATTERNS),
    ):
        method = parse_method(f"sparsify:{text}")
        assert isinstance(method, Sparsify)
        found = []
        for work in (Work(SHAPE), Work(SHAPE, batches, metric)):
            proposal = method.propose(network, work)
            found.append(right(method.apply(network, proposal.plan(proposal.parts), work)))
        began = time.process_time()
        learnt = right(
            _trained(
                network,
                method,
                InputContract.of(pre, 32),
                Pictures(pixels[rest], labels[rest], pixels[held], labels[held]),
            )
        )
        yield (
            f"{text}: by size {found[0]:.1f} %, with pictures {found[1]:.1f} %, "
            f"trained {learnt:.1f} % ({time.process_time() - began:.0f} CPU s)"
        )


def _trained(network: nn.Module, method: Sparsify, contract: InputContract, pictures: Pictures) -> nn.Module:
    """Zeros that grow while the network follows its dense self."""
    work = Work(SHAPE, trains=True)
    proposal = method.propose(network, work)
    plan = proposal.plan(proposal.parts)
    sparse = method.apply(network, plan, work)
    recipe = named_recipe("finetune-compressed", pictures=len(pictures.train_labels))
    with tempfile.TemporaryDirectory(prefix="gossamer-sparse-") as folder:
        training = Training(
            network=sparse,
            contract=contract,
            recipe=recipe,
            pictures=pictures,
            folder=Path(folder),
            length=Seconds(TRAINED_SECONDS),
            teaching=Teaching(network, sparse, recipe.distillation, num_classes=10, contract=contract),
            shaping=method.shaping(sparse, plan),
        )
        train_until(training, TRAINED_SECONDS)
        sparse.load_state_dict(read_checkpoint(Path(folder, "best.safetensors")))
    return sparse.eval()
