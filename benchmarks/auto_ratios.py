"""Which driver finds the best pruning ratios at half of the macs, before any fine-tuning: all with the same evaluations.

ResNet-56 on CIFAR-10 as JPEG: searched on 400 training pictures, calibrated on 64 (norms, in the search) and 256 (the
final repair) others, judged by 2,000 test pictures. MobileNetV1-0.75 on the 500 ImageNet samples at 128 pixels: searched
on 186 of one half and calibrated on the other 64 of it (the final repair on all 250, without labels), judged by the
other half; there the search fits layers too, since norms alone leave nothing to compare. Channels are ranked by
`reconstruction`, in every row. The search's score is how well the whole network's answers are kept, exp(-KL), in bfloat16
and without labels: it moves where accuracy on so few pictures stands still, and the mean probability of the right class,
tried first, is led by a few pictures of the search. What is judged is accuracy in fp32, of the network with norms estimated
anew and of the one whose layers were fitted besides. "width" is a width multiplier, "ranked" what `prune` chooses over
all layers, from which every search starts where it is better than uniform ratios.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._pictures import MOBILENET, Numbers, answers, cifar, cifar_weights, imagenet, tensors, trained
from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.repair import reconstruct, reestimate_norms
from gossamer.compress.ratios.drivers import compare
from gossamer.compress.ratios.environment import Environment, Repair
from gossamer.nn.edits.fuse import fuse
from gossamer.search.uniform import width_multiplier

MACS = 0.5
SEEDS = {"amc": (0, 1, 2), "evolve": (0, 1, 2), "integer": (0,), "netadapt": (0,)}


@dataclass(frozen=True)
class Bench:
    """A network and its pictures."""

    network: nn.Module
    shape: tuple[int, ...]
    calibration: Tensor
    searched: Tensor
    judged: tuple[Tensor, Numbers]
    evaluations: int
    repair: Repair = "norms"

    def environment(self) -> Environment:
        """A fresh one, so that no driver finds measured what another has paid for."""
        return Environment(
            self.network,
            self.shape,
            metric=fidelity(self.network, self.searched),
            macs=MACS,
            batches=[(self.calibration[:64], None)],
            importance="reconstruction",
            repair=self.repair,
        )

    def accuracies(self, plan: PrunePlan) -> tuple[float, float]:
        """Per cent right, with norms estimated anew; and with layers fitted, and norms if the score likes it better."""
        batches = [(part, None) for part in self.calibration.split(64)]
        cut = apply_pruning(self.network, plan).eval()
        fitted = reconstruct(self.network, cut, plan, batches)
        fitted = max(fitted, reestimate_norms(fitted, batches), key=fidelity(self.network, self.searched))
        return self.accuracy(reestimate_norms(cut, batches)), self.accuracy(fitted)

    def accuracy(self, network: nn.Module) -> float:
        """Per cent of the judged pictures that are named right."""
        pictures, labels = self.judged
        return 100 * float(
            np.mean(answers(fuse(network).to(memory_format=torch.channels_last), pictures) == labels)
        )


def fidelity(whole: nn.Module, pictures: Tensor, batch: int = 100) -> Callable[[nn.Module], float]:
    """exp of minus the mean divergence from the whole network's answers, 0 to 1."""
    inputs = pictures.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)

    def answers_of(network: nn.Module) -> Tensor:
        fast = fuse(network).to(torch.bfloat16).to(memory_format=torch.channels_last)
        with torch.no_grad():
            return torch.cat([fast(part) for part in inputs.split(batch)]).float().log_softmax(1)

    wanted = answers_of(whole)

    def metric(network: nn.Module) -> float:
        lost = (wanted.exp() * (wanted - answers_of(network))).sum(1)
        return float((-lost.mean()).exp())

    return metric


def resnet56(evaluations: int = 64) -> Bench:
    """On CIFAR-10 as JPEG."""
    network, preprocessing = trained("resnet56_cifar", cifar_weights(56))
    pixels, labels = cifar("train", each=100)
    order = np.random.default_rng(0).permutation(len(labels))
    known, searched = order[:256], order[256:656]
    test, test_labels = cifar("test", each=200)
    return Bench(
        network,
        (1, 3, 32, 32),
        tensors(pixels[known], preprocessing),
        tensors(pixels[searched], preprocessing),
        (tensors(test, preprocessing), test_labels),
        evaluations,
    )


def mobilenet(evaluations: int = 48, side: int = 128) -> Bench:
    """MobileNetV1-0.75 on the ImageNet samples."""
    network, preprocessing = trained("mobilenet_v1_0.75", MOBILENET)
    pixels, labels = imagenet(side)
    order = np.random.default_rng(0).permutation(len(labels))
    known, searched, judged = order[:250], order[64:250], order[250:]
    return Bench(
        network,
        (1, 3, side, side),
        tensors(pixels[known], preprocessing),
        tensors(pixels[searched], preprocessing),
        (tensors(pixels[judged], preprocessing), labels[judged]),
        evaluations,
        "fitted",
    )


def table(bench: Bench) -> Iterator[str]:
    """A line a run, then one a driver."""
    yield f"whole: {bench.accuracy(bench.network):.1f} % of {len(bench.judged[1])}"
    environment = bench.environment()
    uniform = bench.accuracies(environment.plan(environment.uniform()))
    score = environment.evaluate_counts(environment.uniform()).score
    yield f"uniform: score {score:.3f}, norms {uniform[0]:.1f} %, fitted {uniform[1]:.1f} %"
    ranked = environment.prunable.plan(environment.prunable.choose(MACS))
    for name, plan in (("width", environment.plan(width_multiplier(environment)[1])), ("ranked", ranked)):
        norms, fitted = bench.accuracies(plan)
        yield f"{name}: {plan.macs / plan.macs_before:.3f} of the macs, norms {norms:.1f} %, fitted {fitted:.1f} %"
    for name, seeds in SEEDS.items():
        yield from _driver(bench, name, seeds, uniform)


def _driver(bench: Bench, name: str, seeds: Sequence[int], uniform: tuple[float, float]) -> Iterator[str]:
    reached: list[tuple[float, float]] = []
    for seed in seeds:
        environment = bench.environment()
        (run,) = compare(environment, (name,), evaluations=bench.evaluations, seeds=(seed,))
        reached.append(bench.accuracies(environment.plan(run.found.counts)))
        yield (
            f"{name} seed {seed}: score {run.found.score:.3f} ({run.gain:+.3f}), norms {reached[-1][0]:.1f} %, fitted "
            f"{reached[-1][1]:.1f} %; {environment.macs(run.found.counts) / environment.whole_macs:.4f} of the macs, "
            f"{run.found.evaluations} evaluations, {run.seconds:.0f} CPU s"
        )
    means = np.mean(reached, 0)
    gains = means - np.array(uniform)
    yield (
        f"{name}: norms {means[0]:.1f} % ({gains[0]:+.1f} points over uniform), fitted {means[1]:.1f} % ({gains[1]:+.1f})"
    )


def run() -> Iterator[str]:
    """Both networks; `GOSSAMER_AUTO_RATIOS` may name one."""
    chosen = os.environ.get("GOSSAMER_AUTO_RATIOS", "resnet56,mobilenet_v1_0.75").split(",")
    for name, bench in (("resnet56", resnet56), ("mobilenet_v1_0.75", mobilenet)):
        if name not in chosen:
            continue
        for line in table(bench()):
            yield f"{name} {line}"
