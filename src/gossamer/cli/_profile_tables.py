"""Tables of a profile and of its limits, for `gossamer measure --profile` and `--roofline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer.errors import GossamerError

if TYPE_CHECKING:
    from gossamer.deploy.runtimes.node_times import NodeTime, Profile
    from gossamer.timing.roofline import NodeBound, Roofline

__all__ = ["check_picture", "profile_lines", "roofline_lines", "write_picture"]

SLOWEST = 10
_NAME = 40


def profile_lines(profile: Profile, counted_macs: int) -> Iterator[str]:
    """Where the time goes: by operator, then the slowest nodes."""
    yield from _run_lines(profile, counted_macs)
    yield ""
    yield f"{'operator':22} {'nodes':>5} {'ms':>9} {'share':>7} {'macs':>14} {'bytes':>12} {'GMAC/s':>7} {'GB/s':>6}"
    for total in profile.operators():
        yield (
            f"{total.kind:22} {total.nodes:>5} {total.ms:>9.3f} {100 * total.share:>5.1f} % {total.macs:>14,} "
            f"{total.bytes_moved:>12,} {_rate(total.macs, total.ms):>7} {_rate(total.bytes_moved, total.ms):>6}"
        )
    yield ""
    yield from _nodes(profile)


def _run_lines(profile: Profile, counted_macs: int) -> Iterator[str]:
    """What ran, and what of it is not known."""
    macs = sum(node.macs for node in profile.nodes)
    yield (
        f"{len(profile.nodes)} nodes ran in {profile.ms:.2f} ms (median of the faster half of {profile.runs} runs, "
        f"{profile.threads} thread(s))"
    )
    more = f", {100 * (macs / counted_macs - 1):+.0f} % against those counted" if counted_macs else ""
    yield f"macs that ran {macs:,}{more}"
    unmatched = [node for node in profile.nodes if node.layer is None]
    if unmatched:
        share = sum(node.ms for node in unmatched) / profile.ms if profile.ms else 0.0
        kinds = ", ".join(sorted({node.kind for node in unmatched}))
        yield f"{len(unmatched)} nodes belong to no layer: {kinds} ({100 * share:.1f} % of the time)"
    if profile.uncounted:
        yield f"macs not counted: {', '.join(profile.uncounted)}"


def _nodes(profile: Profile) -> Iterator[str]:
    yield f"{'slowest nodes':{_NAME}} {'operator':16} {'ms':>8} {'macs':>13} {'bytes':>11}"
    for node in sorted(profile.nodes, key=lambda each: -each.ms)[:SLOWEST]:
        yield f"{_name(node):{_NAME}} {node.kind:16} {node.ms:>8.3f} {node.macs:>13,} {node.bytes_moved:>11,}"


def roofline_lines(profile: Profile, roofline: Roofline) -> Iterator[str]:
    """The limit: peaks, the whole network, and the slowest nodes against their bound."""
    peaks, whole = roofline.peaks, roofline.network
    yield (
        f"peaks of this machine ({peaks.runtime}, {peaks.threads} thread(s), measured {peaks.date}): "
        f"product {peaks.gemm_gmacs:.1f}, convolution {peaks.convolution_gmacs:.1f}, "
        f"int8 product {peaks.int8_gmacs:.1f} GMAC/s; memory {peaks.bandwidth_gbs:.1f} GB/s"
    )
    distance = "" if whole.distance is None else f", {whole.distance:.2f} times its bound"
    yield (
        f"the network: {whole.ms:.2f} ms measured{distance} (sum over nodes {whole.bound_ms:.2f} ms; "
        f"arithmetic alone {whole.compute_ms:.2f} ms, memory alone {whole.memory_ms:.2f} ms)"
    )
    yield whole.hint
    yield ""
    yield f"{'slowest nodes':{_NAME}} {'ms':>8} {'bound ms':>8} {'by':>8} {'distance':>8}  what would help"
    pairs = sorted(zip(profile.nodes, roofline.nodes, strict=True), key=lambda pair: -pair[0].ms)
    for node, bound in pairs[:SLOWEST]:
        yield (
            f"{_name(node):{_NAME}} {node.ms:>8.3f} {bound.bound_ms:>8.3f} {bound.binds:>8} "
            f"{_distance(bound):>8}  {bound.hint}"
        )


def _distance(bound: NodeBound) -> str:
    return "-" if bound.distance is None else f"{bound.distance:.2f}"


def _name(node: NodeTime) -> str:
    name = node.layer or node.name
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]


def _rate(amount: int, ms: float) -> str:
    """10^9 a second."""
    return f"{amount / ms / 1e6:.1f}" if amount and ms else "-"


def check_picture(picture: Path | None) -> None:
    """Complain before anything is measured.

    Raises:
        GossamerError: the name does not end in .svg.
    """
    if picture is not None and picture.suffix.lower() != ".svg":
        raise GossamerError(f"--picture writes an SVG file, got {str(picture)!r}; write e.g. operators.svg")


def write_picture(picture: Path, model: str, profile: Profile) -> None:
    """One bar: the share of time by operator."""
    from gossamer._files import write_text
    from gossamer.report.operator_bars import Row, operator_bars

    shares: list[Any] = [(total.kind, total.share) for total in profile.operators()]
    bars = operator_bars(f"Share of time by operator, {model}", [Row(model, profile.ms, shares)])
    write_text(picture, str(bars) + "\n")
