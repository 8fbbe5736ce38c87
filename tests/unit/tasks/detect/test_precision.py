"""AP is COCO's, whatever counts it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from gossamer.tasks.detect.precision import evaluate, match_pictures


def _pictures(count, classes, *, seed=0, crowds=0.1):
    """(said, true) of pictures with some boxes found, some missed, some too much."""
    generator = np.random.default_rng(seed)
    said, truth = [], []
    for _ in range(count):
        number = generator.integers(0, 9)
        corner, sides = (
            generator.uniform(0, 400, (number, 2)),
            generator.lognormal(3.5, 0.9, (number, 2)).clip(3, 300),
        )
        boxes, labels = np.concatenate([corner, corner + sides], 1), generator.integers(0, classes, number)
        crowd = generator.uniform(size=number) < crowds
        truth.append(np.column_stack([labels, boxes, sides.prod(1), crowd]).astype(float))
        near = boxes + generator.normal(0, 0.08, (number, 4)) * sides.mean(1, keepdims=True)
        far = generator.uniform(0, 400, (6, 2))
        rows = np.concatenate([near, np.concatenate([far, far + generator.uniform(5, 100, (6, 2))], 1)])
        names = np.concatenate([labels, generator.integers(0, classes, 6)])
        scores = np.concatenate([generator.beta(4, 2, number), generator.beta(2, 4, 6)])
        rows = np.column_stack([rows, scores, names])
        rows = rows[(rows[:, 2:4] > rows[:, :2]).all(1)]
        said.append(rows[np.argsort(-rows[:, 4], kind="stable")])
    return said, truth


def _by_pycocotools(said, truth, classes):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations = [
        {
            "id": 1 + len(truth) * 1000 + i * 100 + k,
            "image_id": i + 1,
            "category_id": int(row[0]) + 1,
            "bbox": [row[1], row[2], row[3] - row[1], row[4] - row[2]],
            "area": row[5],
            "iscrowd": int(row[6]),
        }
        for i, rows in enumerate(truth)
        for k, row in enumerate(rows.tolist())
    ]
    rows = [
        {
            "image_id": i + 1,
            "category_id": int(row[5]) + 1,
            "bbox": [row[0], row[1], row[2] - row[0], row[3] - row[1]],
            "score": row[4],
        }
        for i, each in enumerate(said)
        for row in each.tolist()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        held = coco.COCO()
        held.dataset = {
            "info": {},
            "images": [{"id": i + 1} for i in range(len(truth))],
            "categories": [{"id": i + 1} for i in range(classes)],
            "annotations": annotations,
        }
        held.createIndex()
        result = evaluation.COCOeval(held, held.loadRes(rows), "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    return result.stats[:6]


@pytest.mark.parametrize(("classes", "crowds"), [(1, 0.0), (4, 0.0), (3, 0.3)])
def test_figures_are_those_of_pycocotools(classes, crowds):
    said, truth = _pictures(60, classes, seed=classes, crowds=crowds)
    figures = evaluate(said, truth, classes).figures
    wanted = _by_pycocotools(said, truth, classes)
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    assert [figures[name] for name in names] == pytest.approx(wanted.tolist(), abs=1e-12)


@pytest.mark.parametrize(("classes", "crowds"), [(1, 0.0), (4, 0.0), (3, 0.3)])
def test_matches_that_intervals_are_drawn_from_come_to_the_same_ap(classes, crowds):
    said, truth = _pictures(60, classes, seed=9 + classes, crowds=crowds)
    figures = evaluate(said, truth, classes).figures
    matches = match_pictures(said, truth, classes)
    assert matches.average_precision(np.ones(60)) == pytest.approx((figures["ap"], figures["ap50"]), abs=1e-9)


def test_pictures_that_count_twice_are_as_two_pictures():
    said, truth = _pictures(20, 2)
    matches = match_pictures(said, truth, 2)
    weights = np.ones(20)
    weights[3], weights[7] = 2, 0
    chosen = [*range(7), *range(8, 20), 3]
    figures = evaluate([said[i] for i in chosen], [truth[i] for i in chosen], 2).figures
    assert matches.average_precision(weights) == pytest.approx((figures["ap"], figures["ap50"]), abs=1e-9)


def test_intervals_narrow_with_the_root_of_the_pictures():
    few, many = (match_pictures(*_pictures(count, 2), 2).deviations()[0] for count in (40, 640))
    assert few / many == pytest.approx(4, rel=0.35)


def test_nothing_said_or_nothing_true_is_no_error():
    nothing = [np.zeros((0, 6))] * 3
    empty = [np.zeros((0, 7))] * 3
    box = [np.array([[0, 5, 5, 20, 20, 225, 0.0]])] * 3
    said = [np.array([[5, 5, 20, 20, 0.9, 0.0]])] * 3
    assert evaluate(nothing, box, 2).figures["ap"] == 0
    assert evaluate(said, empty, 2).figures == {"ap": 0.0, "ap50": 0.0}
    assert evaluate(said, box, 2).figures["ap"] == pytest.approx(1.0)
    assert np.isnan(evaluate(said, box, 2).classes[1]).all()
