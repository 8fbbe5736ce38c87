"""Detectors: networks that give boxes. Published figures are for COCO's 80 classes.

Papers of the YOLO and NanoDet kind count two operations a multiply-accumulate: halved here. AP is COCO's, on val2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gossamer.zoo.entry import Entry, Published, WeightSource

__all__ = ["ENTRIES"]


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
            80,
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
    "nanodet_m_0.5x_320": _nanodet({"width": 0.5, "channels": 96}, (0.28, 0.3, 13.5)),
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
}
