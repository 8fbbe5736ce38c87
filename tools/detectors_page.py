"""Writes the tables and the picture of docs/explanation/detectors.md: python -m tools.detectors_page [--measure] [docs folder].

With --measure every detector of the catalogue is exported with random weights and timed on this machine first, some at a
time in turns: docs/assets/detectors.csv, and beside it in JSON what it was measured with. What a detector is made of is
read off the network that is built; figures are those of the catalogue.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gossamer._files import write_json, write_text
from gossamer.zoo.rows import Row, rows, short
from tools.measure_zoo import DOCS, Setting, read_setting, setting
from tools.zoo_chart import Mark, scatter

PAGE, PICTURE = "explanation/detectors.md", "assets/detectors.svg"
CSV, SIDE = "assets/detectors.csv", "assets/detectors.json"
"""Below the docs folder."""
SECONDS, GROUP = 0.6, 6
"""What is spent on a detector, and how many take turns."""


BACKBONES = (
    ("yolox", "CSPDarknet"),
    ("v5_style", "CSPDarknet"),
    ("nanodet", "ShuffleNetV2"),
    ("fastestdet", "ShuffleNetV2"),
    ("yolo_fastest", "inverted residuals of darknet"),
    ("yolov3_tiny", "tiny darknet"),
    ("micro_yolo", "tiny darknet"),
    ("yolo_nano", "YOLO Nano"),
    ("picodet", "ESNet"),
    ("efficientdet_lite", "EfficientNet-Lite"),
    ("efficientdet", "EfficientNet"),
    ("ssdlite_mobilenet_v1", "MobileNetV1"),
    ("ssdlite_mobilenet_v2", "MobileNetV2"),
    ("ssdlite_mobilenet_v3", "MobileNetV3"),
    ("ssdlite_ghostnet", "GhostNet"),
    ("thundernet", "SNet"),
)
"""How a detector's name begins, and what its paper calls the backbone."""


class Timed(NamedTuple):
    """One line of the table of times."""

    name: str
    input: int
    cpu_ms: float
    p50_ms: float
    state: str


class Front(NamedTuple):
    """A detector with published AP and a time of ours."""

    row: Row
    ap: float
    cpu_ms: float
    best: bool
    """Whether none that takes no longer has as much AP."""


def read_timed(docs: Path) -> dict[str, Timed]:
    """The times by name."""
    lines = csv.DictReader((docs / CSV).read_text(encoding="utf-8").splitlines())
    return {
        line["name"]: Timed(
            line["name"], int(line["input"]), float(line["cpu_ms"]), float(line["p50_ms"]), line["state"]
        )
        for line in lines
    }


def front(found: Sequence[Row], timed: Mapping[str, Timed]) -> list[Front]:
    """Detectors with published AP, fastest first."""
    pairs = [
        (row, row.average_precision, timed[row.name].cpu_ms)
        for row in found
        if row.average_precision is not None and row.name in timed
    ]
    most, entries = 0.0, []
    for row, ap, cpu_ms in sorted(pairs, key=lambda pair: (pair[2], -(pair[1] or 0.0))):
        assert ap is not None
        entries.append(Front(row, ap, cpu_ms, ap > most))
        most = max(most, ap)
    return entries


def measure(docs: Path) -> None:
    """Time all of them; the files are thrown away."""
    found, timed = rows("detect"), []
    with tempfile.TemporaryDirectory(prefix="gossamer-detectors-") as folder:
        for start in range(0, len(found), GROUP):
            timed += _group(found[start : start + GROUP], Path(folder))
            sys.stderr.write(f"{min(start + GROUP, len(found))} of {len(found)}\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Timed._fields)
    writer.writerows(timed)
    write_json(docs / SIDE, setting()._asdict())
    write_text(docs / CSV, text.getvalue())


def _group(group: Sequence[Row], folder: Path) -> list[Timed]:
    import numpy as np

    from gossamer.deploy.runtimes import get_runtime
    from gossamer.runs.model import open_model
    from gossamer.timing.latency import measure_latency

    runtime, runs = get_runtime("onnxruntime"), {}
    for row in group:
        model = open_model(row.name)
        path = folder / f"{row.name}.onnx"
        runtime.export(model.network, model.contract, path, outputs=model.task.outputs)
        session = runtime.load(path, threads=1)
        path.unlink()
        noise = np.random.default_rng(0).standard_normal(model.contract.shape, dtype=np.float32)
        runs[row.name] = lambda session=session, noise=noise: session.run(noise)
    figures = measure_latency(runs, seconds=SECONDS, threads=1)
    return [
        Timed(
            row.name,
            row.own.input,
            round(figures[row.name].cpu_ms, 3),
            round(figures[row.name].p50_ms, 3),
            figures[row.name].state,
        )
        for row in group
    ]


def parts_table(found: Sequence[Row]) -> Iterator[str]:
    """What each is made of, one line a detector; sizes of one network share a line."""
    yield "| detector | backbone | neck | head | coder | assigner | losses |"
    yield "|---|---|---|---|---|---|---|"
    lines: dict[str, list[str]] = {}
    for row in found:
        lines.setdefault(_parts(row.name), []).append(f"`{row.name}`")
    for parts, names in lines.items():
        yield f"| {', '.join(names)} | {parts} |"


def _parts(name: str) -> str:
    import torch

    from gossamer.zoo.build import build

    with torch.device("meta"):
        network = build(name)
    criterion = dict(network.criterion)
    losses = [
        f"{key} {criterion[key]}"
        for key in ("class", "objectness", "box")
        if isinstance(criterion.get(key), str)
    ]
    losses += ["dfl"] if criterion.get("dfl") else []
    cells = [
        _backbone(name),
        "its own" if name == "yolo_nano" else type(network.neck).__name__,
        type(network.head).__name__,
        type(network.coder).__name__,
        str(criterion.get("assigner", "")).replace("_", " "),
        ", ".join(losses).replace("_", " "),
    ]
    return " | ".join(cells)


def _backbone(name: str) -> str:
    """What it is called in the paper."""
    return next(words for prefix, words in BACKBONES if name.startswith(prefix))


def figures_table(found: Sequence[Row], timed: Mapping[str, Timed]) -> Iterator[str]:
    """Cost, published AP and our time, fastest first; the front in bold."""
    best = {entry.row.name for entry in front(found, timed) if entry.best}
    yield "| detector | input | params | macs | FLOPs (2 x macs) | published AP | ms | AP a ms |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in sorted(found, key=lambda row: timed[row.name].cpu_ms):
        name = f"**{row.name}**" if row.name in best else row.name
        cpu_ms, ap = timed[row.name].cpu_ms, row.average_precision
        figures = ("", "") if ap is None else (f"{100 * ap:.1f}", f"{100 * ap / cpu_ms:.1f}")
        yield (
            f"| {name} | {row.own.input} | {short(row.own.params)} | {short(row.own.macs)} | {short(2 * row.own.macs)} | "
            f"{figures[0]} | {cpu_ms:.1f} | {figures[1]} |"
        )


def picture(found: Sequence[Row], timed: Mapping[str, Timed], measured: Setting) -> str:
    """Published AP over our time."""
    entries = front(found, timed)
    marks = [Mark(entry.row.name, entry.row.entry.family, entry.cpu_ms, entry.ap) for entry in entries]
    labelled = [entry.row.name for entry in sorted(entries, key=lambda entry: not entry.best)]
    return str(
        scatter(
            "Published AP over measured time",
            f"ms of processor, {measured.runtime}, fp32, {measured.threads_text}",
            marks,
            families=sorted({mark.family for mark in marks}),
            labelled=labelled,
            figure="COCO AP, published",
            overall=True,
        )
    )


def page(docs: Path) -> str:
    """The page with its tables written anew between their marks."""
    found, timed, measured = rows("detect"), read_timed(docs), read_setting(docs / SIDE)
    text = (docs / PAGE).read_text(encoding="utf-8")
    busy = sum(one.state != "clean" for one in timed.values())
    machine = (
        f"{measured.machine}; {measured.runtime} {measured.version}, {measured.precision}, {measured.threads_text}, "
        f"{measured.date}. {busy} of {len(timed)} times are flagged: other work ran beside."
    )
    for mark, lines in (
        ("parts", parts_table(found)),
        ("machine", iter([machine])),
        ("figures", figures_table(found, timed)),
    ):
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        after = rest.partition(f"<!-- end of {mark} -->")[2]
        text = f"{before}<!-- {mark} -->\n" + "\n".join(lines) + f"\n<!-- end of {mark} -->{after}"
    return text


def main(arguments: Sequence[str]) -> None:
    """Measure where asked, then write page and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="time all detectors on this machine first")
    parser.add_argument("docs", nargs="?", type=Path, default=DOCS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.docs)
    text = page(options.docs)
    drawn = picture(rows("detect"), read_timed(options.docs), read_setting(options.docs / SIDE))
    write_text(options.docs / PAGE, text)
    write_text(options.docs / PICTURE, drawn)


if __name__ == "__main__":
    main(sys.argv[1:])
