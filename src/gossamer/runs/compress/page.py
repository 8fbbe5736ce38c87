"""What a compress run tells: layers before and after, and what each method left as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from gossamer._text import markdown
from gossamer.cost.meter import measure
from gossamer.report.document import TableRows
from gossamer.runs.compress.steps import Step

__all__ = ["layer_changes", "layer_table", "step_card"]


def layer_table(rows: Sequence[dict[str, Any]]) -> TableRows:
    """What became of each layer, for the page."""
    return TableRows(
        title="What became of each layer",
        lead="Layers that multiply, after and before.",
        columns=list(rows[0]),
        numbers=[name for name in rows[0] if name != "layer"],
        rows=[[_shown(value) for value in row.values()] for row in rows],
    )


def layer_changes(before: nn.Module, after: nn.Module, shape: Sequence[int]) -> list[dict[str, Any]]:
    """A row a layer that multiplies: channels, macs, params, after and before; what one of them lacks is empty."""
    costs = [
        {layer.name: layer for layer in measure(each, shape).layers if layer.macs} for each in (after, before)
    ]
    rows = []
    for name in dict.fromkeys([*costs[1], *costs[0]]):
        now, was = (found.get(name) for found in costs)
        rows.append(
            {
                "layer": name,
                "channels": _channels(now),
                "channels_before": _channels(was),
                "macs": None if now is None else now.macs,
                "macs_before": None if was is None else was.macs,
                "params": None if now is None else now.params,
                "params_before": None if was is None else was.params,
            }
        )
    return rows


def _channels(layer: Any) -> int | None:
    return None if layer is None or len(layer.output) < 2 else int(layer.output[1])


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def step_card(headline: str, steps: Sequence[Step]) -> str:
    """The text of MODEL_CARD.md."""
    lines = [f"# Compressed network\n\n{markdown(headline)}\n"]
    for step in steps:
        lines.append(f"\n## {markdown(step.method)}\n")
        lines += [f"- {markdown(note)}" for note in step.notes]
        lines += [f"- left as it was: {markdown(f'{each.part}: {each.reason}')}" for each in step.refused]
    return "\n".join(lines) + "\n"
