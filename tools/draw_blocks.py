"""Draws the section "Why it is smaller": python -m tools.draw_blocks [docs folder].

Writes assets/blocks/*.svg and the table between the markers of explanation/why-smaller/index.md. The same input
gives the same bytes; a test holds the committed files against a new run.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.blocks.curves import CHARTS
from tools.blocks.figures import DIAGRAMS
from tools.blocks.table import ROWS, TableRow

DOCS = Path(__file__).resolve().parents[1] / "docs"
START, END = "<!-- generated -->", "<!-- /generated -->"


def draw(docs: Path) -> None:
    """Write every picture and the table below a docs folder."""
    folder = docs / "assets" / "blocks"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {**DIAGRAMS, **CHARTS}.items():
        (folder / f"{name}.svg").write_text(f"{figure()}\n", encoding="utf-8", newline="\n")
    index = docs / "explanation" / "why-smaller" / "index.md"
    index.write_text(_with_table(index.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _with_table(page: str) -> str:
    head, rest = page.split(START)
    _, tail = rest.split(END)
    lines = ["| block | macs a pixel | here | macs | of the standard |", "|---|---|---|---:|---:|"]
    lines += [_line(row) for row in ROWS]
    return "\n".join([f"{head}{START}", "", *lines, "", f"{END}{tail}"])


def _line(row: TableRow) -> str:
    name = f"[{row.name}]({row.page}.md)" if row.page else row.name
    share = f"{100 * row.macs / row.whole:.3g} %"
    return f"| {name} | {row.formula} | {row.case} | {row.macs:,} | {share} |"


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
