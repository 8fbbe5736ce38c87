"""int8 on real weights and pictures: top-1 of the very int8 file in ONNX Runtime, by what was done to the network before.

400 of the 500 ImageNet samples are judged. The other 100, every fifth, are what ranges, biases and rounding are set on:
without their labels, and never judged. One edit is added at a time; processor time is told of the edits, of which the
export of the edited network is one, and of the quantizer. The standard error of a share of 400 pictures is at most 2.5 points, that of a difference
between two files that agree on 95 % of them 1.1. NNCF quantizes the same exported file on the same pictures and is
judged in OpenVINO, where .venv-peers has it. Times are int8 over fp32 of the same runtime, in turns, on 1 thread.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks._int8_beside import MISSING, PeerRow, installed, peer_rows
from benchmarks._pictures import MOBILENET, SQUEEZENET, Numbers, imagenet, tensors, trained
from gossamer.compress.quantize.edits import Edits, edit_for_int8
from gossamer.compress.quantize.flow import follow
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.post_training import Calibration, to_int8
from gossamer.deploy.runtimes.onnxruntime.run import load
from gossamer.deploy.runtimes.onnxruntime.sensitivity import keep_worst
from gossamer.runs.choice import judge_files

NETWORKS: dict[str, tuple[str | Path, int]] = {
    "squeezenet_1.0": (SQUEEZENET, 227),
    "mobilenet_v1_0.75": (MOBILENET, 224),
    "efficientnet_lite0": ("wheel", 224),
}
ROWS: tuple[tuple[str, Edits | None, Calibration], ...] = (
    ("per tensor", None, Calibration("minmax", per_channel=False)),
    ("per channel", None, Calibration("minmax")),
    ("+ equalization", Edits(correct=False), Calibration("minmax")),
    ("+ bias correction", Edits(), Calibration("minmax")),
    ("+ AdaRound", Edits(round=True), Calibration("minmax")),
)
PEER_ROWS = ("NNCF", "NNCF, bias correction in full", "gossamer's int8 file")
"""The last is what our last row wrote."""
PLANTED_IN, FACTOR = "squeezenet_1.0", 500.0
EDITED_ON = 32
"""Calibration pictures for the edits; the quantizer sees all 100."""


def run() -> Iterator[str]:
    """One line a network and row; `GOSSAMER_INT8_NETWORKS` may name some of the networks only."""
    torch.set_num_threads(1)
    chosen = os.environ.get("GOSSAMER_INT8_NETWORKS", ",".join(NETWORKS)).split(",")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="gossamer-int8-") as folder:
            yield from _of_network(name, *NETWORKS[name], Path(folder))


def _of_network(name: str, weights: str | Path, side: int, folder: Path) -> Iterator[str]:
    network, preprocessing = trained(name, weights)
    contract = InputContract.of(preprocessing, side)
    pixels, labels = imagenet(side)
    known = np.arange(len(labels)) % 5 == 0
    inputs = [value.numpy() for value in tensors(pixels[known], preprocessing).split(1)]
    judged, right = tensors(pixels[~known], preprocessing), labels[~known]
    export(network, contract, folder / "fp32.onnx")
    exact = _answers(folder / "fp32.onnx", judged)
    yield f"{name} fp32: top-1 {100 * np.mean(exact == right):.2f} % of {len(right)}"
    file = folder / "int8.onnx"
    for row, edits, how in ROWS:
        start = time.process_time()
        source = _edited(network, contract, inputs, edits, folder)
        edited = time.process_time()
        to_int8(source, file, inputs, how)
        seconds = edited - start, time.process_time() - edited
        found = _answers(file, judged)
        ratio = judge_files(folder / "fp32.onnx", file).latency_ratio
        yield (
            f"{name} {row}: top-1 {100 * np.mean(found == right):.2f} %, agrees {100 * np.mean(found == exact):.2f} %, "
            f"{file.stat().st_size / 1e6:.2f} MB, {ratio:.2f} of the time, edits {seconds[0]:.1f} and quantizer {seconds[1]:.1f} CPU s"
        )
        sys.stdout.flush()
    if name == PLANTED_IN:
        yield from _planted(name, network, contract, inputs, judged, right, folder)
    yield from _peers(name, inputs, judged, right, folder)


def _planted(
    name: str,
    network: nn.Module,
    contract: InputContract,
    inputs: list[np.ndarray],
    judged: torch.Tensor,
    right: Numbers,
    folder: Path,
) -> Iterator[str]:
    """The same function in fp32, one of whose layers int8 cannot hold: caught on half of the pictures, judged on all."""
    bad, layer = _with_bad_layer(network, contract)
    source, file = folder / "planted.onnx", folder / "planted-int8.onnx"
    export(bad, contract, source)
    exact = 100 * np.mean(_answers(source, judged) == right)
    to_int8(source, file, inputs)
    broken = 100 * np.mean(_answers(file, judged) == right)
    half = judged[::2], right[::2]
    found = keep_worst(
        source,
        file,
        inputs[::3],
        lambda path: float(np.mean(_answers(path, half[0]) == half[1])),
        max_drop=0.01,
    )
    mended = 100 * np.mean(_answers(file, judged) == right)
    equalized = _edited(bad, contract, inputs, Edits(correct=False), folder)
    to_int8(equalized, file, inputs)
    edited = 100 * np.mean(_answers(file, judged) == right)
    yield (
        f"{name} with a bad layer planted at {layer}: fp32 {exact:.2f} %, int8 {broken:.2f} %, by the guard {mended:.2f} % "
        f"with {len(found.kept)} layers in fp32, by equalization {edited:.2f} %"
    )


def _with_bad_layer(network: nn.Module, contract: InputContract) -> tuple[nn.Module, str]:
    """One channel of a layer times `FACTOR`, whoever reads it by as much less: nothing changes in fp32."""
    bad = copy.deepcopy(network)
    flow = follow(bad, contract.shape)
    name = next(name for name in flow.layers if name in flow.readers)
    layer = bad.get_submodule(name)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter[0] *= FACTOR
        for reader in flow.readers[name]:
            bad.get_submodule(reader.layer).weight[:, reader.start] /= FACTOR
    return bad, name


def _peers(
    name: str, inputs: list[np.ndarray], judged: torch.Tensor, right: Numbers, folder: Path
) -> Iterator[str]:
    if not installed():
        yield f"{name}: {MISSING}"
        return
    np.save(folder / "calibration.npy", np.stack(inputs))
    np.save(folder / "judged.npy", judged[:, None].numpy())
    rows = peer_rows(folder, PEER_ROWS)
    exact = rows.pop("fp32").answers
    yield f"{name} fp32 in OpenVINO: top-1 {100 * np.mean(exact == right):.2f} % of {len(right)}"
    for row, found in rows.items():
        yield f"{name} {row} in OpenVINO: {_told(found, exact, right)}"


def _told(found: PeerRow, exact: Numbers, right: Numbers) -> str:
    return (
        f"top-1 {100 * np.mean(found.answers == right):.2f} %, agrees {100 * np.mean(found.answers == exact):.2f} %, "
        f"{found.bytes / 1e6:.2f} MB, {found.ratio[0]:.2f} of the time, {found.seconds:.1f} CPU s"
    )


def _edited(
    network: nn.Module, contract: InputContract, inputs: list[np.ndarray], edits: Edits | None, folder: Path
) -> Path:
    """The fp32 file to quantize."""
    if edits is None:
        return folder / "fp32.onnx"
    pictures = torch.from_numpy(np.concatenate(inputs[:: len(inputs) // EDITED_ON][:EDITED_ON]))
    export(edit_for_int8(network, pictures, edits), contract, folder / "edited.onnx")
    return folder / "edited.onnx"


def _answers(path: Path, pictures: torch.Tensor) -> Numbers:
    session = load(path, threads=1)
    return np.array([int(session.run(one.numpy())[0].argmax()) for one in pictures.split(1)], np.int64)
