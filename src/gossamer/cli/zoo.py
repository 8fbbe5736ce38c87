"""gossamer zoo: the catalogue, published figures beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer.cli._common import DebugOption, JsonOption, SeedOption, print_json, print_lines

if TYPE_CHECKING:
    from gossamer.zoo.catalogue import Entry

__all__ = ["zoo_verb"]


def zoo_verb(
    name: Annotated[str | None, typer.Argument(help="One network; all without it.")] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the networks: params and macs counted here, published figures, and the deviation."""
    from gossamer.zoo.catalogue import CATALOGUE, find_entry

    entries = CATALOGUE if name is None else {name: find_entry(name)}
    rows = [_row(key, entry) for key, entry in entries.items()]
    if json:
        print_json(rows)
        return
    if name is not None:
        print_lines([f"{key:12} {_shown(value)}" for key, value in rows[0].items()])
        return
    lines = [f"{'network':26} {'params':>8} {'macs':>8} {'input':>5} {'top-1':>6}  weights"]
    for row, entry in zip(rows, entries.values(), strict=True):
        top1 = row["published"]["top1"] if row["published"] else None
        shown = "" if top1 is None else f"{100 * top1:.1f}"
        lines.append(
            f"{row['name']:26} {_millions(row['params']):>8} {_millions(row['macs']):>8} {row['input']:>5} {shown:>6}  "
            f"{', '.join(entry.weights) or '-'}"
        )
    print_lines(lines)


def _row(name: str, entry: Entry) -> dict[str, Any]:
    published = entry.published
    params, macs = _counted(name, entry.input)
    return {
        "name": name,
        "family": entry.family,
        "paper": entry.paper,
        "input": entry.input,
        "params": params,
        "macs": macs,
        "published": None
        if published is None
        else {
            "params": published.params,
            "macs": published.macs,
            "top1": published.top1,
            "source": published.source,
        },
        "deviation": {
            "params": _deviation(params, None if published is None else published.params),
            "macs": _deviation(macs, None if published is None else published.macs),
        },
        "note": entry.note,
        "weights": list(entry.weights),
    }


def _counted(name: str, size: int) -> tuple[int | None, int | None]:
    """Counted with torch; None where it is not installed, so that the catalogue can be read without it."""
    try:
        import torch
    except ImportError:
        return None, None
    from gossamer.cost.meter import measure
    from gossamer.zoo.build import build

    with torch.device("meta"):
        network = build(name)
    cost = measure(network, (1, 3, size, size))
    return cost.params, cost.macs


def _deviation(counted: int | None, published: float | None) -> float | None:
    return None if counted is None or not published else round(counted / published - 1, 4)


def _millions(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.2f}M"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {'-' if v is None else v}" for k, v in value.items())
    return "-" if value is None else str(value)
