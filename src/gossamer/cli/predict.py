"""gossamer predict: labels for pictures, from a bundle, one .onnx, .tflite or packed file, without torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli._common import DebugOption, JsonOption, bounded, print_json, print_lines

if TYPE_CHECKING:
    from gossamer.deploy.predict import Prediction

__all__ = ["predict_verb"]


def predict_verb(
    model: Annotated[str, typer.Argument(help="Bundle folder, .onnx, .tflite or .gsm file.")],
    inputs: Annotated[list[str], typer.Argument(help="Pictures or folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a .csv or .json file as well.")
    ] = None,
    top: Annotated[
        int, typer.Option("--top", help="Classes a picture.", callback=bounded("--top", 1, 100_000))
    ] = 3,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", help="Threads; the bundle's by default.", callback=bounded("--threads", 1, 1024)
        ),
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", help="Which of a bundle's files: RUNTIME or RUNTIME:PRECISION.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Share, 0 to 1, below which the best class is given as unsure."),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Print labels with scores; a picture that cannot be read is named and does not stop the rest."""
    from gossamer.deploy.predict import Predictor, find_pictures
    from gossamer.errors import DataError

    _check(out)
    predictor = Predictor(model, threads=threads, on=on)
    predictor.check(threshold)
    predictions: list[Prediction] = []
    listening = not json
    for file in find_pictures(inputs):
        prediction = predictor.predict(file, top=top, threshold=threshold)
        predictions.append(prediction)
        listening = listening and _printed(prediction)
        if not listening and out is None and not json:
            break
    if not predictions:
        raise DataError(f"no pictures in {', '.join(inputs)}; give pictures or folders that hold some")
    if out is not None:
        _write(out, predictor.columns(top), predictions)
    if json:
        print_json([p.to_json() for p in predictions])
    return 2 if all(p.error is not None for p in predictions) else 0


def _check(out: Path | None) -> None:
    from gossamer.errors import GossamerError

    if out is not None and out.suffix not in (".csv", ".json"):
        raise GossamerError(f"--out is a .csv or .json file, got {out}")


def _printed(prediction: Prediction) -> bool:
    """Print one line; whether somebody still reads (`| head` stops the printing, not the file of --out)."""
    try:
        print_lines([_line(prediction)])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _line(prediction: Prediction) -> str:
    if prediction.error is not None:
        return f"{prediction.file}  not read: {prediction.error}"
    pairs = zip(prediction.labels, prediction.scores, strict=True)
    told = "  ".join(f"{label} {score:.3f}" for label, score in pairs)
    return f"{prediction.file}  {'unsure: ' if prediction.unsure else ''}{told or '(no label)'}"


def _write(out: Path, columns: tuple[str, ...], predictions: list[Prediction]) -> None:
    import csv
    import io

    from gossamer._files import write_json, write_text
    from gossamer._text import cells

    if out.suffix == ".json":
        write_json(out, [p.to_json() for p in predictions])
        return
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(["file", *columns, "error"])
    for p in predictions:
        row = {} if p.answer is None else p.answer.row
        rows.writerow(cells([p.file, *(row.get(name, "") for name in columns), p.error or ""]))
    write_text(out, buffer.getvalue())
