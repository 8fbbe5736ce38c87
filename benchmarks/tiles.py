"""What tiles gain over one look at the whole of a large picture: AP50 with and without, of a bundle on pictures with boxes.

    python -m benchmarks.tiles BUNDLE [DATA] [TILE] [ACROSS]

Pictures are laid side by side, ACROSS x ACROSS to one large picture, where ACROSS is more than 1.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gossamer.data.dataset import Sample, open_dataset
from gossamer.data.geometry import Transform
from gossamer.data.pictures import open_rgb
from gossamer.deploy.asked import Asked, answered
from gossamer.deploy.predict import Prediction, Predictor
from gossamer.geo.windows import Tiling
from gossamer.tasks import Task, get_task
from gossamer.types import Size

FROM, MOST_PICTURES = 0.01, 64


def large_pictures(samples: Sequence[Sample], across: int, folder: Path) -> Iterator[tuple[Path, Size, Any]]:
    """Files, their sizes, and their boxes: the pictures as they are, or several side by side."""
    group = across * across
    for start in range(0, min(len(samples), MOST_PICTURES) - group + 1, group):
        chosen = samples[start : start + group]
        images = [open_rgb(sample.path) for sample in chosen]
        wide, high = max(i.width for i in images), max(i.height for i in images)
        sheet = Image.new("RGB", (across * wide, across * high))
        moved = []
        for place, (sample, image) in enumerate(zip(chosen, images, strict=True)):
            x, y = place % across * wide, place // across * high
            sheet.paste(image, (x, y))
            boxes = sample.target.in_pixels(Size(image.height, image.width)) + np.array([x, y, x, y])
            moved.append(sample.target._replace(xyxy=boxes, norm=False, size=None))
        whole = moved[0]._replace(
            xyxy=np.concatenate([each.xyxy for each in moved]),
            labels=np.concatenate([each.labels for each in moved]),
            crowd=np.concatenate([each.crowd for each in moved]),
        )
        path = folder / f"{start}.png"
        sheet.save(path)
        yield path, Size(sheet.height, sheet.width), whole


def ap50(task: Task, labels: Sequence[str], said: Sequence[Prediction], truth: Sequence[np.ndarray]) -> float:
    """Of what is said of pictures, in their own pixels."""
    score = task.score(labels)
    for prediction, targets in zip(said, truth, strict=True):
        boxes = [] if prediction.answer is None else prediction.answer.document["boxes"]
        outputs = np.zeros((1, max(1, len(boxes)), 4 + len(labels)), np.float32)
        for row, box in zip(outputs[0], boxes, strict=False):
            row[:4], row[4 + labels.index(box["label"])] = box["box"], box["score"]
        score.update((outputs,), targets)
    return score.figures()["ap50"]


def run(model: Path, data: str = "demo:boxes", tile: int | None = None, across: int = 4) -> Iterator[str]:
    """Lines for a person."""
    predictor, task = Predictor(model, threads=1), get_task("detect")
    dataset = open_dataset(data)
    samples = [sample for sample in dataset.samples if sample.split == "test"] or list(dataset.samples)
    side = tile or max(predictor.contract.size)
    with tempfile.TemporaryDirectory() as name:
        pictures = list(large_pictures(samples, across, Path(name)))
        places = np.array(
            [predictor.labels.index(label) if label in predictor.labels else 0 for label in dataset.labels]
        )
        truth = []
        for _, size, boxes in pictures:
            moved = boxes._replace(labels=places[boxes.labels])
            truth.append(task.array(task.place([moved], [size], [Transform()], size), predictor.labels))
        figures = {}
        for words, tiling in (("one resized look", None), (f"tiles of {side}", Tiling.of(side))):
            start = time.perf_counter()
            said = list(answered(predictor, [each[0] for each in pictures], Asked(5, FROM, tiling)))
            seconds = (time.perf_counter() - start) / len(pictures)
            figures[words] = ap50(task, predictor.labels, said, truth)
            yield f"{words}: AP50 {figures[words]:.3f} on {len(pictures)} pictures of {pictures[0][1]}, {seconds:.2f} s a picture"
    first, second = figures.values()
    yield f"tiles over one look: {second - first:+.3f} AP50"


if __name__ == "__main__":
    bundle, *more = sys.argv[1:]
    data = more[0] if more else "demo:boxes"
    for line in run(Path(bundle), data, *(int(each) for each in more[1:])):
        print(line)
