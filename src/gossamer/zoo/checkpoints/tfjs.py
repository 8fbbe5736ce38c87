"""TF.js layers models: model.json with the topology and a manifest, and the binary shards the manifest names.

Source: https://github.com/tensorflow/tfjs, converter README and tfjs-core/src/io/types.ts. The weights of a manifest
group lie end to end over its shards in the manifest's order. A quantized weight is q * scale + min. A shard's path is
taken below the folder of model.json and nowhere else.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

import torch
from torch import Tensor

from gossamer._documents import parse_json
from gossamer.errors import ModelError
from gossamer.zoo.checkpoints._bytes import ByteReader, read_bytes, read_text, whole_number
from gossamer.zoo.checkpoints._keras_layers import read_topology, to_torch

__all__ = ["read"]

T = TypeVar("T")
DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
}
LARGEST_RANK = 8


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a TF.js layers model, given as its folder or its model.json, in the topology's order.

    Raises:
        ModelError: a file is missing or damaged, or the model holds what is no convolutional network's.
    """
    model = path / "model.json" if path.is_dir() else path
    if not model.is_file():
        raise ModelError(
            f"a folder of weights holds a TF.js model.json, {path} does not; give the file itself"
        )
    try:
        document = parse_json(read_text(model))
    except ValueError as error:
        raise ModelError(f"{model} is no JSON: {error}; fetch it again") from error
    if isinstance(document, dict) and document.get("format") == "graph-model":
        raise ModelError(f"{model} is a TF.js graph model, which keeps no layers; give a layers model")
    weights: list[tuple[str, Tensor]] = []
    shards: set[PurePosixPath] = set()
    for group in _field(document, "weightsManifest", list, model):
        weights += _group(group, shards, model)
    topology = document.get("modelTopology")
    wrapped = topology.get("model_config", topology) if isinstance(topology, dict) else None
    return to_torch(weights, read_topology(wrapped), model)


def _field(node: object, key: str, kind: type[T], model: Path) -> T:
    value = node.get(key) if isinstance(node, dict) else None
    if not isinstance(value, kind):
        raise ModelError(
            f"{model}: {key} is a {kind.__name__} in a TF.js layers model, got {type(value).__name__}; "
            "give the model as its converter wrote it"
        )
    return value


def _group(group: object, shards: set[PurePosixPath], model: Path) -> list[tuple[str, Tensor]]:
    """The weights of one manifest group; `shards` collects the paths, since one named twice would count twice."""
    data = bytearray()
    for shard in _field(group, "paths", list, model):
        outside = (
            not isinstance(shard, str)
            or "\\" in shard
            or PureWindowsPath(shard).drive
            or PurePosixPath(shard).is_absolute()
            or ".." in PurePosixPath(shard).parts
        )
        if outside or PurePosixPath(shard) in shards:
            raise ModelError(
                f"{model}: shards lie in its own folder, each named once, got {_shown(shard)}; "
                "give the model as its converter wrote it"
            )
        shards.add(PurePosixPath(shard))
        data += read_bytes(model.parent / shard)
    source = ByteReader(data, model)
    weights = [_weight(entry, source, model) for entry in _field(group, "weights", list, model)]
    source.finish()
    return weights


def _weight(entry: object, source: ByteReader, model: Path) -> tuple[str, Tensor]:
    name = _field(entry, "name", str, model)
    sizes = _field(entry, "shape", list, model)
    label = f"{name!r:.80}"
    shape = tuple(whole_number(size, f"a size of {label}", model) for size in sizes[: LARGEST_RANK + 1])
    if len(shape) > LARGEST_RANK or 0 in shape:
        raise ModelError(
            f"{model}: a shape is up to {LARGEST_RANK} sizes of at least 1, {label} has {shape}; "
            "give the model as its converter wrote it"
        )
    quantization = entry.get("quantization") if isinstance(entry, dict) else None
    dtype = _field(entry if quantization is None else quantization, "dtype", str, model)
    if dtype not in DTYPES:
        raise ModelError(
            f"{model}: weights are {', '.join(DTYPES)}, {label} is {dtype:.20}; convert the model again"
        )
    values = source.take(math.prod(shape), DTYPES[dtype], label).reshape(shape)
    if quantization is None or dtype == "float16":
        return name, values.to(torch.float32)
    scale, minimum = (_number(quantization, key, model) for key in ("scale", "min"))
    return name, (values.to(torch.float64) * scale + minimum).to(torch.float32)


def _number(quantization: object, key: str, model: Path) -> float:
    value = quantization.get(key) if isinstance(quantization, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ModelError(
            f"{model}: {key} of a quantization is a finite number, got {_shown(value)}; "
            "convert the model again"
        )
    return float(value)


def _shown(value: object) -> str:
    """Text in full, of anything else the type: a text of nested lists can be endless."""
    return f"{value!r:.80}" if isinstance(value, str) else type(value).__name__
