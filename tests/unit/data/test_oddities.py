"""Pictures that show nothing, values that differ in range, labels that a person takes for one."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from gossamer.data.check import check


def _of(report, code):
    return [f for f in report.findings if f.code == code]


def _one(report, code):
    (finding,) = _of(report, code)
    assert "\n" not in finding.message
    return finding


def _grey12(path, seed, top=4000):
    values = np.random.default_rng(seed).integers(0, top, (40, 40)).astype(np.uint16)
    Image.fromarray(values).save(path)


def test_one_range_for_the_whole_set_travels_in_the_report(pictures):
    root = pictures({"a": 5, "b": 5})
    for i in range(6):
        _grey12(root / "a" / f"wide{i}.png", i)
    report = check(root)
    assert report.value_range == (0.0, 4095.0)
    assert report.to_json()["value_range"] == [0.0, 4095.0]
    finding = _one(report, "wide")
    assert len(finding.files) == 6
    assert finding.message.startswith(
        "6 pictures (a/wide0.png, a/wide1.png, a/wide2.png and 3 more): more than 8 bits"
    )
    assert _of(report, "dark") == []


def test_plain_pictures_have_no_range(pictures):
    assert check(pictures({"a": 5, "b": 5})).value_range is None


def test_black_pictures_and_those_of_one_colour_are_told(pictures):
    root = pictures({"a": 6, "b": 6})
    Image.new("RGB", (40, 40), (9, 12, 3)).save(root / "a" / "night.png")
    Image.new("RGB", (40, 40), (90, 120, 30)).save(root / "b" / "wall.png")
    report = check(root)
    assert _one(report, "dark").files == ("a/night.png",)
    assert _one(report, "flat").files == ("b/wall.png",)


def test_a_picture_of_few_of_the_values_that_others_have_is_dark(pictures):
    root = pictures({"a": 6, "b": 6})
    for i in range(6):
        _grey12(root / "a" / f"wide{i}.png", i, top=60_000)
    _grey12(root / "b" / "low.png", 9, top=200)
    assert _one(check(root), "dark").files == ("b/low.png",)


def test_whole_and_real_numbers_of_other_ranges_are_told(pictures):
    root = pictures({"a": 6, "b": 6})
    _grey12(root / "a" / "wide.png", 0)
    Image.fromarray(np.random.default_rng(1).random((40, 40)).astype(np.float32)).save(
        root / "b" / "real.tif"
    )
    finding = _one(check(root), "mixed-range")
    assert (finding.severity, finding.files) == ("error", ("b/real.tif",))


def test_transparent_places_are_told(pictures, draw):
    root = pictures({"a": 6, "b": 6})
    image = draw(90).convert("RGBA")
    image.paste((1, 2, 3, 0), (0, 0, 20, 20))
    image.save(root / "a" / "x.png")
    report = check(root)
    assert _one(report, "transparent").files == ("a/x.png",)
    assert _of(report, "bands") == []


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (("Green", "green"), "in case alone"),
        (
            (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
            "by how accents are stored",
        ),
    ],
)
def test_labels_that_are_one_to_a_person_are_told(pictures, names, how):
    report = check(pictures({**dict.fromkeys(names, 5), "other": 5}))
    if len(report.dataset.labels) < 3:
        pytest.skip("this file system takes the names for one")
    finding = _one(report, "same-name")
    assert finding.severity == "error"
    assert how in finding.message


def test_classes_that_one_split_lacks_are_told(tmp_path, pictures):
    pictures({"red": 8, "green": 8}, name="data/train")
    root = pictures({"red": 8, "blue": 8}, name="data/test", seed=3).parent
    report = check(root)
    assert [(f.severity, f.message) for f in _of(report, "one-sided")] == [
        ("error", "no picture of 'blue' in train: never learned; move some there, or take it out"),
        ("warning", "no picture of 'blue' in val: never validated; add some of other places or groups"),
        ("warning", "no picture of 'green' in test: never tested; add some of other places or groups"),
    ]
