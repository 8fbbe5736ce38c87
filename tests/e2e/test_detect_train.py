"""Training on boxes from the command line: what is refused, and figures that others count the same."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gossamer.data.writers import coco
from gossamer.data.writers.written import Box, Entry
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

LABELS = ("boat", "car")
SIZE = Size(72, 96)


@pytest.fixture
def boxes(tmp_path):
    """A set of 24 pictures with bright rectangles in splits; returns its folder."""
    root = tmp_path / "boxes"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    splits = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    entries = []
    for number, split in enumerate(splits):
        pixels = rng.integers(0, 90, (*SIZE, 3)).astype(np.uint8)
        things = []
        for label in range(2):
            left, top = int(rng.integers(0, 60)), int(rng.integers(0, 40))
            pixels[top : top + 24, left : left + 30, label] = 250
            things.append(Box((float(left), float(top), left + 30.0, top + 24.0), label, False))
        Image.fromarray(pixels).save(root / "images" / f"{number:02d}.png")
        entries.append(Entry(f"{number:02d}.png", SIZE, tuple(things), split))
    coco.write(root, entries, LABELS)
    return root


REFUSED = [
    ("efficientnet_lite0", [], "boxes are given by detectors"),
    ("nanodet_m_320", ["--set", "cutmix=0.4"], "neither mixed, softened nor balanced, got cutmix=0.4"),
    ("nanodet_m_320", ["--set", "balance=loss"], "got balance=loss"),
    ("nanodet_m_320", ["--metric", "accuracy"], "--metric is loss or a figure of detect"),
    ("nanodet_m_320", ["--recipe", "paper:YOLOX"], "no recipe 'paper:YOLOX'"),
]


@pytest.mark.parametrize(("model", "options", "message"), REFUSED)
def test_trainings_that_cannot_be(gossamer, boxes, tmp_path, model, options, message):
    out = tmp_path / "run"
    code, _, err = gossamer("train", boxes, "--model", model, "--size", 64, "--out", out, *options)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not out.exists()


def test_pictures_of_another_size_than_that_of_no_rule(gossamer, boxes, tmp_path):
    options = ("--model", "nanodet_m_320", "--size", 64, "--resize", "none", "--out", tmp_path / "run")
    code, _, err = gossamer("train", boxes, *options)
    assert code == 2
    assert "takes pictures of 64x64 pixels as they are, no picture of the train split is one" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "nanodet_m_320"], "rows of numbers (B, D), nanodet_m_320 gives (1, "),
        (["--model", "mobilenet_v1_0.25", "--set", "augmentation.mosaic=0.5"], "got augmentation.mosaic=0.5"),
    ],
)
def test_what_is_for_boxes_is_refused_for_classes(gossamer, boxes, tmp_path, draw, options, message):
    for number in range(12):
        folder = tmp_path / "classes" / LABELS[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        draw(number, (40, 40)).save(folder / f"{number}.png")
    code, _, err = gossamer("train", tmp_path / "classes", "--size", 64, "--out", tmp_path / "run", *options)
    assert code == 2
    assert message in err


def test_the_recipe_is_printed_as_it_is_for_boxes(gossamer, boxes):
    code, out, _ = gossamer("train", boxes, "--model", "nanodet_m_320", "--print-recipe", "--json")
    recipe = json.loads(out)
    assert code == 0
    assert (recipe["label_smoothing"], recipe["augmentation"]["beyond"]) == (0.0, "grey")


def test_a_run_killed_before_its_first_checkpoint_goes_on_with_the_same_norms(
    gossamer, boxes, tmp_path, monkeypatch
):
    """Of a file without norms: mean 0 and variance 1 are made again, on either way to the end."""
    file = tmp_path / "plain.safetensors"
    save_file(build("nanodet_m_320", num_classes=80, seed=3).state_dict(), file)
    command = ["train", boxes, "--model", f"nanodet_m_320@{file}", "--size", 64, "--epochs", 1, "--out"]
    code, _, err = gossamer(*command, tmp_path / "whole")
    assert (code, "made again from 12 training pictures" in err) == (0, True)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gossamer.runs.train.run.train_until", killed)
        assert gossamer(*command, tmp_path / "parts")[0] == 130
    assert gossamer(*command, tmp_path / "parts", "--resume")[0] == 0
    whole, parts = (
        read_checkpoint(tmp_path / name / "train" / "final.safetensors") for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_norms_of_a_network_from_nothing_are_as_they_were_drawn(gossamer, boxes, tmp_path):
    out = tmp_path / "run"
    code, _, err = gossamer(
        "train", boxes, "--model", "nanodet_m_320", "--size", 64, "--epochs", 0.5, "--out", out
    )
    assert code == 0
    assert "without norms" not in err
    final = read_checkpoint(out / "train" / "final.safetensors")
    scales = [values for name, values in final.items() if name.endswith("running_var")]
    weights = [final[name.replace("running_var", "weight")] for name in final if name.endswith("running_var")]
    assert scales
    assert all(bool(((weight - 1).abs() < 0.1).all()) for weight in weights)


def test_crowds_alone_are_nothing_to_learn_from(gossamer, boxes, tmp_path):
    file = next((boxes / "annotations").glob("*train*.json"))
    document = json.loads(file.read_text())
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 1
    file.write_text(json.dumps(document))
    code, _, err = gossamer(
        "train", boxes, "--model", "nanodet_m_320", "--size", 64, "--out", tmp_path / "run"
    )
    assert code == 2
    assert "no picture of the training split has any that is no crowd" in err
    assert "it learns" not in err


@pytest.mark.slow
def test_ap_is_what_pycocotools_counts_from_what_predict_says(gossamer, boxes, tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    code, out, _ = gossamer(
        "train", boxes, "--model", "nanodet_m_320", "--size", "64x96", "--epochs", 30, "--out", tmp_path / "run",
        "--set", "learning_rate=4e-3", "--set", "warmup=0", "--json",
    )  # fmt: skip
    assert code == 0
    figures = json.loads(out)["measured"]
    truth_file = next((boxes / "annotations").glob("*test*.json"))
    truth = json.loads(truth_file.read_text())
    ids = {entry["file_name"].rpartition("/")[2]: entry["id"] for entry in truth["images"]}
    classes = {entry["name"]: entry["id"] for entry in truth["categories"]}
    pictures = [boxes / "images" / name for name in sorted(ids)]
    answers = tmp_path / "said.json"
    code, _, err = gossamer(
        "predict", tmp_path / "run" / "bundle", *pictures, "--threshold", 0.005, "-o", answers
    )
    assert code == 0, err
    rows = []
    for said in json.loads(answers.read_text()):
        for thing in said["boxes"]:
            left, top, right, bottom = thing["box"]
            rows.append({
                "image_id": ids[said["file"].rpartition("/")[2]],
                "category_id": classes[thing["label"]],
                "bbox": [left, top, right - left, bottom - top],
                "score": thing["score"],
            })  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth_file))
        counted = COCOeval(known, known.loadRes(rows), "bbox")
        counted.evaluate()
        counted.accumulate()
        counted.summarize()
    assert counted.stats[1] > 0.05, "a detector that finds nothing would show nothing"
    assert figures["ap"] == pytest.approx(counted.stats[0], abs=0.003)
    assert figures["ap50"] == pytest.approx(counted.stats[1], abs=0.003)
