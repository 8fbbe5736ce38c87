"""Tables of pictures: classes, several labels, values; what is no table, and cells that cannot be right."""

from __future__ import annotations

import pytest
from PIL import Image

from gossamer.data.check import check
from gossamer.data.dataset import open_dataset
from gossamer.data.readers import table
from gossamer.errors import DataError


@pytest.fixture
def write(tmp_path):
    """`write("file,label", "a.png,x", ...)`: a folder with the table and the pictures that it names."""

    def make(*lines, name="labels.csv", encoding="utf-8"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding=encoding)
        for line in lines[1:]:
            path = tmp_path / line.split(",")[0]
            if path.suffix == ".png" and ".." not in path.parts:
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8)).save(path)
        return tmp_path

    return make


def _texts(dataset):
    return {dataset.relative(s): s.target for s in dataset.samples}


def test_one_label_each_are_classes(write):
    data = open_dataset(
        write("file,label,split,group", "a.png,oak,train,1", "in/b.png,elm,Valid,1", "c.png,oak,,")
    )
    assert (data.task, data.labels) == ("classify", ("elm", "oak"))
    assert _texts(data) == {"a.png": 1, "in/b.png": 0, "c.png": 1}
    assert [s.split for s in data.samples] == ["train", "val", None]
    assert [s.group for s in data.samples] == ["1", "1", None]


def test_labels_between_semicolons_are_several(write):
    data = open_dataset(write("file,label", "a.png,oak; elm", "b.png,elm", "c.png,oak;oak"))
    assert (data.task, data.labels) == ("multi-label", ("elm", "oak"))
    assert _texts(data) == {"a.png": (0, 1), "b.png": (0,), "c.png": (1,)}


def test_a_column_of_labels_may_hold_none(write):
    data = open_dataset(write("file,labels", "a.png,oak", "b.png,", "c.png,elm"))
    assert (data.task, _texts(data)["b.png"]) == ("multi-label", ())


@pytest.mark.parametrize(
    ("header", "row", "labels", "target"),
    [
        ("file,value", "1.5", ("value",), (1.5,)),
        ("file,value:height", "-3e2", ("height",), (-300.0,)),
        ("file,value:height,value:depth", "1,2", ("height", "depth"), (1.0, 2.0)),
    ],
)
def test_values_are_numbers_with_names(write, header, row, labels, target):
    data = open_dataset(write(header, f"a.png,{row}", name="targets.csv"))
    assert (data.task, data.labels, data.samples[0].target) == ("regress", labels, target)


def test_a_table_of_another_name_is_given_by_its_path(write):
    folder = write("file,label", "a.png,x", "b.png,y", name="mine.csv")
    data = open_dataset(folder / "mine.csv")
    assert (data.name, data.root, len(data.samples)) == ("mine", folder, 2)
    assert not table.recognises(folder)


def test_a_byte_order_mark_is_no_part_of_a_name(write):
    assert len(open_dataset(write("file,label", "a.png,x", "b.png,y", encoding="utf-8-sig")).samples) == 2


def test_class_folders_beside_a_table_of_something_else_are_class_folders(write, pictures, tmp_path):
    pictures({"x": 2, "y": 2}, name=".")
    write("picture,site", "x/000.png,1")
    assert not table.recognises(tmp_path)
    assert open_dataset(tmp_path).labels == ("x", "y")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label"], r"has a row a picture, .* has none; add rows$"),
        (
            ["name,label", "a.png,x"],
            r"has the column file and one of label, labels, value or value:NAME, .* has name, label",
        ),
        (["file,kind", "a.png,x"], r"has the column file and one of"),
        (["file,label", "a.png,x", "b.png,x"], r"needs at least 2 classes with pictures, .* has only 'x'"),
        (["file,label", "a.png,x", "b.png,"], r"a picture has a label, .* line 3 has none; fill it in"),
        (
            ["file,label", "a.png,x", "a.png,y"],
            r"a picture has one row, .* names a\.png in the lines 2 and 3",
        ),
        (
            ["file,label", "../a.png,x", "b.png,y"],
            r"lies below the table's folder, .* line 2 names '\.\./a\.png'",
        ),
        (
            ["file,label", "/etc/a.png,x", "b.png,y"],
            r"lies below the table's folder, .* line 2 names '/etc/a\.png'",
        ),
        (["file,label", ",x", "b.png,y"], r"lies below the table's folder, .* line 2 names ''"),
        (["file,label", "a.png,x,1", "b.png,y"], r"line 2 has more cells than there are columns"),
        (
            ["file,label,split", "a.png,x,half", "b.png,y,"],
            r"a split is train, val or test, .* line 2 has 'half'",
        ),
        (["file,value", "a.png,tall"], r"value is a number, .* line 2 has 'tall'"),
        (["file,value", "a.png,nan"], r"value is a number, .* line 2 has 'nan'"),
        (["file,value", "a.png,1e999"], r"value is a number, .* line 2 has '1e999'"),
        (["file,value", "a.png,"], r"value is a number, .* line 2 has ''"),
        (["file,label,label", "a.png,x,y"], r"columns have names of their own"),
    ],
)
def test_what_is_no_table_of_pictures(write, lines, message):
    folder = write(*lines)
    with pytest.raises(DataError, match=message) as caught:
        table.read(folder / "labels.csv")
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding(write):
    folder = write("file,label", "a.png,forêt", "b.png,y", encoding="latin-1")
    with pytest.raises(
        DataError, match=r"^cannot read the table .*labels\.csv: .*; write it as CSV in UTF-8$"
    ):
        table.read(folder / "labels.csv")


def test_a_column_of_groups_keeps_them_together_without_being_asked(write):
    rows = [f"{i}.png,{'oak' if i % 2 else 'elm'},flight {i // 6}" for i in range(60)]
    root = write("file,label,group", *rows)
    for i in range(60):
        Image.effect_noise((8, 8), 20 + i).convert("RGB").save(root / f"{i}.png")
    report = check(root)
    parts = [
        {report.dataset.samples[i].group for i in report.split.of(name)} for name in ("train", "val", "test")
    ]
    assert all(parts)
    assert sum(map(len, parts)) == len(set().union(*parts)) == 10
    lines = ["file,label", *(row.rpartition(",")[0] for row in rows)]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    apart = check(root)
    assert apart.fingerprint == report.fingerprint
    assert apart.split_digest != report.split_digest, "the same pictures, parted otherwise"
