"""A page with one table: of networks, measured or timed. No script, nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jinja2

__all__ = ["table_page"]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root{--bg:#f7f7f5;--panel:#fff;--ink:#1b1f23;--soft:#5c646c;--line:#e3e4e0}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--panel:#1c2024;--ink:#e8eaec;--soft:#9fa8b0;--line:#31373d}}
body{margin:0;padding:32px 24px;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
h1{font-size:1.35rem;font-weight:650;margin:0 0 16px}
.scroll{overflow-x:auto;background:var(--panel);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%}
th,td{padding:8px 14px;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
thead th{color:var(--soft);font-weight:600;font-size:.85rem}
tbody tr:last-child td{border-bottom:0}
.n{text-align:right;font-variant-numeric:tabular-nums}
.long{white-space:normal;min-width:20rem}
</style>
</head>
<body>
<h1>{{ title }}</h1>
<div class="scroll"><table>
<thead><tr>{% for c in columns %}<th{% if c in numbers %} class="n"{% endif %}>{{ c|replace('_', ' ') }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for c in columns %}{% set text = shown(row[c]) %}<td{% if c in numbers %} class="n"{% elif text|length > long %} class="long"{% endif %}>{{ text }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
</body>
</html>
"""
_LONG = 60
"""Characters from which on a text is broken over lines."""


def table_page(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    numbers: Collection[str],
    shown: Callable[[Any], str],
) -> str:
    """The page; columns named in `numbers` stand to the right, `shown` gives a value's text."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE).render(
        title=title, columns=columns, rows=rows, numbers=numbers, shown=shown, long=_LONG
    )
