"""YOLO: a text file a picture in `labels/`, and `data.yaml` with the names of the classes and lists of splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gossamer.data.writers.written import Entry

__all__ = ["CROWD", "FLAT", "PICTURES", "write"]

PICTURES, FLAT, CROWD = "images", False, False


def write(folder: Path, entries: Sequence[Entry], labels: Sequence[str]) -> None:
    """Centre, width and height as shares of the picture's sides."""
    for entry in entries:
        path = folder / "labels" / (entry.name.rpartition(".")[0] + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for box in entry.boxes:
            left, top, right, bottom = box.xyxy
            height, width = entry.size
            shares = (
                (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height,
            )  # fmt: skip
            lines.append(" ".join([str(box.label), *(f"{share:.10g}" for share in shares)]) + "\n")
        path.write_text("".join(lines), encoding="utf-8")
    settings = []
    for split in dict.fromkeys(entry.split for entry in entries):
        if split is not None:
            names = [f"./{PICTURES}/{entry.name}\n" for entry in entries if entry.split == split]
            (folder / f"{split}.txt").write_text("".join(names), encoding="utf-8")
            settings.append(f"{split}: {split}.txt\n")
    settings += [
        "names:\n",
        *(f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(labels)),
    ]
    (folder / "data.yaml").write_text("".join(settings), encoding="utf-8")
