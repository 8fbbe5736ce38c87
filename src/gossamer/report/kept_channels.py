"""A picture of what pruning left: a bar a layer, its channels before, the kept ones filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gossamer.report.svg import element, number, picture, shorten

__all__ = ["kept_channels"]

_LABEL, _BAR, _ROW, _TOP = 260.0, 460.0, 14.0, 44.0
_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1b1f23}.title{font-size:14px;font-weight:600}.gone{fill:#d7dadd}.kept{fill:#2f6f9f}"
    "@media (prefers-color-scheme:dark){text{fill:#e8eaec}.gone{fill:#3a4148}.kept{fill:#6fb1e0}}"
)


def kept_channels(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """SVG; `rows` have layer, channels and channels_before. Widths are relative to the widest layer."""
    shown = [row for row in rows if row["channels_before"]]
    widest = max((int(row["channels_before"]) for row in shown), default=1)
    parts = [element("text", shorten(title, 700), x=8, y=22, class_="title")]
    for place, row in enumerate(shown):
        y = _TOP + place * _ROW
        before, now = int(row["channels_before"]), int(row["channels"] or 0)
        parts.append(element("text", shorten(str(row["layer"]), _LABEL - 16), x=8, y=y + 9))
        for width, kind in ((before, "gone"), (now, "kept")):
            parts.append(
                element(
                    "rect", x=_LABEL, y=y, width=number(_BAR * width / widest), height=_ROW - 4, class_=kind
                )
            )
        parts.append(element("text", f"{now} of {before}", x=_LABEL + _BAR * before / widest + 6, y=y + 9))
    height = _TOP + len(shown) * _ROW + 8
    return str(
        picture(
            title,
            "Channels that each layer keeps, of those it had",
            _LABEL + _BAR + 100,
            height,
            _STYLE,
            *parts,
        )
    )
