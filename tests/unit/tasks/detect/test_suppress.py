"""Of boxes on one another the best is said."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.tasks.detect.suppress import Suppression, detections


def _answers(rows, classes=2, blank=5):
    """Rows (xyxy, score, class) as a network gives them, among priors that say nothing."""
    answers = np.zeros((len(rows) + blank, 4 + classes), np.float32)
    for place, (*box, score, label) in enumerate(rows):
        answers[place, :4], answers[place, 4 + label] = box, score
    return answers


TWINS = [
    (10, 10, 50, 50, 0.8, 0),
    (12, 10, 52, 50, 0.9, 0),
    (100, 100, 140, 140, 0.4, 1),
    (11, 10, 51, 50, 0.7, 1),
]


def test_boxes_of_one_class_on_one_another_are_one_thing():
    said = detections(_answers(TWINS), Suppression())
    assert said[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.4])
    assert said[:, 5].tolist() == [0, 1, 1]
    assert said[0, :4].tolist() == [12, 10, 52, 50]


def test_boxes_of_any_class_are_one_thing_where_classes_do_not_count():
    said = detections(_answers(TWINS), Suppression(agnostic=True))
    assert said[:, 4].tolist() == pytest.approx([0.9, 0.4])


def test_without_suppression_all_are_said_best_first():
    said = detections(_answers(TWINS), Suppression(overlap=1.0))
    assert said[:, 4].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.4])


def test_soft_suppression_lowers_scores_and_keeps_the_box():
    said = detections(_answers(TWINS), Suppression(form="soft"))
    assert len(said) == 4
    assert said[0, 4] == pytest.approx(0.9)
    overlap = 38 / 42
    assert said[said[:, 0] == 10][0, 4] == pytest.approx(0.8 * np.exp(-(overlap**2) / 0.5), rel=1e-5)


def test_scores_are_filtered_first_and_at_most_a_hundred_are_said():
    rows = [(5 * i, 0, 5 * i + 4, 4, 0.5, 0) for i in range(150)]
    assert len(detections(_answers(rows), Suppression())) == 100
    assert len(detections(_answers(rows), Suppression(threshold=0.6))) == 0


def test_the_best_candidates_are_looked_at():
    generator = np.random.default_rng(0)
    rows = [
        (9 * i, 0, 9 * i + 4, 4, float(score), 0) for i, score in enumerate(generator.uniform(0.1, 1, 400))
    ]
    said = detections(_answers(rows), Suppression(candidates=50))
    best = sorted((row[4] for row in rows), reverse=True)[:50]
    assert said[:, 4].tolist() == pytest.approx(best, rel=1e-5)


def test_wild_boxes_say_nothing_that_is_no_number():
    answers = _answers([(np.nan, 0, 5, 5, 0.9, 0), (-np.inf, 0, np.inf, 9, 0.8, 0), (5, 5, 1, 1, 0.7, 1)])
    said = detections(answers, Suppression())
    assert np.isfinite(said).all()
    assert (said[:, 2:4] > said[:, :2]).all()
    assert detections(np.zeros((0, 6), np.float32), Suppression()).shape == (0, 6)
