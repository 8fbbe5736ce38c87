"""A graph that suppresses gives what the task makes of the answers of the plain one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from gossamer.files.onnx_endings import ENDINGS
from gossamer.tasks import TASKS, get_task

LABELS = ("boat", "car", "tree")


def _graph(count, labels=LABELS):
    """Gives the answers (1, count, 4 + K) that it takes; something inside reads them too."""
    shape = [1, count, 4 + len(labels)]
    nodes = [
        helper.make_node("Identity", ["input"], ["detections"]),
        helper.make_node("Neg", ["detections"], ["answers"]),
        helper.make_node("Neg", ["answers"], ["again"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("detections", "again")
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)], outputs
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _suppressed(answers, labels=LABELS):
    """(what the graph gives, what the task says, what an output beside it gives)."""
    task = get_task("detect")
    ending = task.ending(labels)
    model = _graph(answers.shape[1], labels)
    ENDINGS[ending.name](model, **ending.arguments)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ours, beside = session.run(None, {"input": answers})
    assert np.array_equal(beside, answers)
    return ours, task.condensed((answers,))[0]


def _answers(seed, count, labels=LABELS, *, levels=None):
    """Boxes over one another; with `levels` scores that are often the same, as an int8 file's are."""
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 90, (1, count, 2))
    sides = generator.uniform(-2, 60, (1, count, 2))
    scores = generator.uniform(0, 1, (1, count, len(labels))) ** 4
    if levels:
        scores = np.round(scores * levels) / levels
    return np.concatenate([corner, corner + sides, scores], 2).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 16])
@pytest.mark.parametrize("count", [1, 40, 700, 2000])
def test_boxes_and_scores_are_the_task_s(count, levels):
    ours, theirs = _suppressed(_answers(count, count, levels=levels))
    assert ours.shape == (1, 100, 7)
    assert (theirs[0, :, 4:].max(1) > 0).sum() >= min(count, 90)
    assert np.array_equal(ours, theirs)
    scores = ours[0, :, 4:]
    assert ((scores > 0).sum(1) <= 1).all()
    assert (np.diff(scores.max(1)) <= 0).all()


def test_one_label_and_many():
    for labels in (("boat",), tuple(f"c{i}" for i in range(80))):
        ours, theirs = _suppressed(_answers(3, 200, labels), labels)
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: answers.__setitem__((..., slice(4, None)), 0.0),
        lambda answers: answers.__setitem__((..., slice(2, 4)), answers[..., :2]),
        lambda answers: answers.__setitem__((slice(None), slice(5), slice(2, 4)), 1e30),
    ],
    ids=["no scores", "no sides", "giants"],
)
def test_answers_without_or_with_odd_boxes(change):
    answers = _answers(5, 60)
    change(answers)
    ours, theirs = _suppressed(answers)
    assert np.array_equal(ours, theirs)


def test_what_is_suppressed_stays():
    ours, _ = _suppressed(_answers(7, 300))
    again, condensed = _suppressed(ours)
    assert np.array_equal(again, ours)
    assert np.array_equal(condensed, ours)


def test_every_ending_of_a_task_has_its_edit():
    endings = {name: get_task(name).ending(LABELS) for name in TASKS}
    assert {name for name, ending in endings.items() if ending is not None} == {"detect"}
    assert {ending.name for ending in endings.values() if ending is not None} == set(ENDINGS)
