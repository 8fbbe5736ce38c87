"""Detectors: networks that give boxes. Published figures are for COCO's 80 classes.

Papers of the YOLO and NanoDet kind count two operations a multiply-accumulate: halved here. AP is COCO's, on val2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gossamer.zoo.entry import Entry, Published, WeightSource

__all__ = ["ENTRIES"]


_COCO = 80


@dataclass(frozen=True)
class _Family:
    """What detectors of a family share; calling it makes an entry."""

    name: str
    builder: str
    """Module and function below `gossamer.tasks.detect.parts.detectors`."""
    paper: str
    source: str
    note: str = ""
    input: int = 320
    halved: bool = True
    """Whether the source counts two operations a multiply-accumulate."""
    num_classes: int = _COCO

    def __call__(
        self,
        arguments: Mapping[str, Any],
        figures: tuple[float | None, float | None, float | None] | None = None,
        *,
        input: int | None = None,
        source: str | None = None,
        note: str | None = None,
        formats: Mapping[str, WeightSource] | None = None,
    ) -> Entry:
        """`figures` are millions of params, G of operations as the source counts them, AP in percent."""
        return Entry(
            self.name,
            f"gossamer.tasks.detect.parts.detectors.{self.builder}",
            arguments,
            self.paper,
            self.input if input is None else input,
            None if figures is None else self._published(figures, source or self.source),
            {},
            self.note if note is None else note,
            {},
            {} if formats is None else formats,
            self.num_classes,
            task="detect",
        )

    def _published(self, figures: tuple[float | None, float | None, float | None], source: str) -> Published:
        params, operations, ap = figures
        macs = None if operations is None else operations * (0.5 if self.halved else 1.0)
        return Published(
            None if params is None else round(params * 1e6),
            None if macs is None else round(macs * 1e9),
            None,
            source,
            None if ap is None else round(ap / 100, 4),
        )


_OURS = "a head without suppression of ours, no published figure"

_yolox = _Family(
    "YOLOX", "yolox:yolox", "arXiv 2107.08430", "authors' README; GFLOPs of 2 x macs, halved", input=416
)
_plus = _Family(
    "NanoDet",
    "nanodet_plus:nanodet_plus",
    "github.com/RangiLyu/nanodet",
    "authors' README; FLOPs of 2 x macs, halved; params with norms folded",
    note="published params are those with norms folded into convolutions",
)
_nanodet = _Family(
    "NanoDet",
    "nanodet:nanodet",
    "github.com/RangiLyu/nanodet",
    "authors' README; FLOPs of 2 x macs, halved",
    note="the README's FLOPs count more than convolutions",
)
_fastest = _Family(
    "YOLO-Fastest",
    "yolo_fastest:yolo_fastest",
    "github.com/dog-qiuqiu/Yolo-Fastest",
    "author's README; BFlops of 2 x macs, halved; params with statistics of norms",
    note="published params count running statistics of norms too",
)
_fastestdet = _Family(
    "FastestDet", "fastestdet:fastestdet", "github.com/dog-qiuqiu/FastestDet", "author's README", input=352
)
_picodet = _Family(
    "PicoDet",
    "picodet:picodet",
    "arXiv 2111.00902",
    "PaddleDetection README of 2021; FLOPs of 2 x macs, halved",
)
_nano = _Family(
    "YOLO Nano", "yolo_nano:yolo_nano", "arXiv 1910.01271", "paper, table 1; of 20 classes", input=416
)
_micro = _Family("Micro-YOLO", "micro_yolo:micro_yolo", "arXiv 1804.02767", "", input=416)
_v5 = _Family(
    "v5 style",
    "v5_style:v5_style",
    "no paper",
    "YOLOv5 README; FLOPs of 2 x macs, halved; params with norms folded",
    input=640,
)
_efficient = _Family(
    "EfficientDet",
    "efficientdet:efficientdet",
    "arXiv 1911.09070",
    "paper, table 2",
    input=512,
    halved=False,
)
_lite = _Family(
    "EfficientDet",
    "efficientdet:efficientdet",
    "arXiv 1911.09070",
    "automl README; no macs",
    halved=False,
)
_ssd = _Family(
    "SSDLite",
    "ssdlite:ssdlite",
    "arXiv 1801.04381",
    "",
    note="the lowest level has 6 anchors a cell as torchvision's, the papers' 3",
    halved=False,
    num_classes=90,
)
_thunder = _Family("ThunderNet", "thundernet:thundernet", "arXiv 1903.11752", "paper, table 5", halved=False)

_NANO = {"width": 0.25, "depth": 0.33, "depthwise": True}
_TINY = {"width": 0.375, "depth": 0.33}
_RAW = WeightSource("", "bytes", bgr=True, resize="letterbox")
_NANODET = WeightSource("", "imagenet", bgr=True, resize="letterbox")
_PLUS = WeightSource("", "imagenet", bgr=True, resize="squash")
_DARKNET = WeightSource("", "unit", resize="squash")

ENTRIES: dict[str, Entry] = {
    "yolox_nano": _yolox(
        _NANO,
        (0.91, 1.08, 25.8),
        note="convolutions alone are 1.045 G of the README's 1.08",
        formats={"ncnn": _RAW},
    ),
    "yolox_tiny": _yolox(_TINY, (5.06, 6.45, 32.8), formats={"ncnn": _RAW}),
    "yolox_nano_nms_free": _yolox({**_NANO, "one_to_one": True}, note=_OURS),
    "nanodet_m_320": _nanodet({"width": 1.0, "channels": 96}, (0.95, 0.72, 20.6), formats={"ncnn": _NANODET}),
    "nanodet_m_416": _nanodet(
        {"width": 1.0, "channels": 96}, (0.95, 1.2, 23.5), input=416, formats={"ncnn": _NANODET}
    ),
    "nanodet_m_1.5x_320": _nanodet({"width": 1.5, "channels": 128}, (2.08, 1.44, 23.5)),
    "nanodet_m_1.5x_416": _nanodet({"width": 1.5, "channels": 128}, (2.08, 2.42, 26.8), input=416),
    "nanodet_m_0.5x_320": _nanodet(
        {"width": 0.5, "channels": 96},
        (0.28, 0.3, 13.5),
        note="published with one digit of FLOPs, which count more than convolutions",
    ),
    "nanodet_plus_m_320": _plus({"width": 1.0, "channels": 96}, (1.17, 0.90, 27.0), formats={"ncnn": _PLUS}),
    "nanodet_plus_m_416": _plus(
        {"width": 1.0, "channels": 96}, (1.17, 1.52, 30.4), input=416, formats={"ncnn": _PLUS}
    ),
    "nanodet_plus_m_1.5x_320": _plus({"width": 1.5, "channels": 128}, (2.44, 1.75, 29.9)),
    "nanodet_plus_m_1.5x_416": _plus({"width": 1.5, "channels": 128}, (2.44, 2.97, 34.1), input=416),
    "nanodet_plus_m_320_nms_free": _plus({"width": 1.0, "channels": 96, "one_to_one": True}, note=_OURS),
    "fastestdet": _fastestdet(
        {},
        (0.24, None, 13.0),
        formats={"torch": WeightSource("", "unit", bgr=True, resize="squash")},
    ),
    "yolo_fastest_1.0": _fastest(
        {"version": "1.0"}, (None, 0.25, None), note="the README rounds its BFlops to two digits"
    ),
    "yolo_fastest_1.1": _fastest({}, (0.35, 0.252, None), formats={"darknet": _DARKNET}),
    "yolo_fastest_1.1_xl": _fastest({"width": 2.0}, (0.925, 0.725, None), formats={"darknet": _DARKNET}),
    "yolo_nano": _nano(
        {},
        (None, 4.57, None),
        note="published for VOC, 2 x macs; the paper's 4.0 MB are not these layers in fp32",
    ),
    "yolov3_tiny": _micro(
        {"parted": False}, (None, 5.56, None), source="darknet's page; BFlops of 2 x macs, halved; AP50 33.1"
    ),
    "micro_yolo_style": _micro(
        {}, note="before pruning; which layer has which block is ours, the paper's network has no public code"
    ),
    "v5_style_n": _v5({"width": 0.25}, (1.9, 4.5, 28.0)),
    "v5_style_s": _v5({"width": 0.5}, (7.2, 16.5, 37.4)),
    "picodet_s_320": _picodet({}, (0.99, 0.73, 27.1), note="the README's FLOPs count more than convolutions"),
    "picodet_s_320_nms_free": _picodet({"one_to_one": True}, note=_OURS),
    "efficientdet_d0": _efficient({}, (3.9, 2.5, 34.3)),
    "efficientdet_lite0": _lite({"lite": True, "anchor_scale": 3.0}, (3.2, None, 26.4)),
    "efficientdet_lite1": _lite(
        {"lite": True, "anchor_scale": 3.0, "depth": 1.1, "channels": 88, "cells": 4},
        (4.2, None, 31.5),
        input=384,
    ),
    "efficientdet_lite2": _lite(
        {"lite": True, "anchor_scale": 3.0, "width": 1.1, "depth": 1.2, "channels": 112, "cells": 5},
        (5.3, None, 35.1),
        input=448,
    ),
    "ssdlite_mobilenet_v1": _ssd(
        {"backbone": "mobilenet_v1"}, (5.1, 1.3, 22.2), source="MobileNetV2 paper, table 6"
    ),
    "ssdlite_mobilenet_v2": _ssd(
        {"backbone": "mobilenet_v2"}, (4.3, 0.8, 22.1), source="MobileNetV2 paper, table 6"
    ),
    "ssdlite_mobilenet_v3_large": _ssd(
        {"backbone": "mobilenet_v3_large_reduced"}, (3.44, 0.583, 21.3), source="torchvision", note=""
    ),
    "ssdlite_mobilenet_v3_small": _ssd(
        {"backbone": "mobilenet_v3_small"}, (2.49, 0.21, 16.0), source="MobileNetV3 paper, table 6"
    ),
    "ssdlite_ghostnet": _ssd({"backbone": "ghostnet"}, note="a backbone of ours, no published figure"),
    "thundernet_snet49": _thunder({"size": "49"}, (None, 0.262, 19.2)),
    "thundernet_snet146": _thunder(
        {"size": "146"},
        (None, 0.473, 23.7),
        note="written from the paper: what SNet146 saves beside SNet49 and SNet535, which agree, it does not say",
    ),
    "thundernet_snet535": _thunder({"size": "535"}, (None, 1.30, 28.1)),
}
