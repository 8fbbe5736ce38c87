"""Recipes by name: `small-data`, `from-scratch`, `finetune-compressed`, and `paper:<family>` as published.

Papers train on ImageNet for days on many devices; their rates belong to their batches. The rows are here so that a
result can be held against the paper, and as a start for large sets: whoever has 300 pictures takes `small-data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from gossamer.data.augment import Augmentation, View
from gossamer.errors import GossamerError, nearest
from gossamer.train.recipe import Distillation, Recipe

__all__ = ["PAPERS", "Paper", "ending_recipe", "named_recipe", "recipe_names"]


class Paper(NamedTuple):
    """What a family's paper or code says, over the common base of `_published`."""

    source: str
    values: Mapping[str, Any]


def _sgd(rate: float, decay: float, batch: int, epochs: float, **more: Any) -> dict[str, Any]:
    return {
        "optimiser": "sgd",
        "nesterov": False,
        "learning_rate": rate,
        "weight_decay": decay,
        "batch": batch,
        "epochs": epochs,
        **more,
    }


def _rmsprop(rate: float, decay: float, batch: int, epochs: float, **more: Any) -> dict[str, Any]:
    values = _sgd(rate, decay, batch, epochs, **more)
    return {**values, "optimiser": "rmsprop"}


_THIRDS: dict[str, Any] = {"schedule": "step", "milestones": (1 / 3, 2 / 3), "label_smoothing": 0.0}
_MEGVII: dict[str, Any] = {"schedule": "linear"}
IMAGENET_PICTURES = 1_281_167

PAPERS: dict[str, Paper] = {
    "AlexNet": Paper(
        "Krizhevsky et al. 2012, section 5",
        _sgd(0.01, 5e-4, 128, 90, schedule="step", milestones=(0.25, 0.5, 0.75), label_smoothing=0.0),
    ),
    "VGG": Paper(
        "1409.1556, section 3.1: three falls in 74 epochs",
        _sgd(0.01, 5e-4, 256, 74, schedule="step", milestones=(0.25, 0.5, 0.75), label_smoothing=0.0),
    ),
    "ResNet": Paper("1512.03385, section 3.4, at the usual 90 epochs", _sgd(0.1, 1e-4, 256, 90, **_THIRDS)),
    "ResNet-CIFAR": Paper(
        "1512.03385, section 4.2: 64,000 steps, falls at 32,000 and 48,000",
        _sgd(0.1, 1e-4, 128, 164, schedule="step", milestones=(0.5, 0.75), label_smoothing=0.0),
    ),
    "DenseNet": Paper("1608.06993, section 4.2", _sgd(0.1, 1e-4, 256, 90, **_THIRDS)),
    "SqueezeNet": Paper(
        "the authors' solver.prototxt (facts): 170,000 steps of 512",
        _sgd(0.04, 2e-4, 512, 170_000 * 512 / IMAGENET_PICTURES, schedule="linear", label_smoothing=0.0),
    ),
    "ShuffleNetV1": Paper(
        "the authors' code (facts): 300,000 steps of 1024",
        _sgd(0.5, 4e-5, 1024, 3e5 * 1024 / IMAGENET_PICTURES, **_MEGVII),
    ),
    "ShuffleNetV2": Paper(
        "the authors' code (facts): 300,000 steps of 1024",
        _sgd(0.5, 4e-5, 1024, 3e5 * 1024 / IMAGENET_PICTURES, **_MEGVII),
    ),
    "SNet": Paper(
        "the first author's code (facts): 300,000 steps of 512",
        _sgd(0.5, 4e-5, 512, 3e5 * 512 / IMAGENET_PICTURES, **_MEGVII),
    ),
    "ESPNetv2": Paper(
        "the authors' code (facts); its cycles of five epochs within falling bounds are taken as one linear fall",
        _sgd(0.5, 4e-5, 512, 300, nesterov=True, schedule="linear", label_smoothing=0.0),
    ),
    "MobileNeXt": Paper(
        "the authors' args.yaml (facts)", _sgd(0.1, 1e-4, 64, 200, warmup=3 / 200, schedule="cosine")
    ),
    "PP-LCNet": Paper(
        "PPLCNet_x1_0.yaml (facts)", _sgd(0.8, 3e-5, 2048, 360, warmup=5 / 360, schedule="cosine")
    ),
    "MobileNetV2": Paper(
        "1801.04381, section 6.1: the rate falls by 0.98 an epoch",
        _rmsprop(0.045, 4e-5, 96, 300, schedule="exponential", gamma=0.98**300, label_smoothing=0.0),
    ),
    "MobileNetV3": Paper(
        "1905.02244, section 6.1.1: the rate falls by 0.99 every three epochs",
        _rmsprop(0.1, 1e-5, 4096, 600, schedule="exponential", gamma=0.99**200, ema_decay=0.9999),
    ),
    "EfficientNet": Paper(
        "1905.11946, section 5.2: the rate falls by 0.97 every 2.4 epochs",
        _rmsprop(0.256, 1e-5, 4096, 350, schedule="exponential", gamma=0.97 ** (350 / 2.4), ema_decay=0.9999),
    ),
    "RegNet": Paper(
        "2003.13678, appendix B",
        _sgd(0.8, 5e-5, 1024, 100, warmup=0.05, schedule="cosine", label_smoothing=0.0),
    ),
    "RepVGG": Paper(
        "2101.03697, section 4.1",
        _sgd(0.1, 1e-4, 256, 120, warmup=5 / 120, schedule="cosine", label_smoothing=0.0),
    ),
}
"""Family -> what its paper or its authors' code says; families whose recipe is not published are not here."""

_LARGE_ENDING = 1_500_000
_OWN = ("small-data", "from-scratch", "finetune-compressed")


def recipe_names() -> list[str]:
    """Every name that `named_recipe` takes."""
    return [*_OWN, *(f"paper:{family}" for family in PAPERS)]


def named_recipe(name: str, *, view: View = "ground", pictures: int = 0) -> Recipe:
    """The recipe of a name for a training split of so many pictures.

    Raises:
        GossamerError: no such name, or a family whose recipe is not published.
    """
    augmentation = Augmentation(view=view)
    batch = 32 if pictures < 20_000 else 64
    if name == "small-data":
        return Recipe(name, learning_rate=1.5e-3, body_rate=0.5, batch=batch, augmentation=augmentation)
    if name == "from-scratch":
        return Recipe(name, learning_rate=3e-3, batch=batch, epochs=100.0, augmentation=augmentation)
    if name == "finetune-compressed":
        return Recipe(
            name,
            learning_rate=5e-4,
            batch=batch,
            epochs=5.0,
            start_resolution=1.0,
            ema_decay=0.99,
            augmentation=replace(augmentation, move=0.3, erase=0.0),
            distillation=Distillation(labels=0.3, logits=0.7, temperature=2.0),
        )
    family = name.removeprefix("paper:")
    known = {each.lower().replace("-", "").replace("_", ""): each for each in PAPERS}
    found = known.get(family.lower().replace("-", "").replace("_", ""))
    if not name.startswith("paper:") or found is None:
        raise GossamerError(f"no recipe {name!r}; {nearest(name, recipe_names())}")
    return _published(found, augmentation)


def ending_recipe(*, view: View = "ground", pictures: int = 0, params: int = 0) -> Recipe:
    """For what lies behind the layers that are run once (`gossamer.train.endings`), an ending of so many params.

    A small one learns fast and loses by mixing maps; a large one remembers the pictures unless they are mixed
    (docs/results.md).
    """
    large = params > _LARGE_ENDING
    return Recipe(
        "ending",
        learning_rate=1e-3 if large else 2e-3,
        batch=32 if pictures < 20_000 else 64,
        epochs=12.0,
        mixup=0.4 if large else 0.0,
        start_resolution=1.0,
        ema_decay=0.99,
        augmentation=Augmentation(view=view),
        distillation=Distillation(labels=0.3, logits=0.7, temperature=2.0),
    )


def _published(family: str, augmentation: Augmentation) -> Recipe:
    """Crop and flip, full resolution throughout; `ema_decay` 0 where the paper has no average."""
    values = dict(PAPERS[family].values)
    base = Recipe(
        f"paper:{family}",
        learning_rate=values["learning_rate"],
        warmup=0.0,
        start_resolution=1.0,
        ema_decay=0.0,
        clip_norm=0.0,
        patience=10_000,
        augmentation=replace(augmentation, degrees=0.0, move=1.0, scale=(0.35, 1.0), shift=0.3, erase=0.0),
    )
    return replace(base, **values)
