"""gossamer measure: what a network costs, counted, and timed where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines, say

if TYPE_CHECKING:
    from gossamer.cost.figures import Cost, LayerCost
    from gossamer.deploy.contract import InputContract

__all__ = ["load_network", "measure_verb", "plain_contract"]


def measure_verb(
    model: Annotated[
        str,
        typer.Argument(
            help="Catalogue name, NAME[:k], timm:NAME, torchvision:NAME, a bundle folder or an .onnx file."
        ),
    ],
    input: Annotated[str | None, typer.Option("--input", help="BANDSxHEIGHTxWIDTH, e.g. 3x224x224.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Cost of every layer.")] = False,
    latency: Annotated[
        str | None, typer.Option("--latency", help="Export to this runtime and time it.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Time of every node of the exported file, by operator.")
    ] = False,
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Hold every node against what this machine can do; with --profile."),
    ] = False,
    new_peaks: Annotated[
        bool, typer.Option("--new-peaks", help="Measure this machine anew for --roofline.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Write the share of time by operator as SVG; with --profile."),
    ] = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="Predict the latency on onnxruntime from a table of blocks.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Time ten networks first, so that --predict has an interval.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option("--table", help="Table of blocks for --predict; the user's cache without.")
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", help="Threads for --latency, --profile, --roofline and --predict.")
    ] = 1,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory; time the exported network with --latency.

    --profile, --roofline and --picture tell where that time goes and how far it is from the machine's limit;
    --predict estimates it from blocks timed before.
    """
    from gossamer.cli._profile_tables import check_picture

    check_picture(picture)
    profiled = profile or roofline or new_peaks or picture is not None
    latency = _checked_runtime(latency, threads, profiled)
    subject = _file(Path(model), input) if Path(model).suffix == ".onnx" else _network(model, input, seed)
    cost = subject.cost
    document: dict[str, Any] = {"model": model, **cost.to_json(layers=layers), "input": list(subject.shape)}
    if latency is not None:
        document["latency"] = _latency(subject, latency, threads)
    tables: list[str] = []
    if predict or calibrate:
        document["prediction"], tables = _prediction(subject, threads, table, calibrate)
    if profiled:
        objects, more = _profile(subject, threads, roofline or new_peaks, new_peaks)
        if picture is not None:
            from gossamer.cli._profile_tables import write_picture

            write_picture(picture, model, objects["profile"])
        tables += more
        document |= {name: found.to_json() for name, found in objects.items()}
    if json:
        print_json(document)
        return
    lines = [*_cost_lines(model, subject), *_latency_lines(document.get("latency")), *tables]
    if layers:
        lines += ["", *_layer_lines(cost.layers)]
    print_lines(lines)


def _cost_lines(model: str, subject: _Subject) -> list[str]:
    cost = subject.cost
    return [
        f"{model} at {'x'.join(map(str, subject.shape))}",
        f"params                    {cost.params:>14,}",
        f"macs                      {cost.macs:>14,}",
        f"param bytes               {cost.param_bytes:>14,}",
        f"activation bytes read     {cost.activation_bytes_read:>14,}",
        f"activation bytes written  {cost.activation_bytes_written:>14,}",
        f"peak activation bytes     {cost.peak_bytes:>14,}",
        f"uncounted operators       {', '.join(cost.uncounted) or 'none':>14}",
    ]


def _latency_lines(figure: dict[str, Any] | None) -> list[str]:
    if figure is None:
        return []
    return [
        f"latency on {figure['runtime']}, {figure['threads']} thread(s), {figure['precision']}: p50 {figure['p50_ms']:.2f} ms, "
        f"p95 {figure['p95_ms']:.2f} ms over {figure['runs']} runs ({figure['state']})"
    ]


def _layer_lines(layers: tuple[LayerCost, ...]) -> list[str]:
    lines = [f"{'layer':34} {'kind':18} {'output':>16} {'params':>10} {'macs':>13} {'bytes':>11}"]
    for layer in layers:
        output = "x".join(map(str, layer.output[1:]))
        moved = layer.bytes_read + layer.bytes_written
        lines.append(
            f"{layer.name or '(network)':34} {layer.kind:18} {output:>16} {layer.params:>10,} {layer.macs:>13,} {moved:>11,}"
        )
    return lines


class _Subject(NamedTuple):
    """What is measured: a network that is exported where a file is needed, or a file."""

    cost: Cost
    shape: tuple[int, ...]
    """(bands, H, W); of a file whatever its input has behind the batch."""
    network: Any = None
    path: Path | None = None

    @property
    def layers(self) -> set[str]:
        """The names that nodes of the file may belong to."""
        return set() if self.network is None else {name for name, _ in self.network.named_modules() if name}

    @property
    def precision(self) -> str:
        return "fp32" if self.path is None else "as stored"

    def file(self, folder: str, runtime_name: str, *, names: bool = False) -> Path:
        """The file itself, or an export of the network made in the folder."""
        if self.path is not None:
            return self.path
        from gossamer.deploy.runtimes import get_runtime
        from gossamer.deploy.runtimes.onnxruntime import export

        path = Path(folder, f"model{get_runtime(runtime_name).suffix}")
        contract = plain_contract(self.shape)
        if names:
            export(self.network, contract, path, names=True)
        else:
            get_runtime(runtime_name).export(self.network, contract, path)
        return path


def _file(path: Path, input: str | None) -> _Subject:
    from gossamer.cost.onnx_count import count_onnx
    from gossamer.errors import GossamerError

    if not path.is_file():
        raise GossamerError(
            f"a model is a name, a bundle or a file, got {path}, which does not exist; check the path"
        )
    cost = count_onnx(path, None if input is None else (1, *_shape(input)))
    return _Subject(cost, cost.input[1:], path=path)


def _network(model: str, input: str | None, seed: int) -> _Subject:
    import importlib.util

    from gossamer.errors import MissingExtraError

    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("measuring a network", "torch", "train")
    from gossamer.cost.meter import measure

    network, shape = load_network(model, input, seed)
    return _Subject(measure(network, (1, *shape)), shape, network=network)


def load_network(model: str, input: str | None, seed: int) -> tuple[Any, tuple[int, int, int]]:
    """The network of a name or a bundle folder, and the shape (bands, H, W) it is looked at with."""
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


def plain_contract(shape: Sequence[int]) -> InputContract:
    """A contract that leaves its values as they are, for a network that is only timed."""
    from gossamer.deploy.contract import InputContract
    from gossamer.types import Size

    bands = tuple(f"band {i + 1}" for i in range(shape[0]))
    return InputContract(Size(shape[1], shape[2]), bands, mean=(0.0,) * shape[0], std=(1.0,) * shape[0])


def _latency(subject: _Subject, runtime_name: str, threads: int) -> dict[str, Any]:
    import tempfile

    import numpy as np

    from gossamer.cost.latency import measure_latency
    from gossamer.deploy.runtimes import get_runtime

    runtime = get_runtime(runtime_name)
    with tempfile.TemporaryDirectory(prefix="gossamer-measure-") as folder:
        session = runtime.load(subject.file(folder, runtime_name), threads=threads)
        batch = np.zeros((1, *subject.shape), np.float32)
        figure = measure_latency({"file": lambda: session.run(batch)}, seconds=2.0, threads=threads)["file"]
    return {"runtime": runtime_name, "threads": threads, "precision": subject.precision, **figure.to_json()}


def _checked_runtime(latency: str | None, threads: int, profiled: bool) -> str | None:
    """The runtime to time, the profile's beside a profile; what cannot be is said before anything is measured."""
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.errors import GossamerError

    if threads < 1:
        raise GossamerError(f"threads must be at least 1, got {threads}; write e.g. --threads 1")
    if latency is None:
        return "onnxruntime" if profiled else None
    get_runtime(latency)
    if profiled and latency != "onnxruntime":
        raise GossamerError(f"profiles are taken on onnxruntime, got --latency {latency}; leave it out")
    return latency


def _profile(
    subject: _Subject, threads: int, limit: bool, new_peaks: bool
) -> tuple[dict[str, Any], list[str]]:
    """(profile and, where asked for, roofline by name; their tables)."""
    import tempfile

    from gossamer.cli._profile_tables import profile_lines, roofline_lines
    from gossamer.cost.profile import profile_file
    from gossamer.cost.roofline import peaks, roofline

    with tempfile.TemporaryDirectory(prefix="gossamer-measure-") as folder:
        path = subject.file(folder, "onnxruntime", names=True)
        profile = profile_file(path, threads=threads, layers=subject.layers)
    objects: dict[str, Any] = {"profile": profile}
    lines = ["", *profile_lines(profile, subject.cost.macs)]
    if limit:
        objects["roofline"] = roofline(profile, peaks(threads=threads, again=new_peaks))
        lines += ["", *roofline_lines(profile, objects["roofline"])]
    return objects, lines


CALIBRATED_ON = (
    "lcnet_0.25",
    "shufflenet_v1_g3_0.5",
    "mobilenet_v3_small",
    "ghostnet_0.5",
    "mnasnet_a1_0.35",
    "mobilenet_v2_0.5",
    "shufflenet_v2_1.0",
    "regnet_x_200mf",
    "mobilenet_v2",
    "efficientnet_lite0",
)
"""Networks of many sizes and constructions, timed whole by --calibrate."""


def _prediction(
    subject: _Subject, threads: int, file: Path | None, calibrated: bool
) -> tuple[dict[str, Any], list[str]]:
    """(the prediction as JSON, its lines); blocks that the table lacks are timed now."""
    from gossamer.cost.latency_table import LatencyTable, Platform, default_path
    from gossamer.cost.predictor import calibrate, predict
    from gossamer.errors import GossamerError
    from gossamer.zoo.build import build
    from gossamer.zoo.catalogue import CATALOGUE

    if subject.network is None:
        raise GossamerError("a prediction is made of a network's blocks, got a file; time it with --latency")
    table, platform = LatencyTable(file or default_path()), Platform.here(threads=threads)
    if calibrated:
        say(f"timing {len(CALIBRATED_ON)} networks and their blocks, about a minute")
        sizes = {name: CATALOGUE[name].input for name in CALIBRATED_ON}
        calibrate({name: (build(name), (1, 3, size, size)) for name, size in sizes.items()}, table, platform)
    found = predict(subject.network, (1, *subject.shape), table, platform)
    if found.low_ms is None or found.high_ms is None:
        spread = "no interval: never calibrated here, add --calibrate once"
    else:
        spread = f"{found.low_ms:.2f} to {found.high_ms:.2f} ms for {100 * found.coverage:.0f} % of networks"
    doubt = "; some blocks are estimates" if found.extrapolated else ""
    line = f"predicted on onnxruntime, {threads} thread(s), fp32: {found.latency_ms:.2f} ms ({spread}{doubt})"
    return found.to_json(), [line]
