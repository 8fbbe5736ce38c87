"""What every neck is: a pyramid in, the levels that a head looks at out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Neck", "fitted", "upsampled"]


class Neck(nn.Module):
    """Maps [(B, C_i, h_i, w_i)] of the backbone, finest first -> levels [(B, channels[i], ~H / strides[i], ~W / strides[i])]."""

    channels: tuple[int, ...]
    """Of each level."""
    strides: tuple[int, ...]
    """Pixels of the input a cell of each level."""

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        raise NotImplementedError


def upsampled(coarse: Tensor, like: Tensor, *, mode: str = "nearest") -> Tensor:
    """A map (B, C, h, w) at the height and width of another."""
    smooth = False if mode == "bilinear" else None
    return F.interpolate(
        coarse, size=(int(like.shape[2]), int(like.shape[3])), mode=mode, align_corners=smooth
    )


def fitted(halved: Tensor, like: Tensor) -> Tensor:
    """A map (B, C, h, w) that was halved at the height and width of another, which differ where a backbone does not pad."""
    return halved if halved.shape[2:] == like.shape[2:] else upsampled(halved, like)
