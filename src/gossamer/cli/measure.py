"""gossamer measure: what networks cost, counted, and timed where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, bounded, print_json, print_lines, say
from gossamer.runs.config import ONLINE

if TYPE_CHECKING:
    from gossamer.cli._subject import Subject
    from gossamer.cost.figures import Cost
    from gossamer.types import Precision

__all__ = ["measure_verb"]

COLUMNS = (
    "model",
    "input",
    "params",
    "macs",
    "elementwise",
    "param_bytes",
    "peak_bytes",
    "receptive_field",
    "intensity",
    "p50_ms",
    "uncounted",
)
SORTS = {"macs": "macs", "params": "params", "peak": "peak_bytes", "latency": "p50_ms", "name": "model"}


def measure_verb(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue names, NAME[:k], timm:NAME, torchvision:NAME, bundle folders or .onnx files."
        ),
    ],
    input: Annotated[str | None, typer.Option("--input", help="BANDSxHEIGHTxWIDTH, e.g. 3x224x224.")] = None,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Sides to count at, e.g. 128,160,192x256; a table.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Cost of every layer and sort of operator.")
    ] = False,
    fused: Annotated[bool, typer.Option("--fused", help="Fold norms and merge branches first.")] = False,
    latency: Annotated[
        str | None, typer.Option("--latency", help="Export to this runtime and time it.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Time of every node, by operator.")] = False,
    on: Annotated[
        str, typer.Option("--on", help="What --profile runs on: onnxruntime, openvino or torch.")
    ] = "onnxruntime",
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
    precision: Annotated[
        str, typer.Option("--precision", help="Of the file that --predict predicts: fp32 or int8.")
    ] = "fp32",
    threads: Annotated[
        int,
        typer.Option(
            "--threads",
            help="Threads for --latency, --profile, --roofline and --predict.",
            callback=bounded("--threads", 1, 1024),
        ),
    ] = 1,
    sort: Annotated[
        str | None, typer.Option("--sort", help="Order of several: macs, params, peak, latency or name.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table to a .csv, .md or .html file as well.")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help=ONLINE)] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory; time the exported network with --latency.

    Several models, or one at several --sizes, make a table. --profile, --roofline and --picture tell where the time
    goes and how far it is from the machine's limit; --predict estimates it from blocks timed before.
    """
    from gossamer.cli._profile_tables import check_picture

    check_picture(picture)
    limited = roofline or new_peaks
    profiled = profile or limited or picture is not None
    single = profiled or predict or calibrate or layers
    _check_tables(
        sort, out, "--profile, --roofline, --predict and --layers" if single else None, models, sizes
    )
    latency = _checked_runtime(latency, profiled, limited, on)
    kind = _checked_precision(precision, predict or calibrate)
    subjects = list(_subjects(models, input, sizes, seed, fused, online))
    documents = [
        {"model": subject.name, **subject.cost.to_json(layers=layers), "input": list(subject.shape)}
        for subject in subjects
    ]
    if latency is not None:
        for document, figure in zip(documents, _latencies(subjects, latency, threads), strict=True):
            document["latency"] = figure
    if len(subjects) > 1 or sizes is not None or out is not None:
        _print_table(documents, sort, out, json)
        return
    subject, document = subjects[0], documents[0]
    tables: list[str] = []
    if predict or calibrate:
        document["prediction"], tables = _prediction(subject, threads, kind, table, calibrate)
    if profiled:
        objects, more = _profile(subject, on, threads, limited, new_peaks)
        if picture is not None:
            from gossamer.cli._profile_tables import write_picture

            write_picture(picture, subject.name, objects["profile"])
        tables += more
        document |= {name: found.to_json() for name, found in objects.items()}
    if json:
        print_json(document)
        return
    lines = [*_cost_lines(subject), *_latency_lines(document.get("latency")), *tables]
    if layers:
        lines += ["", *_layer_lines(subject.cost), "", *_operator_lines(subject.cost)]
    print_lines(lines)


def _check_tables(
    sort: str | None, out: Path | None, single: str | None, models: Sequence[str], sizes: str | None
) -> None:
    from gossamer.cli._tables import check_table
    from gossamer.errors import GossamerError, nearest

    if sort is not None and sort not in SORTS:
        raise GossamerError(f"--sort is one of {', '.join(SORTS)}, got {sort!r}; {nearest(sort, SORTS)}")
    check_table(out)
    if single and (len(models) > 1 or sizes is not None or out is not None):
        raise GossamerError(
            f"{single} look at one network at one size, got {len(models)} model(s)"
            f"{'' if sizes is None else ', --sizes'}{'' if out is None else ', --out'}; measure one at a time"
        )


def _subjects(
    models: Sequence[str], input: str | None, sizes: str | None, seed: int, fused: bool, online: bool
) -> Sequence[Subject]:
    from gossamer.cli._subject import at_sizes, subject_of
    from gossamer.errors import GossamerError

    if sizes is None:
        return [subject_of(model, input, seed, fused=fused, online=online) for model in models]
    if input is not None:
        raise GossamerError(f"--sizes and --input both name the input, got {sizes!r} and {input!r}; give one")
    whole = [subject_of(model, None, seed, fused=fused, online=online) for model in models]
    return [each for subject in whole for each in at_sizes(subject, sizes)]


def _print_table(documents: Sequence[dict[str, Any]], sort: str | None, out: Path | None, json: bool) -> None:
    from gossamer.cli._tables import table_lines, write_table

    if sort is not None:
        documents = sorted(documents, key=lambda document: _row(document)[SORTS[sort]])
    rows = [_row(document) for document in documents]
    columns = [name for name in COLUMNS if any(row[name] not in (None, "") for row in rows)]
    if out is not None:
        write_table(out, columns, rows, title="What the networks cost")
    if json:
        print_json(documents)
        return
    print_lines(table_lines(columns, rows))


def _row(document: dict[str, Any]) -> dict[str, Any]:
    field = document["receptive_field"]
    return {
        **{name: document.get(name) for name in COLUMNS},
        "input": "x".join(map(str, document["input"])),
        "receptive_field": "" if field is None else "x".join(map(str, field)),
        "p50_ms": document.get("latency", {}).get("p50_ms"),
        "uncounted": " ".join(document["uncounted"]),
    }


def _cost_lines(subject: Subject) -> list[str]:
    cost = subject.cost
    field = "none" if cost.receptive_field is None else " x ".join(map(str, cost.receptive_field))
    return [
        f"{subject.name} at {'x'.join(map(str, subject.shape))}",
        f"params                    {cost.params:>14,}",
        f"macs                      {cost.macs:>14,}",
        f"elementwise operations    {cost.elementwise:>14,}",
        f"param bytes               {cost.param_bytes:>14,}",
        f"activation bytes read     {cost.activation_bytes_read:>14,}",
        f"activation bytes written  {cost.activation_bytes_written:>14,}",
        f"peak activation bytes     {cost.peak_bytes:>14,}",
        f"macs a byte moved         {cost.intensity:>14.2f}",
        f"receptive field           {field:>14}",
        f"uncounted operators       {', '.join(cost.uncounted) or 'none':>14}",
        *(f"note: {note}" for note in cost.notes),
    ]


def _latency_lines(figure: dict[str, Any] | None) -> list[str]:
    if figure is None:
        return []
    return [
        f"latency on {figure['runtime']}, {figure['threads']} thread(s), {figure['precision']}: p50 {figure['p50_ms']:.2f} ms, "
        f"p95 {figure['p95_ms']:.2f} ms over {figure['runs']} runs ({figure['state']})"
    ]


def _layer_lines(cost: Cost) -> list[str]:
    lines = [
        f"{'layer':34} {'kind':18} {'output':>16} {'params':>10} {'macs':>13} {'elementwise':>11} {'bytes':>11} "
        f"{'macs/byte':>9} {'sees':>10}"
    ]
    for layer in cost.layers:
        output = "x".join(map(str, layer.output[1:]))
        sees = "" if layer.receptive_field is None else "x".join(map(str, layer.receptive_field))
        moved = layer.bytes_read + layer.bytes_written
        lines.append(
            f"{layer.name or '(network)':34} {layer.kind:18} {output:>16} {layer.params:>10,} {layer.macs:>13,} "
            f"{layer.elementwise:>11,} {moved:>11,} {layer.intensity:>9.2f} {sees:>10}"
        )
    return lines


def _operator_lines(cost: Cost) -> list[str]:
    lines = [f"{'operator':34} {'runs':>6} {'macs':>14} {'elementwise':>12} {'bytes':>12}"]
    for operator in cost.operators:
        moved = operator.bytes_read + operator.bytes_written
        lines.append(
            f"{operator.kind:34} {operator.runs:>6} {operator.macs:>14,} {operator.elementwise:>12,} {moved:>12,}"
        )
    return lines


def _latencies(subjects: Sequence[Subject], runtime_name: str, threads: int) -> list[dict[str, Any]]:
    """All of them take turns in every round."""
    import functools
    import tempfile

    import numpy as np

    from gossamer.deploy.runtimes import get_runtime
    from gossamer.timing.latency import measure_latency

    runtime = get_runtime(runtime_name)
    runs = {}
    with tempfile.TemporaryDirectory(prefix="gossamer-measure-") as folder:
        for index, subject in enumerate(subjects):
            path = subject.file(str(Path(folder, str(index))), runtime_name)
            session = runtime.load(path, threads=threads)
            runs[str(index)] = functools.partial(session.run, np.zeros((1, *subject.shape), np.float32))
        found = measure_latency(runs, seconds=2.0, threads=threads)
    return [
        {
            "runtime": runtime_name,
            "threads": threads,
            "precision": subject.precision,
            **found[str(index)].to_json(),
        }
        for index, subject in enumerate(subjects)
    ]


def _checked_runtime(latency: str | None, profiled: bool, limited: bool, on: str) -> str | None:
    """The runtime to time, the profile's beside a profile; what cannot be is said before anything is measured."""
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.errors import GossamerError
    from gossamer.timing.profilers import subject_of

    subject_of(on)
    if limited and on != "onnxruntime":
        raise GossamerError(f"--roofline is taken on onnxruntime, got --on {on}; leave it out")
    if latency is None:
        return "onnxruntime" if profiled and on == "onnxruntime" else None
    get_runtime(latency)
    if profiled and latency != on:
        raise GossamerError(
            f"a profile and a latency are of one runtime, got --latency {latency} and --on {on}"
        )
    return latency


def _profile(
    subject: Subject, on: str, threads: int, limit: bool, new_peaks: bool
) -> tuple[dict[str, Any], list[str]]:
    """(profile and, where asked for, roofline by name; their tables)."""
    import tempfile

    from gossamer.cli._profile_tables import profile_lines, roofline_lines
    from gossamer.timing.profilers import profile_on, subject_of
    from gossamer.timing.roofline import peaks, roofline

    with tempfile.TemporaryDirectory(prefix="gossamer-measure-") as folder:
        of_network = subject_of(on) == "network"
        thing = subject.network if of_network else subject.file(folder, "onnxruntime", names=True)
        profile = profile_on(
            on, thing or subject.path, shape=(1, *subject.shape), threads=threads, layers=subject.layers
        )
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


def _checked_precision(precision: str, predicted: bool) -> Precision:
    from gossamer.errors import GossamerError, nearest
    from gossamer.timing.table.block_times import PRECISIONS

    if precision not in PRECISIONS:
        raise GossamerError(
            f"--precision is one of {', '.join(PRECISIONS)}, got {precision!r}; {nearest(precision, PRECISIONS)}"
        )
    if precision != "fp32" and not predicted:
        raise GossamerError(f"--precision is of a prediction, got {precision}; add --predict")
    return "int8" if precision == "int8" else "fp32"


def _prediction(
    subject: Subject, threads: int, precision: Precision, file: Path | None, calibrated: bool
) -> tuple[dict[str, Any], list[str]]:
    """(the prediction as JSON, its lines); blocks that the table lacks are timed now."""
    from gossamer.errors import GossamerError
    from gossamer.timing.table.latency_table import LatencyTable, Platform, default_path
    from gossamer.timing.table.predictor import calibrate, predict
    from gossamer.zoo.build import build
    from gossamer.zoo.catalogue import CATALOGUE

    if subject.network is None:
        raise GossamerError("a prediction is made of a network's blocks, got a file; time it with --latency")
    table = LatencyTable(file or default_path())
    platform = Platform.here(threads=threads, precision=precision)
    if calibrated:
        how_long = "about a minute" if precision == "fp32" else "some minutes"
        say(f"timing {len(CALIBRATED_ON)} networks and their blocks in {precision}, {how_long}")
        sizes = {name: CATALOGUE[name].input for name in CALIBRATED_ON}
        calibrate({name: (build(name), (1, 3, size, size)) for name, size in sizes.items()}, table, platform)
    found = predict(subject.network, (1, *subject.shape), table, platform)
    if found.low_ms is None or found.high_ms is None:
        spread = "no interval: never calibrated here, add --calibrate once"
    else:
        spread = f"{found.low_ms:.2f} to {found.high_ms:.2f} ms for {100 * found.coverage:.0f} % of networks"
    doubt = "; some blocks are estimates" if found.extrapolated else ""
    line = f"predicted on onnxruntime, {threads} thread(s), {precision}: {found.latency_ms:.2f} ms ({spread}{doubt})"
    return found.to_json(), [line]
