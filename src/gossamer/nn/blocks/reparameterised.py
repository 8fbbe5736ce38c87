"""Several branches to train, one convolution to ship."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import ConvNormAct, Norm

__all__ = ["RepConv", "fold_norm"]


class RepConv(nn.Module):
    """k x k convolutions, a 1x1 and the identity, each with its norm, summed (RepVGG, 2101.03697, figure 4).

    (B, in, H, W) -> (B, out, H / stride, W / stride). MobileOne (2206.04040, figure 3) has `branches` of the k x k.
    The 1x1 is left out at kernel 1, the identity where stride or channels forbid it. `fused()` is the one
    convolution with a bias that gives the same output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        branches: int = 1,
        pointwise: bool = True,
        identity: bool = True,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if branches < 1:
            raise ModelError(f"a block has at least 1 branch, got branches={branches}")
        self.identity = (
            norm(in_channels) if identity and stride == 1 and in_channels == out_channels else None
        )
        self.kernels = nn.ModuleList(
            ConvNormAct(in_channels, out_channels, kernel, stride, groups=groups, norm=norm, act=None)
            for _ in range(branches)
        )
        self.pointwise: nn.Module | None = None
        if pointwise and kernel > 1:
            self.pointwise = ConvNormAct(
                in_channels, out_channels, 1, stride, groups=groups, norm=norm, act=None
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.kernels[0](x)
        for branch in self.kernels[1:]:
            y = y + branch(x)
        if self.pointwise is not None:
            y = y + self.pointwise(x)
        return y if self.identity is None else y + self.identity(x)

    def fused(self) -> nn.Conv2d:
        """One convolution with a bias that gives what the branches give in eval mode: their kernels summed."""
        first = self._conv(self.kernels[0])
        weight, bias = torch.zeros_like(first.weight), first.weight.new_zeros(first.out_channels)
        for branch in [*self.kernels, *([] if self.pointwise is None else [self.pointwise])]:
            kernel, shift = fold_norm(self._conv(branch).weight, None, branch[1])
            pad = (first.kernel_size[0] - kernel.shape[-1]) // 2
            weight, bias = weight + F.pad(kernel, [pad] * 4), bias + shift
        if self.identity is not None:
            kernel, shift = fold_norm(_identity_kernel(first), None, self.identity)
            weight, bias = weight + kernel, bias + shift
        fused = nn.Conv2d(
            first.in_channels,
            first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            groups=first.groups,
            device=weight.device,
            dtype=weight.dtype,
        )
        fused.weight.data = weight.detach()
        fused.bias.data = bias.detach()  # type: ignore[union-attr]
        return fused

    @staticmethod
    def _conv(branch: nn.Module) -> nn.Conv2d:
        conv = branch[0]  # type: ignore[index]
        assert isinstance(conv, nn.Conv2d)
        return conv


def _identity_kernel(conv: nn.Conv2d) -> Tensor:
    """The kernel with which the convolution would leave its input as it is."""
    kernel = torch.zeros_like(conv.weight)
    centre = conv.kernel_size[0] // 2
    per_group = conv.in_channels // conv.groups
    for channel in range(conv.out_channels):
        kernel[channel, channel % per_group, centre, centre] = 1
    return kernel


def fold_norm(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Kernel (out, ...) and bias (out,) of a convolution with the batch norm behind it folded in, as in eval mode."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(norm.running_mean, Tensor)
    assert isinstance(norm.running_var, Tensor)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    if bias is not None:
        shift = shift + bias * scale
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), shift
