"""A detector with one head and its form without suppression, trained alike: python -m benchmarks.nms_free DATA.

For each: AP and AP50 on the test pictures with suppression and without, and the processor time of the exported file, of
what follows it, and of both. DATA is anything with boxes that `gossamer train` takes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gossamer as gs
from gossamer.deploy.predict import Predictor
from gossamer.tasks.detect.score import SCORED, DetectionScore, real_rows
from gossamer.tasks.detect.suppress import Suppression, detections
from gossamer.timing.latency import measure_latency

MODEL = "detector:efficientnet_lite0+ghost_pan+gfl@wheel"
FREE = "_nms_free"
HOW = {"with suppression": SCORED, "without": replace(SCORED, overlap=1.0)}


def compared(data: str, model: str, *, minutes: float, size: int | None) -> Iterator[str]:
    """Train both forms of a MODEL whose last part is a head, for so long each, and score them."""
    name, at, weights = model.partition("@")
    with tempfile.TemporaryDirectory(prefix="gossamer-nms-free-") as folder:
        for form in (name, f"{name}{FREE}"):
            run = gs.train(
                data,
                model=f"{form}{at}{weights}",
                minutes=minutes,
                size=size,
                out=Path(folder, form.rpartition("+")[2]),
            )
            assert run is not None
            yield f"{form}, {minutes:g} minutes of training"
            yield from scored(data, run.bundle.folder)


def scored(data: str, bundle: Path) -> Iterator[str]:
    """One line a way to end: figures, and milliseconds of processor a picture."""
    predictor, report = Predictor(bundle, threads=1), gs.check(data)
    samples = [report.dataset.samples[i] for i in report.split.test]
    said: dict[str, DetectionScore] = {way: DetectionScore(predictor.labels) for way in HOW}
    last: NDArray[np.float32] | None = None
    batch: NDArray[np.float32] | None = None
    for sample in samples:
        batch, frame = predictor.contract.framed(sample.path)
        (target,) = predictor.task.place(
            [sample.target], [frame.picture], [frame.transform], predictor.contract.size
        )
        truth = real_rows(predictor.task.array([target], predictor.labels)[0])
        last = predictor.session.run(batch)[0][0]
        for way, how in HOW.items():
            said[way].said.append(detections(last, how))
            said[way].truth.append(truth)
    assert last is not None
    assert batch is not None
    yield from _lines(said, predictor, batch, last)


def _lines(
    said: dict[str, DetectionScore],
    predictor: Predictor,
    batch: NDArray[np.float32],
    answers: NDArray[np.float32],
) -> Iterator[str]:
    def ended(how: Suppression) -> NDArray[np.float64]:
        return detections(answers, how)

    timed = measure_latency(
        {
            "network": lambda: predictor.session.run(batch),
            **{way: lambda how=how: ended(how) for way, how in HOW.items()},  # type: ignore[misc]
        },
        seconds=2.0,
    )
    network = timed["network"].cpu_ms
    for way, score in said.items():
        figures, after = score.figures(), timed[way].cpu_ms
        yield (
            f"  {way}: AP {100 * figures['ap']:.1f}, AP50 {100 * figures['ap50']:.1f} on {score.count} pictures; "
            f"{network:.2f} ms network + {after:.2f} ms after it = {network + after:.2f} ms"
        )


def main(arguments: Sequence[str]) -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="pictures with boxes")
    parser.add_argument("--model", default=MODEL, help="MODEL whose head has a form without suppression")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, of each form")
    parser.add_argument("--size", type=int, help="side of the input")
    options = parser.parse_args(arguments)
    for line in compared(options.data, options.model, minutes=options.minutes, size=options.size):
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
