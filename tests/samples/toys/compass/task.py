"""Targets and outputs are (cos, sin), (N, 2); the share of answers within 20 degrees judges."""

import numpy as np

from gossamer.errors import DataError
from gossamer.tasks import Answer, Criterion, Mistake, Score, Task
from gossamer.tasks.intervals import wilson_interval


def degrees(rows):
    return np.degrees(np.arctan2(rows[:, 1], rows[:, 0])) % 360


def off(outputs, targets):
    return np.abs((degrees(outputs) - degrees(targets) + 180) % 360 - 180)


class CompassScore(Score):
    right = count = 0

    def update(self, outputs, targets):
        self.right += int((off(outputs[0], targets) < 20).sum())
        self.count += len(targets)

    def merge(self, other):
        self.right, self.count = self.right + other.right, self.count + other.count

    def figures(self):
        return {"near": self.right / max(self.count, 1)}

    def intervals(self):
        return {"near": wilson_interval(self.figures()["near"], self.count)}

    def details(self):
        return {}


class Compass(Task):
    name, outputs, noun = "compass", ("direction",), "number"
    criteria = (Criterion("near", "share within 20 degrees"),)

    def array(self, targets, labels):
        return np.stack([np.cos(np.radians(targets)), np.sin(np.radians(targets))], 1).astype(np.float32)

    def text(self, target, labels):
        return f"{target:.0f} degrees"

    def kinds(self, targets, labels):
        return [("east" if target < 180 else "west",) for target in targets]

    def kind_names(self, targets, labels):
        return ["east", "west"]

    def settle(self, targets, labels, where):
        if len(set(targets)) < 2:
            raise DataError(f"directions are learned where they differ, {where} has one; add pictures")
        return list(targets), tuple(labels)

    def answers(self, outputs):
        return outputs[0]

    def score(self, labels):
        return CompassScore()

    def decode(self, outputs, labels, *, top, frame=None):
        angle = float(degrees(outputs[0])[0])
        return Answer(("degrees",), (angle,), {"degrees": angle}, {"degrees": f"{angle:.1f}"})

    def mistakes(self, outputs, targets, labels):
        far, said, true = off(outputs[0], targets), degrees(outputs[0]), degrees(targets)
        wrong = [i for i in np.argsort(-far) if far[i] >= 20]
        return [Mistake(int(i), f"{true[i]:.0f}", f"{said[i]:.0f}", float(far[i])) for i in wrong]


TASK = Compass()
