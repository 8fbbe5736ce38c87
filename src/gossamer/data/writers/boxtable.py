"""A table of boxes: `boxes.csv`, a row a box; a picture without boxes has a row with empty places."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from gossamer.data.writers.written import Entry

__all__ = ["CROWD", "FLAT", "PICTURES", "write"]

PICTURES, FLAT, CROWD = "images", False, True
_COLUMNS = ("file", "xmin", "ymin", "xmax", "ymax", "label", "width", "height", "crowd", "split")


def write(folder: Path, entries: Sequence[Entry], labels: Sequence[str]) -> None:
    """Corners in pixels, counted from 0."""
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for entry in entries:
            name, rest = f"{PICTURES}/{entry.name}", (entry.size.width, entry.size.height)
            for box in entry.boxes:
                corners = [f"{value:.10g}" for value in box.xyxy]
                table.writerow([name, *corners, labels[box.label], *rest, int(box.crowd), entry.split or ""])
            if not entry.boxes:
                table.writerow([name, "", "", "", "", "", *rest, 0, entry.split or ""])
