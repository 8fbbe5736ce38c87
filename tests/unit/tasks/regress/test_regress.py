"""Figures of numbers by hand, ranges that splits are drawn from, the unit of the data in the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.errors import DataError, ModelError
from gossamer.nn.edits import replay
from gossamer.nn.edits.rescale import Rescale
from gossamer.tasks import get_task
from gossamer.tasks.regress.objective import OBJECTIVE
from gossamer.testing.networks import tiny_networks
from gossamer.zoo.build import build
from gossamer.zoo.spec import ModelSpec

TASK = get_task("regress")


def _figures(said, true):
    score = TASK.score(("height",))
    score.update((np.array(said, np.float32)[:, None],), np.array(true, np.float32)[:, None])
    return score.figures()


def test_figures_by_hand():
    figures = _figures([1, 2, 5], [1, 3, 5])
    assert figures["mae"] == pytest.approx(1 / 3)
    assert figures["rmse"] == pytest.approx(np.sqrt(1 / 3))
    assert figures["r2"] == pytest.approx(1 - 1 / 8)


def test_saying_the_mean_explains_nothing_and_worse_is_below_it():
    assert _figures([3, 3, 3], [1, 3, 5])["r2"] == pytest.approx(0.0)
    assert _figures([9, 9, 9], [1, 3, 5])["r2"] < 0
    assert _figures([2, 2], [2, 2])["r2"] == 1.0
    assert _figures([2, 3], [2, 2])["r2"] == 0.0


def test_ranges_hold_about_equally_many_and_are_in_order():
    targets = [(float(v),) for v in np.random.default_rng(0).permutation(80)]
    kinds = [kind for (kind,) in TASK.kinds(targets, ("h",))]
    names = TASK.kind_names(targets, ("h",))
    assert len(names) == 8
    assert [kinds.count(name) for name in names] == [10] * 8
    assert [float(name.split()[0]) for name in names] == sorted(float(name.split()[0]) for name in names)


def test_few_or_repeated_values_make_fewer_ranges():
    assert len(TASK.kind_names([(1.0,), (2.0,), (3.0,)], ("h",))) == 1
    assert len(TASK.kind_names([(1.0,)] * 40 + [(2.0,)] * 5, ("h",))) <= 2


def test_one_value_is_nothing_to_learn():
    with pytest.raises(
        DataError, match=r"^a number is learned where pictures differ in it, here has 2 pictures"
    ):
        TASK.settle([(1.0,), (1.0,)], ("h",), "here")


def test_a_value_far_from_the_others_is_remarked():
    targets = [(float(i),) for i in range(40)]
    assert TASK.remarks(targets, ("h",)) == []
    (remark,) = TASK.remarks([*targets, (9e5,)], ("h",))
    assert (remark.severity, remark.code) == ("warning", "far-value")
    assert "9e+05" in remark.message


def test_a_network_gives_numbers_of_the_datas_size_from_the_start():
    targets = np.random.default_rng(0).normal(500, 40, (64, 1)).astype(np.float32)
    (edit,) = TASK.edits(targets, ("h",))
    spec = ModelSpec("mobilenet_v2_0.35", {"width": 0.35, "num_classes": 1}, (edit,))
    network = build(spec).eval()
    assert isinstance(network.head[-1], Rescale)
    with torch.no_grad():
        said = network(torch.randn(4, 3, 32, 32))
    assert said.shape == (4, 1)
    assert float((said - 500).abs().max()) < 40
    again = build(ModelSpec.from_json(spec.to_json()))
    again.load_state_dict(network.state_dict())


@pytest.mark.parametrize(
    "edit", [{}, {"scale": [1.0]}, {"scale": [], "offset": []}, {"scale": [1, 2], "offset": [1]}]
)
def test_a_damaged_edit(edit):
    with pytest.raises(ModelError, match="a rescale edit holds equally many numbers scale and offset"):
        replay(tiny_networks()["plain"], {"edit": "rescale", **edit})


def test_a_foreign_network_is_wrapped():
    foreign = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    made = replay(foreign, {"edit": "rescale", "scale": [2.0, 3.0], "offset": [1.0, -1.0]})
    value = torch.randn(5, 3, 2, 2)
    assert torch.allclose(made(value), foreign(value) * torch.tensor([2.0, 3.0]) + torch.tensor([1.0, -1.0]))


def test_a_network_that_gives_nothing_below_its_mean_is_refused():
    ends_in_relu = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = replay(ends_in_relu, {"edit": "rescale", "scale": [1.0], "offset": [0.0]})
    with pytest.raises(
        ModelError, match=r"this network ends in ReLU, which gives none below 0; cut it, NAME\[:k\]"
    ):
        OBJECTIVE.check_network(made)
    plain = tiny_networks(num_classes=1)["plain"]
    OBJECTIVE.check_network(replay(plain, {"edit": "rescale", "scale": [1.0], "offset": [0.0]}))


def test_a_move_of_the_outputs_is_told_in_their_own_deviations():
    before = torch.tensor([[0.0], [10.0], [20.0]])
    deviation = before.std(0, correction=0)
    assert float(OBJECTIVE.divergence(before, before + deviation)) == pytest.approx(3 / 2)
    assert float(OBJECTIVE.divergence(before, before + 2 * deviation)) == pytest.approx(4 * 3 / 2)
    assert float(OBJECTIVE.divergence(before, before)) == 0.0
