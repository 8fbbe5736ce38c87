"""A detector of two stages: boxes that may hold something, and a second look at the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.tasks.detect.parts.coders.deltas import DeltaCoder
from gossamer.tasks.detect.parts.detector import Detector, Predictions, Priors
from gossamer.tasks.detect.parts.heads.two_stage import ProposalHead, RegionHead, peaks, region_maps
from gossamer.tasks.detect.parts.scorings import SigmoidScoring, SoftmaxScoring

__all__ = ["TwoStageDetector"]


class TwoStageDetector(Detector):
    """Pictures (B, bands, H, W) -> (B, N, 4 + K) in eval mode for the N best proposals.

    In training mode `Predictions` of the second stage, whose priors are the proposals of each picture, (B, N, 4); their
    `first` are those of the first stage, of one class, which learns by `proposal_criterion`. What proposals are is no part
    of the second stage's gradient.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        proposals: ProposalHead,
        head: RegionHead,
        coder: DeltaCoder,
        *,
        criterion: Mapping[str, Any],
        proposal_criterion: Mapping[str, Any],
        count: int = 200,
        weights: tuple[float, float] = (10.0, 5.0),
    ) -> None:
        second = DeltaCoder((((1.0, 1.0),),), coder.strides, weights)
        super().__init__(backbone, neck, head, second, SoftmaxScoring(), criterion=criterion)
        self.proposals, self.proposal_coder = proposals, coder
        self.proposal_criterion, self.count = proposal_criterion, count

    def forward(self, x: Tensor) -> Tensor | Predictions:
        size = (int(x.shape[2]), int(x.shape[3]))
        level = self.neck(self.backbone.features(x))[0]  # type: ignore[operator]
        seen, maps = self.proposals(level)
        shape = (int(level.shape[2]), int(level.shape[3]))
        anchors = self.proposal_coder.priors([shape], size, x)
        rows = self._rows([maps], self.proposals.priors)
        boxes = self._chosen(rows.boxes, peaks(maps.scores), anchors)
        stride = self.proposal_coder.strides[0]
        regions = region_maps(self.head.attend(level, seen), boxes, stride)  # type: ignore[operator]
        second = self._rows([self.head(regions)], 1)
        priors = _as_priors(boxes, stride, size)
        if self.training:
            first = Predictions(
                rows,
                None,
                anchors,
                self.proposal_coder,
                SigmoidScoring(),
                self.proposal_criterion,
            )
            return Predictions(second, None, priors, self.coder, self.scoring, self.criterion, first)
        return torch.cat([self.coder.decode(second.boxes, priors), self.scoring(second)], 2)

    def _chosen(self, deltas: Tensor, logits: Tensor, anchors: Priors) -> Tensor:
        """The boxes (B, N, 4) xyxy of the largest logits (B, P, h, w), inside the picture, without a gradient."""
        flat = logits.detach().permute(0, 2, 3, 1).flatten(1)
        best = flat.topk(min(self.count, int(flat.shape[1])), 1).indices
        boxes = self.proposal_coder.decode(deltas.detach(), anchors)
        kept = boxes.gather(1, best[:, :, None].expand(-1, -1, 4))
        height, width = anchors.size
        limits = torch.tensor([width, height, width, height], dtype=kept.dtype, device=kept.device)
        return torch.minimum(kept.clamp(min=0), limits)


def _as_priors(boxes_xyxy: Tensor, stride: int, size: tuple[int, int]) -> Priors:
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    cxcywh = torch.cat([(low + high) * 0.5, (high - low).clamp(min=1.0)], -1)
    strides = torch.full((int(cxcywh.shape[1]),), float(stride), dtype=cxcywh.dtype, device=cxcywh.device)
    return Priors(cxcywh, strides, size)
