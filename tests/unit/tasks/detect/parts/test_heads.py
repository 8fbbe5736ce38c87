"""Class layers keep what tells boxes, wherever their numbers lie; raw maps become rows in the order of priors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.tasks.detect.parts.coders import GridCoder, LooseAnchorCoder
from gossamer.tasks.detect.parts.detector import Detector, Rows
from gossamer.tasks.detect.parts.heads import (
    CoupledHead,
    DecoupledHead,
    GFLHead,
    RetinaHead,
    SSDLiteHead,
    ThreeTowersHead,
)
from gossamer.tasks.detect.parts.heads.two_stage import peaks, region_maps
from gossamer.tasks.detect.parts.scorings import (
    ObjectnessScoring,
    SigmoidScoring,
    SoftmaxScoring,
    WeightedScoring,
)

HEADS = {
    "coupled": lambda: CoupledHead([nn.Identity(), nn.Identity()], (8, 8), 4),
    "decoupled": lambda: DecoupledHead((8, 8), 4, hidden=8),
    "gfl": lambda: GFLHead((8, 8), 4),
    "retina": lambda: RetinaHead(8, 4, levels=2),
    "ssd": lambda: SSDLiteHead((8, 8), 4),
    "three towers": lambda: ThreeTowersHead((8, 8), 4),
}
LEVELS = [
    torch.randn(2, 8, 6, 10, generator=torch.Generator().manual_seed(0)),
    torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(1)),
]


@pytest.mark.parametrize("name", HEADS)
def test_other_classes_change_nothing_of_boxes(name):
    head = HEADS[name]().eval()
    before = head(LEVELS)
    head.replace_classes(7)
    after = head(LEVELS)
    assert head.num_classes == 7
    for old, new in zip(before, after, strict=True):
        assert torch.equal(new.boxes, old.boxes)
        assert new.scores.shape[1] * 4 == old.scores.shape[1] * 7
        if old.objectness is not None:
            assert torch.equal(new.objectness, old.objectness)


@pytest.mark.parametrize("name", HEADS)
def test_every_class_starts_as_unlikely(name):
    head = HEADS[name]().eval()
    for maps in head(LEVELS):
        expected = 0.0 if head.softmax else -math.log(99)
        assert float((maps.scores.detach() - expected).abs().mean()) < 0.5


def test_numbers_of_an_anchor_lie_together():
    head = CoupledHead([nn.Identity()], (8,), 2, priors=3).eval()
    bias = torch.arange(21.0)
    head.levels[0][1].weight.data.zero_()
    head.levels[0][1].bias.data.copy_(bias)
    (maps,) = head([LEVELS[0]])
    assert maps.boxes[0, :, 0, 0].tolist() == [0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17]
    assert maps.objectness[0, :, 0, 0].tolist() == [4, 11, 18]
    assert maps.scores[0, :, 0, 0].tolist() == [5, 6, 12, 13, 19, 20]


class _Levels(nn.Module):
    min_input = 8

    def features(self, x):
        return [x[:, :, ::8, ::8].repeat(1, 8, 1, 1)[:, :8], x[:, :, ::16, ::16].repeat(1, 8, 1, 1)[:, :8]]


def test_rows_stand_in_the_order_of_the_priors():
    head = CoupledHead([nn.Identity(), nn.Identity()], (8, 8), 2, priors=2).eval()
    coder = LooseAnchorCoder((((9.0, 9.0), (20.0, 5.0)), ((40.0, 40.0), (60.0, 30.0))), (8, 16))
    detector = Detector(_Levels(), nn.Identity(), head, coder, ObjectnessScoring(), criterion={}).eval()
    for level in head.levels:
        level[1].weight.data.zero_()
        level[1].bias.data.zero_()
    boxes = detector(torch.zeros(1, 1, 32, 48))[0, :, :4]
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    assert boxes.shape == (4 * 6 * 2 + 2 * 3 * 2, 4)
    assert middles[:4].tolist() == [[4, 4], [4, 4], [12, 4], [12, 4]]
    assert sides[:3].tolist() == [[9, 9], [20, 5], [9, 9]]
    assert middles[48].tolist() == [8, 8]
    assert sides[49].tolist() == [60, 30]


def test_scores():
    scores = torch.tensor([[[0.0, 2.0, -1.0]]])
    rows = Rows(torch.zeros(1, 1, 4), scores, torch.zeros(1, 1, 1))
    assert torch.allclose(SigmoidScoring()(rows), scores.sigmoid())
    assert torch.allclose(ObjectnessScoring()(rows), scores.sigmoid() / 2)
    assert torch.allclose(SoftmaxScoring()(rows), scores.softmax(2)[..., :2])
    assert torch.allclose(WeightedScoring()(rows), 0.5**0.6 * scores.softmax(2) ** 0.4)
    assert [s.background for s in (SigmoidScoring(), SoftmaxScoring())] == [False, True]
    with pytest.raises(ModelError, match="takes rows with objectness, the head gives none"):
        ObjectnessScoring()(rows._replace(objectness=None))


def test_a_peak_is_the_largest_of_its_anchor():
    logits = torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    kept = peaks(logits) > -1e3
    assert torch.equal(peaks(logits)[kept], logits[kept])
    assert bool(kept.flatten(2)[0, 0, logits[0, 0].argmax()])
    beside = kept[..., 1:] & kept[..., :-1]
    assert not beside.any(), "of two cells side by side one is larger"


def test_a_region_is_the_mean_of_its_bins():
    level = torch.arange(4.0).repeat_interleave(3)[None, :, None, None].expand(1, 12, 8, 8).contiguous()
    level = level.view(1, 4, 3, 8, 8).transpose(1, 2).reshape(1, 12, 8, 8)  # channels of a bin: its number
    boxes = torch.tensor([[[16.0, 16.0, 80.0, 64.0], [0.0, 0.0, 128.0, 128.0]]])
    found = region_maps(level, boxes, 16, bins=2)
    assert found.shape == (1, 12, 2, 1)
    assert torch.allclose(found[0, :, 0, 0], torch.arange(4.0).repeat(3))
    slope = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 4, 8, 8).contiguous()
    left, right, *_ = region_maps(slope, torch.tensor([[[32.0, 32.0, 96.0, 96.0]]]), 16, bins=2)[0, :, 0, 0]
    assert float(left) == pytest.approx(2.5, abs=1e-4)
    assert float(right) == pytest.approx(4.5, abs=1e-4)


def test_priors_are_those_of_the_coder():
    detector = Detector(
        _Levels(),
        nn.Identity(),
        DecoupledHead((8, 8), 2, hidden=8),
        GridCoder((8, 16)),
        ObjectnessScoring(),
        criterion={},
    )
    predictions = detector.train()(torch.rand(2, 1, 32, 48))
    assert predictions.rows.boxes.shape == (2, 30, 4)
    assert predictions.priors.size == (32, 48)
    boxes, scores = predictions.decoded(predictions.rows)
    assert (boxes.shape, scores.shape) == ((2, 30, 4), (2, 30, 2))
