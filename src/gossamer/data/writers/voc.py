"""Pascal VOC: `Annotations/*.xml`, `JPEGImages`, and lists of splits in `ImageSets/Main`; pixels are counted from 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gossamer.data.writers.written import Box, Entry

__all__ = ["CROWD", "FLAT", "PICTURES", "write"]

PICTURES, FLAT, CROWD = "JPEGImages", True, True


def write(folder: Path, entries: Sequence[Entry], labels: Sequence[str]) -> None:
    """One XML file a picture; `difficult` for a crowd."""
    (folder / "Annotations").mkdir()
    for entry in entries:
        root = Element("annotation")
        SubElement(root, "folder").text = PICTURES
        SubElement(root, "filename").text = entry.name
        size = SubElement(root, "size")
        for tag, value in (("width", entry.size.width), ("height", entry.size.height), ("depth", 3)):
            SubElement(size, tag).text = str(value)
        for box in entry.boxes:
            _add(root, box, labels)
        indent(root)
        stem = entry.name.rpartition(".")[0]
        (folder / "Annotations" / f"{stem}.xml").write_bytes(tostring(root, "utf-8") + b"\n")
    splits = [split for split in dict.fromkeys(entry.split for entry in entries) if split is not None]
    if splits:
        (folder / "ImageSets" / "Main").mkdir(parents=True)
    for split in splits:
        stems = [entry.name.rpartition(".")[0] + "\n" for entry in entries if entry.split == split]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(stems), encoding="utf-8")


def _add(root: Element, box: Box, labels: Sequence[str]) -> None:
    thing = SubElement(root, "object")
    SubElement(thing, "name").text = labels[box.label]
    SubElement(thing, "difficult").text = str(int(box.crowd))
    corners = SubElement(thing, "bndbox")
    left, top, right, bottom = box.xyxy
    for tag, value, other in (
        ("xmin", left, right), ("ymin", top, bottom), ("xmax", right, left), ("ymax", bottom, top),
    ):  # fmt: skip
        counted = (
            value + 1 if value < other else value
        )  # the lesser corner names its pixel, the other the pixel's end
        SubElement(corners, tag).text = f"{counted:.10g}"
