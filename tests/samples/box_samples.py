"""A detector of red and blue squares of 8 pixels, made of one pooling, and pictures for it: no training, no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from gossamer.deploy.contract import InputContract
from gossamer.files.onnx import write_metadata
from gossamer.types import Size

LABELS = ["red square", "blue square"]
SIDE, THING, STEP = 64, 8, 4
_COLOURS = {"red square": (255, 0, 0), "blue square": (0, 0, 255)}


def write_detector(path: Path, *, side: int = SIDE) -> Path:
    """An .onnx file whose score is how red, or blue, a window of 8 x 8 pixels is."""
    starts = np.arange(0, side - THING + 1, STEP, dtype=np.float32)
    top, left = (each.reshape(-1) for each in np.meshgrid(starts, starts, indexing="ij"))
    boxes = np.stack([left, top, left + THING, top + THING], 1)[None]
    nodes = [
        helper.make_node("AveragePool", ["input"], ["means"], kernel_shape=[THING] * 2, strides=[STEP] * 2),
        helper.make_node("Gather", ["means", "bands"], ["two"], axis=1),
        helper.make_node("Reshape", ["two", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Concat", ["boxes", "scores"], ["detections"], axis=2),
    ]
    constants = [
        numpy_helper.from_array(np.array([0, 2]), "bands"),
        numpy_helper.from_array(np.array([1, 2, -1]), "flat"),
        numpy_helper.from_array(boxes, "boxes"),
    ]
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, [1, boxes.shape[1], 6])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    contract = InputContract(Size(side, side), scale=1 / 255, resize="letterbox")
    write_metadata(model, {"labels": LABELS, "input": contract.to_json(), "task": "detect"})
    onnx.save(model, path)
    return path


def picture_of(*things: tuple[str, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A dark picture with squares: label, left, top."""
    image = Image.new("RGB", size, (20, 20, 20))
    pen = ImageDraw.Draw(image)
    for label, left, top in things:
        pen.rectangle((left, top, left + THING - 1, top + THING - 1), fill=_COLOURS[label])
    return image
