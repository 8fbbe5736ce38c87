"""ncnn: a .param text with the layers and a .bin with their weights, of the same stem.

Source: https://github.com/Tencent/ncnn, docs/developer-guide/param-and-model-file-structure.md and src/modelbin.cpp.
The .param starts with 7767517 and the counts of layers and blobs, then a line a layer: type, name, counts of inputs
and outputs, their names, key=value. The weights of convolutions and inner products begin with a tag of four bytes:
0x01306B47 fp16 padded to four bytes, 0 fp32; biases, slopes and norms are bare fp32.

A type that is in neither table below is passed over: it is a builtin without weights or somebody's own layer. One that
did keep weights cannot slip through, since every byte of the .bin has to belong to a layer that was read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import ByteReader, read_bytes, read_text, whole_number

__all__ = ["read"]

MAGIC = "7767517"
FP32, FP16 = 0, 0x01306B47
FROM_A_BLOB = "-233"
"""A Scale of this size takes its factors from its second input."""


class Layer(NamedTuple):
    """One line of a .param: `fields` are its key=value pairs."""

    kind: str
    name: str
    fields: dict[str, str]
    param: Path

    def number(self, key: int, default: int = 0) -> int:
        """A field that is a size or a flag."""
        text = self.fields.get(str(key), default)
        return whole_number(text, f"field {key} of {self.kind} {self.name}", self.param)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of an ncnn model, given as its .param or its .bin, in the order of the .param.

    Raises:
        ModelError: one of the two is missing or damaged, they do not fit each other, or a layer keeps weights of a kind
            that is not read (int8, deconvolution, recurrent, attention).
    """
    param, weights = path.with_suffix(".param"), path.with_suffix(".bin")
    for file in (param, weights):
        if not file.is_file():
            raise ModelError(
                f"an ncnn model is two files, there is no {file}; put it beside {path.name} under that name"
            )
    source = ByteReader(read_bytes(weights), weights)
    state: dict[str, Tensor] = {}
    for layer in _layers(param):
        dynamic = layer.kind in LAYERS and layer.fields.get("19", "0") != "0"
        if dynamic or (layer.kind not in LAYERS and layer.kind.startswith(UNREAD)):
            raise ModelError(
                f"{param}: {layer.kind} {layer.name} keeps weights that we do not read; give a network of "
                + ", ".join(LAYERS)
            )
        if layer.kind not in LAYERS:
            continue
        tensors = {
            f"{layer.name}.{leaf}": values for leaf, values in LAYERS[layer.kind](layer, source).items()
        }
        if not state.keys().isdisjoint(tensors):
            raise ModelError(
                f"{param}: layers have names of their own, {layer.name} is there twice; rename one"
            )
        state |= tensors
    source.finish()
    return state


def _layers(param: Path) -> list[Layer]:
    magic, *lines = [line.split() for line in read_text(param).splitlines() if line.strip()] or [[]]
    if magic != [MAGIC]:
        raise ModelError(
            f"an ncnn .param starts with {MAGIC}, {param} does not; give the text form, not .param.bin"
        )
    counts, *rows = lines or [["0"]]
    expected = whole_number(counts[0], "the count of layers", param)
    if len(rows) != expected:
        raise ModelError(f"{param} announces {expected} layers and holds {len(rows)}; fetch it again")
    layers = []
    for row in rows:
        if len(row) < 4:
            raise ModelError(
                f"{param}: a layer is type, name, inputs, outputs, got {row[0]!r:.40}; fetch it again"
            )
        blobs = sum(whole_number(text, f"the blobs of {row[1]}", param) for text in row[2:4])
        pairs = (field.partition("=") for field in row[4 + blobs :])
        layers.append(Layer(row[0], row[1], {key: value for key, _, value in pairs}, param))
    return layers


def _tagged(layer: Layer, count: int, source: ByteReader) -> Tensor:
    """Weights that begin with a tag, flat, as float32."""
    label = f"{layer.kind} {layer.name}"
    tag = int(source.take(1, torch.int32, label))
    if tag == FP32:
        return source.take(count, torch.float32, label)
    if tag == FP16:
        return source.take(count + count % 2, torch.float16, label)[:count].to(torch.float32)
    raise ModelError(
        f"{layer.param}: weights are fp32 (tag 0) or fp16 (tag {FP16:#x}), {label} has tag {tag & 0xFFFFFFFF:#x}; "
        "give an unquantized network whose layers ncnn knows"
    )


def _shaped(
    layer: Layer, count: int, kernel: tuple[int, ...], has_bias: bool, source: ByteReader
) -> dict[str, Tensor]:
    """Weight (out, count / out / kernel, *kernel), then the bias (out)."""
    out = layer.number(0)
    each = out * kernel[0] * kernel[1] if kernel else out
    if not each or not count or count % each or layer.fields.get("8", "0") != "0":
        raise ModelError(
            f"{layer.param}: outputs and kernel divide the {count} weights of {layer.kind} {layer.name} and none are "
            f"int8, got outputs={out}, kernel={kernel}, int8={layer.fields.get('8', '0'):.10}; give an fp16 or fp32 network"
        )
    tensors = {"weight": _tagged(layer, count, source).reshape(out, count // each, *kernel)}
    if has_bias:
        tensors["bias"] = source.floats((out,), layer.name)
    return tensors


def _convolution(layer: Layer, source: ByteReader) -> dict[str, Tensor]:
    width = layer.number(1)
    return _shaped(layer, layer.number(6), (layer.number(11, width), width), layer.number(5) != 0, source)


def _inner_product(layer: Layer, source: ByteReader) -> dict[str, Tensor]:
    return _shaped(layer, layer.number(2), (), layer.number(1) != 0, source)


def _prelu(layer: Layer, source: ByteReader) -> dict[str, Tensor]:
    return {"weight": source.floats((layer.number(0),), layer.name)}


def _batch_norm(layer: Layer, source: ByteReader) -> dict[str, Tensor]:
    scale, mean, variance, bias = (source.floats((layer.number(0),), layer.name) for _ in range(4))
    return {"weight": scale, "bias": bias, "running_mean": mean, "running_var": variance}


def _scale(layer: Layer, source: ByteReader) -> dict[str, Tensor]:
    if layer.fields.get("0") == FROM_A_BLOB:
        return {}
    leaves = ("weight", "bias") if layer.number(1) else ("weight",)
    return {leaf: source.floats((layer.number(0),), layer.name) for leaf in leaves}


LAYERS: dict[str, Callable[[Layer, ByteReader], dict[str, Tensor]]] = {
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "InnerProduct": _inner_product,
    "PReLU": _prelu,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
}
UNREAD = (
    *("Bias", "Convolution", "Deconvolution", "Deformable", "Dequantize", "Embed", "GRU", "GroupNorm"),
    *("InstanceNorm", "LSTM", "LayerNorm", "MemoryData", "MultiHeadAttention", "Normalize", "Quantize"),
    *("RMSNorm", "RNN", "Requantize"),
)
"""How the names of builtin types start that keep weights of a kind that is not read."""
