"""Annotation files that a stranger spoilt, by a fixed seed: 100 of each of five formats, a few in the fast core.

Each ends in a data set with findings, checked boxes and all, or in one line for a person; never in a traceback, never in
a long wait, never in much memory.
"""

from __future__ import annotations

import copy
import json
import random
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.errors import GossamerError
from gossamer.tasks.detect.faults import faults, repaired
from gossamer.types import Size

FEW, MANY = range(12), range(12, 100)
LONGEST_SECONDS, MOST_BYTES = 10.0, 200_000_000
SIZE = Size(30, 40)
NUMBERS = (
    "NaN", "-Infinity", "1e308", "-1e308", "1e999", "-1", "0", "10000000000000000000000", "9" * 5000, "null", "true",
    '""', '"x"', '"12"', "[]", "{}", "[[1]]", '"\\ud800"', '"a\\u0000b"', '"' + "x" * 5000 + '"', "[" * 3000 + "]" * 3000,
)  # fmt: skip
CELLS = (
    "nan", "-inf", "1e308", "1e999", "-1", "0", "9" * 5000, "", "x", "\0", "C:\\a b\\a.jpg", "../../../etc/passwd", "/etc/hostname", "\ufeff",
    '"', "a" * 200_000, "\u202e", "1_0", "0x10", "٣", "\r", "\n\n", "a.jpg", "-7",
)  # fmt: skip
BOMB = "<!DOCTYPE a [<!ENTITY a '{}'>{}]>".format(
    "a" * 50, "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 20}'>" for i in range(12))
)


def _pictures(root):
    for name in ("a.jpg", "images/b.jpg", "JPEGImages/c.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIZE.width, SIZE.height)).save(root / name)


def _bytes(text, rng):
    """A text as bytes, some cut off, doubled, flipped, with a mark in front, or with the ends of lines of Windows."""
    data = text.encode("utf-8", "surrogatepass")
    way = rng.randrange(9)
    if way == 0:
        return data[: rng.randrange(len(data) + 1)]
    if way == 1:
        return b"\xef\xbb\xbf" + data
    if way == 2:
        return data.replace(b"\n", b"\r\n")
    if way == 3:
        return text.encode("utf-16", "surrogatepass")
    if way == 4 and data:
        spoilt = bytearray(data)
        for _ in range(rng.choice((1, 8, 64))):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        return bytes(spoilt)
    return data + data if way == 5 else data


def _places(value, path=()):
    """Every place in a document."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


def _spoilt_json(document, rng):
    """A JSON text with some places taken away, doubled or replaced."""
    document, marks = copy.deepcopy(document), {}
    for number in range(rng.randint(1, 4)):
        path = rng.choice(list(_places(document))[1:] or [()])
        if not path:
            break
        owner = document
        for key in path[:-1]:
            owner = owner[key]
        way = rng.random()
        if way < 0.15:
            del owner[path[-1]]
        elif way < 0.3 and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[path[-1]]))
        else:
            owner[path[-1]] = f"MARK{number}"
            marks[f'"MARK{number}"'] = rng.choice(NUMBERS)
    text = json.dumps(document, indent=rng.choice((None, 1)))
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def _coco(root, rng):
    document = {
        "info": {},
        "images": [
            {"id": 1, "file_name": "a.jpg", "height": 30, "width": 40},
            {"id": 2, "file_name": rng.choice(("b.jpg", "images\\b.jpg", "gone.jpg", "../../b.jpg")), "height": 30, "width": 40},
        ],
        "annotations": [
            {"id": i, "image_id": 1 + i % 2, "category_id": 1 + i % 3, "bbox": [1 + i, 2, 10, 12], "iscrowd": 0, "segmentation": []}
            for i in range(5)
        ],
        "categories": [{"id": 1 + i, "name": name} for i, name in enumerate(("car", "boat", "tank"))],
    }  # fmt: skip
    (root / "set.json").write_bytes(_bytes(_spoilt_json(document, rng), rng))
    return root / "set.json"


def _voc(root, rng):
    (root / "Annotations").mkdir()
    for stem in ("c", "other"):
        rows = [
            f"<object><name>car</name><difficult>0</difficult><bndbox><xmin>{3 + i}</xmin><ymin>4</ymin><xmax>20</xmax>"
            "<ymax>25</ymax></bndbox></object>"
            for i in range(3)
        ]
        text = (
            f"<annotation>\n<filename>{stem}.jpg</filename>\n<size><width>40</width><height>30</height></size>\n"
            + "\n".join(rows)
            + "\n</annotation>"
        )
        for _ in range(rng.randint(1, 3)):
            at, length = rng.randrange(len(text)), rng.choice((0, 1, 3, 9, 40))
            extra = (
                *CELLS, "<", ">", "&", "</object>", "<object>", "&#0;", "<![CDATA[", "<!--", "<a>" * 2000, "&lt;", "<?x ?>",
                '<?xml version="1.1" encoding="latin-9"?>', '<?xml version="1.0" encoding="utf-7"?>',
            )  # fmt: skip
            text = text[:at] + rng.choice(extra) + text[at + length :]
        if rng.random() < 0.15:
            text = BOMB + text.replace("car", "&m;")
        (root / "Annotations" / f"{stem}.xml").write_bytes(_bytes(text, rng))
    if rng.random() < 0.5:  # one that is sound beside them
        text = "<annotation><object><name>car</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
        (root / "Annotations" / "a.xml").write_text(text)
    if rng.random() < 0.5:
        (root / "ImageSets" / "Main").mkdir(parents=True)
        (root / "ImageSets" / "Main" / "train.txt").write_bytes(
            _bytes("c\nother 1\nc\n" + rng.choice(CELLS), rng)
        )
    return root


def _yolo(root, rng):
    (root / "labels").mkdir()
    lines = [f"{i} 0.{i}5 0.4 0.2 0.1".split() for i in range(4)]
    for _ in range(rng.randint(1, 5)):
        line = rng.choice(lines)
        way = rng.random()
        if way < 0.7:
            line[rng.randrange(len(line))] = rng.choice(CELLS)
        elif way < 0.85:
            line.append(rng.choice(CELLS))
        elif len(line) > 1:
            line.pop()
    (root / "labels" / "b.txt").write_bytes(_bytes("\n".join(map(" ".join, lines)) + "\n", rng))
    settings = [
        "train: images\n", "names: [car, boat, tank, tree]\n", "nc: 4\n", "val: " + rng.choice(("images", "../../..", "gone", "'\\0'")) + "\n",
    ]  # fmt: skip
    settings[rng.randrange(4)] = rng.choice(
        ("names: {0: car, -1: x, a: 3}\n", "names: &a [1]\nb: *a\n", "a: " + "[" * 900, "names: 3\n", "? [1]\n: 2\n", "path: 7\n", "train: [1, {}]\n",
         "names: [!!python/name:os.system x]\n", "\x07", "names: [" + "a, " * 1500 + "]\n", ""),
    )  # fmt: skip
    (root / "data.yaml").write_bytes(_bytes("".join(settings), rng))
    return root


def _csv(root, rng):
    rows = [["file", "xmin", "ymin", "xmax", "ymax", "label", "width", "height", "split"]]
    rows += [["a.jpg", str(i), "2", "20", "25", "car", "40", "30", "train"] for i in range(4)]
    if rng.random() < 0.3:
        rows = [row[:6] for row in rows[1:]]
    for _ in range(rng.randint(1, 5)):
        row = rng.choice(rows)
        way = rng.random()
        if way < 0.7 and row:
            row[rng.randrange(len(row))] = rng.choice(CELLS)
        elif way < 0.85:
            row.append(rng.choice(CELLS))
        elif row:
            row.pop()
    (root / "boxes.csv").write_bytes(_bytes("\n".join(map(",".join, rows)) + "\n", rng))
    return root / "boxes.csv" if rng.random() < 0.5 else root


def _geojson(root, rng):
    rasterio = pytest.importorskip("rasterio")
    profile = {
        "driver": "GTiff",
        "height": 30,
        "width": 40,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:32633",
    }
    with rasterio.open(
        root / "set.tif", "w", **profile, transform=rasterio.Affine(2, 0, 5e5, 0, -2, 4e6)
    ) as file:
        file.write(np.ones((1, 30, 40), np.uint8))
    rings = [
        [[5e5 + x + i, 4e6 - y] for x, y in ((2, 2), (20, 2), (20, 20), (2, 20), (2, 2))] for i in range(4)
    ]
    document = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
        "features": [
            {"type": "Feature", "properties": {"label": "car"}, "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings
        ],
    }  # fmt: skip
    (root / "set.geojson").write_bytes(_bytes(_spoilt_json(document, rng), rng))
    return root / "set.geojson"


FORMATS = {"coco": _coco, "voc": _voc, "yolo": _yolo, "csv": _csv, "geojson": _geojson}


def _use(path):
    """Read a set, look at its boxes as `check` does, and take those that are to be learned from."""
    dataset = open_dataset(path)
    for finding in dataset.findings:
        finding.message.encode()
        assert "\n" not in finding.message
        assert len(finding.message) < 1500
    if dataset.task != "detect":
        return
    sizes = [SIZE] * len(dataset.samples)
    names = [dataset.relative(sample) for sample in dataset.samples]
    for remark in faults(dataset.targets, dataset.labels, sizes, names):
        assert "\n" not in remark.message
        remark.message.encode()
    for target in dataset.targets:
        places, labels, _ = repaired(target, SIZE)
        assert np.isfinite(places).all()
        assert (places[:, 2:] > places[:, :2]).all()
        assert (places >= 0).all()
        assert (places <= [40, 30, 40, 30]).all()
        assert ((labels >= 0) & (labels < len(dataset.labels))).all()


def _survives(path):
    """Whether a set came out of it; an error of ours is as right."""
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _use(path)
        read = True
    except GossamerError as error:
        message = str(error)
        message.encode()
        assert "\n" not in message
        assert len(message) < 1500
        read = False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.perf_counter() - start < LONGEST_SECONDS
    assert peak < MOST_BYTES
    return read


def _spoil(kind, seeds, tmp_path):
    outcomes = []
    for seed in seeds:
        root = tmp_path / str(seed)
        root.mkdir()
        _pictures(root)
        outcomes.append(_survives(FORMATS[kind](root, random.Random(f"{kind} {seed}"))))
    return outcomes


@pytest.mark.parametrize("kind", FORMATS)
def test_a_few_spoilt_annotations(kind, tmp_path):
    assert any(_spoil(kind, FEW, tmp_path)), "no spoilt file could be read in part"


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_many_spoilt_annotations(kind, tmp_path):
    outcomes = _spoil(kind, MANY, tmp_path)
    assert True in outcomes
    assert False in outcomes
