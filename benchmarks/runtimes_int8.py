"""fp32, fp16 and int8 of one network on every runtime that is installed: what each precision costs and buys there.

Networks with ImageNet weights are judged on 400 of the 500 samples (`GOSSAMER_INT8_PICTURES` takes fewer of them);
the other 100, every fifth, set the ranges of int8, without their labels. `GOSSAMER_INT8_NETWORKS` names some of the
networks only. `GOSSAMER_INT8_BUNDLE`, a bundle of `gossamer train` on RSSCN7, is judged on its test split. int8 is the
first setting of the runtime's ladder: nothing is chosen by what is judged. Times are over fp32 of the same runtime, all
files of a runtime in turns, 1 thread. bfloat16 is OpenVINO's own choice for fp32 files where the processor has it;
gossamer asks for float32, and this row says what that costs.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks._pictures import Numbers, imagenet, tensors, trained
from benchmarks.int8_accuracy import NETWORKS
from benchmarks.int8_mobilenet_v3 import bundle_pictures
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, get_runtime
from gossamer.deploy.runtimes.convert import convert, post_training
from gossamer.deploy.runtimes.openvino import run as openvino
from gossamer.deploy.runtimes.parts import FileSession
from gossamer.errors import MissingExtraError
from gossamer.runs.choice import decide
from gossamer.timing.latency import Latency, compare, measure_latency
from gossamer.zoo.of_bundle import network_of

SECONDS = 2.0
"""Each file is timed for so long."""

Inputs = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Subject:
    """A network and the pictures that calibrate and judge its files, each (1, bands, H, W)."""

    name: str
    network: nn.Module
    contract: InputContract
    calibration: Inputs
    judged: Inputs
    labels: Numbers


def run() -> Iterator[str]:
    """A line a network, runtime and precision, and a verdict for each runtime."""
    torch.set_num_threads(1)
    for subject in _subjects():
        for name in RUNTIMES:
            try:
                get_runtime(name, making=True)
            except MissingExtraError as error:
                yield f"{subject.name} on {name}: no row; {error}"
                continue
            with tempfile.TemporaryDirectory(prefix="gossamer-runtimes-") as folder:
                yield from _rows(subject, name, Path(folder))
            sys.stdout.flush()


def _subjects() -> Iterator[Subject]:
    for name in filter(None, os.environ.get("GOSSAMER_INT8_NETWORKS", ",".join(NETWORKS)).split(",")):
        weights, side = NETWORKS[name]
        network, preprocessing = trained(name, weights)
        pixels, labels = imagenet(side)
        known = np.arange(len(labels)) % 5 == 0
        count = int(os.environ.get("GOSSAMER_INT8_PICTURES", len(labels)))
        calibration = _each(tensors(pixels[known], preprocessing))
        judged = _each(tensors(pixels[~known][:count], preprocessing))
        contract = InputContract.of(preprocessing, side)
        yield Subject(name, network, contract, calibration, judged, labels[~known][:count])
    folder = os.environ.get("GOSSAMER_INT8_BUNDLE")
    if folder:
        bundle = load(folder)
        with tempfile.TemporaryDirectory(prefix="gossamer-runtimes-") as cache:
            calibration, judged = bundle_pictures(bundle, Path(cache))
        test = judged.part("test")
        yield Subject(
            f"bundle of {bundle.spec.name}",
            network_of(bundle),
            bundle.contract,
            calibration,
            judged.inputs[test],
            judged.labels[test],
        )


def _each(pictures: torch.Tensor) -> Inputs:
    return [one.numpy() for one in pictures.split(1)]


def _rows(subject: Subject, name: str, folder: Path) -> Iterator[str]:
    runtime = get_runtime(name)
    files = {"fp32": folder / f"fp32{runtime.suffix}"}
    runtime.export(subject.network, subject.contract, files["fp32"])
    for precision in runtime.precisions[1:]:
        files[precision] = convert(files["fp32"], precision, subject.calibration, on=name)
    sessions = {row: runtime.load(path, threads=1) for row, path in files.items()}
    if name == "openvino":
        files["bf16"] = files["fp32"]
        sessions["bf16"] = openvino.load(files["fp32"], threads=1, arithmetic="bf16")
    timed = measure_latency(
        {row: functools.partial(session.run, subject.judged[0]) for row, session in sessions.items()},
        seconds=SECONDS,
        threads=1,
    )
    exact = _answers(sessions["fp32"], subject.judged)
    for row, session in sessions.items():
        found = exact if row == "fp32" else _answers(session, subject.judged)
        yield (
            f"{subject.name} on {name} {row}: top-1 {100 * np.mean(found == subject.labels):.2f} % of {len(found)}, "
            f"agrees {100 * np.mean(found == exact):.2f} %, {files[row].stat().st_size / 1e6:.2f} MB, "
            f"{_times(timed[row], timed['fp32'])}"
        )
    if "int8" in files:
        verdict = decide(
            name,
            size_ratio=files["int8"].stat().st_size / files["fp32"].stat().st_size,
            latency_ratio=compare(timed["int8"], timed["fp32"]).ratio,
            operators=post_training(name).float_operators(files["int8"]),
        )
        yield f"{subject.name} on {name}: {verdict.reason}"


def _times(timed: Latency, exact: Latency) -> str:
    ratio = compare(timed, exact)
    return f"{timed.p50_ms:.2f} ms, {ratio.ratio:.2f} of fp32's ({ratio.low:.2f} to {ratio.high:.2f})"


def _answers(session: FileSession, pictures: Inputs) -> Numbers:
    return np.array([int(session.run(one)[0].argmax()) for one in pictures], np.int64)
