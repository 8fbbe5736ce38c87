"""Which priors learn which box, on scenes small enough to say it by hand."""

from __future__ import annotations

import pytest
import torch

from gossamer.tasks.detect.parts.assigners import ASSIGNERS, Scene
from gossamer.tasks.detect.parts.detector import Priors

SIDE = 64


def _priors(*strides, anchors=1.0):
    boxes, steps = [], []
    for stride in strides:
        count = SIDE // stride
        ys, xs = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
        centres = (torch.stack([xs, ys], 2).reshape(-1, 2) + 0.5) * stride
        boxes.append(torch.cat([centres, torch.full_like(centres, anchors * stride)], 1))
        steps.append(torch.full((len(centres),), float(stride)))
    return Priors(torch.cat(boxes), torch.cat(steps), (SIDE, SIDE))


def _scene(truth, labels, *strides, classes=3, scores=None, boxes=None, anchors=1.0):
    priors = _priors(*(strides or (8, 16)), anchors=anchors)
    centres, half = priors.boxes_cxcywh[:, :2], priors.boxes_cxcywh[:, 2:] / 2
    return Scene(
        torch.cat([centres - half, centres + half], 1) if boxes is None else boxes,
        torch.full((len(centres), classes), 0.1) if scores is None else scores,
        priors,
        torch.tensor(truth, dtype=torch.float32),
        torch.tensor(labels),
    )


@pytest.mark.parametrize("name", ASSIGNERS)
def test_every_rule_gives_every_prior_a_box_or_none(name):
    scene = _scene([[8, 8, 24, 24], [30, 30, 60, 62]], [0, 2])
    assignment = ASSIGNERS[name](scene)
    assert assignment.truth.shape == assignment.quality.shape == (len(scene.boxes),)
    assert set(assignment.truth.tolist()) <= {-2, -1, 0, 1}
    assert ((assignment.quality >= 0) & (assignment.quality <= 1)).all()
    assert (assignment.truth >= 0).any()


@pytest.mark.parametrize("name", [n for n in ASSIGNERS if n not in ("ratio", "neighbour")])
def test_every_box_is_learned_by_some_prior_however_small(name):
    scene = _scene([[9, 9, 11, 10], [30, 30, 60, 62]], [0, 2])
    assert {0, 1} <= set(ASSIGNERS[name](scene).truth.tolist())


def test_max_iou_parts_anchors_at_its_thresholds():
    scene = _scene([[0, 0, 8, 8]], [0], 8)
    scene = scene._replace(
        truth=torch.tensor([[0.0, 0, 8, 5]])
    )  # IoU 0.625 with the first anchor, 0 with all others
    assert ASSIGNERS["max_iou"](scene, positive=0.6).truth.tolist()[:2] == [0, -1]
    between = ASSIGNERS["max_iou"](scene, positive=0.7, negative=0.6, best_anchor=False).truth
    assert between.tolist()[:2] == [-2, -1]
    assert ASSIGNERS["max_iou"](scene, positive=0.7, negative=0.6).truth[0] == 0


def test_ratio_takes_the_cell_and_its_nearest_neighbours_of_anchors_that_fit():
    scene = _scene(
        [[18, 18, 28, 30]], [0], 8
    )  # centre 23, 24: cells (2, 2) and (2, 3), and x 23 is in cell 2
    chosen = ASSIGNERS["ratio"](scene).truth.view(8, 8)
    cells = {(int(y), int(x)) for y, x in (chosen == 0).nonzero()}
    assert (2, 2) in cells or (3, 2) in cells
    assert len(cells) <= 4
    assert all(abs(y + 0.5 - 3) <= 1 and abs(x + 0.5 - 2.875) <= 1 for y, x in cells)
    assert not (ASSIGNERS["ratio"](_scene([[1, 1, 63, 5]], [0], 8), threshold=2.0).truth >= 0).any()


def test_simota_looks_near_the_centre_only():
    scene = _scene([[0, 0, 64, 64]], [0], 8)
    chosen = ASSIGNERS["simota"](scene, radius=1.5).truth.view(8, 8)
    ys, xs = (chosen == 0).nonzero(as_tuple=True)
    assert ys.min() >= 2
    assert ys.max() <= 5
    assert xs.min() >= 2
    assert xs.max() <= 5


def test_simota_gives_a_box_as_many_priors_as_its_overlaps_add_up_to():
    truth = torch.tensor([[16.0, 16, 48, 48]])
    priors = _priors(8)
    perfect = truth.expand(len(priors.strides), 4).clone()
    scene = _scene(truth.tolist(), [0], 8, boxes=perfect)
    assert int((ASSIGNERS["simota"](scene, radius=2.5, topk=5).truth == 0).sum()) == 5
    half = perfect.clone()
    half[:, 2] = 32
    assert int((ASSIGNERS["simota"](scene._replace(boxes=half), topk=4).truth == 0).sum()) == 2


def test_a_prior_that_two_boxes_want_goes_to_the_cheaper():
    same = [[16.0, 16, 32, 32], [16.0, 16, 32, 33]]
    scene = _scene(same, [0, 1], 8)
    scores = torch.full((64, 3), 0.05)
    scores[:, 1] = 0.9
    truth = ASSIGNERS["simota"](scene._replace(scores=scores), topk=1).truth
    assert 1 in truth.tolist()


def test_dsla_looks_inside_boxes():
    scene = _scene([[0, 0, 24, 24]], [0], 8)
    chosen = ASSIGNERS["dsla"](scene).truth
    centres = scene.priors.boxes_cxcywh[chosen == 0, :2]
    assert (centres < 24).all()


def test_atss_takes_priors_above_the_mean_and_deviation():
    scene = _scene([[4, 4, 44, 44]], [0], 8, 16)
    chosen = ASSIGNERS["atss"](scene, topk=9).truth
    inside = scene.priors.boxes_cxcywh[chosen == 0, :2]
    assert len(inside) >= 1
    assert ((inside > 4) & (inside < 44)).all()
    middle = (inside - 24).abs().amax(1)
    assert float(middle.max()) <= 16


def test_neighbours_are_the_four_cells_about_the_centre():
    scene = _scene([[10, 10, 30, 30]], [0], 16)
    cells = {(int(y), int(x)) for y, x in (ASSIGNERS["neighbour"](scene).truth.view(4, 4) == 0).nonzero()}
    assert cells <= {(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (1, 2), (2, 2)}
    assert 1 <= len(cells) <= 4


def test_tal_weighs_score_and_overlap():
    truth = torch.tensor([[0.0, 0, 32, 32]])
    scene = _scene(truth.tolist(), [1], 8)
    boxes = truth.expand(64, 4).clone()
    scores = torch.full((64, 3), 0.01)
    scores[9, 1] = 0.9
    assignment = ASSIGNERS["tal"](scene._replace(boxes=boxes, scores=scores), topk=1)
    assert (assignment.truth == 0).nonzero().flatten().tolist() == [9]
    assert float(assignment.quality[9]) == pytest.approx(1.0)


def test_one_to_one_is_one():
    scene = _scene([[8, 8, 24, 24], [30, 30, 60, 62]], [0, 2])
    truth = ASSIGNERS["one_to_one"](scene).truth
    assert [int((truth == box).sum()) for box in (0, 1)] == [1, 1]
