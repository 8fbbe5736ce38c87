"""What stands around a detector's network: milliseconds of each part, and `predict` beside the runtime's own rate.

python -m benchmarks.detect_path [BUNDLE]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from gossamer.data.geometry import fit_picture
from gossamer.deploy.contract import InputContract
from gossamer.deploy.predict import Predictor
from gossamer.tasks import get_task
from gossamer.tasks.task import Frame
from gossamer.types import Size

SIDE, ROUNDS, PICTURES = 416, 200, 64
MOST_MS, LEAST_SHARE = 2.0, 0.8
PLACES, LABELS, THINGS = 3549, 80, 20


def milliseconds(part: Callable[[], object]) -> float:
    """Processor time of one call, the median of ten batches."""
    part()
    times = []
    for _ in range(10):
        start = time.process_time()
        for _ in range(ROUNDS // 10):
            part()
        times.append(1000 * (time.process_time() - start) / (ROUNDS // 10))
    return float(np.median(times))


def answers(seed: int = 0) -> np.ndarray:
    """(A, 4 + K) as a detector gives them: some things, each said by a dozen places, noise elsewhere."""
    rng = np.random.default_rng(seed)
    middles, sides = rng.uniform(0, SIDE, (PLACES, 2)), rng.uniform(20, 80, (PLACES, 2))
    scores = rng.beta(0.5, 60, (PLACES, LABELS)) * 0.2
    for thing in range(THINGS):
        rows = rng.integers(0, PLACES, 12)
        middles[rows] = rng.uniform(40, SIDE - 40, 2) + rng.normal(0, 2, (12, 2))
        sides[rows] = rng.uniform(30, 90, 2)
        scores[rows, thing] = rng.uniform(0.2, 0.9, 12)
    boxes = np.concatenate([middles - sides / 2, middles + sides / 2], 1)
    return np.concatenate([boxes, scores], 1).astype(np.float32)


def parts() -> Iterator[str]:
    """One line a part, and their sum beside the target."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    picture = small.resize((640, 480), Image.Resampling.BICUBIC)
    contract = InputContract(Size(SIDE, SIDE), mean=(127.0,) * 3, std=(128.0,) * 3, resize="letterbox")
    task, labels = get_task("detect"), [str(i) for i in range(LABELS)]
    pixels, outputs = contract.pixels(picture), (answers()[None],)
    frame: Frame = contract.frame(Size(480, 640))
    times = {
        "letterbox": milliseconds(lambda: fit_picture(picture, contract.size, "letterbox")),
        "normalise": milliseconds(lambda: contract.normalise(pixels)),
        "decode and suppress": milliseconds(lambda: task.decode(outputs, labels, top=5, frame=frame)),
    }
    for name, ms in times.items():
        yield f"{name}: {ms:.2f} ms of one core"
    total = sum(times.values())
    yield f"640 x 480 to {SIDE}, {LABELS} classes, all three: {total:.2f} ms ({total / MOST_MS:.2f} of the target)"


def rate(model: Path) -> Iterator[str]:
    """`predict` on a folder beside the network alone: by the clock, and by the time of the thread that predicts.

    The second is what the first comes to where the thread that reads ahead has a core for itself.
    """
    rng = np.random.default_rng(0)
    predictor = Predictor(model, threads=1)
    with tempfile.TemporaryDirectory() as name:
        for number in range(PICTURES):
            small = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
            small.resize((640, 480), Image.Resampling.BICUBIC).save(
                Path(name, f"{number:02}.jpg"), quality=90
            )
        files = sorted(Path(name).iterdir())
        values = predictor.contract.open(files[0])
        for words, clock in (("by the clock", time.perf_counter), ("in its own thread", time.thread_time)):
            ratios = []
            for _ in range(5):
                start = clock()
                for _ in predictor.each(files):
                    pass
                middle = clock()
                for _ in files:
                    predictor.session.run(values)
                ratios.append((clock() - middle) / (middle - start))
            share = float(np.median(ratios))
            yield (
                f"predict on {PICTURES} pictures, {words}: {share:.2f} of the runtime's own rate "
                f"({share / LEAST_SHARE:.2f} of the target)"
            )


def run(model: Path | None = None) -> Iterator[str]:
    """Lines for a person."""
    yield from parts()
    if model is not None:
        yield from rate(model)


if __name__ == "__main__":
    for line in run(Path(sys.argv[1]) if sys.argv[1:] else None):
        print(line)
