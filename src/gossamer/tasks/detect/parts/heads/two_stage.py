"""Proposals, and a head that looks at each of them again (ThunderNet, 1903.11752, sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.nn.layers import ConvNormAct
from gossamer.tasks.detect.parts.detector import LevelMaps
from gossamer.tasks.detect.parts.heads.head import Head, Layout

__all__ = ["ProposalHead", "RegionHead", "peaks", "region_maps"]

_SAMPLES = 2
"""Points that a bin looks at along each side."""
_NOTHING = -1e4
"""A logit of what is no peak."""


class ProposalHead(Head):
    """Depthwise 5x5 and 1x1 on one level, then logits of one class, "something", and boxes of P anchors a cell.

    (B, C, h, w) -> the 1x1's map (B, hidden, h, w), and `LevelMaps`.
    """

    def __init__(self, in_channels: int, *, hidden: int = 256, priors: int = 25) -> None:
        super().__init__()
        self.num_classes, self.priors = 1, priors
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, in_channels, 5, groups=in_channels),
            ConvNormAct(in_channels, hidden),
        )
        self.classes = nn.Conv2d(hidden, priors, 1)
        self.boxes = nn.Conv2d(hidden, 4 * priors, 1)
        self.start_classes()

    def class_layers(self) -> Mapping[str, Layout]:
        """The layer of the one class."""
        return {"classes": Layout(self.priors)}

    def forward(self, x: Tensor) -> tuple[Tensor, LevelMaps]:  # type: ignore[override]
        x = self.stem(x)
        return x, LevelMaps(self.boxes(x), self.classes(x))


class RegionHead(Head):
    """What regions hold, from their maps (B, C * bins, N, 1): scores of C classes and none (B, C + 1, N, 1), boxes (B, 4, N, 1).

    `attend` weighs the level's channels by what the proposals saw first.
    """

    softmax = True

    def __init__(
        self, in_channels: int, proposal_channels: int, num_classes: int, *, hidden: int = 1024
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.attention = ConvNormAct(proposal_channels, in_channels, act=None)
        self.hidden = ConvNormAct(in_channels, hidden, norm=None)
        self.classes = nn.Conv2d(hidden, num_classes, 1)
        self.boxes = nn.Conv2d(hidden, 4, 1)
        self.start_classes()

    def class_layers(self) -> Mapping[str, Layout]:
        """The layer of the classes."""
        return {"classes": Layout()}

    def attend(self, level: Tensor, proposals: Tensor) -> Tensor:
        """The level (B, C, h, w) weighed by its gate, made of the map of the proposal head (B, hidden, h, w)."""
        gate: Tensor = self.attention(proposals).sigmoid()
        return level * gate

    def forward(self, regions: Tensor) -> LevelMaps:  # type: ignore[override]
        x = self.hidden(regions)
        return LevelMaps(self.boxes(x), self.classes(x))


def peaks(logits: Tensor) -> Tensor:
    """Logits (B, P, h, w) where they are the largest of their anchor in 3x3 cells, none elsewhere.

    It stands for suppression of proposals (MaxpoolNMS, Cai et al., CVPR 2019), since it keeps every shape.
    """
    return torch.where(F.max_pool2d(logits, 3, 1, 1) == logits, logits, _NOTHING)


def region_maps(level: Tensor, boxes_xyxy: Tensor, stride: int, bins: int = 7) -> Tensor:
    """Position-sensitive means over regions (R-FCN, 1605.06409, with RoIAlign's points, 1703.06870).

    A level (B, C * bins^2, h, w) and boxes (B, N, 4) in pixels -> (B, C * bins^2, N, 1): each bin of a box looks at the
    channels of its own.
    """
    batch, channels, height, width = (int(side) for side in level.shape)
    count, parts = int(boxes_xyxy.shape[1]), bins * bins
    own = level.reshape(batch, channels // parts, parts, height, width).transpose(1, 2)
    own = own.reshape(batch * parts, channels // parts, height, width)
    steps = (torch.arange(bins * _SAMPLES, dtype=level.dtype, device=level.device) + 0.5) / (bins * _SAMPLES)
    steps = steps.view(bins, _SAMPLES)
    shares = torch.stack(
        [
            steps.view(1, bins, 1, _SAMPLES).expand(bins, bins, _SAMPLES, _SAMPLES),
            steps.view(bins, 1, _SAMPLES, 1).expand(bins, bins, _SAMPLES, _SAMPLES),
        ],
        4,
    ).reshape(1, parts, 1, _SAMPLES * _SAMPLES, 2)
    low, high = boxes_xyxy[:, None, :, None, :2], boxes_xyxy[:, None, :, None, 2:]
    size = torch.tensor([width * stride, height * stride], dtype=level.dtype, device=level.device)
    points = (low + shares * (high - low)) * (2 / size) - 1
    points = points.reshape(batch * parts, count, _SAMPLES * _SAMPLES, 2)
    values = F.grid_sample(own, points, align_corners=False, padding_mode="border").mean(3)
    values = values.reshape(batch, parts, channels // parts, count).transpose(1, 2)
    return values.reshape(batch, channels, count, 1)
