"""Findings on pictures one by one: how they are stored, what their values and sizes are, what they are called."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from gossamer.data.dataset import Dataset
from gossamer.data.findings import Finding, many, some
from gossamer.data.ranges import ValueRange, range_of
from gossamer.data.scan import Scan
from gossamer.tasks import get_task

__all__ = [
    "bad_files",
    "names_of",
    "odd_files",
    "odd_labels",
    "odd_pixels",
    "odd_sizes",
    "odd_targets",
    "value_range",
]

_SIZE_RATIO = 8.0
_UPSCALED_SIDE = 32
_DARK = 16
"""Of 255: a picture none of whose places is brighter counts as black."""
_FLAT = 1.0
"""Deviation of grey levels under which a picture counts as one colour."""
_MIXED = 4.0


def names_of(dataset: Dataset, indices: Iterable[int]) -> tuple[str, ...]:
    """Paths below the root."""
    return tuple(dataset.relative(dataset.samples[i]) for i in indices)


def bad_files(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    """One finding a file that cannot be used."""
    return [
        Finding("error", "unreadable", scan.problem, (dataset.relative(sample),))
        for sample, scan in zip(dataset.samples, scans, strict=True)
        if scan.problem is not None
    ]


def odd_files(dataset: Dataset, scans: Sequence[Scan], span: ValueRange | None) -> list[Finding]:
    """What is converted or dropped in reading, and files that are no pictures."""
    shown = "" if span is None else f"; {span.low:g} to {span.high:g} become 0 to 255"
    kinds: dict[str, tuple[str, Callable[[Scan], bool]]] = {
        "animated": (
            "more than one frame; the first is used",
            lambda s: s.header is not None and s.header.frames > 1,
        ),
        "cmyk": (
            "CMYK colours; converted to RGB",
            lambda s: s.header is not None and s.header.mode == "CMYK",
        ),
        "wide": (f"more than 8 bits a band{shown}", lambda s: s.header is not None and s.header.wide),
        "bands": (
            "a band beside red, green and blue; dropped",
            lambda s: (
                not s.hidden and s.header is not None and s.header.mode != "CMYK" and s.header.bands in (2, 4)
            ),
        ),
        "transparent": (
            "transparent places show white paper; if that band is none of opacity, read it with --bands all",
            lambda s: s.hidden > 0,
        ),
    }
    findings: list[Finding] = []
    for code, (what, test) in kinds.items():
        files = names_of(dataset, [i for i, scan in enumerate(scans) if test(scan)])
        if files:
            which = files[0] if len(files) == 1 else f"{len(files):,} pictures ({some(files)})"
            findings.append(Finding("warning", code, f"{which}: {what}", files))
    return findings + _hollow(dataset, scans) + _ignored(dataset)


def _hollow(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    hollow = [i for i, scan in enumerate(scans) if scan.empty]
    if not hollow:
        return []
    files = names_of(dataset, hollow)
    most = max(scans[i].empty for i in hollow)
    message = (
        f"{many(files, 'picture has', 'pictures have')} places without data (up to {most:.0%}), which take the mean of "
        f"their band: {some(files)}"
    )
    return [Finding("warning", "no-data", message, files)]


def _ignored(dataset: Dataset) -> list[Finding]:
    if not dataset.ignored:
        return []
    files = tuple(path.relative_to(dataset.root).as_posix() for path in dataset.ignored)
    message = f"{many(files, 'file is', 'files are')} no pictures by name: {some(files)}"
    return [Finding("note", "ignored", message, files)]


def odd_targets(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    """What the task says of its targets, in pictures of these sizes."""
    sizes = [scan.shown for scan in scans]
    names = names_of(dataset, range(len(dataset.samples)))
    remarks = get_task(dataset.task).remarks(dataset.targets, dataset.labels, sizes, names)
    return [Finding(remark.severity, remark.code, remark.message) for remark in remarks]


def odd_labels(dataset: Dataset) -> list[Finding]:
    """Labels that a person takes for one: they differ in case, or in how an accent is stored."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in dataset.labels:
        alike[unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())].append(label)
    findings: list[Finding] = []
    for labels in alike.values():
        if len(labels) > 1:
            encoded = len({unicodedata.normalize("NFC", label) for label in labels}) < len(labels)
            how = "by how accents are stored (NFC and NFD)" if encoded else "in case alone"
            message = f"{' and '.join(map(repr, labels))} differ {how} and count as {len(labels)} of the labels; give them one name"
            findings.append(Finding("error", "same-name", message))
    return findings


def value_range(scans: Sequence[Scan]) -> ValueRange | None:
    """Black and white of the pictures of more than 8 bits, together; None where there are none."""
    levels = [scan.levels for scan in scans if scan.levels is not None]
    return range_of(levels) if levels else None


def odd_pixels(dataset: Dataset, scans: Sequence[Scan], span: ValueRange | None) -> list[Finding]:
    """Pictures that show nothing: black, of one colour, or of other units than the rest."""
    dark = [i for i, scan in enumerate(scans) if _is_dark(scan, span)]
    flat = [i for i, scan in enumerate(scans) if scan.thumbnail.std() < _FLAT and i not in set(dark)]
    findings: list[Finding] = []
    for code, found, what in (
        ("dark", dark, "nearly black: look at them, their values may lie in another range than is read"),
        ("flat", flat, "nearly of one colour: nothing can be learned from them"),
    ):
        if found:
            files = names_of(dataset, found)
            message = f"{many(files, 'picture is', 'pictures are')} {what}; {some(files)}"
            findings.append(Finding("warning", code, message, files))
    return findings + _mixed(dataset, scans)


def _is_dark(scan: Scan, span: ValueRange | None) -> bool:
    if scan.levels is not None and span is not None:
        return scan.levels.high < span.low + (span.high - span.low) * _DARK / 255
    return scan.header is not None and bool(scan.thumbnail.max() < _DARK) and not scan.empty


def _mixed(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    """Whole numbers beside real ones of another range: one range cannot fit both."""
    levels = [(i, scan.levels) for i, scan in enumerate(scans) if scan.levels is not None]
    whole, real = ([(i, each) for i, each in levels if each.whole is kind] for kind in (True, False))
    if not whole or not real:
        return []
    tops = [range_of([each for _, each in part]).high for part in (whole, real)]
    if max(tops) < _MIXED * min(tops):
        return []
    files = names_of(dataset, [i for i, _ in real])
    message = (
        f"{many(whole, 'picture holds', 'pictures hold')} whole numbers up to {tops[0]:g} and {len(real):,} real ones up to "
        f"{tops[1]:g} ({some(files)}): they are read by one range; bring them to one unit"
    )
    return [Finding("error", "mixed-range", message, files)]


def odd_sizes(dataset: Dataset, scans: Sequence[Scan]) -> list[Finding]:
    """Sides that differ much, are tiny, or are far from square."""
    sides = [min(s.header.size) for s in scans if s.header is not None]
    findings: list[Finding] = []
    if max(sides) / min(sides) >= _SIZE_RATIO:
        message = f"short sides run from {min(sides)} to {max(sides)} pixels: objects differ in scale; sort or cut them alike"
        findings.append(Finding("warning", "sizes", message))
    tiny = names_of(dataset, [i for i, side in enumerate(sides) if side < _UPSCALED_SIDE])
    if tiny:
        message = (
            f"{many(tiny, 'picture has', 'pictures have')} a side under {_UPSCALED_SIDE} pixels: {some(tiny)}"
        )
        findings.append(Finding("warning", "tiny-picture", message, tiny))
    long = [
        i for i, s in enumerate(scans) if s.header is not None and max(s.header.size) > 3 * min(s.header.size)
    ]
    if long:
        files = names_of(dataset, long)
        message = f"{many(files, 'picture is', 'pictures are')} over three times as long as wide, the ends are cut: {some(files)}"
        findings.append(Finding("warning", "long", message, files))
    return findings
