"""Two linear maps multiplied: many dimensions out of few channels."""

from __future__ import annotations

from torch import Tensor, nn

from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["StarBlock"]


class StarBlock(nn.Module):
    """Depthwise 7x7, two 1x1 multiplied, 1x1, depthwise 7x7, added to the input (StarNet, 2403.19967, figure 3).

    (B, C, H, W) keeps its shape; `hidden_channels` is the width of the two factors, the first of which is
    activated. Every convolution has a bias beside its norm, as in the authors' code.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        *,
        kernel: int = 7,
        norm: Norm = nn.BatchNorm2d,
        act: Act = nn.ReLU6,
    ) -> None:
        super().__init__()
        self.first = ConvNormAct(channels, channels, kernel, groups=channels, norm=norm, act=None, bias=True)
        self.left = nn.Conv2d(channels, hidden_channels, 1)
        self.right = nn.Conv2d(channels, hidden_channels, 1)
        self.project = ConvNormAct(hidden_channels, channels, norm=norm, act=None, bias=True)
        self.last = nn.Conv2d(channels, channels, kernel, padding=(kernel - 1) // 2, groups=channels)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = self.act(self.left(y)) * self.right(y)
        result: Tensor = x + self.last(self.project(y))
        return result
