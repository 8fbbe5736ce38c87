"""The loss of a detector: what it is made of, and that it leads to boxes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.criterion import Criterion, losses_of
from gossamer.tasks.detect.parts.losses import CLASS_LOSSES, distribution, hard_negatives
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import of_task

QUICK = ("fastestdet", "nanodet_plus_m_320", "yolox_nano")
DETECTORS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in of_task("detect")
]


def _targets(*pictures):
    array = torch.zeros(len(pictures), max(1, max(map(len, pictures))), 7)
    array[..., 0] = -1
    for rows, boxes in zip(array, pictures, strict=True):
        for row, (label, *box) in zip(rows, boxes, strict=False):
            row[:5] = torch.tensor([label, *box], dtype=torch.float32)
    return array


ONE = _targets([(0, 20, 20, 60, 70)], [(1, 64, 64, 120, 100), (0, 5, 5, 30, 25)])


def test_a_row_names_parts_and_their_arguments():
    criterion = Criterion.of({"assigner": "simota", "topk": 7, "class": "focal", "gamma": 1.5, "box": "iou2"})
    assert criterion.assigner_of == {"topk": 7}
    assert criterion.class_of == {"gamma": 1.5}
    assert criterion.classes == "focal"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"assigner": "nearest"}, "assigner of a criterion is one of"),
        ({"box": "diou"}, "box of a criterion"),
        ({"class": "hinge"}, "classes of a criterion"),
        ({"radius": 2.5, "assigner": "atss"}, "key of a criterion"),
    ],
)
def test_what_the_tables_do_not_hold_is_refused(row, message):
    with pytest.raises(ModelError, match=message):
        Criterion.of(row)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_learns_one_batch(name):
    """A few steps on two pictures lower the loss of each detector of the catalogue; no boxes, and crowds, are no error."""
    torch.manual_seed(0)
    network = build(name, num_classes=2).train()
    pictures = torch.rand(2, 3, 128, 128)
    optimiser = torch.optim.AdamW(network.parameters(), 5e-4)
    values = []
    for _ in range(24):
        loss = losses_of(network(pictures), ONE).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
        if values[-1] < 0.97 * values[0]:
            break
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert values[-1] < 0.97 * values[0]
    none = losses_of(network(pictures), _targets([], []))
    assert none.shape == (2,)
    assert torch.isfinite(none).all()
    none.sum().backward()


def test_a_crowd_is_not_learned_as_nothing():
    torch.manual_seed(0)
    network = build("yolox_nano", num_classes=2).train()
    predictions = network(torch.rand(1, 3, 128, 128))
    crowd = _targets([(0, 20, 20, 60, 70), (1, 0, 0, 128, 128)])
    crowd[0, 1, 6] = 1
    with torch.no_grad():
        alone, beside = (float(losses_of(predictions, each).sum()) for each in (crowd[:, :1], crowd))
    assert beside < alone


def test_the_distribution_loss_is_least_at_its_number():
    wanted = torch.tensor([[2.25, 0.0, 6.0, 3.5]])
    logits = torch.full((1, 4, 8), -9.0)
    for place, number in enumerate(wanted[0].tolist()):
        low = int(number)
        logits[0, place, low] = torch.tensor(max(1e-6, 1 - number + low)).log()
        logits[0, place, low + 1] = torch.tensor(max(1e-6, number - low)).log()
    at = float(distribution(logits, wanted))
    assert at < float(distribution(logits + torch.randn_like(logits), wanted))
    assert float(distribution(torch.zeros(1, 4, 8), wanted)) == pytest.approx(
        float(torch.tensor(8.0).log()), abs=1e-5
    )


def test_class_losses_fall_to_nothing_at_what_is_wanted():
    wanted = torch.tensor([[1.0, 0.0]])
    right, wrong = torch.tensor([[9.0, -9.0]]), torch.tensor([[-9.0, 9.0]])
    for name, loss in CLASS_LOSSES.items():
        assert float(loss(right, wanted).sum()) < 1e-3, name
        assert float(loss(wrong, wanted).sum()) > 5, name
    half = torch.tensor([[0.5]])
    assert float(CLASS_LOSSES["qfl"](torch.zeros(1, 1), half)) == 0
    cross = F.binary_cross_entropy_with_logits(torch.zeros(1, 1), half)
    assert float(CLASS_LOSSES["bce"](torch.zeros(1, 1), half)) == pytest.approx(float(cross))


def test_three_hard_negatives_stand_beside_each_positive():
    losses = torch.tensor([0.1, 5.0, 0.2, 4.0, 3.0, 2.0])
    positive = torch.tensor([True, False, False, False, False, False])
    assert hard_negatives(losses, positive, 3.0).tolist() == [True, True, False, True, True, False]
