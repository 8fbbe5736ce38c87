"""Every task of the table keeps the contract."""

from __future__ import annotations

import numpy as np

from gossamer.tasks import TASKS
from gossamer.tasks.detect.boxes import Boxes
from gossamer.testing.tasks import TaskContract


class TestClassify(TaskContract):
    name = "classify"

    def samples(self):
        return [i % 3 for i in range(15)], ("forest", "meadow", "river")

    def outputs(self, targets, labels):
        return (9 * np.eye(len(labels))[targets]).astype(np.float32)


class TestMultiLabel(TaskContract):
    name = "multi-label"

    def samples(self):
        return [(0,), (0, 2), (), (1,), (1, 2), (2,)] * 3, ("car", "road", "tree")

    def outputs(self, targets, labels):
        return (18 * targets - 9).astype(np.float32)


class TestRegress(TaskContract):
    name = "regress"

    def samples(self):
        return [(float(i), 100.0 - 7 * i) for i in range(16)], ("height", "depth")

    def outputs(self, targets, labels):
        return targets.copy()


class TestDetect(TaskContract):
    name = "detect"

    def samples(self):
        places = [[10, 10, 40, 50], [60, 20, 90, 60], [30, 70, 80, 95]]
        return [Boxes.of(places[: i % 4], [(i + k) % 3 for k in range(i % 4)]) for i in range(16)], (
            "ship",
            "tank",
            "vehicle",
        )

    def outputs(self, targets, labels):
        answers = np.zeros((*targets.shape[:2], 4 + len(labels)), np.float32)
        answers[..., :4] = targets[..., 1:5]
        for picture, place in np.argwhere(targets[..., 0] >= 0):
            answers[picture, place, 4 + int(targets[picture, place, 0])] = 0.9
        return answers


def test_every_task_is_held_to_the_contract():
    assert sorted(c.name for c in TaskContract.__subclasses__() if c.__module__ == __name__) == sorted(TASKS)
