"""The contract between pictures and networks: named preprocessing, round trip, refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gossamer.data.geometry import fit_picture
from gossamer.data.ranges import ValueRange
from gossamer.deploy.contract import PREPROCESSING, InputContract
from gossamer.errors import BundleError
from gossamer.types import Size


def test_lite_is_minus_127_over_128():
    raw = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    ready = InputContract.of("lite", 16).normalise(raw)
    assert np.array_equal(ready[0, 0].ravel(), (np.arange(256, dtype=np.float32) - 127) / 128)


def test_imagenet_is_mean_and_std_of_zero_to_one():
    raw = np.full((1, 2, 2, 3), 255, np.uint8)
    ready = InputContract.of("imagenet", 2).normalise(raw)
    assert ready[0, :, 0, 0] == pytest.approx(
        [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rel=1e-6
    )
    black = InputContract.of("imagenet", 2).normalise(np.zeros_like(raw))
    assert black[0, :, 1, 1] == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-6)


def test_inception_runs_from_minus_one_to_one():
    ready = InputContract.of("inception", 1).normalise(np.array([[[[0, 255, 51]]]], np.uint8))
    assert ready.ravel() == pytest.approx([-1, 1, -0.6], abs=1e-6)


@pytest.mark.parametrize("name", sorted(PREPROCESSING))
def test_every_named_preprocessing_round_trips_at_its_size(name):
    contract = InputContract.of(name, 96)
    assert contract.size == Size(96, 96)
    assert contract.shape == (1, 3, 96, 96)
    assert contract.bands == ("red", "green", "blue")
    assert InputContract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


def test_offset_comes_after_scale():
    contract = InputContract(Size(1, 1), ("one",), scale=2.0, offset=-10.0, mean=(4.0,), std=(3.0,))
    assert contract.normalise(np.array([[[[20]]]], np.uint8)).item() == pytest.approx((20 * 2 - 10 - 4) / 3)


def test_prepare_is_the_rule_then_normalise(draw):
    contract = InputContract.of("lite", 24)
    image = draw(3, (40, 64))
    expected = (np.asarray(fit_picture(image, Size(24, 24)), np.float32).transpose(2, 0, 1)[None] - 127) / 128
    assert np.array_equal(contract.prepare(image), expected)
    assert contract.prepare(image).dtype == np.float32


def test_bands_stay_in_order():
    ready = InputContract(Size(2, 2)).prepare(Image.new("RGB", (2, 2), (1, 2, 3)))
    assert ready[0, :, 0, 0].tolist() == [1, 2, 3]


def test_the_json_object_is_that_of_the_bundle():
    assert InputContract.of("lite", 128).to_json() == {
        "size": [128, 128],
        "bands": ("red", "green", "blue"),
        "scale": 1.0,
        "offset": 0.0,
        "mean": (127.0, 127.0, 127.0),
        "std": (128.0, 128.0, 128.0),
        "resize": "short-side-centre-crop",
        "nodata": None,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"size": 224}, {"size": [224]}, {"size": ["a", "b"]}, {"size": None}, {"bands": 3}, {"bands": None},
        {"mean": [1.0]}, {"std": [1.0, 1.0]}, {"bands": ["red"]},
        {"mean": ["a", "b", "c"]}, {"scale": "wide"},
        {"unknown": 1}, {"std": 1.0}, {"bands": ["red"] * 4}, {"mean": [0.0] * 2}, {"std": [1.0] * 4},
        {"size": [8.5, 8.5]}, {"size": [8.0, 8.0]}, {"size": [True, True]}, {"size": ["8", "8"]}, {"size": [8, 8, 3]},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_document_is_refused(change):
    document = {**json.loads(json.dumps(InputContract.of("lite", 8).to_json())), **change}
    with pytest.raises(
        BundleError, match="an input contract needs size, bands, scale, offset, mean, std, resize and nodata"
    ):
        InputContract.from_json(document)


@pytest.mark.parametrize("key", ["size", "bands", "scale", "offset", "mean", "std", "resize", "nodata"])
def test_a_missing_key_is_refused_rather_than_guessed(key):
    document = InputContract.of("imagenet", 8).to_json()
    del document[key]
    with pytest.raises(BundleError, match="an input contract needs"):
        InputContract.from_json(document)


@pytest.mark.parametrize(
    "change",
    [
        {"resize": "stretch"},
        {"std": [0.0, 1.0, 1.0]},
        {"mean": [float("nan")] * 3},
        {"scale": float("inf")},
        {"size": [0, 0]},
        {"size": [-8, -8]},
        {"size": [0, 8]},
        {"size": [8, -1]},
        {"std": [1.0, float("inf"), 1.0]},
        {"std": [1.0, 1.0, float("nan")]},
        {"mean": [0.0, float("-inf"), 0.0]},
        {"offset": float("nan")},
    ],
    ids=str,
)
def test_a_rule_that_this_version_does_not_know_is_refused(change):
    document = {**InputContract.of("lite", 8).to_json(), **change}
    with pytest.raises(
        BundleError,
        match="this version knows the resize rules short-side-centre-crop, squash, letterbox, none, sides of 1 to 16384 pixels",
    ):
        InputContract.from_json(document)


def test_the_range_of_deep_pictures_travels_and_is_read_by(tmp_path):
    path = tmp_path / "x.png"
    values = np.random.default_rng(0).integers(0, 1000, (8, 8)).astype(np.uint16)
    Image.fromarray(values).save(path)
    contract = replace(
        InputContract.of("imagenet", 8), value_range=ValueRange(0.0, 4095.0), mean=(0.0,) * 3, std=(1.0,) * 3
    )
    document = json.loads(json.dumps(contract.to_json()))
    assert document["value_range"] == [0.0, 4095.0]
    again = InputContract.from_json(document)
    assert again == contract
    assert np.abs(again.open(path)[0, 0] - values / 4095).max() < 0.003


def test_a_contract_without_a_range_says_nothing_of_it():
    assert "value_range" not in InputContract.of("imagenet", 8).to_json()


@pytest.mark.parametrize("value", [[1, 0], [0], [0, float("inf")], ["a", "b"], 7, [0, None]])
def test_a_range_that_is_none_is_refused(value):
    with pytest.raises(BundleError, match="an input contract needs size"):
        InputContract.from_json({**InputContract.of("imagenet", 8).to_json(), "value_range": value})
