"""What a watch says: each problem once, with its figures and what to do, and nothing of a training that goes well."""

from __future__ import annotations

import math
import sys
from subprocess import run

import pytest

from gossamer.tasks import get_task
from gossamer.train.watch import Problem, Seen, Watch

LABELS = ("a", "b", "c", "d")


def _seen(passes, *, train=0.5, val=0.5, accuracy=None, predicted=(5, 5, 5, 5), loader=0.0):
    accuracy = min(1.0, passes / 100) if accuracy is None else accuracy
    return Seen(int(passes * 10), passes, train, val, accuracy, predicted, loader)


def _watch(labels=LABELS, classes_seen=range(4)):
    return Watch(get_task("classify"), labels, seen=classes_seen, guess=math.log(len(labels)))


def _said(points, **options):
    watch = _watch(**options)
    return [watch.look(point) for point in points]


def test_a_training_that_goes_well_hears_nothing():
    points = [_seen(p, train=1.4 * 0.9**p, val=1.4 * 0.92**p, loader=0.05) for p in range(1, 40)]
    assert _said(points) == [[]] * 39


def test_no_learning():
    said = _said([_seen(passes, train=1.40) for passes in (1, 2, 3, 4)])
    assert [[p.code for p in problems] for problems in said] == [[], [], ["no-learning"], []]
    assert said[2][0].message == (
        "the training loss is 1.4 after 3.0 passes and was 1.4 at first (guessing among 4 classes gives 1.39): nothing "
        "is learned; look at the labels with `gossamer check`, then change the rate tenfold either way, e.g. "
        "`--set learning_rate=1e-3`"
    )


@pytest.mark.parametrize("loss", [0.94 * math.log(4), 0.1])
def test_a_loss_below_that_of_guessing_is_learning_though_it_fell_before_the_first_validation(loss):
    assert _said([_seen(passes, train=loss) for passes in (2, 3, 4)]) == [[]] * 3


def test_a_loss_of_another_scale_has_learned_once_it_fell():
    assert _said([_seen(1, train=10), _seen(4, train=9.4)]) == [[], []]
    assert [p.code for p in _said([_seen(1, train=10), _seen(4, train=9.6)])[1]] == ["no-learning"]


def test_overfitting_is_three_validations_in_a_row():
    points = [
        _seen(1, train=1.0, val=0.8),
        _seen(2, train=0.6, val=1.01),
        _seen(3, train=0.5, val=1.02),
        _seen(4, train=0.4, val=0.99),
        _seen(5, train=0.3, val=1.1),
        _seen(6, train=0.2, val=1.2),
        _seen(7, train=0.1, val=1.3),
        _seen(8, train=0.1, val=1.4),
    ]
    said = _said(points)
    assert [len(problems) for problems in said] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert said[6] == [
        Problem(
            "overfitting",
            "the validation loss rose from 0.8 (pass 1.0) to 1.3 (pass 7.0) while the training loss fell from 1 to 0.1; "
            "the best weights are kept; augment more, e.g. "
            "`--set augmentation.randaugment=2`",
        )
    ]


def test_losses_that_rise_together_are_no_overfitting():
    assert _said([_seen(p, train=0.2 + 0.1 * p, val=0.5 * p) for p in range(1, 9)]) == [[]] * 8


def test_classes_never_predicted():
    said = _said([_seen(p, predicted=(9, 0, 1, 0)) for p in (1, 3, 4)])
    assert [len(problems) for problems in said] == [0, 1, 0]
    assert said[1] == [
        Problem(
            "class-never-predicted",
            "2 of 4 classes were predicted for no validation picture in 3.0 passes: b, d; draw rare classes more often "
            "with `--set balance=sampling`, and look at their pictures",
        )
    ]


def test_a_class_predicted_once_or_without_pictures_is_not_named():
    points = [_seen(1, predicted=(9, 1, 0, 0)), _seen(3, predicted=(10, 0, 0, 0))]
    assert _said(points, classes_seen=[0, 1]) == [[], []]
    assert ": c;" in _said(points, classes_seen=[0, 1, 2])[1][0].message


def test_at_most_five_classes_are_named():
    labels = [f"class{i}" for i in range(9)]
    (problem,) = _said([_seen(3, predicted=[9] + [0] * 8)], labels=labels, classes_seen=range(9))[0]
    assert ": class1, class2, class3, class4, class5 and 3 more;" in problem.message


def test_loader_bound():
    said = _said([_seen(1, loader=0.1), _seen(2, loader=0.25), _seen(3, loader=0.5)])
    assert [len(problems) for problems in said] == [0, 1, 0]
    assert said[1][0].code == "loader-bound"
    assert said[1][0].message.startswith(
        "25% of the time goes into gathering pictures (up to 10% is usual): "
    )


def test_plateau_is_ten_validations_without_a_better_one():
    points = [_seen(p, accuracy=0.7) for p in range(1, 12)]
    said = _said(points)
    assert [len(problems) for problems in said] == [0] * 10 + [1]
    assert said[10][0].code == "plateau"
    assert said[10][0].message.startswith(
        "the validation accuracy has not passed 70.0% (pass 1.0) in 10 validations and is 70.0% at pass 11.0; "
    )
    better = [*points[:10], _seen(11, accuracy=0.71), *[_seen(p, accuracy=0.7) for p in range(12, 21)]]
    assert _said(better) == [[]] * 20


def test_several_problems_at_once_come_in_one_answer():
    (problems,) = _said([_seen(3, train=2.0, predicted=(20, 0, 0, 0), loader=0.3)])
    assert [p.code for p in problems] == ["no-learning", "class-never-predicted", "loader-bound"]


def test_it_needs_no_torch():
    code = "import sys; import gossamer.train.watch; print('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
