"""A stranger's runtime, task, method and reader: by public names alone they keep the contracts and do a whole job."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from PIL import Image, ImageDraw

import gossamer as gs
from gossamer.compress.method import Work
from gossamer.compress.methods import METHODS, read_plan
from gossamer.data.dataset import READERS
from gossamer.deploy.runtimes import RUNTIMES
from gossamer.errors import GossamerError
from gossamer.tasks import TASKS
from gossamer.testing.methods import MethodContract
from gossamer.testing.readers import ReaderContract
from gossamer.testing.runtimes import RuntimeContract
from gossamer.testing.tasks import TaskContract

MODEL, SIDE = "mobilenet_v1_0.25", 32
MOST_LINES = 60


@pytest.fixture(scope="module", autouse=True)
def _added():
    with (
        RUNTIMES.added("zipped", "toys.zipped"),
        TASKS.added("compass", "toys.compass"),
        METHODS.added("round", "toys.round:Round"),
        READERS.added("list", "toys.listed", first=True),
        READERS.added("headings", "toys.headings", first=True),
    ):
        yield


def write_listed(root, classes=("dark", "grey", "light"), count=10):
    """Pictures of a brightness a class below `root`, and their list: path -> class."""
    rng, wanted = np.random.default_rng(1), {}
    for place, label in enumerate(classes):
        for i in range(count):
            file = f"pictures/{label}_{i}.png"
            pixels = rng.integers(0, 80, (SIDE, SIDE, 3)) + 80 * place
            (root / "pictures").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(root / file)
            wanted[file] = label
    (root / "files.txt").write_text("".join(f"{file} {label}\n" for file, label in wanted.items()))
    return wanted


class TestZipped(RuntimeContract):
    name = "zipped"


class TestCompass(TaskContract):
    name = "compass"

    def samples(self):
        return [30.0 * i for i in range(12)], ("cos", "sin")

    def outputs(self, targets, labels):
        return 3 * targets


class TestRound(MethodContract):
    name = "round"
    text = "round:decimals=1"
    mildest_is_nothing = False


class TestList(ReaderContract):
    name = "list"

    def write(self, root):
        return write_listed(root, count=2)


def test_pictures_of_a_list_are_checked(tmp_path):
    write_listed(tmp_path)
    report = gs.check(tmp_path)
    assert report.dataset.labels == ("dark", "grey", "light")
    assert report.counts()["grey"] == {"train": 6, "val": 2, "test": 2}


def test_a_zipped_network_is_trained_measured_and_asked(tmp_path):
    write_listed(tmp_path / "data")
    run = gs.train(tmp_path / "data", model=MODEL, size=SIDE, epochs=1, on="zipped", out=tmp_path / "run")
    (file,) = run.bundle.files
    assert (file.runtime, file.precision, Path(file.path).suffix) == ("zipped", "fp32", ".zip")
    assert run.bundle.measured["memory_bytes"] > 0
    assert run.bundle.measured["parity_max_difference"] < 1e-4
    picture = tmp_path / "data" / "pictures" / "dark_0.png"
    (by_bundle,) = gs.predict(run.bundle.folder, [picture])
    (by_file,) = gs.predict(run.bundle.folder / file.path, [picture])
    assert by_bundle == by_file
    assert by_bundle.labels[0] in ("dark", "grey", "light")
    (row,) = gs.bench(str(run.bundle.folder), on="zipped", seconds=0.05).rows
    assert (row["precision"], row["input"], row["macs"]) == ("fp32", [3, SIDE, SIDE], None)


def test_a_direction_is_trained_and_told(tmp_path):
    rows = ["file,degrees"]
    for i in range(40):
        angle = 9 * i
        image = Image.new("RGB", (SIDE, SIDE))
        centre = SIDE / 2
        tip = [centre + 14 * f(math.radians(angle)) for f in (math.cos, math.sin)]
        ImageDraw.Draw(image).line([centre, centre, *tip], fill=(255, 200, 5 * i), width=5)
        image.save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{angle}")
    (tmp_path / "headings.csv").write_text("\n".join(rows))
    run = gs.train(tmp_path, model=MODEL, size=SIDE, epochs=2, out=tmp_path / "run")
    assert run.bundle.task == "compass"
    assert run.bundle.labels == ("cos", "sin")
    assert 0 <= run.bundle.measured["near"] <= 1
    assert "share within 20 degrees" in run.headline
    (answer,) = gs.predict(run.bundle.folder, [tmp_path / "3.png"])
    assert answer.labels == ("degrees",)
    assert 0 <= answer.to_json()["degrees"] < 360


def test_a_network_is_rounded_under_the_guard_and_its_plan_is_read_again(tmp_path):
    write_listed(tmp_path / "data")
    network = gs.build(MODEL, num_classes=3)
    run = gs.compress(
        network,
        method="round:decimals=2",
        data=tmp_path / "data",
        input=f"3x{SIDE}x{SIDE}",
        max_drop="99%",
        out=tmp_path / "run",
    )
    compressed = gs.network_of(run.bundle)
    rounded = [p.detach().numpy() for p in compressed.parameters() if p.dim() > 1]
    assert rounded
    assert all(np.abs(100 * w - np.rint(100 * w)).max() < 1e-4 for w in rounded)
    method, plan = read_plan(run.run / run.steps[0].plan)
    assert method.name == "round"
    again = method.apply(network, plan, Work((1, 3, SIDE, SIDE)))
    assert all(map(torch.equal, again.parameters(), compressed.parameters()))


def test_a_method_from_outside_has_its_place_in_a_chain(tmp_path):
    with pytest.raises(GossamerError, match=r"^prune cannot follow round: weights .*prune then round$"):
        gs.compress(MODEL, method=["round:decimals=2", "prune:macs=50%"], out=tmp_path / "run")


@pytest.mark.parametrize("toy", ["zipped", "compass", "round.py", "listed.py", "headings.py"])
def test_a_toy_is_small(toy):
    path = Path(toys.__file__).parent / toy
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    lines = [line for file in files for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) < MOST_LINES, f"{toy} takes {len(lines)} lines"
