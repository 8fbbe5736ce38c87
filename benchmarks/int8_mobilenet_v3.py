"""int8 of MobileNetV3-Small, whose hard-swish and gates rounding hurts most, trained on RSSCN7 from scratch.

`GOSSAMER_INT8_BUNDLE` names a bundle of `gossamer train` on RSSCN7 with its default split for that bundle's seed;
without it one is trained here, `GOSSAMER_INT8_TEACHER` (a bundle of the same seed) being what it follows, if set.
Ranges, biases and rounding are set on 256 training pictures without labels. Every file is judged on the validation
split; the one that loses least there is judged on the test split, once. Rows "per tensor" give every weight one scale,
which is where int8 gets hard: they show what bias correction and mixed precision can mend. NNCF and OpenVINO take the
same exported file and pictures. Last comes the verdict for each runtime: whether int8 is worth it there, and why not.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import gossamer as gs
from benchmarks._int8_beside import MISSING, PeerRow, installed, peer_rows
from benchmarks._pictures import SHARED, Numbers
from gossamer.compress.quantize.edits import Edits, edit_for_int8
from gossamer.compress.quantize.sweep import Rounding
from gossamer.data.check import check
from gossamer.deploy.bundle import Bundle, load
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.post_training import Calibration, to_int8
from gossamer.deploy.runtimes.onnxruntime.run import load as open_file
from gossamer.deploy.runtimes.onnxruntime.sensitivity import keep_worst
from gossamer.deploy.runtimes.parts import MixedFile
from gossamer.runs.choice import decide, judge_files
from gossamer.runs.pictures import split_pictures
from gossamer.zoo.of_bundle import network_of

DATA = SHARED / "rsscn7"
MODEL, SIDE, MINUTES, SEED = "mobilenet_v3_small", 96, 8.0, 1
CALIBRATED_ON, EDITED_ON, RANKED_ON = 256, 64, 32
"""Training pictures for ranges, for the edits, and for ranking layers."""
MAX_DROP, MOST_FP32 = 0.01, 6
PER_CHANNEL, PER_TENSOR = Calibration("minmax"), Calibration("minmax", per_channel=False)
ROWS: Mapping[str, tuple[Edits | None, Calibration]] = {
    "minmax": (None, PER_CHANNEL),
    "percentile": (None, Calibration("percentile")),
    "bias correction": (Edits(equalize=False), PER_CHANNEL),
    "equalization + bias correction": (Edits(), PER_CHANNEL),
    "equalization + AdaRound": (Edits(round=True), PER_CHANNEL),
    "per tensor": (None, PER_TENSOR),
    "per tensor, bias correction": (Edits(equalize=False), PER_TENSOR),
    "per tensor, equalization + bias correction": (Edits(), PER_TENSOR),
}
MIXED: Mapping[str, Calibration] = {"mixed": PER_CHANNEL, "per tensor, mixed": PER_TENSOR}
PEER_ROWS = (
    "NNCF",
    "NNCF, mixed preset",
    "NNCF, mixed preset, bias correction in full",
    "NNCF, accuracy control",
    "gossamer's int8 file",
)


@dataclass(frozen=True)
class Judged:
    """Prepared pictures, one at a time: the validation split, then the test split."""

    inputs: list[np.ndarray]
    labels: Numbers
    first_test: int

    def points(self, answers: Numbers, split: str) -> float:
        """Percent right on `val` or `test`."""
        part = self.part(split)
        return 100 * float(np.mean(answers[part] == self.labels[part]))

    def part(self, split: str) -> slice:
        """Where the pictures of `val` or `test` stand."""
        return slice(None, self.first_test) if split == "val" else slice(self.first_test, None)


@dataclass(frozen=True)
class File:
    """An int8 file and what it answers for all judged pictures."""

    path: Path
    answers: Numbers
    seconds: float


def run() -> Iterator[str]:
    """One line a row, then the test split, then the verdicts."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="gossamer-int8-") as name:
        folder = Path(name)
        bundle = load(os.environ.get("GOSSAMER_INT8_BUNDLE") or _trained(folder))
        yield f"{bundle.spec.name} from scratch on RSSCN7, {bundle.contract.size}, seed {bundle.provenance['seed']}"
        calibration, judged = bundle_pictures(bundle, folder)
        export(network_of(bundle), bundle.contract, folder / "fp32.onnx")
        exact = _answers(folder / "fp32.onnx", judged.inputs)
        yield f"fp32: {judged.points(exact, 'val'):.2f} % of {judged.first_test} validation pictures"
        files: dict[str, File] = {}
        for row, file in _files(bundle, calibration, judged, folder):
            files[row] = file
            yield f"{row}: {_against(file.answers, exact, judged, 'val')}, calibration {file.seconds:.1f} CPU s"
            sys.stdout.flush()
        best = max(files, key=lambda row: judged.points(files[row].answers, "val"))
        yield f"test, fp32: {judged.points(exact, 'test'):.2f} % of {len(judged.labels) - judged.first_test}"
        yield f"test, {best}: {_against(files[best].answers, exact, judged, 'test')}"
        yield judge_files(folder / "fp32.onnx", files[best].path, seconds=2.0).reason
        yield from _peers(calibration, judged, files[best].path, folder)


def _trained(folder: Path) -> Path:
    made = gs.train(
        DATA,
        model=MODEL,
        teacher=os.environ.get("GOSSAMER_INT8_TEACHER"),
        minutes=MINUTES,
        size=SIDE,
        seed=SEED,
        out=folder / "run",
    )
    assert made is not None
    return made.bundle.folder


def bundle_pictures(bundle: Bundle, folder: Path) -> tuple[list[np.ndarray], Judged]:
    report = check(DATA, split_seed=int(bundle.provenance["split seed"]))
    contract = bundle.contract
    splits = {
        name: split_pictures(report, name, contract, _Here(folder)) for name in ("train", "val", "test")
    }
    train = splits["train"].pixels
    order = np.random.default_rng(0).permutation(len(train))[:CALIBRATED_ON]
    judged = [
        splits[name].pixels[i : i + 1] for name in ("val", "test") for i in range(len(splits[name].targets))
    ]
    labels = np.concatenate([splits[name].targets for name in ("val", "test")])
    return (
        [contract.normalise(train[i : i + 1]) for i in sorted(order.tolist())],
        Judged([contract.normalise(pixels) for pixels in judged], labels, len(splits["val"].targets)),
    )


@dataclass
class _Here:
    path: Path


def _files(
    bundle: Bundle, calibration: list[np.ndarray], judged: Judged, folder: Path
) -> Iterator[tuple[str, File]]:
    """Each row's file, then those with the worst layers in fp32."""
    for row, (edits, how) in ROWS.items():
        start = time.process_time()
        source, target = folder / "fp32.onnx", folder / f"{row}.onnx"
        if edits is not None:
            source = folder / "edited.onnx"
            pictures = torch.from_numpy(np.concatenate(calibration[:: CALIBRATED_ON // EDITED_ON]))
            rounding = Rounding(per_channel=how.per_channel)
            export(
                edit_for_int8(network_of(bundle), pictures, edits, rounding=rounding), bundle.contract, source
            )
        to_int8(source, target, calibration, how)
        seconds = time.process_time() - start
        yield row, File(target, _answers(target, judged.inputs), seconds)
    for row, how in MIXED.items():
        start = time.process_time()
        found = _mixed(calibration, judged, folder, folder / f"{row}.onnx", how)
        seconds = time.process_time() - start
        named = f"{row}, {len(found.kept)} layers in fp32"
        yield named, File(found.path, _answers(found.path, judged.inputs), seconds)


def _mixed(
    calibration: list[np.ndarray], judged: Judged, folder: Path, target: Path, how: Calibration
) -> MixedFile:
    validation, labels = judged.inputs[: judged.first_test], judged.labels[: judged.first_test]
    return keep_worst(
        folder / "fp32.onnx",
        target,
        calibration[:: CALIBRATED_ON // RANKED_ON],
        lambda path: float(np.mean(_answers(path, validation) == labels)),
        max_drop=MAX_DROP,
        most=MOST_FP32,
        how=how,
    )


def _answers(path: Path, inputs: list[np.ndarray]) -> Numbers:
    session = open_file(path, threads=1)
    return np.array([int(session.run(one)[0].argmax()) for one in inputs], np.int64)


def _against(answers: Numbers, exact: Numbers, judged: Judged, split: str) -> str:
    points = judged.points(answers, split)
    agreement = 100 * float(np.mean((answers == exact)[judged.part(split)]))
    lost = judged.points(exact, split) - points
    return f"{points:.2f} %, {lost:+.2f} points lost, agrees {agreement:.2f} %"


def _peers(calibration: list[np.ndarray], judged: Judged, int8: Path, folder: Path) -> Iterator[str]:
    if not installed():
        yield MISSING
        return
    np.save(folder / "calibration.npy", np.stack(calibration))
    np.save(folder / "judged.npy", np.stack(judged.inputs))
    np.save(folder / "labels.npy", judged.labels[: judged.first_test])
    (folder / "int8.onnx").write_bytes(int8.read_bytes())
    rows = peer_rows(folder, PEER_ROWS)
    fp32 = rows.pop("fp32")
    yield f"OpenVINO fp32: {judged.points(fp32.answers, 'val'):.2f} % of validation"
    for row, found in rows.items():
        yield f"OpenVINO {row}: {_against(found.answers, fp32.answers, judged, 'val')}, {found.seconds:.1f} CPU s"
    best = max(rows, key=lambda row: judged.points(rows[row].answers, "val"))
    yield f"OpenVINO test, fp32: {judged.points(fp32.answers, 'test'):.2f} %"
    yield f"OpenVINO test, {best}: {_against(rows[best].answers, fp32.answers, judged, 'test')}"
    yield from (f"{row}: {_verdict(found, fp32)}" for row, found in rows.items())


def _verdict(found: PeerRow, fp32: PeerRow) -> str:
    """The reason, and how sure its time is on a machine that others use: the median's interval, and processor time."""
    verdict = decide(
        "openvino",
        size_ratio=found.bytes / fp32.bytes,
        latency_ratio=found.ratio[0],
        operators=found.float_operators or {},
    )
    _, low, high = found.ratio
    return f"{verdict.reason} (time {low:.2f} to {high:.2f}, of the processor {found.cpu_ratio:.2f})"
