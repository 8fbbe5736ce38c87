"""Every reader of the table keeps the contract."""

from __future__ import annotations

import csv
import json

from PIL import Image

from gossamer.data.dataset import READERS
from gossamer.testing.readers import ReaderContract


class TestFolder(ReaderContract):
    name = "folder"

    def write(self, root):
        wanted = {}
        for label in ("river", "forêt dense", 'a "quoted" one'):
            for inner in ("1.png", "2.jpg", "scene/3.PNG"):
                path = root / label / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (len(wanted) * 20, 0, 0)).save(path)
                wanted[f"{label}/{inner}"] = label
        return wanted


class TestTable(ReaderContract):
    name = "table"

    def write(self, root):
        wanted = {"1.png": "river", "in/2.jpg": "forêt dense", "in/3.png": 'a "quoted" one', "4.png": "river"}
        for path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(root / path)
        with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["file", "label"], *wanted.items()])
        return wanted


class TestImagefolder(ReaderContract):
    name = "imagefolder"

    def write(self, root):
        wanted = {"train/1.png": "river", "train/in/2.jpg": "forêt dense", "test/3.png": 'a "quoted" one'}
        for path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(root / path)
        for split in ("train", "test"):
            rows = [
                {"file_name": path.partition("/")[2], "label": label}
                for path, label in wanted.items()
                if path.startswith(split)
            ]
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (root / split / "metadata.jsonl").write_text(lines, encoding="utf-8")
        return wanted


def test_every_reader_is_held_to_the_contract():
    assert sorted(c.name for c in ReaderContract.__subclasses__() if c.__module__ == __name__) == sorted(
        READERS
    )
