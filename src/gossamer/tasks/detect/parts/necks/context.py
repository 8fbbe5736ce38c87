"""Context enhancement: two maps and the mean of all in one level (ThunderNet, 1903.11752, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.tasks.detect.parts.necks.neck import Neck, upsampled

__all__ = ["ContextEnhancement"]


class ContextEnhancement(Neck):
    """Maps of reductions 16 and 32 -> one level (B, channels, h, w) of reduction 16: a 1x1 of the finer, of the coarser at
    twice its size, and of the coarser's mean, summed."""

    def __init__(self, in_channels: Sequence[int], *, channels: int = 245) -> None:
        super().__init__()
        self.strides, self.channels = (16,), (channels,)
        self.fine = nn.Conv2d(in_channels[0], channels, 1)
        self.coarse = nn.Conv2d(in_channels[1], channels, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.whole = nn.Conv2d(in_channels[1], channels, 1)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        fine, coarse = pyramid
        level = self.fine(fine) + upsampled(self.coarse(coarse), fine) + self.whole(self.pool(coarse))
        return [level]
