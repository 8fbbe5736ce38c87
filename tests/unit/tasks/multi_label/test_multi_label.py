"""Average precision by hand and beside another library's definition; labels that nobody bears; answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.tasks import get_task
from gossamer.tasks.precision import average_precision

TASK = get_task("multi-label")
LABELS = ("car", "road", "tree")


def test_average_precision_by_hand():
    """Right ones in places 1, 3 and 4 of five: (1/1 + 2/3 + 3/4) / 3."""
    scores = np.array([5, 4, 3, 2, 1], np.float32)
    assert average_precision(scores, np.array([1, 0, 1, 1, 0], bool)) == pytest.approx(
        (1 + 2 / 3 + 3 / 4) / 3
    )


def test_equal_scores_are_one_threshold():
    assert average_precision(np.zeros(4, np.float32), np.array([1, 0, 0, 0], bool)) == pytest.approx(0.25)
    assert average_precision(np.zeros(4, np.float32), np.array([0, 0, 0, 1], bool)) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_average_precision_is_the_sum_over_thresholds(pairs):
    scores, truth = np.array([p[0] for p in pairs], np.float32), np.array([p[1] for p in pairs], bool)
    found = average_precision(scores, truth)
    if not truth.any():
        assert np.isnan(found)
        return
    wanted, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = scores >= threshold
        now = (said & truth).sum() / truth.sum()
        wanted += (now - recall) * (said & truth).sum() / said.sum()
        recall = now
    assert found == pytest.approx(wanted)


def test_figures_leave_out_labels_that_nobody_bears():
    score = TASK.score(LABELS)
    score.update(
        (np.array([[2, -1, 3], [-1, -2, 4]], np.float32),), np.array([[1, 0, 0], [0, 0, 0]], np.float32)
    )
    figures = score.figures()
    assert figures["map"] == 1.0
    assert figures["f1"] == pytest.approx(2 * 1 / (1 + 3)), "one right, one true, three said"
    assert [row["pictures"] for row in score.details()["classes"]] == [1, 0, 0]


def test_a_label_is_said_from_a_probability_of_one_half_on():
    score = TASK.score(("car",))
    score.update((np.array([[0.01], [-0.01], [0.3]], np.float32),), np.array([[1], [0], [1]], np.float32))
    assert score.figures()["f1"] == 1.0


def test_answers_name_what_is_above_one_half():
    answer = TASK.decode((np.array([[3, -2, 0.5]], np.float32),), LABELS, top=2)
    assert answer.labels == ("car", "tree")
    assert answer.document["labels"] == ["car", "tree"]
    assert [each["label"] for each in answer.document["top"]] == ["car", "tree"]
    assert answer.row["labels"] == "car;tree"
    nothing = TASK.decode((np.full((1, 3), -9, np.float32),), LABELS, top=1)
    assert (nothing.labels, nothing.document["labels"], len(nothing.document["top"])) == ((), [], 1)


def test_scores_of_any_size_are_probabilities():
    answer = TASK.decode((np.array([[1e4, -1e4, 0]], np.float32),), LABELS, top=3)
    assert [round(each["score"], 3) for each in answer.document["top"]] == [1.0, 0.5, 0.0]


def test_where_all_pictures_bear_the_same_nothing_is_learned():
    with pytest.raises(
        DataError, match=r"^labels are learned where some pictures bear them and others do not, here has"
    ):
        TASK.settle([(0, 1), (0, 1)], LABELS, "here")
    kept, labels = TASK.settle([(0, 2), (2,), ()], LABELS, "here")
    assert (kept, labels) == ([(0, 1), (1,), ()], ("car", "tree"))


def test_mistakes_are_ordered_by_how_far_off_they_are():
    outputs = np.array([[2, -9, -9], [9, -9, -9], [-9, -9, -9]], np.float32)
    mistakes = TASK.mistakes((outputs,), np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32), LABELS)
    assert [(each.index, each.truth, each.said) for each in mistakes] == [
        (1, "road", "car"),
        (0, "(none)", "car"),
    ]
