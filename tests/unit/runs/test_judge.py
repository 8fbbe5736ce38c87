"""What a network is judged by: the data's classes where it names them far more often than chance, else itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.runs import judge as module
from gossamer.runs.judge import Judge
from gossamer.runs.model import Model
from gossamer.runs.pictures import SplitPictures
from gossamer.runs.reporter import Quiet
from gossamer.tasks import get_task
from gossamer.types import Size

CLASSES = tuple("abcdefghij")


class _Reader(nn.Module):
    """Names the class that a picture's first value says."""

    def forward(self, inputs):
        return nn.functional.one_hot(inputs[:, 0, 0, 0].long(), len(CLASSES)).float()


@pytest.fixture
def judge(monkeypatch):
    """`judge(right)`: a network by name that names so many of 100 pictures as the data do."""

    def build(right, labels=tuple("0123456789")):
        truth = np.arange(100) % 10
        answers = np.where(np.arange(100) < right, truth, (truth + 1) % 10)
        pixels = np.zeros((100, 1, 1, 3), np.uint8) + answers[:, None, None, None].astype(np.uint8)
        monkeypatch.setattr(module, "split_pictures", lambda *_: SplitPictures(pixels, truth, []))
        report = SimpleNamespace(
            dataset=SimpleNamespace(labels=CLASSES, task="classify"), bands=None, upright=1.0
        )
        config = SimpleNamespace(view="ground", model="net", data="data", split_seed=0)
        model = Model(_Reader(), None, InputContract(Size(1, 1)), get_task("classify"), labels, None)
        return Judge(model, report, config, None, Quiet()), answers, truth

    return build


@pytest.mark.parametrize("right", [29, 11, 0])
def test_below_three_times_chance_a_network_is_held_against_itself(judge, right):
    made, answers, _ = judge(right)
    assert (made.what, made.base) == ("agreement", 1.0)
    assert made.labels == tuple("0123456789")
    assert (made.truth == answers).all()
    assert made.metric(_Reader()) == 1.0


@pytest.mark.parametrize("right", [31, 100])
def test_from_three_times_chance_on_by_the_data(judge, right):
    made, _, truth = judge(right)
    assert (made.what, made.base, made.labels) == ("accuracy", right / 100, CLASSES)
    assert (made.truth == truth).all()
    assert made.metric(_Reader()) == right / 100


def test_another_number_of_classes_is_never_the_datas(judge):
    made, _, _ = judge(100, labels=tuple("01234567890"))
    assert made.what == "agreement"


def test_what_a_network_should_name_follows_the_metric(judge):
    made, answers, truth = judge(29)
    assert (made.truth_of(made.train) == answers).all()
    made, _, truth = judge(31)
    assert (made.truth_of(made.train) == truth).all()
    assert torch.is_tensor(made.batches(0)[0][1])
