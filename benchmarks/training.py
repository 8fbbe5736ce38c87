"""Pictures a second of our training loop against a bare PyTorch loop on the same network and pictures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from gossamer.deploy.contract import InputContract
from gossamer.train.loop import Pictures, Training, train_until
from gossamer.train.recipes import named_recipe
from gossamer.zoo.build import build

SECONDS, SIZE, CLASSES, PICTURES = 30.0, 96, 8, 512


def run() -> Iterator[str]:
    """Ours, with augmentation, moving average and validation, over a loop with none of them."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, PICTURES)
    for name in ("mobilenet_v2_0.5", "efficientnet_lite0"):
        recipe = named_recipe("from-scratch", view="aerial", pictures=PICTURES)
        with tempfile.TemporaryDirectory() as folder:
            training = Training(
                build(name, num_classes=CLASSES),
                InputContract.of("imagenet", SIZE),
                recipe,
                Pictures(pixels, labels, pixels[:64], labels[:64]),
                Path(folder),
                SECONDS,
                0.5,
                threads=torch.get_num_threads(),
            )
            result = train_until(training, SECONDS)
            ours = result.steps * recipe.batch / result.seconds
        plain = _plain(name, pixels, labels, recipe.batch)
        yield f"{name}: {ours:.0f} pictures/s, {ours / plain:.2f} of a bare loop ({plain:.0f})"


def _plain(name: str, pixels: np.ndarray, labels: np.ndarray, batch: int) -> float:
    network = build(name, num_classes=CLASSES).train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    start, done = time.monotonic(), 0
    while time.monotonic() - start < SECONDS / 2:
        chosen = np.arange(done, done + batch) % len(labels)
        inputs = torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float() / 255
        loss = cross_entropy(network(inputs), torch.from_numpy(labels[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        done += batch
    return done / (time.monotonic() - start)
