"""What every task keeps: scores that add up, answers that agree with themselves, losses that fall towards the truth."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gossamer.errors import DataError, ModelError
from gossamer.tasks import TASKS, Outputs, Task, get_task
from gossamer.train.objective import TrainingObjective, objective_of
from gossamer.train.recipe import Distillation

__all__ = ["TaskContract"]


class TaskContract:
    """Subclass it, set `name` to a key of `TASKS`, and say what is right in `samples` and `outputs`."""

    name: ClassVar[str]

    def samples(self) -> tuple[list[Any], tuple[str, ...]]:
        """Twelve targets or more, as a reader gives them, not all alike, and their labels."""
        raise NotImplementedError

    def outputs(self, targets: NDArray[Any], labels: Sequence[str]) -> NDArray[np.float32]:
        """Outputs (N, D) of a network that is right about targets (N, ...)."""
        raise NotImplementedError

    @pytest.fixture
    def task(self) -> Task:
        """The task under test."""
        return get_task(self.name)

    @pytest.fixture
    def objective(self) -> TrainingObjective:
        """What trains it."""
        return objective_of(self.name)

    @pytest.fixture
    def right(self, task: Task) -> tuple[Outputs, NDArray[Any], tuple[str, ...]]:
        """Right outputs, their targets, labels."""
        targets, labels = self.samples()
        array = task.array(targets, labels)
        return (self.outputs(array, labels),), array, labels

    def test_it_stands_in_the_table_under_its_name(self, task: Task) -> None:
        assert self.name in TASKS
        assert task.name == self.name
        assert task.headline.larger
        assert task.headline.share
        assert len({each.name for each in task.criteria}) == len(task.criteria)

    def test_targets_have_a_row_a_sample_and_a_text_of_their_own(self, task: Task) -> None:
        targets, labels = self.samples()
        assert len(task.array(targets, labels)) == len(targets)
        texts = [task.text(target, labels) for target in targets]
        assert len(set(texts)) > 1
        kinds = task.kinds(targets, labels)
        assert len(kinds) == len(targets)
        assert all(kinds)
        assert {kind for each in kinds for kind in each} <= set(task.kind_names(targets, labels))

    def test_what_is_left_is_settled_or_refused(self, task: Task) -> None:
        targets, labels = self.samples()
        kept, names = task.settle(targets, labels, "here")
        assert len(kept) == len(targets)
        texts = [task.text(target, labels) for target in targets]
        assert [task.text(target, names) for target in kept] == texts
        with pytest.raises(DataError, match="here"):
            task.settle(targets[:1], labels, "here")
        assert task.settle(kept, names, "here") == (kept, names)

    def test_right_outputs_are_worth_one_and_have_no_mistakes(
        self, task: Task, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        assert task.worth(outputs, targets, labels) == pytest.approx(1.0, abs=1e-6)
        assert task.agreement(outputs, outputs, labels) == pytest.approx(1.0, abs=1e-6)
        assert task.mistakes(outputs, targets, labels) == []
        wrong = (np.roll(outputs[0], 1, axis=0),)
        assert task.worth(wrong, targets, labels) < 0.9
        mistakes = task.mistakes(wrong, targets, labels)
        assert mistakes
        assert [each.score for each in mistakes] == sorted((m.score for m in mistakes), reverse=True)
        assert all(each.truth != each.said for each in mistakes)

    def test_answers_are_targets_that_the_outputs_are_right_for(
        self, task: Task, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        answers = task.answers(outputs)
        assert len(answers) == len(targets)
        assert answers.ndim == targets.ndim
        assert task.worth(outputs, answers, labels) == pytest.approx(1.0, abs=1e-6)

    def test_a_score_of_parts_is_the_score_of_all(
        self, task: Task, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        noisy = outputs[0] + np.random.default_rng(0).normal(0, 1, outputs[0].shape).astype(np.float32)
        whole, parts = task.score(labels), [task.score(labels) for _ in range(2)]
        whole.update((noisy,), targets)
        for number, part in enumerate(parts):
            part.update((noisy[number::2],), targets[number::2])
        first, second = pickle.loads(pickle.dumps(parts))  # from another process
        first.merge(second)
        assert first.count == whole.count == len(targets)
        assert first.figures() == pytest.approx(whole.figures())

    def test_a_score_of_nothing_has_every_figure(self, task: Task) -> None:
        _, labels = self.samples()
        score = task.score(labels)
        assert score.count == 0
        assert {each.name for each in task.criteria} <= set(score.figures())

    def test_figures_have_intervals_and_the_page_is_json(
        self, task: Task, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        score = task.score(labels)
        score.update(outputs, targets)
        figures, intervals = score.figures(), score.intervals()
        names = {each.name for each in task.criteria}
        assert names <= set(figures)
        assert set(intervals) == names
        for name, (low, high) in intervals.items():
            assert low - 1e-9 <= figures[name] <= high + 1e-9
        json.dumps(score.details(), allow_nan=False)
        assert task.told(figures[task.headline.name], score.count)

    def test_an_answer_is_told_to_people_and_programs(
        self, task: Task, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, _, labels = right
        answer = task.decode((outputs[0][:1],), labels, top=2)
        assert len(answer.labels) == len(answer.scores)
        assert answer.document
        assert answer.row
        json.dumps(dict(answer.document), allow_nan=False)
        assert {"file", "error"}.isdisjoint({*answer.document, *answer.row})

    def test_losses_fall_towards_the_truth(
        self, objective: TrainingObjective, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        objective.check(targets, len(labels), "training")
        scores, truth = torch.from_numpy(outputs[0]), torch.from_numpy(targets)
        weights = objective.weights(targets, len(labels), balance=False)
        encoded = objective.encode(truth, len(labels))
        assert len(encoded) == len(targets)
        assert encoded.dtype == torch.float32
        near, far = (objective.losses(each, encoded, weights) for each in (scores, torch.roll(scores, 1, 0)))
        assert near.shape == (len(targets),)
        assert float(near.mean()) < float(far.mean())
        assert float(objective.loss_sum(scores, truth, weights)) == pytest.approx(float(near.sum()), abs=1e-4)
        assert objective.guess(targets, len(labels)) > 0
        shares = objective.shares(targets)
        assert shares.shape == (len(targets),)
        assert float(shares.sum()) == pytest.approx(1.0)

    def test_gradient_leads_there(
        self, objective: TrainingObjective, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        weights = objective.weights(targets, len(labels), balance=False)
        encoded = objective.encode(torch.from_numpy(targets), len(labels))
        scores = torch.zeros(outputs[0].shape, requires_grad=True)
        before = objective.losses(scores, encoded, weights).mean()
        (gradient,) = torch.autograd.grad(before, scores)
        length = float(gradient.abs().max())
        assert length > 0
        step = 1e-3 * float(np.abs(outputs[0]).max()) / length
        after = objective.losses(scores.detach() - step * gradient, encoded, weights).mean()
        assert float(after.detach()) < float(before.detach())

    def test_a_network_agrees_with_itself_and_is_imitated_by_itself(
        self, objective: TrainingObjective, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        outputs, targets, labels = right
        scores = torch.from_numpy(outputs[0])
        moved = torch.roll(scores, 1, 0)
        assert objective.agreement(scores, scores) == pytest.approx(1.0)
        assert objective.agreement(scores, moved) < 1
        assert float(objective.divergence(scores, scores)) == pytest.approx(0.0, abs=1e-4)
        assert float(objective.divergence(scores, moved)) > 1e-3
        encoded = objective.encode(torch.from_numpy(targets), len(labels))
        how = Distillation(logits=1.0, dkd=0.0, dist=0.0)
        own, other = (objective.imitation(each, scores, encoded, how) for each in (scores, moved))
        assert own.shape == (len(targets),)
        assert float(own.mean()) < float(other.mean())
        together = objective.together([scores, scores])
        assert objective.agreement(scores, together) == pytest.approx(1.0)
        drawn = objective.drawn(scores, torch.Generator().manual_seed(0))
        assert len(drawn) == len(targets)
        assert drawn.ndim == targets.ndim

    def test_targets_of_another_width_are_refused(
        self, objective: TrainingObjective, right: tuple[Outputs, NDArray[Any], tuple[str, ...]]
    ) -> None:
        _, targets, labels = right
        with pytest.raises(ModelError, match="training"):
            objective.check(targets, len(labels) - 1, "training")
