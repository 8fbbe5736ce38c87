"""The command line: one file a verb, imported when it is asked for. Importing it loads neither torch nor numpy."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import typer
import typer.core
import typer.main
from typer.models import CommandInfo

from gossamer._waiting import wait_passively
from gossamer.cli._common import run
from gossamer.cli._help import GroupedCommand

__all__ = ["VERBS", "app", "main"]

VERBS = (
    "fit",
    "check",
    "doctor",
    "zoo",
    "train",
    "compress",
    "export",
    "measure",
    "bench",
    "predict",
    "report",
)
"""In the order of the help; `gossamer.cli.NAME` holds `NAME_verb`."""


@functools.cache
def _command(name: str) -> Any:
    """The verb as a command; the help asks for each of them twice."""
    callback = getattr(importlib.import_module(f"gossamer.cli.{name}"), f"{name}_verb")
    info = CommandInfo(name=name, cls=GroupedCommand, callback=callback)
    return typer.main.get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)


class _Commands(Mapping[str, Any]):
    """Name -> command, loaded when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Verbs(typer.core.TyperGroup):
    """Knows every verb by name and loads the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is added to it


app = typer.Typer(
    name="gossamer",
    cls=_Verbs,
    help="From your pictures and a device budget to a deployed lightweight network, every number measured on the file that ships.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from gossamer import __version__

        sys.stdout.write(f"gossamer {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command line; the exit codes are DESIGN's."""
    wait_passively()
    sys.exit(run(app, sys.argv[1:]))
