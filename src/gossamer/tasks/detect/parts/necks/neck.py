"""What every neck is: a pyramid in, the levels that a head looks at out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Neck", "upsampled"]


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
