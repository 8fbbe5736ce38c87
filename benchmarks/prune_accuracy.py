"""Pruned without training: how often MobileNetV1-0.75 names what the whole network names, by importance and share of macs.

400 of the 500 ImageNet samples are judged; the other 100, without their labels, are what importances are told from and
what layers are fitted to ("fitted"). "cut" is the bare network without these channels, "mean" has their means put into
the norms behind them. The standard error of a share of 400 pictures is at most 2.5 points.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np

from benchmarks._pictures import MOBILENET, answers, imagenet, tensors, trained
from gossamer.compress.prune.apply import apply_pruning
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.prune.repair import absorb_means, reconstruct, reestimate_norms
from gossamer.compress.prune.scores import Importance

SHARES = (0.9, 0.8, 0.7, 0.5)
IMPORTANCES: tuple[Importance, ...] = (
    "random",
    "l1",
    "l2",
    "geometric-median",
    "norm-scale",
    "activation",
    "apoz",
    "reconstruction",
    "taylor",
)


def run() -> Iterator[str]:
    """One line an importance and share, at 224 pixels; `GOSSAMER_PRUNE_SIDE` takes another side."""
    side = int(os.environ.get("GOSSAMER_PRUNE_SIDE", "224"))
    shape = (1, 3, side, side)
    network, preprocessing = trained("mobilenet_v1_0.75", MOBILENET)
    pixels, labels = imagenet(side)
    pictures = tensors(pixels, preprocessing)
    known = np.arange(len(labels)) % 5 == 0
    batches = [(part, None) for part in pictures[known].split(25)]
    judged, right = pictures[~known], labels[~known]
    whole = answers(network, judged)
    yield f"whole: top-1 {100 * np.mean(whole == right):.1f} % of {len(right)}"
    for importance in IMPORTANCES:
        prunable = Prunable(network, shape, importance=importance, batches=batches)
        for share in SHARES:
            plan = prunable.plan(prunable.choose(share))
            cut = apply_pruning(network, plan).eval()
            forms = {
                "cut": cut,
                "mean": absorb_means(network, cut, plan, shape),
                "norms": reestimate_norms(cut, batches),
                "fitted": reconstruct(network, cut, plan, batches),
            }
            told = [f"{name} {100 * np.mean(answers(n, judged) == whole):.1f} %" for name, n in forms.items()]
            sys.stdout.flush()
            yield f"{importance} at {plan.macs / plan.macs_before:.3f} of the macs agrees: {', '.join(told)}"
