"""gossamer predict on films: frames, tracks, drawings, damage."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from box_samples import LABELS, picture_of, write_detector
from PIL import Image

from gossamer.cli import app
from gossamer.cli._common import run
from gossamer.deploy.films import open_film, written_film

FRAMES = 12


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("detector") / "squares.onnx")


@pytest.fixture
def gossamer(capsys):
    def call(*arguments):
        code = run(app, ["predict", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def _frames():
    """A red square that goes right, a blue one that stands."""
    return [picture_of(("red square", 4 * i, 20), ("blue square", 40, 44)) for i in range(FRAMES)]


@pytest.fixture
def animation(tmp_path):
    first, *others = _frames()
    first.save(tmp_path / "film.gif", save_all=True, append_images=others, duration=100)
    return tmp_path / "film.gif"


@pytest.fixture
def video(tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    with written_film(tmp_path / "film.mp4", 10.0) as add:
        for frame in _frames():
            add(frame.resize((256, 256), Image.Resampling.NEAREST), None)
    return tmp_path / "film.mp4"


def test_an_animation_is_a_picture_until_frames_are_asked_for(gossamer, detector, animation):
    _, out, _ = gossamer(detector, animation, "--json")
    assert isinstance(json.loads(out), list)
    code, out, _ = gossamer(detector, animation, "--every", 1, "--json")
    assert code == 0
    assert json.loads(out)["frames_seen"] == FRAMES


def test_frames_and_tracks_go_into_json(gossamer, detector, animation, tmp_path):
    code, out, _ = gossamer(detector, animation, "--track", "--threshold", 0.6, "-o", tmp_path / "t.json")
    document = json.loads((tmp_path / "t.json").read_text())
    assert code == 0
    assert "12 frames in" in out
    assert "real time is 30; different things: 1 red square, 1 blue square" in out
    assert document["different"] == {"red square": 1, "blue square": 1}
    assert [frame["frame"] for frame in document["frames"]] == list(range(FRAMES))
    assert [frame["seconds"] for frame in document["frames"]] == [round(0.1 * i, 4) for i in range(FRAMES)]
    ids = {(row["label"], row["id"]) for frame in document["frames"] for row in frame["boxes"]}
    assert ids == {("red square", 1), ("blue square", 2)}
    for number, frame in enumerate(document["frames"]):
        (red,) = [row for row in frame["boxes"] if row["label"] == LABELS[0]]
        assert red["box"] == [4 * number, 20, 4 * number + 8, 28]


def test_every_third_frame(gossamer, detector, animation, tmp_path):
    gossamer(detector, animation, "--every", 3, "-o", tmp_path / "t.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 3, 6, 9]
    assert [line["seconds"] for line in lines] == [0, 0.3, 0.6, 0.9]


def test_tables_of_frames_and_of_things(gossamer, detector, animation, tmp_path):
    gossamer(detector, animation, "--track", "--threshold", 0.6, "-o", tmp_path / "f.csv")
    gossamer(detector, animation, "--track", "--threshold", 0.6, "-o", tmp_path / "t.csv", "--rows", "things")
    frames, things = (
        list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in ("f.csv", "t.csv")
    )
    assert [row["count red square"] for row in frames] == ["1"] * FRAMES
    assert (frames[3]["frame"], frames[3]["seconds"]) == ("3", "0.3")
    assert len(things) == 2 * FRAMES
    assert {row["id"] for row in things if row["label"] == LABELS[1]} == {"2"}


def test_regions_count_by_frame(gossamer, detector, animation, tmp_path):
    left = {"type": "Polygon", "coordinates": [[[0, 0], [30, 0], [30, 64], [0, 64]]]}
    (tmp_path / "r.geojson").write_text(json.dumps(left))
    arguments = ("--every", 1, "--threshold", 0.9, "--region", tmp_path / "r.geojson")
    gossamer(detector, animation, *arguments, "-o", tmp_path / "f.csv")
    rows = list(csv.DictReader((tmp_path / "f.csv").read_text().splitlines()))
    assert [row["count red square in region 1"] for row in rows] == ["1"] * 7 + ["0"] * 5
    assert {row["count blue square in region 1"] for row in rows} == {"0"}


def test_a_drawn_film_has_the_frames_and_their_time(gossamer, detector, animation, tmp_path):
    gossamer(detector, animation, "--draw", tmp_path / "drawn.gif")
    with Image.open(tmp_path / "drawn.gif") as film, Image.open(animation) as source:
        assert (film.n_frames, film.size, film.info["duration"]) == (FRAMES, (64, 64), 100)
        film.seek(5)
        source.seek(5)
        assert (np.asarray(film.convert("RGB")) != np.asarray(source.convert("RGB"))).any()


def test_frames_are_drawn_into_a_folder(gossamer, detector, animation, tmp_path):
    gossamer(detector, animation, "--every", 6, "--draw", tmp_path / "drawn")
    names = sorted(file.name for file in (tmp_path / "drawn").iterdir())
    assert names == ["film-000000.png", "film-000006.png"]


def test_a_video_file_is_read_and_written(gossamer, detector, video, tmp_path):
    code, _, err = gossamer(
        detector,
        video,
        "--track",
        "--draw",
        tmp_path / "drawn.mp4",
        "-o",
        tmp_path / "t.json",
        "--threshold",
        0.75,
    )
    assert code == 0, err
    document = json.loads((tmp_path / "t.json").read_text())
    assert [frame["seconds"] for frame in document["frames"]] == pytest.approx(
        [0.1 * i for i in range(FRAMES)], abs=2e-3
    )
    assert document["different"] == {"red square": 1, "blue square": 1}
    with open_film(tmp_path / "drawn.mp4") as film:
        assert len(list(film.shots)) == FRAMES
        assert film.rate == pytest.approx(10, rel=0.02)


def test_a_truncated_animation_keeps_what_was_seen(gossamer, detector, tmp_path):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(6)]
    noise[0].save(tmp_path / "film.webp", save_all=True, append_images=noise[1:], duration=100, lossless=True)
    whole = (tmp_path / "film.webp").read_bytes()
    noise[0].save(tmp_path / "pages.tif", save_all=True, append_images=noise[1:], compression="tiff_lzw")
    damaged = bytearray((tmp_path / "pages.tif").read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 4000] = bytes(4000)
    (tmp_path / "pages.tif").write_bytes(bytes(damaged))
    code, _, err = gossamer(detector, tmp_path / "pages.tif", "--every", 1, "-o", tmp_path / "t.json")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: a film must decode whole")
    assert err.splitlines()[-1].endswith("what was seen before is kept")
    document = json.loads((tmp_path / "t.json").read_text())
    assert 0 < len(document["frames"]) == document["frames_seen"] < 6
    assert document["error"]
    assert [frame["seconds"] for frame in document["frames"]] == [None] * document["frames_seen"]
    (tmp_path / "cut.webp").write_bytes(whole[:60])
    code, _, err = gossamer(detector, tmp_path / "cut.webp", "--every", 1)
    assert (code, err.count("\n")) == (2, 1)


def test_a_damaged_video_is_one_line(gossamer, detector, video, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:400])
    (tmp_path / "text.mp4").write_text("this is no film")
    for name in ("cut.mp4", "text.mp4"):
        code, _, err = gossamer(
            detector, tmp_path / name, "-o", tmp_path / "t.json", "--draw", tmp_path / "d.mp4"
        )
        assert (code, err.count("\n")) == (2, 1)
        assert "no film that can be read" in err
    assert not list(tmp_path.glob("[td].*"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("a.png", "--every", "2"),
            "--every, --track and a film of --draw are for films and animated pictures",
        ),
        (("film.gif", "a.png", "--track"), "one film is looked at at a time, got 2 inputs"),
        (("film.gif", "--track", "-o", "t.coco.json"), "--out of a film is a .csv, .json, .jsonl file"),
        (("film.gif", "--track", "--tile", "32"), "--tile is for pictures, got a film"),
    ],
)
def test_what_does_not_fit_a_film(gossamer, detector, animation, arguments, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    picture_of().save("a.png")
    code, _, err = gossamer(detector, *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_without_pyav_a_video_names_the_extra(gossamer, detector, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"12345678")
    code, _, err = gossamer(detector, tmp_path / "film.mp4")
    assert code == 3
    assert err.endswith("needs av, which is not installed; pip install 'gossamer[video]'\n")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_damaged_animations_are_one_line_or_read(gossamer, detector, tmp_path, suffix):
    """Bytes cut, changed or emptied anywhere: an exit code, at most one error, and files that are whole."""
    first, *others = _frames()
    film, out = tmp_path / f"film{suffix}", tmp_path / "t.json"
    first.save(film, save_all=True, append_images=others)
    whole, rng = film.read_bytes(), np.random.default_rng(0)
    for case in range(24):
        damaged = bytearray(whole)
        place = int(rng.integers(0, len(whole)))
        if case % 3 == 0:
            damaged = damaged[:place]
        elif case % 3 == 1:
            damaged[place : place + 300] = bytes(min(300, len(whole) - place))
        else:
            for at in rng.integers(0, len(whole), 20):
                damaged[at] = int(rng.integers(0, 256))
        film.write_bytes(bytes(damaged))
        out.unlink(missing_ok=True)
        code, _, err = gossamer(detector, film, "--every", 1, "-o", out)
        assert code in (0, 2)
        assert sum("error" in line for line in err.splitlines()) == (1 if code else 0), err
        if out.exists():
            document = json.loads(out.read_text())
            assert len(document["frames"]) == document["frames_seen"] > 0
            assert (document["error"] is None) == (code == 0)
