"""Tables of boxes: columns by many names, no header, pictures without boxes, splits."""

from __future__ import annotations

import pytest
from PIL import Image

from gossamer.data.dataset import open_dataset
from gossamer.errors import DataError
from gossamer.types import Size

HEADER = "file,xmin,ymin,xmax,ymax,label\n"


def _set(root, text, *pictures, name="boxes.csv"):
    root.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        (root / picture).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(root / picture)
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def _codes(dataset):
    return {finding.code: finding for finding in dataset.findings}


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "a.jpg,1,2,10,20.5,car\n",
        "\ufeff" + HEADER.replace("\n", "\r\n") + "a.jpg,1,2,10,20.5,car\r\n",
        "label,image_path,ymax,xmax,ymin,xmin,score\ncar,a.jpg,20.5,10,2,1,0.3\n",
        "filename,width,height,class,x1,y1,x2,y2\nin/x/a.jpg,40,30,car,1,2,10,20.5\n",
        "Image,Left,Top,Right,Bottom,Name\nC:\\data\\a.jpg,1,2,10,20.5,car\n",
        "a.jpg,1,2,10,20.5,car\n",
    ],
)
def test_columns(tmp_path, text):
    file = _set(tmp_path, text, "a.jpg")
    for path in (file, tmp_path):
        dataset = open_dataset(path)
        assert (dataset.task, dataset.labels) == ("detect", ("car",))
        assert dataset.samples[0].target.xyxy.tolist() == [[1, 2, 10, 20.5]]
        assert not dataset.samples[0].target.norm


def test_sizes_splits_crowds_and_pictures_without_boxes(tmp_path):
    text = "file,xmin,ymin,xmax,ymax,label,width,height,split,difficult\n"
    text += "a.jpg,1,2,10,20,car,40,30,train,0\na.jpg,1,2,11,20,car,40,30,train,1\nb.jpg,,,,,,40,30,test,\n"
    dataset = open_dataset(_set(tmp_path, text, "a.jpg", "b.jpg"))
    first, second = dataset.samples
    assert first.target.crowd.tolist() == [False, True]
    assert first.target.size == Size(30, 40)
    assert second.target.xyxy.shape == (0, 4)
    assert (first.split, second.split) == ("train", "test")


def test_a_table_without_labels_has_one_class(tmp_path):
    text = "file,xmin,ymin,xmax,ymax\na.jpg,1,2,10,20\n"
    assert open_dataset(_set(tmp_path, text, "a.jpg")).labels == ("object",)


def test_tables_of_splits(tmp_path):
    _set(tmp_path, HEADER + "a.jpg,1,2,10,20,car\n", "a.jpg", name="train.csv")
    _set(tmp_path, HEADER + "b.jpg,1,2,10,20,car\n", "b.jpg", name="test_boxes.csv")
    assert [s.split for s in open_dataset(tmp_path).samples] == ["train", "test"]
    inner = tmp_path / "inner"
    for split in ("train", "valid"):
        _set(inner / split, HEADER + "a.jpg,1,2,10,20,car\n", "a.jpg", name="_annotations.csv")
    dataset = open_dataset(inner)
    assert [(dataset.relative(s), s.split) for s in dataset.samples] == [
        ("train/a.jpg", "train"), ("valid/a.jpg", "val"),
    ]  # fmt: skip


def test_what_is_left_out(tmp_path):
    text = (
        HEADER
        + "a.jpg,1,2,10,20,car\na.jpg,x,2,3,4,car\n\ngone.jpg,1,2,3,4,car\ngone.jpg,1,2,3,5,car\na.jpg,1,2,3,4,\n"
    )
    dataset = open_dataset(_set(tmp_path, text, "a.jpg", "b.jpg").parent)
    codes = _codes(dataset)
    assert codes["bad-box"].message.startswith("1 box is no four numbers")
    assert codes["no-picture"].message.startswith("1 annotated picture has no file")
    assert codes["no-annotation"].files == ("b.jpg",)
    assert dataset.samples[0].target.labels.tolist() == [0, -1]


def test_tables_of_classes_are_read_as_before(tmp_path):
    _set(tmp_path, "file,label\na.jpg,car\nb.jpg,boat\n", "a.jpg", "b.jpg", name="labels.csv")
    assert open_dataset(tmp_path).task == "classify"
    _set(tmp_path, "file,value:a,value:b,value:c,value:d\na.jpg,1,2,3,4\nb.jpg,1,2,3,4\n", name="targets.csv")
    assert open_dataset(tmp_path / "targets.csv").task == "regress"


def test_a_torn_table(tmp_path):
    file = _set(tmp_path, "", "a.jpg")
    file.write_bytes(HEADER.encode() + b"a.jpg,1,2,10,20,\xff\n")
    with pytest.raises(DataError, match=r"cannot read the table .* write it as CSV in UTF-8"):
        open_dataset(file)
    with pytest.raises(DataError, match="no annotated picture"):
        open_dataset(_set(tmp_path, HEADER, name="empty.csv"))


def test_a_table_by_itself_does_not_list_the_folder(tmp_path, monkeypatch):
    """It may lie in a home folder with millions of files."""
    file = _set(tmp_path, HEADER + "in/a.jpg,1,2,10,20,car\n", "in/a.jpg", "in/b.jpg")

    def refuse(_root):
        raise AssertionError("the folder was listed")

    with monkeypatch.context() as context:
        context.setattr("gossamer.data.readers.annotated.walk", refuse)
        assert [s.path for s in open_dataset(file).samples] == [tmp_path / "in" / "a.jpg"]
    file.write_text(HEADER + "elsewhere/a.jpg,1,2,10,20,car\n")
    assert [s.path for s in open_dataset(file).samples] == [tmp_path / "in" / "a.jpg"]
