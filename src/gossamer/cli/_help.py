"""Help of a verb: its options under headings."""

from __future__ import annotations

from typing import Any

import typer.core

__all__ = ["GroupedCommand"]


class GroupedCommand(typer.core.TyperCommand):
    """A command whose help shows options under headings."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                heading = "Arguments" if param.param_type_name == "argument" else _heading(param)
                groups.setdefault(heading, []).append(record)
        for heading in [name for name in groups if name != "Options"] + ["Options"]:
            if groups.get(heading):
                with formatter.section(heading):
                    formatter.write_dl(groups[heading])


def _heading(param: Any) -> str:
    return getattr(param, "rich_help_panel", None) or "Options"
