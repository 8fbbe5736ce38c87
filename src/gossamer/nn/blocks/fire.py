"""Squeeze to few channels, then expand with two kernels side by side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import Act, ConvNormAct

__all__ = ["Fire"]


class Fire(nn.Module):
    """Squeeze 1x1, then expand 1x1 and 3x3 side by side, concatenated (SqueezeNet, 1602.07360, section 3.2).

    (B, in, H, W) -> (B, expand1 + expand3, H, W). With a `shortcut` the input is added to the output, as it is
    ("identity", needs in == out) or through a 1x1 convolution ("conv"): simple and complex bypass (section 6).
    """

    def __init__(
        self,
        in_channels: int,
        squeeze_channels: int,
        expand1_channels: int,
        expand3_channels: int,
        *,
        shortcut: Literal["none", "identity", "conv"] = "none",
        act: Act = nn.ReLU,
    ) -> None:
        super().__init__()
        if shortcut == "identity" and in_channels != expand1_channels + expand3_channels:
            raise ModelError(
                f"an identity shortcut needs as many channels out as in, got {in_channels} in and "
                f"{expand1_channels} + {expand3_channels} out; use 'conv'"
            )
        self.squeeze = ConvNormAct(in_channels, squeeze_channels, norm=None, act=act)
        self.expand1 = ConvNormAct(squeeze_channels, expand1_channels, norm=None, act=act)
        self.expand3 = ConvNormAct(squeeze_channels, expand3_channels, 3, norm=None, act=act)
        self.shortcut: nn.Module | None = None
        if shortcut == "identity":
            self.shortcut = nn.Identity()
        elif shortcut == "conv":
            self.shortcut = nn.Conv2d(in_channels, expand1_channels + expand3_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        y = torch.cat([self.expand1(squeezed), self.expand3(squeezed)], 1)
        return y if self.shortcut is None else self.shortcut(x) + y
