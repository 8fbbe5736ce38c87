"""SqueezeNet 1.0 as Deep Compression packs it: sparse weights, each a code into 256 shared values.

Han et al., 2016, arXiv 1510.00149, sections 2 and 3; the file is that of github.com/songhan/SqueezeNet-Deep-Compression
and its decode.py the description. Little endian: uint32 entries of each of the 26 layers; then per layer 256 fp32
values, fp32 bias (out), uint8 code of each entry, and 4 bits of gap to each entry from the one before, low half of a
byte first. An entry stands at cumsum(gap + 1) - 1 of the flat (out, in, kh, kw) weights. Code 0 is the value 0.0: it
pads gaps over 15.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import ByteReader, read_bytes

__all__ = ["LAYERS", "read"]

CODES = 256


class Row(NamedTuple):
    """One convolution, by its name in the Caffe file."""

    name: str
    out_channels: int
    in_channels: int
    kernel: int


LAYERS = (
    Row("conv1", 96, 3, 7),
    Row("fire2/squeeze1x1", 16, 96, 1),
    Row("fire2/expand1x1", 64, 16, 1),
    Row("fire2/expand3x3", 64, 16, 3),
    Row("fire3/squeeze1x1", 16, 128, 1),
    Row("fire3/expand1x1", 64, 16, 1),
    Row("fire3/expand3x3", 64, 16, 3),
    Row("fire4/squeeze1x1", 32, 128, 1),
    Row("fire4/expand1x1", 128, 32, 1),
    Row("fire4/expand3x3", 128, 32, 3),
    Row("fire5/squeeze1x1", 32, 256, 1),
    Row("fire5/expand1x1", 128, 32, 1),
    Row("fire5/expand3x3", 128, 32, 3),
    Row("fire6/squeeze1x1", 48, 256, 1),
    Row("fire6/expand1x1", 192, 48, 1),
    Row("fire6/expand3x3", 192, 48, 3),
    Row("fire7/squeeze1x1", 48, 384, 1),
    Row("fire7/expand1x1", 192, 48, 1),
    Row("fire7/expand3x3", 192, 48, 3),
    Row("fire8/squeeze1x1", 64, 384, 1),
    Row("fire8/expand1x1", 256, 64, 1),
    Row("fire8/expand3x3", 256, 64, 3),
    Row("fire9/squeeze1x1", 64, 512, 1),
    Row("fire9/expand1x1", 256, 64, 1),
    Row("fire9/expand3x3", 256, 64, 3),
    Row("conv10", 1000, 512, 1),
)


def read(path: Path) -> dict[str, Tensor]:
    """The 26 dense weights and biases of the packed SqueezeNet 1.0, in the network's order.

    Raises:
        ModelError: the file is damaged or of another network.
    """
    source = ByteReader(read_bytes(path), path)
    entries = source.take(len(LAYERS), torch.int32, "the table of entries").tolist()
    state: dict[str, Tensor] = {}
    for row, count in zip(LAYERS, entries, strict=True):
        shape = (row.out_channels, row.in_channels, row.kernel, row.kernel)
        if not 0 <= count <= math.prod(shape):
            raise ModelError(
                f"{path}: {row.name} has {math.prod(shape)} weights, the file claims entries for {count}; "
                "it is damaged or no SqueezeNet 1.0, fetch it again"
            )
        codebook = source.floats((CODES,), f"the codebook of {row.name}")
        bias = source.floats((row.out_channels,), f"the bias of {row.name}")
        codes = source.take(count, torch.uint8, f"the codes of {row.name}")
        gaps = source.take((count + 1) // 2, torch.uint8, f"the gaps of {row.name}")
        state[f"{row.name}.weight"] = _spread(codebook[codes.long()], gaps, shape, f"{path}: {row.name}")
        state[f"{row.name}.bias"] = bias
    source.finish()
    return state


def _spread(values: Tensor, gaps: Tensor, shape: tuple[int, ...], label: str) -> Tensor:
    """Dense weights of this shape with `values` (N) at their places, zero elsewhere; gaps (ceil(N / 2)) hold 2 each."""
    halves = torch.stack((gaps & 15, gaps >> 4), dim=1).flatten()[: len(values)]
    places = torch.cumsum(halves.long() + 1, dim=0) - 1
    dense = torch.zeros(math.prod(shape))
    if len(places) and int(places[-1]) >= len(dense):
        raise ModelError(
            f"{label} has {len(dense)} weights, the file puts one at {int(places[-1])}; "
            "it is damaged or no SqueezeNet 1.0, fetch it again"
        )
    dense[places] = values
    return dense.reshape(shape)
