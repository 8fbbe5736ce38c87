"""gossamer measure: what a network costs, counted, and timed where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines

if TYPE_CHECKING:
    from gossamer.cost.meter import LayerCost

__all__ = ["measure_verb"]


def measure_verb(
    model: Annotated[
        str, typer.Argument(help="Catalogue name, NAME[:k], timm:NAME, torchvision:NAME or a bundle folder.")
    ],
    input: Annotated[str | None, typer.Option("--input", help="BANDSxHEIGHTxWIDTH, e.g. 3x224x224.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Cost of every layer.")] = False,
    latency: Annotated[
        str | None, typer.Option("--latency", help="Export to this runtime and time it.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Threads for --latency.")] = 1,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory; time the exported network with --latency."""
    import importlib.util

    from gossamer.errors import MissingExtraError

    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("measuring a network", "torch", "train")
    from gossamer.cost.meter import measure

    network, shape = _network(model, input, seed)
    cost = measure(network, (1, *shape))
    document: dict[str, Any] = {"model": model, **cost.to_json(layers=layers), "input": list(shape)}
    if latency is not None:
        document["latency"] = _latency(network, shape, latency, threads)
    if json:
        print_json(document)
        return
    lines = [
        f"{model} at {'x'.join(map(str, shape))}",
        f"params                    {cost.params:>14,}",
        f"macs                      {cost.macs:>14,}",
        f"param bytes               {cost.param_bytes:>14,}",
        f"activation bytes read     {cost.activation_bytes_read:>14,}",
        f"activation bytes written  {cost.activation_bytes_written:>14,}",
        f"peak activation bytes     {cost.peak_bytes:>14,}",
        f"uncounted operators       {', '.join(cost.uncounted) or 'none':>14}",
    ]
    if latency is not None:
        figure = document["latency"]
        lines.append(
            f"latency on {figure['runtime']}, {threads} thread(s), fp32: p50 {figure['p50_ms']:.2f} ms, "
            f"p95 {figure['p95_ms']:.2f} ms over {figure['runs']} runs ({figure['state']})"
        )
    if layers:
        lines += ["", *_layer_lines(cost.layers)]
    print_lines(lines)


def _layer_lines(layers: tuple[LayerCost, ...]) -> list[str]:
    lines = [f"{'layer':34} {'kind':18} {'output':>16} {'params':>10} {'macs':>13} {'bytes':>11}"]
    for layer in layers:
        output = "x".join(map(str, layer.output[1:]))
        moved = layer.bytes_read + layer.bytes_written
        lines.append(
            f"{layer.name or '(network)':34} {layer.kind:18} {output:>16} {layer.params:>10,} {layer.macs:>13,} {moved:>11,}"
        )
    return lines


def _network(model: str, input: str | None, seed: int) -> tuple[Any, tuple[int, int, int]]:
    from pathlib import Path

    from gossamer.deploy.bundle import load
    from gossamer.zoo.build import build
    from gossamer.zoo.catalogue import CATALOGUE
    from gossamer.zoo.spec import parse_model

    if (Path(model) / "model.json").is_file():
        bundle = load(model)
        shape = bundle.contract.shape[1:] if input is None else _shape(input)
        return bundle.network(), shape
    spec, _ = parse_model(model)
    size = CATALOGUE[spec.name].input if spec.name in CATALOGUE else 224
    shape = (3, size, size) if input is None else _shape(input)
    return build(model, seed=seed, in_channels=None if shape[0] == 3 else shape[0]), shape


def _shape(text: str) -> tuple[int, int, int]:
    from gossamer.errors import GossamerError

    try:
        bands, height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        bands = height = width = 0
    if min(bands, height, width) < 1:
        raise GossamerError(f"--input is BANDSxHEIGHTxWIDTH, got {text!r}; write e.g. 3x224x224")
    return bands, height, width


def _latency(network: Any, shape: tuple[int, int, int], runtime_name: str, threads: int) -> dict[str, Any]:
    import tempfile
    from pathlib import Path

    import numpy as np

    from gossamer.cost.latency import measure_latency
    from gossamer.deploy.contract import InputContract
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.types import Size

    runtime = get_runtime(runtime_name)
    bands = tuple(f"band {i + 1}" for i in range(shape[0]))
    zeros = (0.0,) * shape[0]
    contract = InputContract(Size(*shape[1:]), bands, mean=zeros, std=(1.0,) * shape[0])
    with tempfile.TemporaryDirectory(prefix="gossamer-measure-") as folder:
        path = Path(folder, f"model{runtime.suffix}")
        runtime.export(network, contract, path)
        session = runtime.load(path, threads=threads)
        batch = np.zeros(contract.shape, np.float32)
        figure = measure_latency({"file": lambda: session.run(batch)}, seconds=2.0, threads=threads)["file"]
    return {"runtime": runtime_name, "threads": threads, "precision": "fp32", **figure.to_json()}
