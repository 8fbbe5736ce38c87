"""Writes docs/explanation/guidelines.md and its picture: python -m tools.guidelines_page [docs folder].

All figures, and what the sentences say of them, come from docs/assets/guidelines.json, which
`python -m benchmarks.guidelines --out docs/assets/guidelines.json` writes. The same input gives the same bytes; a test
holds the committed files against a new run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gossamer._files import write_text
from tools.guidelines_chart import chart
from tools.guidelines_data import NOTICEABLE, Measured, Network, Series, Status, Verdict, read, verdict

DOCS = Path(__file__).resolve().parents[1] / "docs"
JSON, PAGE, PICTURE = "assets/guidelines.json", "explanation/guidelines.md", "assets/guidelines.svg"
"""Below the docs folder."""
TITLES = {
    "G1": "equal channel widths",
    "G2": "few groups",
    "G3": "little fragmentation",
    "G4": "few elementwise operations",
    "G5": "widths that fill the vector",
}
CLAIMS = {
    "G1": "A 1x1 convolution moves the fewest bytes when it has as many inputs as outputs. Ten blocks of two 1x1 convolutions, c1 to c2 to c1 channels; c1:c2 varies.",
    "G2": "More groups need wider maps for the same macs, so more bytes are moved. Ten 1x1 convolutions in g groups.",
    "G3": "Many small operators are slower than one large one. Ten blocks of one to four 1x1 convolutions, one after the other (series) or summed side by side (parallel).",
    "G4": "Activations and additions have next to no macs but move bytes. A runtime can fuse both into the convolution before them. Ten bottlenecks (1x1, 3x3, 1x1) behind a stem, with and without an activation and a shortcut. The paper has ReLU; Hardswish is a costlier activation of later networks.",
    "G5": "Not of the paper. ONNX Runtime's blocked layout on AVX-512 keeps 16 channels together. Ten 1x1 convolutions, or ten pairs of a 1x1 and a depthwise 3x3, at widths beside multiples of 16. Here macs differ, so time a mac counts.",
}
INTRO = """# Guidelines, measured

ShuffleNet V2 (Ma et al. 2018, [arXiv 1807.11164](https://arxiv.org/abs/1807.11164), section 3) gives four guidelines for networks that are fast, not only small in macs. Each is a statement about networks of *equal macs*, so it can be tested: build them as in the paper's tables 1 to 4, export, and time them in the same rounds. A fifth guideline, about widths, is ours.

| guideline | series | here |
|---|---|---|
{summary}

![Time of networks of equal macs over that of the first of their group](../assets/guidelines.svg)

The words come from the intervals: a network is *slower* where its whole interval lies above {slower:g}. A guideline *holds* where all networks behind the first are slower, *holds in part* where some are. The paper's widths are seldom multiples of 16; the series "full vectors" repeats a guideline with multiples of 16 only, and shows what is left of it.
"""
END = """
## How it was measured

{runtime} {version} on {machine} ({instructions}), {precision}, {date}, `{command}`. One picture of {side}x{side}, random values and weights; the mean over pixels ends each network. All networks of a table take turns in {rounds} rounds, {seconds:g} s each; ratio and interval are those of [`bench --compare`](measuring.md#latency). {clean} of {count} figures are clean{flagged}.

`ran` is what the runtime computes, over the counted macs: it fills channels up to its block. `blocked` is the share of convolutions in its blocked layout; the others run in the plain one, where depthwise convolutions are slow. Both are read from the graph as the runtime rewrites it.

Other processors and runtimes differ. To test yours:

```
python -m benchmarks.guidelines --threads 1 --out docs/assets/guidelines.json
python -m tools.guidelines_page
```
"""


def write(docs: Path) -> None:
    """Write the page and its picture below a docs folder, from the JSON in its assets."""
    measured = read(docs / JSON)
    write_text(docs / PICTURE, f"{chart(measured, TITLES)}\n")
    write_text(docs / PAGE, page(measured))


def page(measured: Measured) -> str:
    """The whole page in Markdown."""
    sections = [line for guideline in TITLES for line in _section(guideline, measured)]
    intro = INTRO.format(summary="\n".join(_summary(measured)), slower=1 + NOTICEABLE)
    return "\n".join([intro, *sections]) + _end(measured)


def _summary(measured: Measured) -> Iterator[str]:
    for guideline, title in TITLES.items():
        for series in measured.of(guideline, measured.threads[0]):
            yield f"| {guideline} {title} | {series.series} | {verdict(series).status}; {_range(series)} |"


def _range(series: Series) -> str:
    """The extremes of a series."""
    per_mac = series.guideline == "G5"
    values = [one.per_mac if per_mac else one.ratio for one in series.others]
    return f"{min(values):.2f} to {max(values):.2f} times the time{' a mac' * per_mac}"


def _section(guideline: str, measured: Measured) -> Iterator[str]:
    first, *more = measured.threads
    yield f"## {guideline} {TITLES[guideline]}\n"
    yield f"{CLAIMS[guideline]}\n"
    found = measured.of(guideline, first)
    for series in found:
        words = _snap_sentence(series) if guideline == "G5" else _sentence(series)
        yield f"**{series.series[:1].upper() + series.series[1:]}**: {words}{''.join(_on(series, measured, n) for n in more)}\n"
        yield from _table(series, [_same(series, measured, threads) for threads in more])
        yield ""
    if [series.series for series in found] == ["paper's widths", "full vectors"]:
        yield f"{_together(found)}\n"


# --- sentences ------------------------------------------------------------------------------------


def _sentence(series: Series) -> str:
    found = verdict(series)
    base = series.base_of(series.others[0])
    parts = []
    for networks in (found.slower, found.faster):
        if networks:
            first, *others = networks
            times = ", ".join([f"{first.short} takes {first.ratio:.2f}", *map(_short_ratio, others)])
            parts.append(f"{times} times as long as {base.short}")
    if found.same:
        parts.append(
            f"no sure difference above {100 * NOTICEABLE:.0f} % for {', '.join(map(_short_ratio, found.same))}"
        )
    return f"{_label(found.status)}: {'; '.join(parts)}.{_why(series, found)}"


def _short_ratio(network: Network) -> str:
    return f"{network.short} {network.ratio:.2f}"


def _why(series: Series, found: Verdict) -> str:
    """What the runtime did differently with the slower ones."""
    left = [one for one in found.slower if one.blocked < series.base_of(one).blocked]
    filled = [one for one in found.slower if one not in left and one.ran_macs > (1 + NOTICEABLE) * one.macs]
    words = ""
    if left:
        words += f" Outside the blocked layout: {', '.join(one.short for one in left)}."
    if filled:
        amounts = ", ".join(f"{one.short} ({one.ran_macs / one.macs:.2f} times its macs)" for one in filled)
        words += f" With channels filled up: {amounts}."
    return words


def _together(found: Sequence[Series]) -> str:
    """What the paper's widths and the full vectors say together."""
    paper, full = (verdict(series) for series in found)
    if not paper.slower:
        return "With the paper's widths no network is slower, so full vectors have nothing to explain."
    if not full.slower:
        return "With full vectors the effect is gone: on this runtime the widths cost, not what the guideline names."
    most = [max(one.ratio for one in each.slower) for each in (paper, full)]
    return (
        f"With full vectors an effect stays: up to {most[1]:.2f} times, where the paper's widths show up to "
        f"{most[0]:.2f}. So the guideline is not about widths alone."
    )


def _snap_sentence(series: Series) -> str:
    worst = max(series.others, key=lambda one: one.per_mac)
    words = (
        f"{_label(verdict(series).status)}: the worst width is {worst.name}: {worst.per_mac:.2f} times the time a mac of "
        f"{worst.base}."
    )
    above = [one for one in series.others if int(one.name) == int(one.base) + 1]
    steps = ", ".join(
        f"{one.base} to {one.name} {100 * (one.ratio - 1):+.0f} % time for {100 * (one.macs_ratio - 1):+.0f} % macs"
        for one in above
    )
    more = f" One channel too many: {steps}." if above else ""
    return f"{words}{more}{_why(series, verdict(series))}"


def _on(series: Series, measured: Measured, threads: int) -> str:
    """The same on more threads, in short."""
    same = _same(series, measured, threads)
    if same is None:
        return ""
    return f" On {threads} threads it {verdict(same).status} ({_range(same)})."


def _same(series: Series, measured: Measured, threads: int) -> Series | None:
    return next((one for one in measured.of(series.guideline, threads) if one.series == series.series), None)


def _label(status: Status) -> str:
    return {
        "holds": "Holds here",
        "holds in part": "Holds here in part",
        "does not hold": "Does not hold here",
        "is reversed": "The reverse holds here",
        "is mixed": "Mixed here",
    }[status]


# --- tables ---------------------------------------------------------------------------------------


def _table(series: Series, more: Sequence[Series | None]) -> Iterator[str]:
    others = [one for one in more if one is not None]
    heads = [
        "network",
        "MMAC",
        "ran",
        "blocked",
        "ms",
        "ratio",
        "interval",
        *(["a mac"] if series.guideline == "G5" else []),
        *(f"ratio, {one.threads} threads" for one in others),
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|---:' * (len(heads) - 1)}|"
    for index, network in enumerate(series.networks):
        yield f"| {' | '.join(_cells(network, series.guideline, [one.networks[index] for one in others]))} |"


def _cells(network: Network, guideline: str, more: Sequence[Network]) -> Iterator[str]:
    yield network.name
    yield f"{network.macs / 1e6:.1f}"
    yield f"{network.ran_macs / network.macs:.2f}"
    yield f"{100 * network.blocked:.0f} %"
    yield f"{network.p50_ms:.2f}"
    yield f"{network.ratio:.2f}{_star(network)}"
    yield f"{network.low:.2f} to {network.high:.2f}"
    if guideline == "G5":
        yield f"{network.per_mac:.2f}"
    yield from (f"{one.ratio:.2f}{_star(one)}" for one in more)


def _star(network: Network) -> str:
    return "" if network.state == "clean" else " (flagged)"


def _end(measured: Measured) -> str:
    figures = [network for group in measured.groups for network in group.networks]
    clean = sum(one.state == "clean" for one in figures)
    setting = {**measured.setting, "instructions": ", ".join(measured.setting["instructions"])}
    flagged = "" if clean == len(figures) else "; the others are marked"
    return END.format(**setting, clean=clean, count=len(figures), flagged=flagged)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
