"""A verb as a command: help with its options under headings, and arguments that say something."""

from __future__ import annotations

from typing import Any

import typer.core

from gossamer.errors import GossamerError

__all__ = ["GroupedCommand"]


class GroupedCommand(typer.core.TyperCommand):
    """A command whose help shows options under headings, and that takes no empty arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises GossamerError for an empty argument: as a path it would mean the folder one stands in."""
        for before, text in zip(["", *args], args, strict=False):
            option, equals, value = text.partition("=")
            empty = not text.strip() or (text.startswith("--") and equals and not value.strip())
            if empty and not ctx.resilient_parsing:
                where = (
                    option
                    if equals
                    else before
                    if before.startswith("-")
                    else f"an argument of {ctx.info_name}"
                )
                raise GossamerError(
                    f"{where} is empty, got {value if equals else text!r}; leave it out, or give a value (a variable may be unset)"
                )
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

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
