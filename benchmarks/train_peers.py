"""Pictures a second of a training epoch: gossamer beside a plain PyTorch loop, timm's pieces and bare Lightning.

The same network, pictures, batch and augmentation family (crop, flip, colour) for all, each in its usual way: the
peers decode files in one worker process, we map pictures that were decoded once. timm's train script is not part of
its package, so its loader, augmentation, optimiser and model EMA are put together as that script does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

from gossamer.data.cache import load_pictures
from gossamer.data.scenes import write
from gossamer.deploy.contract import InputContract
from gossamer.train.loop import steps_of, train_until
from gossamer.train.pace import Listener
from gossamer.train.recipe import changed
from gossamer.train.recipes import named_recipe
from gossamer.train.training import Pictures, Pulse, Steps, Training
from gossamer.zoo.build import build

SIZE, BATCH, ROUNDS, PICTURES = 96, 32, 3, 640
NETWORKS = ("mobilenet_v2_0.5", "shufflenet_v2_1.0")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Epoch = Callable[[], float]
"""Trains one pass; the pictures a second."""


def run() -> Iterator[str]:
    """Per network: medians of passes in turns, the ratio to ours, and what share of our step the loader takes."""
    with tempfile.TemporaryDirectory(prefix="gossamer-train-peers-") as name:
        folder = Path(name)
        paths, labels = scene_files(folder / "pictures")
        for network in NETWORKS:
            yield from _network(network, folder / network, paths, labels)


def _network(name: str, folder: Path, paths: list[Path], labels: np.ndarray) -> Iterator[str]:
    ours = Ours(name, folder, paths, labels)
    epochs: dict[str, Epoch] = {
        "gossamer": ours,
        "plain loop, torchvision": _Plain(name, paths[0].parents[1]),
        "timm's pieces": _Timm(name, paths[0].parents[1]),
        "Lightning bare": _Lightning(name, paths[0].parents[1]),
    }
    for epoch in epochs.values():
        epoch()  # caches, worker processes
    speeds: dict[str, list[float]] = {each: [] for each in epochs}
    for _ in range(ROUNDS):
        for each, epoch in epochs.items():
            speeds[each].append(epoch())
    medians = {each: statistics.median(found) for each, found in speeds.items()}
    fastest = max(speed for each, speed in medians.items() if each != "gossamer")
    for each, speed in medians.items():
        yield f"{name}, {each}: {speed:.0f} pictures/s, {speed / medians['gossamer']:.2f} of ours"
    yield f"{name}: ours is {medians['gossamer'] / fastest:.2f} times the fastest; the loader takes {100 * ours.loader:.1f} % of our step"


def scene_files(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Scenes as JPEG files in class folders."""
    write(folder, per_class=PICTURES // 8, seed=0)
    paths = sorted(folder.glob("*/*"))
    for path in paths:
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"), quality=90)
        if path.suffix != ".jpg":
            path.unlink()
    paths = sorted(folder.glob("*/*.jpg"))
    names = sorted({path.parent.name for path in paths})
    return paths, np.array([names.index(path.parent.name) for path in paths], np.int64)


class Ours(Listener):
    """One more pass of the same schedule at each call."""

    def __init__(
        self, name: str, folder: Path, paths: list[Path], labels: np.ndarray, settings: tuple[str, ...] = ()
    ) -> None:
        pixels = load_pictures(paths, SIZE, folder / "cache", key="train peers").pixels
        usual = (f"batch={BATCH}", "start_resolution=1", "augmentation.erase=0")
        recipe = changed(named_recipe("from-scratch"), [*usual, *settings])
        self.loader = 0.0
        self.steps = steps_of(len(labels), batch=BATCH, epochs=1).count
        self.done = 0
        self.training = Training(
            build(name, num_classes=8),
            InputContract.of("imagenet", SIZE),
            recipe,
            Pictures(pixels, labels, pixels[:8], labels[:8]),
            folder / "ours",
            Steps(self.steps * (ROUNDS + 1)),
            threads=torch.get_num_threads(),
        )
        self.pictures = len(labels)

    def pulse(self, now: Pulse) -> None:
        self.loader = now.loader_share
        self.speed = now.pictures_per_second

    def __call__(self) -> float:
        self.done += self.steps
        train_until(self.training, self.done, listener=self)
        return self.speed


def _loader(root: Path) -> torch.utils.data.DataLoader[Any]:
    from torchvision import datasets
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.5, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.ColorJitter(0.25, 0.25, 0.25),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    return torch.utils.data.DataLoader(
        datasets.ImageFolder(root, transform), BATCH, shuffle=True, num_workers=1, persistent_workers=True
    )


class _Plain:
    """What a person writes: ImageFolder, transforms v2, AdamW."""

    def __init__(self, name: str, root: Path) -> None:
        self.network = build(name, num_classes=8).train()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), 1e-3, fused=True)
        self.loader = _loader(root)

    def __call__(self) -> float:
        start, count = time.perf_counter(), 0
        for inputs, labels in self.loader:
            loss = cross_entropy(self.network(inputs), labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            count += len(labels)
        return count / (time.perf_counter() - start)


class _Timm:
    """timm's loader with its own augmentation, its optimiser factory and its EMA."""

    def __init__(self, name: str, root: Path) -> None:
        from timm.data import create_dataset, create_loader
        from timm.optim import create_optimizer_v2
        from timm.utils import ModelEmaV3

        self.network = build(name, num_classes=8).train()
        self.optimiser = create_optimizer_v2(self.network, "adamw", lr=1e-3, weight_decay=0.05)
        self.average = ModelEmaV3(self.network, decay=0.998)
        self.loader = create_loader(
            create_dataset("", root=str(root), split="train", is_training=True),
            (3, SIZE, SIZE),
            BATCH,
            is_training=True,
            use_prefetcher=False,
            scale=(0.5, 1.0),
            hflip=0.5,
            vflip=0.5,
            color_jitter=0.25,
            mean=MEAN,
            std=STD,
            num_workers=1,
            persistent_workers=True,
            device=torch.device("cpu"),
        )

    def __call__(self) -> float:
        start, count = time.perf_counter(), 0
        for inputs, labels in self.loader:
            loss = cross_entropy(self.network(inputs), labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.average.update(self.network)
            count += len(labels)
        return count / (time.perf_counter() - start)


class _Lightning:
    """A LightningModule of ten lines under a bare Trainer."""

    def __init__(self, name: str, root: Path) -> None:
        import lightning as L

        class Module(L.LightningModule):
            def __init__(self, network: nn.Module) -> None:
                super().__init__()
                self.network = network.train()

            def training_step(self, batch: Any, batch_index: int) -> torch.Tensor:
                inputs, labels = batch
                return cross_entropy(self.network(inputs), labels)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters(), 1e-3, fused=True)

        self.lightning = L
        self.module = Module(build(name, num_classes=8))
        self.loader = _loader(root)

    def __call__(self) -> float:
        import logging
        import warnings

        logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = self.lightning.Trainer(
                max_epochs=1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            start = time.perf_counter()
            trainer.fit(self.module, self.loader)
        return len(self.loader.dataset) / (time.perf_counter() - start)  # type: ignore[arg-type]
