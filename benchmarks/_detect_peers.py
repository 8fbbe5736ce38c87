"""Public implementations of detectors as ONNX files; runs in the peers' environment: `python -m benchmarks._detect_peers FOLDER`.

Weights are random: they cost what trained ones cost. Each file gives what its own forward gives in eval mode, or the maps
of its head where that would suppress as well.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PEERS"]


class _HeadOfSSD(nn.Module):
    """Backbone and head of torchvision's, without its resizing and suppression."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, A, K) and (B, A, 4)."""
        return tuple(self.head(list(self.backbone(x).values())).values())


def _ssdlite() -> nn.Module:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    return _HeadOfSSD(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91))


def _effdet(name: str) -> nn.Module:
    from effdet import create_model

    model: nn.Module = create_model(name, pretrained=False, pretrained_backbone=False)
    return model


def _yolox(config: str) -> nn.Module:
    from libreyolo.models.yolox.nn import LibreYOLOXModel

    return LibreYOLOXModel(config=config, nb_classes=80)


def _picodet() -> nn.Module:
    from libreyolo.models.picodet.nn import LibrePICODETModel

    return LibrePICODETModel("s", 80)


PEERS: Mapping[str, tuple[int, Callable[[], nn.Module]]] = {
    "libreyolo yolox n": (416, lambda: _yolox("n")),
    "libreyolo yolox t": (416, lambda: _yolox("t")),
    "libreyolo picodet s": (320, _picodet),
    "torchvision ssdlite320": (320, _ssdlite),
    "effdet lite0": (320, lambda: _effdet("tf_efficientdet_lite0")),
    "effdet d0": (512, lambda: _effdet("tf_efficientdet_d0")),
}
"""Name -> side of the input, and what builds it."""


def main(folder: Path) -> None:
    """Write a file for each peer; prints {name: file, or why there is none}."""
    answers = {}
    for name, (side, build) in PEERS.items():
        path = folder / f"{name.replace(' ', '-')}.onnx"
        try:
            torch.manual_seed(0)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    build().eval(),
                    (torch.zeros(1, 3, side, side),),
                    str(path),
                    opset_version=18,
                    dynamo=False,
                )
            answers[name] = {"file": str(path)}
        except Exception as error:  # each peer fails in its own way, and the others are timed all the same
            answers[name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
    print(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
