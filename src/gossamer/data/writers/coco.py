"""COCO: `annotations/instances_SPLIT.json`, one a split, or `instances.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gossamer._files import write_json
from gossamer.data.writers.written import Entry

__all__ = ["CROWD", "FLAT", "PICTURES", "document_of", "write"]

PICTURES, FLAT, CROWD = "images", False, True


def write(folder: Path, entries: Sequence[Entry], labels: Sequence[str]) -> None:
    """One file a split, with the same categories."""
    for split in dict.fromkeys(entry.split for entry in entries):
        mine = [entry for entry in entries if entry.split == split]
        name = "instances.json" if split is None else f"instances_{split}.json"
        write_json(folder / "annotations" / name, document_of(mine, labels))


def document_of(entries: Sequence[Entry], labels: Sequence[str]) -> dict[str, Any]:
    """The JSON document of some pictures; ids begin at 1."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, 1):
        height, width = entry.size
        images.append({"id": number, "file_name": entry.name, "height": height, "width": width})
        for box in entry.boxes:
            left, top, right, bottom = box.xyxy
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": box.label + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": abs((right - left) * (bottom - top)),
                    "iscrowd": int(box.crowd),
                }
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(labels)]
    return {"images": images, "annotations": annotations, "categories": categories}
