"""Files of predictions: JSON, JSON lines, CSV by picture or by thing, COCO, GeoJSON; each whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from gossamer._files import atomic_path, write_json
from gossamer._text import cells
from gossamer.deploy.asked import places_of
from gossamer.deploy.predict import Prediction, Predictor
from gossamer.errors import BundleError, DataError
from gossamer.geo.scene import Georeference, georeference_of

__all__ = ["KINDS", "ROWS", "check_files", "check_output", "write_predictions", "write_rows"]

ROWS = ("pictures", "things")
"""What a row of a CSV table is."""


def check_output(path: Path, rows: str, predictor: Predictor | None = None) -> None:
    """That a file of such a name can hold predictions, and what a row of it is.

    Raises:
        BundleError: its suffix is none of the known ones, or it needs answers that lie somewhere in the picture.
    """
    kind = _kind(path)
    if rows not in ROWS:
        raise BundleError(f"--rows is {' or '.join(ROWS)}, got {rows!r}")
    if rows != ROWS[0] and kind != ".csv":
        raise BundleError(f"--rows is for a .csv file, got {path}; leave it out")
    if predictor is not None and (kind in (".coco.json", ".geojson") or rows != ROWS[0]):
        places_of(predictor, f"--out {path.name}" if rows == ROWS[0] else f"--rows {rows}")


def _kind(path: Path) -> str:
    """Raises BundleError: the suffix is none of those that are known."""
    for kind in KINDS:
        if path.name.lower().endswith(kind):
            return kind
    *others, last = sorted(KINDS)
    raise BundleError(f"--out is a {', '.join(others)} or {last} file, got {path}")


def write_predictions(
    path: Path, predictor: Predictor, predictions: Sequence[Prediction], *, top: int = 1, rows: str = ROWS[0]
) -> None:
    """Write what is said of pictures, in the form that the name tells.

    Raises:
        BundleError: no file of that name can hold it.
        DataError: GeoJSON of a picture that is on no map.
        RunFolderError: it cannot be written.
    """
    check_output(path, rows, predictor)
    if rows != ROWS[0]:
        _write_things(path, predictor, predictions)
    else:
        KINDS[_kind(path)](path, predictor, predictions, top)


def _write_json(path: Path, predictor: Predictor, predictions: Sequence[Prediction], top: int) -> None:
    write_json(path, [each.to_json() for each in predictions])


def _write_lines(path: Path, predictor: Predictor, predictions: Sequence[Prediction], top: int) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for each in predictions:
            file.write(json.dumps(each.to_json(), ensure_ascii=False, allow_nan=False) + "\n")


def _write_table(path: Path, predictor: Predictor, predictions: Sequence[Prediction], top: int) -> None:
    columns = dict.fromkeys(predictor.columns(top))
    for each in predictions:
        columns |= dict.fromkeys(() if each.answer is None else each.answer.row)
    rows = (
        {"file": each.file, **({} if each.answer is None else each.answer.row), "error": each.error or ""}
        for each in predictions
    )
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, ["file", *columns, "error"], rows)


def _write_things(path: Path, predictor: Predictor, predictions: Sequence[Prediction]) -> None:
    """One row a thing; a picture that holds none has one row all the same, so that it is told from one left out."""
    places = places_of(predictor, "--rows")
    table: list[dict[str, Any]] = []
    for each in predictions:
        things = [] if each.answer is None else places.rows(each.answer)
        table += [{"file": each.file, **row, "error": ""} for row in things]
        if not things:
            table.append({"file": each.file, "error": each.error or ""})
    more = dict.fromkeys(key for row in table for key in row if key not in ("file", "error", *places.columns))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, ["file", *places.columns, *more, "error"], table)


def write_rows(
    file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, named: bool = True
) -> None:
    """A CSV table: a head where it is to be `named`, and rows whose missing values are empty."""
    table = csv.writer(file, lineterminator="\n")
    if named:
        table.writerow(cells(columns))
    for row in rows:
        values = (row.get(name) for name in columns)
        table.writerow(cells("" if value is None else value for value in values))


def _write_coco(path: Path, predictor: Predictor, predictions: Sequence[Prediction], top: int) -> None:
    """Instances with a `score` each: `annotations` alone is what COCO calls results."""
    places = places_of(predictor, "--out")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for each in predictions:
        if each.answer is None or each.size is None:
            continue
        number = len(images) + 1
        images.append(
            {"id": number, "file_name": str(each.file), "width": each.size.width, "height": each.size.height}
        )
        for row in places.coco(each.answer, predictor.labels):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **row})
    categories = [{"id": place, "name": label} for place, label in enumerate(predictor.labels, 1)]
    write_json(path, {"images": images, "categories": categories, "annotations": annotations})


def _ground(file: Path) -> Georeference:
    """Raises DataError: the file is on no map."""
    ground = georeference_of(file)
    if ground is None:
        raise DataError(
            f"GeoJSON is for rasters on a map, {file} is on none; write .json, .csv or .coco.json instead"
        )
    return ground


def check_files(path: Path, files: Iterable[Path]) -> None:
    """That what is said of these files can be written, from their headers alone, before anything is predicted.

    Raises:
        DataError: GeoJSON of a picture that is on no map.
    """
    if _kind(path) == ".geojson":
        for file in files:
            _ground(file)


def _write_geojson(path: Path, predictor: Predictor, predictions: Sequence[Prediction], top: int) -> None:
    """Longitude and latitude of WGS 84, as RFC 7946 asks."""
    places = places_of(predictor, "--out")
    features: list[dict[str, Any]] = []
    for each in predictions:
        if each.answer is None:
            continue
        ground = _ground(each.file)
        for feature in places.features(each.answer, ground.to_lonlat):
            feature["properties"]["file"] = str(each.file)
            features.append(feature)
    write_json(path, {"type": "FeatureCollection", "features": features})


KINDS: Mapping[str, Callable[[Path, Predictor, Sequence[Prediction], int], None]] = {
    ".coco.json": _write_coco,
    ".csv": _write_table,
    ".geojson": _write_geojson,
    ".json": _write_json,
    ".jsonl": _write_lines,
}
"""End of a file's name -> what writes it; the first that fits."""
