"""Our exported files against torch's exporter and ONNX Runtime's quantizer used plainly: bytes and latency."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.onnxruntime.post_training import to_int8
from gossamer.deploy.runtimes.onnxruntime.ranges import _Reader
from gossamer.timing.latency import measure_latency
from gossamer.zoo.build import build

NETWORKS = ("efficientnet_lite0", "mobilenet_v2", "shufflenet_v2_1.0")


def run() -> Iterator[str]:
    """One line a network: ours over plain, in bytes and p50."""
    runtime = get_runtime("onnxruntime")
    for name in NETWORKS:
        contract = InputContract.of("imagenet", 128)
        network = build(name, num_classes=10).eval()
        inputs = [
            np.random.default_rng(i).standard_normal(contract.shape, dtype=np.float32) for i in range(8)
        ]
        with tempfile.TemporaryDirectory() as folder:
            files = {key: Path(folder, f"{key}.onnx") for key in ("ours", "plain", "ours-int8", "plain-int8")}
            runtime.export(network, contract, files["ours"])
            to_int8(files["ours"], files["ours-int8"], inputs)
            _plain(network, contract, files["plain"])
            _plain_int8(files["plain"], files["plain-int8"], inputs)
            runs: dict[str, Callable[[], object]] = {
                key: functools.partial(runtime.load(path, threads=1).run, inputs[0])
                for key, path in files.items()
            }
            times = measure_latency(runs, seconds=2.0, rounds=20)
            size = {key: path.stat().st_size for key, path in files.items()}
        for suffix, label in (("", "fp32"), ("-int8", "int8")):
            ours, plain = times["ours" + suffix], times["plain" + suffix]
            yield (
                f"{name} {label}: bytes {size['ours' + suffix] / size['plain' + suffix]:.3f}, "
                f"latency {ours.p50_ms / plain.p50_ms:.2f} (processor {ours.cpu_ms / plain.cpu_ms:.2f}) of plain "
                f"[{ours.p50_ms:.2f} / {plain.p50_ms:.2f} ms, {ours.state}]"
            )


def _plain(network: torch.nn.Module, contract: InputContract, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(contract.shape),),
            str(path),
            input_names=["input"],
            opset_version=18,
            dynamo=False,
        )


def _plain_int8(source: Path, target: Path, inputs: list[np.ndarray]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        str(source),
        str(target),
        _Reader("input", inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
