"""What a detector's score tells beside AP."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gossamer.tasks import get_task
from gossamer.tasks.detect.score import Comparison, paired_drops

LABELS = ("ship", "tank")


def _truth(*rows):
    """Rows (label, xyxy, crowd)."""
    return np.array(
        [[label, *box, (box[2] - box[0]) * (box[3] - box[1]), crowd] for label, box, crowd in rows], float
    ).reshape(-1, 7)


def _said(*rows):
    """Rows (xyxy, score, label)."""
    return np.array([[*box, score, label] for box, score, label in rows], float).reshape(-1, 6)


A, B, FAR = (10, 10, 40, 40), (60, 60, 90, 90), (120, 5, 150, 30)


def test_found_missed_misnamed_and_too_much():
    picture = Comparison(_said((A, 0.9, 1), (FAR, 0.8, 0)), _truth((0, A, 0), (1, B, 0)))
    assert picture.pairs == [(0, 1)]
    assert picture.missed == [1]
    assert picture.extra == [0]
    assert (picture.wrong, picture.all) == (3, 3)


def test_a_box_in_a_crowd_is_not_too_much():
    picture = Comparison(_said((A, 0.9, 0)), _truth((0, (0, 0, 50, 50), 1)))
    assert (picture.extra, picture.missed, picture.wrong) == ([], [], 0)


def _outputs(pictures):
    task_rows = np.zeros((len(pictures), 4, 6), np.float32)
    for rows, said in zip(task_rows, pictures, strict=True):
        for row, (box, score, label) in zip(rows, said, strict=False):
            row[:4], row[4 + label] = box, score
    return (task_rows,)


def _targets(pictures):
    array = np.zeros((len(pictures), 3, 7), np.float32)
    array[..., 0] = -1
    for rows, truth in zip(array, pictures, strict=True):
        rows[: len(truth)] = truth
    return array


@pytest.fixture
def score():
    score = get_task("detect").score(LABELS)
    truth = [_truth((0, A, 0)), _truth((1, B, 0)), _truth(), _truth((0, A, 0), (1, B, 0))]
    said = [[(A, 0.9, 0)], [(B, 0.8, 0)], [(FAR, 0.7, 1)], [(A, 0.6, 0), (B, 0.1, 1)]]
    score.update(_outputs(said), _targets(truth))
    return score


def test_confusion_has_a_row_and_a_column_for_nothing(score):
    assert score.confusion().tolist() == [[2, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_details_are_json_and_count_boxes(score):
    details = score.details()
    json.dumps(details, allow_nan=False)
    ship, tank = details["classes"]
    assert (ship["boxes"], tank["boxes"]) == (2, 2)
    assert ship["precision"] == pytest.approx(2 / 3)
    assert ship["recall"] == 1.0
    assert tank["recall"] == 0.0
    charts = {line["chart"] for line in details["lines"]}
    assert charts == {"precision over recall", "over the score"}


def test_curves_over_the_score_are_counts_at_that_score(score):
    lines = {
        line["name"]: dict(line["points"])
        for line in score.details()["lines"]
        if line["chart"] == "over the score"
    }
    assert lines["recall"][0.5] == pytest.approx(2 / 4)
    assert lines["precision"][0.5] == pytest.approx(2 / 4)
    assert lines["recall"][0.05] == pytest.approx(3 / 4)
    assert lines["recall"][0.95] == 0


def test_the_same_network_loses_nothing(score):
    assert np.abs(paired_drops(score, score, draws=20)).max() == 0


def test_condensed_answers_score_the_same():
    task = get_task("detect")
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 200, (6, 300, 2))
    outputs = np.concatenate(
        [corner, corner + generator.uniform(8, 60, (6, 300, 2)), generator.uniform(0, 1, (6, 300, 2)) ** 8], 2
    )
    outputs = (outputs.astype(np.float32),)
    truth = task.answers((outputs[0][:, ::3],))
    small = task.condensed(outputs)
    assert small[0].shape == (6, 100, 6)
    assert task.worth(small, truth, LABELS) == pytest.approx(task.worth(outputs, truth, LABELS), abs=1e-9)
