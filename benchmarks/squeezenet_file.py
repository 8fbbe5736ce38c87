"""SqueezeNet 1.0 in as few bytes as it takes: the published file packed anew, exactly and with loss, and measured.

The starting point is Deep Compression's 8-bit file. Loss is chosen on pictures without labels and without ImageNet:
CIFAR-10 (32 pixels, enlarged), RSSCN7 (from the air) and BCCD (blood cells). The 500 ImageNet samples are looked at
only for the figures. Every figure is of the file as it was read back.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmarks._pictures import SHARED, SQUEEZENET, answers, cifar, imagenet, trained
from benchmarks._pictures import tensors as prepared
from gossamer.compress.codebook.calibrate import bias_names, divergence_from, measure_moments, network_tensors
from gossamer.compress.codebook.steps import LayerMoments, StepChoice, plan_steps, quantize_at
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.packed.integers import CODERS
from gossamer.deploy.runtimes.packed.settings import PackPlan
from gossamer.deploy.runtimes.packed.tensors import Packed, PackedTensor, read_packed, write_packed
from gossamer.zoo.checkpoints import read_checkpoint

NAME = "squeezenet_1.0"
SIDE = 227
TARGETS = (380_000, 350_000, 320_000)
ALEXNET_BYTES, SQUEEZENET_BYTES = 240_000_000, 4_800_000
"""As SqueezeNet's paper counts them, 1602.07360, table 2."""
PAPER_SMALLEST_BYTES = 470_000
EACH_CIFAR, OF_RSSCN7, OF_BCCD = 12, 120, 20
LOSS_PICTURES = 65
BATCH = 10

Array = NDArray[Any]


def run() -> Iterator[str]:
    """The exact files, then one file a target, then what is in the last of them, then all figures as JSON."""
    network, preprocessing = trained(NAME, SQUEEZENET)
    network = network.to(memory_format=torch.channels_last)
    own = network_tensors(network)
    contract = InputContract.of(preprocessing, SIDE)
    metadata = {"task": "classify", "spec": network.spec.to_json(), "input": contract.to_json()}
    report: dict[str, Any] = {"published_bytes": SQUEEZENET.stat().st_size}
    with tempfile.TemporaryDirectory(prefix="gossamer-packed-") as folder:
        report["exact"] = [_exact(own, metadata, coder, Path(folder)) for coder in CODERS]
        yield f"published file: {report['published_bytes']:,} bytes; packed anew without loss:"
        yield from (_exact_line(row) for row in report["exact"])
        judge = _Judge(network, preprocessing)
        report["published_top1"] = judge.top1
        yield f"top-1 of the published file on {judge.count} pictures: {judge.top1:.1f} %"
        moments, loss, report["calibration"] = _calibrated(network, preprocessing)
        yield f"calibrated on {report['calibration']}"
        report["lossy"] = []
        for target in TARGETS:
            start = time.perf_counter()
            choice = plan_steps(
                own, target, moments, biases=bias_names(network), loss=loss, metadata=metadata
            )
            searched = time.perf_counter() - start
            packed, row = _lossy(choice, own, moments, network, metadata, Path(folder))
            row |= {"target": target, "search_seconds": searched, **judge.of(packed)}
            report["lossy"].append(row)
            yield _lossy_line(row)
    yield from _seed_lines(row["bytes"])
    report["layers"] = [_layer(packed.tensors, tensor, choice.plan) for tensor in packed.table]
    yield from _layer_lines(report["layers"], target)
    yield json.dumps(report)


def _exact(own: Mapping[str, Array], metadata: Mapping[str, Any], coder: str, folder: Path) -> dict[str, Any]:
    """Size and seconds of an exact file, and whether it gives the published weights to the last bit."""
    start = time.perf_counter()
    size = write_packed(folder / coder, own, PackPlan(coder=coder), metadata)  # type: ignore[arg-type]
    written = time.perf_counter()
    packed = read_packed(folder / coder)
    done = time.perf_counter()
    published = [tensor.numpy() for tensor in read_checkpoint(SQUEEZENET).values()]
    published[0] = published[0][:, ::-1]  # the network takes red first, the file was trained on blue first
    equal = all(
        np.ascontiguousarray(theirs).tobytes() == ours.tobytes()
        for theirs, ours in zip(published, packed.tensors.values(), strict=True)
    )
    return {
        "coder": coder,
        "bytes": size,
        "weights_equal": equal,
        "encode_seconds": written - start,
        "decode_seconds": done - written,
    }


def _exact_line(row: Mapping[str, Any]) -> str:
    same = "every weight equal to the last bit" if row["weights_equal"] else "WEIGHTS DIFFER"
    return (
        f"  {row['coder']}: {row['bytes']:,} bytes, encoded in {row['encode_seconds']:.1f} s, "
        f"decoded in {row['decode_seconds']:.2f} s, {same}"
    )


class _Judge:
    """Top-1, agreement with the 8-bit network and divergence from it, on pictures that nothing was chosen by."""

    def __init__(self, network: nn.Module, preprocessing: str) -> None:
        pixels, self._labels = imagenet(SIDE, 1.0)
        self._network = network
        self._batches = prepared(pixels, preprocessing).split(BATCH)
        self._loss = divergence_from(network, self._batches)
        self._own = network_tensors(network)
        self._named = self._answers(self._own)
        self.count = len(self._labels)
        self.top1 = 100 * float((self._named == self._labels).mean())

    def _answers(self, tensors: Mapping[str, Array]) -> Array:
        self._network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
        try:
            return answers(self._network, torch.cat(self._batches))
        finally:
            own = {name: torch.from_numpy(tensor) for name, tensor in self._own.items()}
            self._network.load_state_dict(own)

    def of(self, packed: Packed) -> dict[str, float]:
        """Figures of a file that was read; `change_error` is the standard error of `change` (McNemar, 1947)."""
        named = self._answers(packed.tensors)
        right = (named == self._labels).astype(int) - (self._named == self._labels)
        return {
            "top1": 100 * float((named == self._labels).mean()),
            "change": 100 * float(right.mean()),
            "change_error": 100 * float(np.count_nonzero(right)) ** 0.5 / self.count,
            "agreement": 100 * float((named == self._named).mean()),
            "divergence": self._loss(packed.tensors),
        }


def _calibrated(network: nn.Module, preprocessing: str) -> tuple[dict[str, LayerMoments], Any, str]:
    """(moments, loss, what they were measured on and in how long)."""
    pixels = _unlabelled()
    pictures = prepared(pixels, preprocessing)
    start = time.perf_counter()
    moments = measure_moments(network, pictures.split(BATCH))
    some = pictures[:: len(pictures) // LOSS_PICTURES]
    loss = divergence_from(network, some.split(BATCH))
    seconds = time.perf_counter() - start
    said = (
        f"{len(pixels)} unlabelled pictures ({10 * EACH_CIFAR} CIFAR-10, {OF_RSSCN7} RSSCN7, {OF_BCCD} BCCD, none of "
        f"ImageNet), the loss on {len(some)} of them, in {seconds:.0f} s"
    )
    return moments, loss, said


def _unlabelled() -> NDArray[np.uint8]:
    """Pictures that are not of ImageNet, (N, SIDE, SIDE, 3)."""
    rng = np.random.default_rng(0)
    found = [Image.fromarray(pixels) for pixels in cifar("test", EACH_CIFAR)[0]]
    for pattern, count in (("rsscn7/*/*.jpg", OF_RSSCN7), ("bccd/JPEGImages/*.jpg", OF_BCCD)):
        files = sorted(SHARED.glob(pattern))
        for place in rng.choice(len(files), count, replace=False):
            with Image.open(files[place]) as opened:
                found.append(opened.convert("RGB"))
    return np.stack([_square(image) for image in found])


def _square(image: Image.Image) -> NDArray[np.uint8]:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))


def _lossy(
    choice: StepChoice,
    own: Mapping[str, Array],
    moments: Mapping[str, LayerMoments],
    network: nn.Module,
    metadata: Mapping[str, Any],
    folder: Path,
) -> tuple[Packed, dict[str, Any]]:
    """(the file as read, its size and seconds): rounding at a known price, packing, and reading are timed apart."""
    start = time.perf_counter()
    quantize_at(own, choice.price, moments, bias_names(network), metadata=metadata)
    rounded = time.perf_counter()
    size = write_packed(folder / "lossy", choice.tensors, choice.plan, metadata)
    written = time.perf_counter()
    packed = read_packed(folder / "lossy")
    done = time.perf_counter()
    return packed, {
        "bytes": size,
        "round_seconds": rounded - start,
        "encode_seconds": written - rounded,
        "decode_seconds": done - written,
        "calibration_loss": choice.loss,
    }


def _lossy_line(row: Mapping[str, Any]) -> str:
    return (
        f"at most {row['target']:,}: {row['bytes']:,} bytes, top-1 {row['top1']:.1f} % "
        f"({row['change']:+.1f}, standard error {row['change_error']:.1f}), "
        f"same class as 8 bit {row['agreement']:.1f} %, divergence {row['divergence']:.3f}; searched in "
        f"{row['search_seconds']:.0f} s, rounded in {row['round_seconds']:.1f} s, encoded in {row['encode_seconds']:.1f} s, "
        f"decoded in {row['decode_seconds']:.2f} s"
    )


def _seed_lines(ours: int) -> Iterator[str]:
    yield (
        f"AlexNet {ALEXNET_BYTES / 1e6:.0f} MB -> SqueezeNet {SQUEEZENET_BYTES / 1e6:.1f} MB "
        f"({ALEXNET_BYTES / SQUEEZENET_BYTES:.0f}x) -> paper's smallest {PAPER_SMALLEST_BYTES / 1e6:.2f} MB "
        f"({ALEXNET_BYTES / PAPER_SMALLEST_BYTES:.0f}x) -> ours {ours / 1e6:.3f} MB ({ALEXNET_BYTES / ours:.0f}x; "
        f"{SQUEEZENET_BYTES / ours:.1f}x below SqueezeNet)"
    )


def _layer(tensors: Mapping[str, Array], row: PackedTensor, plan: PackPlan) -> dict[str, Any]:
    weights = tensors[row.name]
    own = plan.tensors.get(row.name)
    return {
        "name": row.name,
        "shape": list(row.shape),
        "codec": row.codec,
        "step": None if own is None else own.settings["step"],
        "nonzero": float(np.mean(weights != 0)),
        "bits_a_weight": 8 * row.bytes / weights.size,
        "bytes": row.bytes,
    }


def _layer_lines(layers: list[dict[str, Any]], target: int) -> Iterator[str]:
    yield f"tensors of the file of at most {target:,} bytes: shape, step, share that is not zero, bits a weight, bytes"
    for row in layers:
        shape = "x".join(map(str, row["shape"]))
        yield (
            f"  {row['name']:28} {shape:>12} {row['step'] or 0:9.5f} {row['nonzero']:6.3f} "
            f"{row['bits_a_weight']:6.2f} {row['bytes']:9.0f}"
        )


def main() -> None:
    """Print the lines as they come."""
    for line in run():
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
