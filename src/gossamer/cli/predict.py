"""gossamer predict: labels for pictures, from a bundle, one .onnx, .tflite or packed file, without torch."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossamer.cli._common import DebugOption, JsonOption, bounded, print_json, print_lines, say

if TYPE_CHECKING:
    from gossamer.deploy.asked import Asked, OnTile
    from gossamer.deploy.drawings import Drawings
    from gossamer.deploy.predict import Prediction, Predictor
    from gossamer.runs.reporter import Bar

__all__ = ["predict_verb"]

_Model = Annotated[str, typer.Argument(help="Bundle folder, .onnx, .tflite or .gsm file.")]
_Inputs = Annotated[list[str], typer.Argument(help="Pictures or folders, or one film.")]
_Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write a .csv, .json, .jsonl, .coco.json or .geojson file as well."),
]
_Top = Annotated[int, typer.Option("--top", help="Classes a picture.", callback=bounded("--top", 1, 100_000))]
_Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="Threads; the bundle's by default.", callback=bounded("--threads", 1, 1024)
    ),
]
_On = Annotated[
    str | None, typer.Option("--on", help="Which of a bundle's files: RUNTIME or RUNTIME:PRECISION.")
]
_Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="Share, 0 to 1, below which the best class is given as unsure, and a thing is not said.",
    ),
]
_Rows = Annotated[str, typer.Option("--rows", help="What a row of the .csv file is: pictures or things.")]
_Draw = Annotated[
    Path | None,
    typer.Option(
        "--draw",
        help="Folder for pictures with what is said drawn into them; of a film also .mp4 or .gif.",
    ),
]
_Every = Annotated[
    int | None,
    typer.Option(
        "--every", help="Look at every nth frame of a film.", callback=bounded("--every", 1, 1_000_000)
    ),
]
_Track = Annotated[
    bool, typer.Option("--track", help="Know things again from frame to frame of a film, and count them.")
]
_Tile = Annotated[
    int | None,
    typer.Option(
        "--tile",
        help="Cut pictures into tiles of so many pixels a side.",
        callback=bounded("--tile", 8, 1 << 14),
    ),
]
_Overlap = Annotated[
    str, typer.Option("--overlap", help="What neighbouring tiles share: pixels, or a share of a tile.")
]
_Region = Annotated[
    Path | None,
    typer.Option("--region", help="Polygons (.geojson): only things inside, counted by polygon."),
]
_RegionRule = Annotated[
    str, typer.Option("--region-rule", help="Inside by its centre, or by any part of it: crossing.")
]


def predict_verb(
    model: _Model,
    inputs: _Inputs,
    out: _Out = None,
    top: _Top = 3,
    threads: _Threads = None,
    on: _On = None,
    threshold: _Threshold = None,
    rows: _Rows = "pictures",
    draw: _Draw = None,
    every: _Every = None,
    track: _Track = False,
    tile: _Tile = None,
    overlap: _Overlap = "20%",
    region: _Region = None,
    region_rule: _RegionRule = "centre",
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Print labels with scores; a picture that cannot be read is named and does not stop the rest."""
    from gossamer.cli._films import films_among, watch_films
    from gossamer.deploy.asked import Asked
    from gossamer.deploy.films import WRITTEN
    from gossamer.deploy.predict import Predictor
    from gossamer.deploy.tables import check_output
    from gossamer.deploy.watch import Watching
    from gossamer.geo.regions import read_regions
    from gossamer.geo.windows import Tiling

    if out is not None:
        check_output(out, rows)
    asked = Asked(
        top,
        threshold,
        None if tile is None else Tiling.of(tile, overlap),
        None if region is None else read_regions(region),
        region_rule,
    )
    animated = every is not None or track or (draw is not None and draw.suffix.lower() in WRITTEN)
    films = films_among(inputs, animated=animated)
    predictor = Predictor(model, threads=threads, on=on)
    asked.check(predictor)
    if films:
        watching = Watching(asked, every or 1, track, out, rows, draw)
        return watch_films(predictor, films[0], watching, json=json)
    return _pictures(predictor, inputs, asked, out=out, rows=rows, draw=draw, json=json)


def _pictures(
    predictor: Predictor,
    inputs: list[str],
    asked: Asked,
    *,
    out: Path | None,
    rows: str,
    draw: Path | None,
    json: bool,
) -> int:
    from gossamer.deploy.asked import answered
    from gossamer.deploy.drawings import Drawings
    from gossamer.deploy.predict import find_pictures
    from gossamer.deploy.tables import check_files, check_output, write_predictions
    from gossamer.errors import DataError

    if out is not None:
        check_output(out, rows, predictor)
        check_files(out, find_pictures(inputs))
    drawings = None if draw is None else Drawings(draw, predictor)
    predictions: list[Prediction] = []
    listening = not json
    with _progress() as on_tile:
        for prediction in answered(predictor, find_pictures(inputs), asked, on_tile=on_tile):
            predictions.append(prediction)
            if drawings is not None:
                _draw(drawings, prediction)
            listening = listening and _printed(prediction)
            if not listening and out is None and draw is None and not json:
                break
    if not predictions:
        raise DataError(f"no pictures in {', '.join(inputs)}; give pictures or folders that hold some")
    if out is not None:
        write_predictions(out, predictor, predictions, top=asked.top, rows=rows)
    if json:
        print_json([p.to_json() for p in predictions])
    return 2 if all(p.error is not None for p in predictions) else 0


def _draw(drawings: Drawings, prediction: Prediction) -> None:
    from gossamer.errors import DataError

    try:
        drawings.add(prediction)
    except DataError as error:
        say(f"{prediction.file} is not drawn: {error}")


@contextlib.contextmanager
def _progress() -> Iterator[OnTile]:
    """A bar of tiles for each picture that is cut into some."""
    from gossamer.runs.reporter import RichReporter

    stack = contextlib.ExitStack()
    bars: dict[Path, Bar] = {}

    def on_tile(file: Path, done: int, total: int) -> None:
        if file not in bars:
            stack.close()
            bars.clear()
            bars[file] = stack.enter_context(RichReporter().bar(f"tiles of {file.name}", total))
        bars[file].update(done)
        if done == total:
            stack.close()

    with stack:
        yield on_tile


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
