"""What is done with boxes: drawn so that it can be read, listed, joined, kept inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gossamer.geo.regions import Region
from gossamer.geo.windows import Tiling, Window, windows_of
from gossamer.tasks import get_task
from gossamer.tasks.detect.answer import answer_of
from gossamer.tasks.detect.draw import colour_of, drawn, words
from gossamer.tasks.places import Part
from gossamer.types import Size

LABELS = ["car", "ship", "tree"]
PLACES = get_task("detect").places


def _row(label, score, *box, **more):
    return {"label": label, "score": score, "box": [float(side) for side in box], **more}


def test_only_tasks_with_places_have_them():
    assert get_task("classify").places is None
    assert PLACES is not None


def test_colours_of_the_first_labels_are_far_apart():
    colours = np.array([colour_of(place) for place in range(12)], float)
    apart = np.abs(colours[:, None] - colours[None]).sum(2)
    assert apart[~np.eye(12, dtype=bool)].min() > 40


def test_words_have_an_id_where_there_is_one():
    assert words(_row("car", 0.934, 0, 0, 1, 1)) == "car 0.93"
    assert words(_row("car", 0.934, 0, 0, 1, 1, id=7)) == "car #7 0.93"


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (128, 128, 128), colour_of(0)])
def test_a_frame_is_seen_on_any_background(background):
    image = Image.new("RGB", (500, 500), background)
    pixels = np.asarray(drawn(image, [_row("car", 0.9, 100, 100, 300, 300)], LABELS)).astype(int)
    row = pixels[200]
    edge = row[96:106]
    assert (np.abs(edge - np.array(background)).sum(1) > 100).any()
    assert (row[110:290] == background).all(), "the inside stays as it is"
    assert (np.asarray(image) == background).all(), "so does the picture itself"


def test_a_plate_stays_inside_of_the_picture():
    image = Image.new("RGB", (500, 400), (0, 0, 0))
    for box in ((0, 0, 20, 20), (480, 0, 500, 20), (0, 380, 20, 400), (480, 380, 500, 400), (0, 0, 500, 400)):
        pixels = np.asarray(drawn(image, [_row("ship", 0.5, *box)], LABELS))
        plate = (pixels == colour_of(1)).all(2)
        assert plate.sum() > 300, box
        text = (pixels[plate.any(1)][:, plate.any(0)] == 0).all(2) | (
            pixels[plate.any(1)][:, plate.any(0)] == 255
        ).all(2)
        assert text.any()


def test_small_pictures_are_enlarged_and_films_are_not():
    image = Image.new("RGB", (100, 60))
    assert PLACES.drawn(image, answer_of([], LABELS), LABELS).size == (400, 240)
    assert PLACES.drawn(image, answer_of([], LABELS), LABELS, enlarge=False).size == (100, 60)


def test_features_close_their_rings():
    answer = answer_of([_row("car", 0.9, 1, 2, 5, 4, id=3)], LABELS)
    (feature,) = PLACES.features(answer, lambda points: points * [1, -1])
    assert feature["properties"] == {"label": "car", "score": 0.9, "id": 3}
    (ring,) = feature["geometry"]["coordinates"]
    assert ring == [[1, -4], [5, -4], [5, -2], [1, -2], [1, -4]]
    assert PLACES.features(answer_of([], LABELS), lambda points: points) == []


def test_regions_count_a_thing_in_each_that_holds_it():
    ring = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], float)
    regions = [Region("a", ((ring,),)), Region("b", ((ring + 5,),))]
    answer = answer_of(
        [_row("car", 0.9, 6, 6, 9, 9), _row("ship", 0.8, 0, 0, 2, 2), _row("car", 0.7, 30, 30, 40, 40)],
        LABELS,
    )
    inside = PLACES.inside(answer, regions, crossing=False)
    assert [row["regions"] for row in inside.document["boxes"]] == [["a", "b"], ["a"]]
    assert inside.document["regions"]["b"] == {"car": 1, "ship": 0, "tree": 0}
    assert PLACES.rows(inside)[0]["regions"] == "a; b"
    assert PLACES.inside(answer_of([], LABELS), regions, crossing=True).document["boxes"] == []


@given(st.integers(0, 10_000), st.integers(0, 30))
def test_a_picture_cut_into_tiles_says_each_thing_once(seed, count):
    """Things smaller than the overlap, told by every tile as far as they lie in it."""
    rng = np.random.default_rng(seed)
    size, tiling = Size(300, 400), Tiling(128, 48)
    cells = rng.permutation(48)[:count]
    corners = np.stack([cells % 8, cells // 8], 1) * 50 + rng.uniform(0, 10, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(15, 38, (count, 2))], 1).round(2)
    labels = rng.integers(0, 3, count)
    parts = []
    for window in windows_of(size, tiling):
        moved = boxes - np.array([window.left, window.top] * 2)
        cut = np.clip(moved, 0, 128)
        there = ((cut[:, 2:] - cut[:, :2]) > 3).all(1)
        rows = [
            _row(LABELS[labels[i]], round(float(rng.uniform(0.3, 0.9)), 3), *cut[i])
            for i in np.flatnonzero(there)
        ]
        parts.append(Part(Window(*window), answer_of(rows, LABELS)))
    joined = PLACES.joined(parts, size, LABELS)
    said = sorted((row["label"], *np.round(row["box"], 1)) for row in joined.document["boxes"])
    true = sorted((LABELS[label], *np.round(box, 1)) for label, box in zip(labels, boxes, strict=True))
    assert [row[0] for row in said] == [row[0] for row in true]
    assert np.allclose([row[1:] for row in said], [row[1:] for row in true], atol=0.11)
