"""The data doctor: a made-up folder for each finding, groups, duplicates, and a fingerprint that notices."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gossamer.data.check import _fingerprint, check
from gossamer.data.scan import scan_files
from gossamer.errors import DataError


@pytest.fixture
def root(pictures):
    return pictures({"field": 6, "river": 6})


def _findings(report, code):
    return [f for f in report.findings if f.code == code]


def _one(report, code):
    found = _findings(report, code)
    assert len(found) == 1, report.findings
    assert "\n" not in found[0].message
    return found[0]


def _where(report):
    return {
        report.dataset.relative(report.dataset.samples[i]): name
        for name in ("train", "val", "test")
        for i in report.split.of(name)
    }


def test_clean_pictures_leave_only_the_note_on_thin_splits(root):
    report = check(root)
    assert {f.code for f in report.findings} == {"thin-split"}
    assert report.skipped == ()
    assert report.short_side == 40
    assert report.counts() == {
        "field": {"train": 4, "val": 1, "test": 1},
        "river": {"train": 4, "val": 1, "test": 1},
    }
    assert [f.message for f in _findings(report, "thin-split")] == [
        "val has 2 pictures: its accuracy moves by 50.0 points a picture",
        "test has 2 pictures: its accuracy moves by 50.0 points a picture",
    ]


def test_mean_colour_is_that_of_the_pixels(root):
    pixels = np.stack([np.asarray(Image.open(p)) for p in sorted(root.rglob("*.png"))])
    assert check(root).mean_rgb == pytest.approx(pixels.mean((0, 1, 2)), abs=0.6)


def test_a_sky_makes_pictures_upright(tmp_path, pictures):
    aerial = check(pictures({"a": 15, "b": 15})).upright
    for seed, label in enumerate("ab"):
        (tmp_path / "sky" / label).mkdir(parents=True)
        for i in range(5):
            pixels = np.random.default_rng([seed, i]).integers(0, 100, (40, 40, 3), np.uint8)
            pixels[:20] += 100
            Image.fromarray(pixels).save(tmp_path / "sky" / label / f"{i}.png")
    assert 0.3 < aerial < 3
    assert check(tmp_path / "sky").upright > 100


def test_ticks_count_every_picture(root):
    heard = []
    check(root, tick=lambda done, total: heard.append((done, total)))
    assert heard == [(i, 12) for i in range(1, 13)]


def _damage(root):
    (root / "field" / "900.png").touch()
    (root / "field" / "901.jpg").write_text("text")
    whole = (root / "river" / "000.png").read_bytes()
    (root / "river" / "902.png").write_bytes(whole[: len(whole) // 2])


def test_unreadable_files_are_skipped_and_each_is_named(root):
    _damage(root)
    report = check(root)
    found = _findings(report, "unreadable")
    assert {f.severity for f in found} == {"error"}
    assert [f.files for f in found] == [("field/900.png",), ("field/901.jpg",), ("river/902.png",)]
    assert all(f.files[0] in f.message for f in found)
    assert report.skipped == ("field/900.png", "field/901.jpg", "river/902.png")
    assert len(report.dataset.samples) == 12


def test_on_bad_stop_refuses_and_counts(root):
    _damage(root)
    with pytest.raises(
        DataError, match=r"3 pictures cannot be used and --on-bad is stop; first: a picture must hold bytes"
    ) as caught:
        check(root, on_bad="stop")
    assert "\n" not in str(caught.value)


def test_a_class_with_nothing_readable_is_dropped_and_the_others_renumbered(pictures):
    root = pictures({"b": 5, "c": 5})
    (root / "a").mkdir()
    (root / "a" / "0.png").touch()
    report = check(root)
    assert report.dataset.labels == ("b", "c")
    assert {s.path.parent.name: s.target for s in report.dataset.samples} == {"b": 0, "c": 1}


def test_one_readable_class_is_not_enough(pictures):
    root = pictures({"b": 5})
    (root / "a").mkdir()
    (root / "a" / "0.png").touch()
    with pytest.raises(
        DataError,
        match=r"with pictures that can be read, .*data after skipping 1 bad files has 1; add pictures, or replace those",
    ):
        check(root)


def test_animated(root, draw):
    draw(90).save(root / "field" / "x.gif", save_all=True, append_images=[draw(91)])
    found = _one(check(root), "animated")
    assert (found.severity, found.files) == ("warning", ("field/x.gif",))
    assert found.message == "field/x.gif: more than one frame; the first is used"


def test_cmyk_is_told_once_and_not_as_four_bands(root, draw):
    draw(90).convert("CMYK").save(root / "field" / "x.jpg")
    report = check(root)
    assert _one(report, "cmyk").files == ("field/x.jpg",)
    assert _findings(report, "bands") == []


def test_wide(root):
    values = np.random.default_rng(0).integers(0, 65536, (40, 40), np.uint16)
    Image.fromarray(values).save(root / "field" / "x.png")
    assert (
        _one(check(root), "wide").message
        == "field/x.png: more than 8 bits a band; 0 to 65535 become 0 to 255"
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_bands(root, draw, mode):
    draw(90).convert(mode).save(root / "river" / "x.png")
    found = _one(check(root), "bands")
    assert (found.severity, found.files) == ("warning", ("river/x.png",))


def test_ignored(root):
    for i in range(5):
        (root / "field" / f"{i}.txt").write_text("x")
    found = _one(check(root), "ignored")
    assert (
        found.message == "5 files are no pictures by name: field/0.txt, field/1.txt, field/2.txt and 2 more"
    )
    assert len(found.files) == 5


@pytest.mark.parametrize(("count", "words"), [(1, "'few' has 1 picture:"), (2, "'few' has 2 pictures:")])
def test_tiny_class(pictures, count, words):
    found = _one(check(pictures({"few": count, "many": 8})), "tiny-class")
    assert words in found.message
    assert "never tested" in found.message


def test_imbalance(pictures):
    assert _findings(check(pictures({"few": 3, "many": 29}, name="under")), "imbalance") == []
    found = _one(check(pictures({"few": 3, "many": 30}, name="at")), "imbalance")
    assert found.message.startswith("class 'many' has 30 pictures, 'few' 3")


def test_sizes(pictures, draw):
    root = pictures({"a": 5, "b": 5})
    draw(90, (319, 319)).save(root / "a" / "x.png")
    assert _findings(check(root), "sizes") == []
    draw(91, (320, 400)).save(root / "a" / "y.png")
    assert _one(check(root), "sizes").message.startswith("short sides run from 40 to 320 pixels")


def test_tiny_picture(root, draw):
    draw(90, (31, 64)).save(root / "a.png")
    shutil.move(root / "a.png", root / "river" / "x.png")
    found = _one(check(root), "tiny-picture")
    assert found.message == "1 picture has a side under 32 pixels: river/x.png"


def test_long(root, draw):
    draw(90, (40, 120)).save(root / "river" / "x.png")
    assert _findings(check(root), "long") == []
    draw(91, (121, 40)).save(root / "river" / "y.png")
    found = _one(check(root), "long")
    assert found.message == "1 picture is over three times as long as wide, the ends are cut: river/y.png"


def test_duplicates_are_told_and_kept_in_one_split(pictures):
    root = pictures({"a": 20, "b": 20})
    for i in range(5):
        shutil.copy(root / "a" / f"{i:03d}.png", root / "a" / f"copy{i}.png")
    report = check(root)
    assert len(_findings(report, "duplicate")) == 5
    assert (
        _findings(report, "duplicate")[0].message
        == "the same picture 2 times: a/000.png, a/copy0.png; kept in one split"
    )
    where = _where(report)
    assert all(where[f"a/{i:03d}.png"] == where[f"a/copy{i}.png"] for i in range(5))
    assert len(where) == 45


def test_near_duplicates_are_told_and_kept_in_one_split(pictures, draw):
    root = pictures({"a": 12, "b": 12}, size=(64, 64))
    for i in range(4):
        image = Image.open(root / "a" / f"{i:03d}.png")
        image.save(root / "a" / f"again{i}.jpg", quality=85)
        image.resize((96, 96), Image.Resampling.BICUBIC).save(root / "a" / f"scaled{i}.png")
    report = check(root)
    clusters = {f.files for f in _findings(report, "near-duplicate")}
    assert clusters == {(f"a/{i:03d}.png", f"a/again{i}.jpg", f"a/scaled{i}.png") for i in range(4)}
    assert {f.severity for f in _findings(report, "near-duplicate")} == {"note"}
    where = _where(report)
    assert all(
        where[f"a/{i:03d}.png"] == where[f"a/again{i}.jpg"] == where[f"a/scaled{i}.png"] for i in range(4)
    )


def test_different_pictures_are_no_near_duplicates(pictures):
    assert _findings(check(pictures({"a": 60, "b": 60})), "near-duplicate") == []


def test_the_same_picture_in_two_classes_is_an_error(root):
    shutil.copy(root / "field" / "002.png", root / "river" / "x.png")
    report = check(root)
    found = _one(report, "label-conflict")
    assert found.severity == "error"
    assert found.message == "the same picture in 'field', 'river': field/002.png, river/x.png; keep one"
    assert report.findings[0] is found
    assert _where(report)["field/002.png"] == _where(report)["river/x.png"]


def test_training_pictures_that_the_test_split_repeats_are_left_out(tmp_path, pictures):
    for seed, name in enumerate(("train", "val", "test")):
        pictures({"a": 5, "b": 5}, name=f"data/{name}", seed=seed)
    root = tmp_path / "data"
    shutil.copy(root / "test" / "a" / "000.png", root / "train" / "a" / "leak.png")
    Image.open(root / "val" / "b" / "001.png").save(root / "train" / "b" / "leak.jpg", quality=90)
    report = check(root)
    found = _one(report, "leak")
    assert found.files == ("train/a/leak.png", "train/b/leak.jpg")
    assert found.message.startswith(
        "2 pictures stand in training and again in val or test, left out of training"
    )
    assert report.skipped == ("train/a/leak.png", "train/b/leak.jpg")
    where = _where(report)
    assert len(where) == 30
    assert all(name.split("/")[0] == split for name, split in where.items())


def test_a_split_without_pictures_is_refused(pictures):
    with pytest.raises(
        DataError, match=r"every split needs pictures, val has none of 4; add at least 3 a class"
    ):
        check(pictures({"a": 2, "b": 2}))


def test_nothing_left_to_train_is_refused(tmp_path, pictures):
    for name in ("train", "val", "test"):
        pictures({"a": 3, "b": 3}, name=f"data/{name}")
    with pytest.raises(DataError, match=r"every split needs pictures, train has none of 12"):
        check(tmp_path / "data")


def test_groups_by_folder(tmp_path, pictures):
    for flight in range(10):
        pictures({f"a/flight{flight}": 3, f"b/flight{flight}": 3}, seed=flight)
    where = _where(check(tmp_path / "data", groups="folder"))
    together = {name.rpartition("/")[0]: set() for name in where}
    for name, split in where.items():
        together[name.rpartition("/")[0]].add(split)
    assert len(together) == 20
    assert all(len(splits) == 1 for splits in together.values())


def test_folders_are_no_groups_unless_asked(tmp_path, pictures):
    pictures({"a/one": 10, "b/one": 10})
    report = check(tmp_path / "data")
    assert {s.group for s in report.dataset.samples} == {None}
    assert report.counts()["a"] == {"train": 6, "val": 2, "test": 2}


def test_groups_by_folder_need_folders(root):
    with pytest.raises(
        DataError,
        match=r"--groups folder needs folders inside the class folders, .*data has none; leave it out",
    ):
        check(root, groups="folder")


def _write_table(root, tmp_path, rows=None, header="file,site"):
    files = [p.relative_to(root).as_posix() for p in sorted(root.rglob("*.png"))]
    lines = rows if rows is not None else [f"{file},s{i // 3}" for i, file in enumerate(files)]
    table = tmp_path / "sites.csv"
    table.write_text("\ufeff" + "\n".join([header, *lines]) + "\n", encoding="utf-8")
    return table


def test_groups_by_a_column(tmp_path, pictures):
    root = pictures({"a": 30, "b": 30})
    table = _write_table(root, tmp_path)
    report = check(root, groups=f"{table}:site")
    where = _where(report)
    names = sorted(where)
    for start in range(0, 60, 3):
        assert len({where[name] for name in names[start : start + 3]}) == 1
    assert {s.group for s in report.dataset.samples} == {f"s{i}" for i in range(20)}


def test_group_tables_that_cannot_be_used(tmp_path, root):
    table = _write_table(root, tmp_path)
    with pytest.raises(
        DataError, match=r"groups are 'folder' or FILE.csv:COLUMN, got 'site'; name the column after a colon"
    ):
        check(root, groups="site")
    with pytest.raises(DataError, match=r"cannot read the groups file .*none\.csv: .*; check the path"):
        check(root, groups=f"{tmp_path / 'none.csv'}:site")
    with pytest.raises(DataError, match=r"needs the columns file and city, it has file, site; name another"):
        check(root, groups=f"{table}:city")
    with pytest.raises(DataError, match=r"cannot read the groups file"):
        check(root, groups=f"{root / 'field' / '000.png'}:site")


def test_group_tables_must_name_every_picture(tmp_path, root):
    table = _write_table(root, tmp_path, rows=["field/000.png,s1", "field/001.png,"])
    with pytest.raises(
        DataError,
        match=r"must name a group for every picture, 11 are missing, first field/001\.png; add them",
    ):
        check(root, groups=f"{table}:site")
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(DataError, match=r"needs the columns file and site, it has none"):
        check(root, groups=f"{empty}:site")


def test_the_same_folder_gives_the_same_report(root):
    assert check(root).to_json() == check(root).to_json()


def test_another_seed_is_another_split_of_the_same_data(root):
    first, second = check(root, split_seed=1), check(root, split_seed=2)
    assert first.fingerprint == second.fingerprint
    assert first.split != second.split
    assert first.split_digest != second.split_digest
    assert first.split_digest == check(root, split_seed=1).split_digest
    assert check(root).split == check(root, split_seed=0).split


def test_a_copy_elsewhere_has_the_same_fingerprint_and_split(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    first, second = check(root), check(tmp_path / "copy")
    assert first.fingerprint == second.fingerprint
    assert first.split == second.split


@pytest.mark.parametrize("change", ["content", "label", "name", "removal", "addition"])
def test_the_fingerprint_notices(root, draw, change):
    before = check(root).fingerprint
    first = root / "field" / "000.png"
    if change == "content":
        draw(500).save(first)
    elif change == "label":
        first.rename(root / "river" / "x.png")
    elif change == "name":
        first.rename(root / "field" / "x.png")
    elif change == "removal":
        first.unlink()
    else:
        draw(500).save(root / "field" / "x.png")
    assert check(root).fingerprint != before


def test_the_report_is_json_of_plain_values(root):
    (root / "field" / "900.png").touch()
    document = check(root).to_json()
    assert set(document) == {
        "name", "root", "labels", "pictures", "skipped", "split", "short_side", "mean_rgb", "upright",
        "fingerprint", "findings", "bands", "value_range", "task",
    }  # fmt: skip
    assert document["pictures"] == 12
    assert document["skipped"] == ["field/900.png"]
    assert document["findings"][0] == {
        "severity": "error",
        "code": "unreadable",
        "message": f"a picture must hold bytes, {root / 'field' / '900.png'} is empty; replace or remove it",
        "files": ["field/900.png"],
    }


def test_the_fingerprint_notices_a_class_of_another_name(root):
    report = check(root)
    scans = scan_files([s.path for s in report.dataset.samples])
    renamed = replace(report.dataset, labels=("meadow", "river"))
    assert _fingerprint(report.dataset, scans) == report.fingerprint
    assert _fingerprint(renamed, scans) != report.fingerprint


def test_dull_pictures_that_share_a_strip_are_no_near_duplicates(tmp_path):
    """Thumbnails within four grey levels, one band of signs the same: the other signs decide."""
    rng = np.random.default_rng(0)
    strip = rng.integers(118, 123, (4, 17))
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(5):
            patches = np.vstack([strip, rng.integers(118, 123, (12, 17))]).astype(np.uint8)
            pixels = patches.repeat(4, 0).repeat(4, 1)
            Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / label / f"{i}.png")
    assert _findings(check(tmp_path), "near-duplicate") == []
