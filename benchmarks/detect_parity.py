"""Public detectors read by us and run by ncnn from the same files, on sample pictures: boxes and scores side by side."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._pictures import SHARED
from gossamer.runs.model import open_model
from gossamer.tasks.detect.boxes import pairwise_iou

WEIGHTS = SHARED / "weights"
FASTEST = "yolo-fastest-1.1/ModelZoo/yolo-fastest-1.1_coco/yolo-fastest-1.1.weights"
WORDS = ("zebra", "magpie", "bulbul", "elephant", "teddy", "banana", "laptop", "bus", "car", "cat")
"""Of the names of sample pictures that show something of COCO's classes."""
ANCHORS = (((12, 18), (37, 49), (52, 132)), ((115, 73), (119, 199), (242, 238)))
"""Of YOLO-Fastest's cfg."""
SURE = 0.3
"""Scores of theirs from which boxes are compared."""
Numbers = NDArray[np.float32]


class Peer(NamedTuple):
    """A file that ncnn runs, and how its numbers become boxes and scores."""

    name: str
    ours: str
    theirs: str
    input: str
    """Name of the input's blob."""
    outputs: tuple[str, ...]
    decode: Callable[[Sequence[Numbers], int], Numbers]
    """Outputs and the input's side -> (N, 4 + 80) boxes xyxy in pixels and scores."""


def _cells(side: int, strides: Sequence[int], offset: float) -> tuple[Numbers, Numbers]:
    """Centres (A, 2) and strides (A, 1)."""
    centres, reductions = [], []
    for stride in strides:
        count = -(-side // stride)
        rows, columns = np.mgrid[:count, :count]
        centres.append((np.stack([columns.ravel(), rows.ravel()], 1) + offset) * stride)
        reductions.append(np.full((count * count, 1), stride))
    return np.concatenate(centres).astype(np.float32), np.concatenate(reductions).astype(np.float32)


def _yolox(outputs: Sequence[Numbers], side: int) -> Numbers:
    raw = outputs[0]
    corners, stride = _cells(side, (8, 16, 32), 0.0)
    middle, sides = raw[:, :2] * stride + corners, np.exp(raw[:, 2:4]) * stride
    return np.concatenate([middle - sides / 2, middle + sides / 2, raw[:, 4:5] * raw[:, 5:]], 1)


def _distances(scores: Numbers, raw: Numbers, points: Numbers, stride: Numbers) -> Numbers:
    shares = np.exp(raw.reshape(-1, 4, 8) - raw.reshape(-1, 4, 8).max(2, keepdims=True))
    far = (shares / shares.sum(2, keepdims=True)) @ np.arange(8, dtype=np.float32) * stride
    return np.concatenate([points - far[:, :2], points + far[:, 2:], scores], 1)


def _nanodet_plus(outputs: Sequence[Numbers], side: int) -> Numbers:
    points, stride = _cells(side, (8, 16, 32, 64), 0.0)
    return _distances(outputs[0][:, :80], outputs[0][:, 80:], points, stride)


def _nanodet(outputs: Sequence[Numbers], side: int) -> Numbers:
    points, stride = _cells(side, (8, 16, 32), 0.5)
    return _distances(np.concatenate(outputs[:3]), np.concatenate(outputs[3:]), points, stride)


def _yolo_fastest(outputs: Sequence[Numbers], side: int) -> Numbers:
    """YOLOv3's numbers of three anchors a cell, the finer level first."""
    rows = []
    for raw, stride, anchors in zip(outputs, (16, 32), ANCHORS, strict=True):
        count = side // stride
        numbers = raw.reshape(3, 85, count * count).transpose(2, 0, 1)
        corners, _ = _cells(side, (stride,), 0.0)
        sharp = 1 / (1 + np.exp(-numbers))
        middle = sharp[..., :2] * stride + corners[:, None]
        sides = np.exp(numbers[..., 2:4]) * np.array(anchors, np.float32)
        scores = sharp[..., 4:5] * sharp[..., 5:]
        rows.append(np.concatenate([middle - sides / 2, middle + sides / 2, scores], 2).reshape(-1, 84))
    return np.concatenate(rows)


PEERS = (
    Peer("yolox_nano", "yolox-nano-ncnn/yoloxN.bin", "yolox-nano-ncnn/yoloxN", "683", ("output",), _yolox),
    Peer(
        "nanodet_plus_m_416",
        "nanodet-plus-m-416-ncnn/nanodet_plus_m_416_ncnn_fp16.bin",
        "nanodet-plus-m-416-ncnn/nanodet_plus_m_416_ncnn_fp16",
        "data",
        ("output",),
        _nanodet_plus,
    ),
    Peer(
        "nanodet_m_320",
        "nanodet-m-ncnn/nanodet_m.bin",
        "nanodet-m-ncnn/nanodet_m",
        "input.1",
        ("792", "814", "836", "795", "817", "839"),
        _nanodet,
    ),
    Peer(
        "yolo_fastest_1.1",
        FASTEST,
        "yolo-fastest-1.1/sample/ncnn/model/yolo-fastest-1.1",
        "data",
        ("129_922", "120_854"),
        _yolo_fastest,
    ),
)


def _peer_network(peer: Peer, folder: Path) -> Any:
    """The network in ncnn, fp32; a layer that ncnn does not have becomes an input."""
    import ncnn

    text = (WEIGHTS / f"{peer.theirs}.param").read_text()
    lines = [
        f"Input {peer.input} 0 1 {peer.input}" if line.startswith("YoloV5Focus") else line
        for line in text.splitlines()
    ]
    param = folder / f"{peer.name}.param"
    param.write_text("\n".join(lines) + "\n")
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = 1
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, name, False)
    if network.load_param(str(param)) or network.load_model(str(WEIGHTS / f"{peer.theirs}.bin")):
        raise RuntimeError(f"ncnn does not load {peer.theirs}")
    return network


def _said(peer: Peer, network: Any, inputs: Numbers) -> Numbers:
    import ncnn

    image = inputs[0] if peer.decode is _yolo_fastest else inputs[0, ::-1]
    if peer.input == "683":
        image = np.concatenate(
            [image[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
        )
    image = np.ascontiguousarray(image)
    blob = ncnn.Mat(image)  # it looks at the array's memory: both live until the outputs are there
    extractor = network.create_extractor()
    extractor.input(peer.input, blob)
    outputs = [np.array(extractor.extract(name)[1]) for name in peer.outputs]
    return peer.decode(outputs, inputs.shape[2])


def _compared(ours: Numbers, theirs: Numbers) -> Iterator[tuple[float, float]]:
    """(IoU, difference of scores) of each prior that is sure of something in theirs."""
    for place in np.flatnonzero(theirs[:, 4:].max(1) > SURE):
        own, label = ours[place], int(theirs[place, 4:].argmax())
        iou = float(pairwise_iou(theirs[place : place + 1, :4], own[None, :4])[0, 0])
        yield iou, abs(float(own[4 + label] - theirs[place, 4 + label]))


def run() -> Iterator[str]:
    """For each file the worst and the mean of both over the sample pictures."""
    if importlib.util.find_spec("ncnn") is None:
        yield "ncnn is not installed: pip install ncnn"
        return
    files = sorted((SHARED / "imagenet-sample" / "images").glob("*.jpg"))
    pictures = [
        next(file for file in files if f"_{word}" in file.stem or word in file.stem) for word in WORDS
    ]
    with tempfile.TemporaryDirectory(prefix="gossamer-ncnn-") as folder:
        for peer in PEERS:
            model = open_model(f"{peer.name}@{WEIGHTS / peer.ours}")
            network, rows, tops = _peer_network(peer, Path(folder)), [], 0
            for picture in pictures:
                inputs = model.contract.open(picture)
                with torch.no_grad():
                    ours = model.network(torch.from_numpy(inputs))[0].numpy()
                theirs = _said(peer, network, inputs)
                rows += list(_compared(ours, theirs))
                tops += int(ours[:, 4:].max(0).argmax()) == int(theirs[:, 4:].max(0).argmax())
            ious, apart = np.array(rows).reshape(-1, 2).T
            yield (
                f"{peer.name}: {len(rows)} boxes on {len(pictures)} pictures, IoU at least {ious.min():.4f} "
                f"(mean {ious.mean():.4f}), scores apart at most {apart.max():.4f}; the same top class on {tops}"
            )
