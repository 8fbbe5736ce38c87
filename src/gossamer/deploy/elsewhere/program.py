"""Says what the network in this folder sees in pictures: numpy, Pillow and the runtime of its file, nothing else.

    python predict.py PICTURE... [--top 3] [--threshold 0.8] [--draw FOLDER] [--json]

Written by gossamer for one bundle: CARD holds all that belongs to its network.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

CARD: dict[str, Any] = {}
"""`file` of `runtime`, `task`, `labels`, `input` and `temperature` as in model.json, `formats` of pictures."""

SAID, SAME, CANDIDATES, MOST = 0.25, 0.6, 1000, 100
"""Of boxes: the score from which one is said, the overlap from which two are one thing, how many are looked at and said."""

WIDE = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}
"""Pillow's modes of more than 8 bits."""


def opened(path: Path) -> Image.Image:
    """The first frame as 8-bit RGB, upright, white where it is transparent."""
    Image.init()
    image: Image.Image = Image.open(path, formats=[name for name in CARD["formats"] if name in Image.OPEN])
    modes = [
        str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)
        for tile in getattr(image, "tile", [])
    ]
    if any(mode.startswith("RGB") and ";16" in mode for mode in modes):
        raise ValueError("it has 16 bits a colour; save it with 8")
    if image.mode in WIDE:
        return narrowed(image)
    ImageOps.exif_transpose(image, in_place=True)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, (255, 255, 255))
    paper.alpha_composite(image)
    return paper.convert("RGB")


def narrowed(image: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits, by the range that training found."""
    if CARD["input"].get("value_range") is None:
        raise ValueError("it has more than 8 bits, which the network has never seen; save it with 8")
    low, high = CARD["input"]["value_range"]
    ImageOps.exif_transpose(image, in_place=True)
    scaled = (np.asarray(image).astype(np.float32) - low) * (255.0 / (high - low))
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
    return Image.fromarray(np.clip(np.round(scaled), 0, 255).astype(np.uint8)).convert("RGB")


def values(path: Path) -> np.ndarray[Any, Any]:
    """The bands of the contract of an array or a raster, (H, W, bands)."""
    names: list[str] = []
    if path.suffix.lower() == ".npy":
        array = np.array(np.load(path, allow_pickle=False), np.float32)
    else:
        with importlib.import_module("rasterio").open(path) as raster:
            masked = raster.read(out_dtype="float32", masked=True)
            array, names = (
                masked.filled(np.nan).transpose(1, 2, 0),
                [text or "" for text in raster.descriptions],
            )
    array = array[:, :, None] if array.ndim == 2 else array
    if not all(names) or len(set(names)) != len(names) or not names:
        names = [f"band{number}" for number in range(1, array.shape[2] + 1)]
    absent = [name for name in CARD["input"]["bands"] if name not in names]
    if absent:
        raise ValueError(f"it has the bands {', '.join(names)}, not {', '.join(absent)}")
    array = np.ascontiguousarray(array[:, :, [names.index(name) for name in CARD["input"]["bands"]]])
    for band in range(array.shape[2]):
        plane = array[:, :, band]
        plane[~np.isfinite(plane)] = plane[np.isfinite(plane)].mean(dtype=np.float64)
    return array


def placed(high: int, wide: int) -> tuple[tuple[float, float, float, float], tuple[int, int, int, int]]:
    """By the contract's resize rule: what of a picture is taken, and what of the input it fills, left, top, right, bottom."""
    (height, width), rule = CARD["input"]["size"], CARD["input"]["resize"]
    whole = (0.0, 0.0, float(wide), float(high))
    if rule == "short-side-centre-crop":
        down, across = float(high), float(wide)
        if across * height > down * width:
            across = down * width / height
        else:
            down = across * height / width
        left, top = (wide - across) / 2, (high - down) / 2
        return (left, top, left + across, top + down), (0, 0, width, height)
    if rule == "letterbox":
        scale = min(width / wide, height / high)
        columns, rows = (min(a, max(1, round(b * scale))) for a, b in ((width, wide), (height, high)))
        x, y = (width - columns) // 2, (height - rows) // 2
        return whole, (x, y, x + columns, y + rows)
    if rule == "none" and (wide, high) != (width, height):
        raise ValueError(f"it has {wide} x {high} pixels, the network takes {width} x {height}")
    return whole, (0, 0, width, height)


def fitted(image: Image.Image) -> Image.Image:
    """A picture at the network's size."""
    height, width = CARD["input"]["size"]
    taken, filled = placed(image.height, image.width)
    size = (filled[2] - filled[0], filled[3] - filled[1])
    scaled = image.resize(size, Image.Resampling.BICUBIC, box=taken, reducing_gap=3.0)
    if scaled.size == (width, height):
        return scaled
    grey: Any = float(np.asarray(image).mean()) if image.mode == "F" else (114,) * 3
    whole = Image.new(image.mode, (width, height), grey)
    whole.paste(scaled, filled[:2])
    return whole


def prepared(path: Path) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """A picture as the network's input, float32 (1, bands, H, W), and its own height and width."""
    rule = CARD["input"]
    if rule["bands"] == ["red", "green", "blue"]:
        image = opened(path)
        pixels, size = np.asarray(fitted(image)), (image.height, image.width)
    else:
        array = values(path)
        pixels = np.stack([np.asarray(fitted(Image.fromarray(p))) for p in np.moveaxis(array, 2, 0)], 2)
        size = (array.shape[0], array.shape[1])
    mean, std = np.asarray(rule["mean"], np.float32), np.asarray(rule["std"], np.float32)
    ready = (pixels.astype(np.float32) * np.float32(rule["scale"]) + np.float32(rule["offset"]) - mean) / std
    return np.ascontiguousarray(ready.transpose(2, 0, 1)[None]), size


def onnxruntime_session(path: Path) -> Any:
    """What gives the outputs of an input, on ONNX Runtime."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = CARD["threads"]
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0][0]


def openvino_session(path: Path) -> Any:
    """The same on OpenVINO, in float32 throughout."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": CARD["threads"], "NUM_STREAMS": 1}
    compiled = importlib.import_module("openvino").Core().compile_model(str(path), "CPU", settings)
    return lambda batch: compiled([batch])[compiled.output(0)][0]


def litert_session(path: Path) -> Any:
    """The same on LiteRT; integers of an int8 file are converted by the scales that it names."""
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
        str(path), num_threads=CARD["threads"]
    )
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if taken["dtype"] is not np.float32:
            (scale, zero), limits = taken["quantization"], np.iinfo(taken["dtype"])
            batch = np.clip(np.rint(batch / np.float32(scale)) + zero, limits.min, limits.max).astype(
                taken["dtype"]
            )
        interpreter.set_tensor(taken["index"], batch)
        interpreter.invoke()
        said: np.ndarray[Any, Any] = interpreter.get_tensor(given["index"])[0]
        if given["dtype"] is not np.float32:
            scale, zero = given["quantization"]
            said = (said.astype(np.float32) - zero) * np.float32(scale)
        return said

    return run


SESSIONS = {"onnxruntime": onnxruntime_session, "openvino": openvino_session, "litert": litert_session}


def answer(outputs: np.ndarray[Any, Any], top: int, threshold: float | None) -> dict[str, Any]:
    """What the outputs (K,) say: the best classes, the labels that are there, or the numbers."""
    labels = CARD["labels"]
    if CARD["task"] == "regress":
        return {"values": {label: float(value) for label, value in zip(labels, outputs, strict=True)}}
    if CARD["task"] == "multi-label":
        shares = np.exp(-np.logaddexp(0, -outputs.astype(np.float64)))
        order = np.argsort(-shares, kind="stable")
        said = [labels[i] for i in order if shares[i] > 0.5]
        return {"labels": said, "top": _ranked(labels, shares, order[:top])}
    cooled = (
        outputs
        if CARD["temperature"] == 1
        else np.asarray(outputs / np.float32(CARD["temperature"]), np.float32)
    )
    shifted = np.exp(cooled - cooled.max())
    shares = np.asarray(shifted / shifted.sum(), np.float32)
    order = np.argsort(-shares, kind="stable")[:top]
    document = {"label": labels[order[0]], "top": _ranked(labels, shares, order)}
    if threshold is None:
        return document
    unsure = float(shares[order[0]]) < threshold
    return {**document, "label": None if unsure else document["label"], "unsure": unsure}


def boxes(outputs: np.ndarray[Any, Any], size: tuple[int, int], threshold: float | None) -> dict[str, Any]:
    """What the outputs (A, 4 + K) say: boxes left, top, right, bottom in pixels of a picture of that height and width."""
    scores = outputs[:, 4:]
    places, labels = np.nonzero(scores > SAID if threshold is None else scores >= np.float32(threshold))
    order = np.lexsort((labels, places, -scores[places, labels]))[:CANDIDATES]
    places, labels = places[order], labels[order]
    taken, filled = placed(*size)
    (left, top), (x, y) = taken[:2], filled[:2]
    scale_x, scale_y = (filled[2] - x) / (taken[2] - left), (filled[3] - y) / (taken[3] - top)
    xyxy = outputs[places, :4].astype(np.float64)
    rows: list[dict[str, Any]] = []
    waiting = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(1))
    while len(waiting) and len(rows) < MOST:
        first, waiting = waiting[0], waiting[1:]
        box = (xyxy[first] - [x, y, x, y]) / [scale_x, scale_y, scale_x, scale_y] + [left, top, left, top]
        box = np.clip(box, 0, [size[1], size[0]] * 2).round(2)
        label, score = CARD["labels"][labels[first]], round(float(scores[places[first], labels[first]]), 6)
        rows.append({"label": label, "score": score, "box": box.tolist()})
        waiting = waiting[
            ~((labels[waiting] == labels[first]) & (_overlap(xyxy[first], xyxy[waiting]) > SAME))
        ]
    counts = {label: sum(row["label"] == label for row in rows) for label in CARD["labels"]}
    return {"boxes": rows, "counts": counts}


def _overlap(box: np.ndarray[Any, Any], others: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Intersection over union with each of the others (N, 4)."""
    inner = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - inner
    return np.asarray(inner / union)


def drawn(path: Path, rows: list[dict[str, Any]], folder: Path) -> None:
    """A copy of the picture with its boxes, a colour a class."""
    image = opened(path)
    pen, width = ImageDraw.Draw(image), max(2, round(min(image.size) / 250))
    high = max(11, round(min(image.size) / 36))
    font = ImageFont.load_default(high)
    for row in reversed(rows):
        colour = f"hsv({round(360 * 0.618 * CARD['labels'].index(row['label'])) % 360}, 85%, 100%)"
        pen.rectangle(row["box"], outline=colour, width=width)
        text = f"{row['label']} {row['score']:.2f}"
        plate = pen.textbbox((row["box"][0], max(0, row["box"][1] - 1.3 * high)), text, font=font)
        pen.rectangle(plate, fill=colour)
        pen.text(plate[:2], text, fill="black", font=font)
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{path.stem}.png")


def _ranked(labels: list[str], shares: np.ndarray[Any, Any], order: Any) -> list[dict[str, Any]]:
    return [{"label": labels[i], "score": round(float(shares[i]), 6)} for i in order]


def line(document: dict[str, Any]) -> str:
    """One picture for a person."""
    if document["error"] is not None:
        return f"{document['file']}  not read: {document['error']}"
    if "boxes" in document:
        pairs = [(row["label"], row["score"]) for row in document["boxes"]]
    elif "values" in document:
        pairs = list(document["values"].items())
    else:
        pairs = [(row["label"], row["score"]) for row in document["top"]]
        pairs = [pair for pair in pairs if pair[0] in document.get("labels", [pair[0]])]
    told = "  ".join(f"{label} {value:.3f}" for label, value in pairs) or "(no label)"
    text = f"{document['file']}  {'unsure: ' if document.get('unsure') else ''}{told}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main() -> int:
    """Print what is said of each picture; 2 where none could be read."""
    parser = argparse.ArgumentParser(description="Say what the network of this folder sees in pictures.")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--top", type=int, default=3, help="how many classes to name")
    parser.add_argument("--threshold", type=float, help="share below which the answer is unsure")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="draw boxes into copies of the pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error(f"--top is at least 1, got {arguments.top}")
    doubts = CARD["task"] in ("classify", "detect")
    if arguments.threshold is not None and (not doubts or not 0 <= arguments.threshold <= 1):
        parser.error("--threshold is a share from 0 to 1, for one class a picture, or boxes")
    if arguments.draw is not None and CARD["task"] != "detect":
        parser.error("--draw is for boxes")
    session = SESSIONS[CARD["runtime"]](Path(__file__).parent / CARD["file"])
    documents = []
    for name in arguments.pictures:
        document: dict[str, Any] = {"file": name}
        try:
            ready, size = prepared(Path(name))
            if CARD["task"] == "detect":
                document |= boxes(session(ready), size, arguments.threshold)
            else:
                document |= answer(session(ready), arguments.top, arguments.threshold)
            if arguments.draw is not None:
                drawn(Path(name), document["boxes"], arguments.draw)
        except Exception as error:  # whatever Pillow meets in damaged bytes
            document |= {"error": f"{type(error).__name__}: {error}"}
        documents.append({**document, "error": document.get("error")})
        if not arguments.json:
            sys.stdout.write(line(documents[-1]) + "\n")
    if arguments.json:
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
    return 2 if all(document["error"] is not None for document in documents) else 0


if __name__ == "__main__":
    sys.exit(main())
