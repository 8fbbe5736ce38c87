"""Convolutions and linear layers that round their weight, and what comes in, in every forward.

`weight` stays in float and is what is trained; `nn.quantizers` has the roundings and their gradients. Steps are learned
as logarithms (TQT, Jain et al., 1903.08066, section 5.2): a rate that suits weights then moves a step by a share of
itself, whatever its size. Inputs take an unsigned grid with a zero point, which holds 0 exactly because padding is 0;
around binary inputs padding stays 0, so that a border has three values.

`held` says of weights (of pot each by itself, else all together) whether they are rounded (ROUND), in training still
float (FREE), or fixed at a code: schedules write it, and being a buffer it lies in every checkpoint. In eval mode what
is FREE is rounded too, so that what is validated is what ships.

In an exported file weights are int8 codes with DequantizeLinear and inputs of 8 bits QuantizeLinear; inputs of fewer bits
are spelt out. Powers of two and their sums are float there and so are their inputs spelt out: behind a DequantizeLinear ONNX Runtime
takes float weights for its own to round to int8.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.nn.layer_bits import LayerBits
from gossamer.nn.layers import SamePadConv2d
from gossamer.nn.quantizers import (
    apot_codes,
    apot_values,
    binary_input,
    binary_weight,
    pot_codes,
    pot_top,
    pot_values,
    round_apot,
    round_uniform,
    spread,
    ternary_codes,
    through,
)

__all__ = [
    "FREE",
    "ROUND",
    "QuantizedConv2d",
    "QuantizedLayer",
    "QuantizedLinear",
    "QuantizedScores",
    "code_values",
]

ROUND, FREE = -128, -127
"""Values of `held` that are no codes."""
_UNSET_RANGE = 6.0
"""Of inputs before calibration: what a norm gives seldom leaves it."""


class QuantizedLayer(nn.Module):
    """What quantized convolutions and linear layers share: the rounding of weight and input.

    Parameters beside weight and bias: `weight_log_step` (out,) or () of uniform weights and of apot, whose scale is where
    they are clipped, `input_log_step` (), and of binary inputs `input_shift` (in,). Buffers: `held`, `weight_top` (out,) or () of pot, `input_zero` ().
    """

    weight: Tensor
    held: Tensor
    weight_top: Tensor
    input_zero: Tensor
    bits: LayerBits

    def _round_to(self, bits: LayerBits, in_channels: int) -> None:
        """Make what the roundings need, steps from the weight as LSQ's section 2.1 has them."""
        self.bits = bits
        weight = self.weight.detach()
        if bits.weights == "uniform":
            size = weight.abs().flatten(1).mean(1) if bits.per_channel else weight.abs().mean()
            self.weight_log_step = nn.Parameter(torch.zeros_like(size))
            self.set_weight_step(2 * size / math.sqrt(2 ** (bits.bits - 1) - 1))
        elif bits.weights == "apot":
            largest = weight.abs().flatten(1).amax(1) if bits.per_channel else weight.abs().amax()
            self.weight_log_step = nn.Parameter(torch.zeros_like(largest))
            self.set_weight_step(largest)
        elif bits.weights == "pot":
            self.register_buffer("weight_top", pot_top(weight, per_channel=bits.per_channel))
        shape = weight.shape if bits.weights == "pot" else ()
        if not bits.learns_scale:
            self.register_buffer("held", torch.full(shape, ROUND, dtype=torch.int8, device=weight.device))
        self._round_inputs(bits, in_channels)

    def _round_inputs(self, bits: LayerBits, in_channels: int) -> None:
        """A step, which pictures set later, and what moves the inputs."""
        if bits.activation_bits is None:
            return
        weight = self.weight.detach()
        step = 1.0 if bits.activation_bits == 1 else _UNSET_RANGE / (2**bits.activation_bits - 1)
        self.input_log_step = nn.Parameter(weight.new_full((), math.log(step)))
        if bits.activation_bits == 1:
            self.input_shift = nn.Parameter(weight.new_zeros(in_channels))
        else:
            self.register_buffer("input_zero", weight.new_zeros(()))

    @torch.no_grad()
    def set_weight_step(self, step: Tensor) -> None:
        """Set the steps of uniform weights, the tops of apot; those of dead channels (0) become 1."""
        self.weight_log_step.copy_(torch.where(step > 0, step, 1.0).log())

    @torch.no_grad()
    def weight_codes(self) -> tuple[Tensor, Tensor]:
        """Whole numbers, shaped as the weight, and the scale (out,) or ().

        `code_values` says what they stand for.
        """
        bits, weight = self.bits, self.weight.detach()
        if bits.weights == "uniform":
            step, half = self.weight_log_step.exp(), int(2 ** (bits.bits - 1))
            return (weight / spread(step, weight)).round().clamp(-half, half - 1), step
        if bits.weights == "apot":
            top = self.weight_log_step.exp()
            return apot_codes(weight, top, bits.bits), top
        if bits.weights == "pot":
            codes = pot_codes(weight, self.weight_top, bits.bits)
            return torch.where(self.held > FREE, self.held.to(codes.dtype), codes), self.weight_top
        made = ternary_codes if bits.weights == "ternary" else binary_weight
        return made(weight, per_channel=bits.per_channel)

    def rounded_weight(self) -> Tensor:
        """The weight that the forward works with; gradients go to `weight` and to the step."""
        bits, weight = self.bits, self.weight
        if bits.weights == "uniform":
            step, half = spread(self.weight_log_step.exp(), weight), int(2 ** (bits.bits - 1))
            return round_uniform(weight, step, torch.zeros_like(step), -half, half - 1)
        if bits.weights == "apot":
            return round_apot(weight, spread(self.weight_log_step.exp(), weight), bits.bits)
        values = code_values(bits, *self.weight_codes())
        if self.training:
            values = torch.where(self.held == FREE, weight.detach(), values)
        return torch.where(self.held > FREE, values, through(values, weight))

    def rounded_input(self, x: Tensor) -> Tensor:
        """What the layer makes of (B, in, H, W) or (..., in) before it works with it."""
        bits = self.bits.activation_bits
        if bits is None:
            return x
        step = self.input_log_step.exp()
        if bits == 1:
            return binary_input(x, self._shift(), step)
        return round_uniform(x, step, self.input_zero, 0, 2**bits - 1)

    def _shift(self) -> Tensor:
        """Of binary inputs, over what comes in."""
        return self.input_shift if isinstance(self, nn.Linear) else self.input_shift[:, None, None]

    def _operands(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if torch.onnx.is_in_onnx_export():
            return self._exported_input(x), self._exported_weight()
        return self.rounded_input(x), self.rounded_weight()

    def _exported_weight(self) -> Tensor:
        """A constant of the file: int8 codes with their scale, float numbers where steps are not even."""
        if not self.bits.even:
            return _constant(self.rounded_weight())
        codes, scale = self.weight_codes()
        found: Tensor = _Dequantize.apply(_constant(codes.to(torch.int8)), _constant(scale))
        return found

    def _exported_input(self, x: Tensor) -> Tensor:
        bits = self.bits.activation_bits
        if bits is None:
            return x
        step = float(self.input_log_step.detach().exp())
        if bits == 1:
            return torch.where(x >= _constant(self._shift()), step, -step)
        zero = int(self.input_zero)
        if bits == 8 and self.bits.even:
            return torch.fake_quantize_per_tensor_affine(x, step, zero, 0, 255)
        return (torch.clamp(torch.round(x / step) + zero, 0, 2**bits - 1) - zero) * step


def code_values(bits: LayerBits, codes: Tensor, scale: Tensor) -> Tensor:
    """The weights that codes of the weight's shape stand for; `scale` is (out,) or ()."""
    if bits.weights == "pot":
        return pot_values(codes, scale, bits.bits)
    if bits.weights == "apot":
        return apot_values(codes, scale, bits.bits)
    return codes * spread(scale, codes)


def _constant(values: Tensor) -> Tensor:
    """The same numbers, which a tracer takes for a constant."""
    return torch.from_numpy(values.detach().cpu().numpy().copy()).to(values.device)


class _Dequantize(torch.autograd.Function):
    """int8 codes times their scale, by the runtime's own operator in a file."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, scale: Tensor) -> Tensor:
        return codes * spread(scale, codes)

    @staticmethod
    def symbolic(g: Any, codes: Any, scale: Any) -> Any:
        like = codes.type()
        made = g.op("DequantizeLinear", codes, scale, axis_i=0)
        made.setType(like.with_dtype(torch.float32))
        return made


class QuantizedConv2d(QuantizedLayer, nn.modules.conv._ConvNd):
    """`nn.Conv2d` of few bits; no `nn.Conv2d` itself, because folding a norm into its weight would undo the rounding."""

    def __init__(self, layer: nn.Conv2d, bits: LayerBits) -> None:
        """Takes over the layer's own weight and bias."""
        nn.modules.conv._ConvNd.__init__(
            self,
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            (0, 0),
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
            device="meta",
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.pads_same = isinstance(layer, SamePadConv2d)
        self._round_to(bits, layer.in_channels)
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        x, weight = self._operands(x)
        padding: Any = self.padding
        if self.pads_same:
            x, padding = F.pad(x, self._same_pads(x)), 0
        elif self.padding_mode != "zeros":
            x, padding = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0
        return F.conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _same_pads(self, x: Tensor) -> list[int]:
        """TensorFlow's SAME: the odd pixel goes right and below."""
        pads: list[int] = []
        for size, kernel, stride in zip(
            x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-int(size) // stride) - 1) * stride + kernel - int(size), 0)
            pads += [total // 2, total - total // 2]
        return pads


class QuantizedScores(QuantizedConv2d, nn.Conv2d):
    """A convolution that gives the scores, no norm behind it: whoever looks for a network's last layer finds it."""


class QuantizedLinear(QuantizedLayer, nn.Linear):
    """`nn.Linear` of few bits."""

    def __init__(self, layer: nn.Linear, bits: LayerBits) -> None:
        """Takes over the layer's own weight and bias."""
        nn.Linear.__init__(
            self, layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta"
        )
        self.weight, self.bias = layer.weight, layer.bias
        self._round_to(bits, layer.in_features)
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        x, weight = self._operands(input)
        return F.linear(x, weight, self.bias)
