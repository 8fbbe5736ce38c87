"""Writes docs/reference/zoo.md and its two pictures: python -m tools.zoo_page [docs folder].

Figures come from the catalogue, counted.csv and, for latency, from what `python -m tools.measure_zoo` wrote. The
same input gives the same bytes; a test holds the committed files against a new run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gossamer.types import format_quantity
from gossamer.zoo.rows import AtInput, Row, percent, rows, short
from tools.measure_zoo import CSV, SIDE, Setting, Timed, read_setting, read_timed
from tools.zoo_chart import Mark, scatter

DOCS = Path(__file__).resolve().parents[1] / "docs"
LABELLED = (
    "alexnet",
    "vgg16",
    "googlenet",
    "resnet50",
    "densenet121",
    "squeezenet_1.1",
    "mobilenet_v1",
    "mobilenet_v1_0.25",
    "mobilenet_v2",
    "mobilenet_v2_0.35",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v4_conv_small",
    "mobilenet_v4_conv_medium",
    "mobilenet_v4_conv_large",
    "shufflenet_v1_g8_0.25",
    "shufflenet_v2_0.5",
    "shufflenet_v2_1.0",
    "efficientnet_b0",
    "efficientnet_b3",
    "efficientnet_b7",
    "efficientnet_lite4",
    "lcnet_0.25",
    "ghostnet_0.5",
    "ghostnet_1.0",
    "mnasnet_a1_0.35",
    "starnet_s4",
    "mixnet_l",
    "mobileone_s0_deploy",
    "repvgg_a0_deploy",
    "regnet_x_200mf",
    "xception",
    "espnet_v2_0.5",
)
"""The networks that are named in the pictures where there is room, the first first."""

INTRO = """# Zoo

{count} networks of {families} families, of which {sized} have a published figure to be held against. Page and pictures are written by `python -m tools.zoo_page` from the catalogue; `gossamer zoo` prints the same figures.

**Counted.** `params` are the learnable numbers, batch norms included, and `macs` the multiply-accumulates of convolutions and matrix products ([definitions](../explanation/measuring.md#counted)), with 3 bands and the entry's number of classes, at `input` x `input` pixels.

**Published** is what the named source says: often rounded, sometimes counted by other rules. `deviation` is counted / published - 1, in percent, params first. A number in the column `note` leads to the reason under the table. Top-1 is on ImageNet unless the source says otherwise; it is quoted, not measured here, and belongs to the weights and the training of its authors.

**Weights** are the sources a network can be filled from, as `NAME@torchvision`. `gossamer zoo NAME` also names the weight files it knows the arguments for.

To choose among them:

```
gossamer zoo --within "macs<=300M, params<=5M, accuracy>=70%" --sort top1
gossamer zoo --family MobileNetV3
gossamer zoo mobilenet_v3_small
```

The last shows one network with its stages. All options: [Command line](cli.md#zoo).
"""

MACS = """
## Accuracy and macs

![Published ImageNet top-1 of {count} networks over macs](../assets/zoo-macs.svg)

Every network with a published ImageNet top-1, each at its own input. A line joins those of a family that no cheaper one of it beats. Of a network that is re-parameterised for deployment only the deployed form is shown. Marks to the upper left are the better ones, but accuracies come from different training recipes, ten years apart; a point or two says little.
"""

LATENCY = """
## Accuracy and latency

![Published ImageNet top-1 of {count} networks over measured latency](../assets/zoo-latency.svg)

Median time of one picture at the network's own input through the exported file: {runtime} {version}, fp32, {threads}, random weights, on {machine}, {date}. The machine was shared with other work; {clean} of {timed} figures are [clean](../explanation/measuring.md#latency): other processes used at most a quarter of the cores meanwhile. Flagged ones were measured again. Networks of at most {limit} macs. All figures with their states: [zoo-latency.csv](../assets/zoo-latency.csv). Order and distances differ on other processors: `gossamer measure NAME --latency onnxruntime` times a network on yours.
"""


def write(docs: Path) -> None:
    """Write the page and its pictures below a docs folder; the latency is read from its assets."""
    found = rows()
    timed, setting = read_timed(docs / CSV), read_setting(docs / SIDE)
    shown = charted(found)
    by_name = {one.name: one for one in timed}
    macs = [Mark(row.name, row.entry.family, row.own.macs / 1e6, top1) for row, top1 in shown]
    latency = [
        Mark(row.name, row.entry.family, by_name[row.name].p50_ms, top1)
        for row, top1 in shown
        if row.name in by_name
    ]
    families = list(dict.fromkeys(mark.family for mark in macs))
    for name, title, cost_name, marks in (
        ("macs", "Published top-1 over macs", "macs, millions", macs),
        ("latency", "Published top-1 over latency", f"latency, ms, {setting.threads_text}", latency),
    ):
        picture = scatter(title, cost_name, marks, families=families, labelled=LABELLED)
        _put(docs / f"assets/zoo-{name}.svg", picture)
    parts = [
        INTRO.format(
            count=len(found),
            families=len({row.entry.family for row in found}),
            sized=sum(row.own.published is not None for row in found),
        ),
        MACS.format(count=len(macs)),
        _latency(timed, setting, len(latency)),
        *_tables(found),
    ]
    _put(docs / "reference/zoo.md", "".join(parts).rstrip("\n"))


def charted(found: Sequence[Row]) -> list[tuple[Row, float]]:
    """The rows with their ImageNet top-1, without the trained forms whose deployed form has one."""
    known = {row.name: row.imagenet_top1 for row in found}
    return [
        (row, row.imagenet_top1)
        for row in found
        if row.imagenet_top1 is not None and known.get(f"{row.name}_deploy") is None
    ]


def _latency(timed: Sequence[Timed], setting: Setting, shown: int) -> str:
    return LATENCY.format(
        count=shown,
        runtime=setting.runtime,
        version=setting.version,
        threads=setting.threads_text,
        machine=setting.machine,
        date=setting.date,
        clean=sum(one.state == "clean" for one in timed),
        timed=len(timed),
        limit=format_quantity("macs", setting.macs_limit),
    )


# --- tables ---------------------------------------------------------------------------------------


def _tables(found: Sequence[Row]) -> Iterator[str]:
    light = [row for row in found if not row.entry.baseline]
    yield "\n## Lightweight networks\n"
    yield from _families(light)
    yield "\n## Baselines\n\nWhat the others are held against. `fit` does not choose among them.\n"
    yield from _families([row for row in found if row.entry.baseline])


def _families(found: Sequence[Row]) -> Iterator[str]:
    for family in dict.fromkeys(row.entry.family for row in found):
        yield _family(family, [row for row in found if row.entry.family == family])


def _family(name: str, family: Sequence[Row]) -> str:
    notes = list(dict.fromkeys(row.entry.note for row in family if row.entry.note))
    papers = ", ".join(dict.fromkeys(row.entry.paper for row in family))
    lines = [
        "",
        f"### {name}",
        "",
        f"{papers}. {_sources(family)}",
        "",
        "| name | input | params | macs | published params | published macs | top-1 | deviation | note | weights |",
        "|---|---:|---:|---:|---:|---:|---:|---|---|---|",
        *(_line(row, notes) for row in family),
    ]
    if notes:
        lines += ["", *(f"{index}. {note}" for index, note in enumerate(notes, 1))]
    if any(row.resolutions for row in family):
        lines += ["", "At other inputs:", "", *_resolutions(family)]
    return "\n".join(lines) + "\n"


def _sources(family: Sequence[Row]) -> str:
    """Where the published figures stand; names beside a source where not all have the same."""
    by_source: dict[str, list[str]] = {}
    for row in family:
        if row.own.published is not None:
            by_source.setdefault(row.own.published.source, []).append(f"`{row.name}`")
    if len(by_source) == 1:
        return f"Published: {next(iter(by_source))}."
    first, *others = sorted(by_source.items(), key=lambda item: -len(item[1]))
    exceptions = "; ".join(f"{', '.join(names)}: {source}" for source, names in others)
    return f"Published: {first[0]}; but {exceptions}."


def _line(row: Row, notes: Sequence[str]) -> str:
    cells = (
        f"`{row.name}`",
        str(row.own.input),
        short(row.own.params),
        short(row.own.macs),
        *_published(row.own),
        _deviation(row.own),
        str(notes.index(row.entry.note) + 1) if row.entry.note else "",
        ", ".join(row.entry.weights),
    )
    return f"| {' | '.join(cells)} |"


def _resolutions(family: Sequence[Row]) -> Iterator[str]:
    yield "| name | input | macs | published macs | top-1 | deviation of macs |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in family:
        for at in row.resolutions:
            _, macs, top1 = _published(at)
            deviation = percent(at.macs_deviation, sign=True)
            yield f"| `{row.name}` | {at.input} | {short(at.macs)} | {macs} | {top1} | {deviation} |"


def _published(at: AtInput) -> tuple[str, str, str]:
    if at.published is None:
        return "", "", ""
    params, macs = at.published.params, at.published.macs
    return (
        "" if params is None else format_quantity("params", params),
        "" if macs is None else format_quantity("macs", macs),
        "" if at.top1 is None else percent(at.top1),
    )


def _deviation(at: AtInput) -> str:
    if at.params_deviation is None and at.macs_deviation is None:
        return ""
    return f"{percent(at.params_deviation, sign=True)}, {percent(at.macs_deviation, sign=True)}"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
