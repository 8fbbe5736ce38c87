"""A verb of the command line from its config: each option is a field, help and bounds stand beside it (no torch)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any

import typer

from gossamer.cli._common import DebugOption, JsonOption, OutOption, ResumeOption
from gossamer.runs.options import Config, Option, default_of, options_of, parse_share, read_options, type_of

__all__ = ["extra", "verb_of"]

Body = Callable[..., int | None]


def extra(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """An option of the command line alone, that no config keeps."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def verb_of(
    cls: type[Config],
    body: Body,
    *,
    run: bool = True,
    more: Sequence[inspect.Parameter] = (),
) -> Callable[..., int | None]:
    """A function that typer takes: the config's options, then `more`, `--config`, `--out` and `--resume` of a `run`, `--json`.

    `body` is called with the checked config and the others by keyword; its docstring is the help.
    """
    known = options_of(cls)
    own = [_parameter(cls, name, option) for name, option in known.items()]
    own.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    shared = [extra("json", JsonOption, False), extra("debug", DebugOption, False)]
    if run:
        file = Annotated[Path | None, _config_option(cls)]
        shared = [extra("out", OutOption, None), extra("resume", ResumeOption, False), *shared]
        shared.insert(0, extra("config", file, None))
    parameters = [*own, *more, *shared]

    def verb(**given: Any) -> int | None:
        values = {name: _value(cls, name, given.pop(name)) for name in known}
        given.pop("debug")
        given.pop("config", None)
        return body(cls(**values), **given)

    verb.__doc__ = body.__doc__
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {each.name: each.annotation for each in parameters}
    return verb


def _config_option(cls: type[Config]) -> Any:
    """`--config FILE`: what the file says stands where the command line says nothing."""

    def read(context: typer.Context, path: Path | None) -> Path | None:
        if path is not None and not context.resilient_parsing:
            context.default_map = read_options(cls, path)
        return path

    return typer.Option(
        "--config",
        help="Options from a YAML file, such as a run's config.yaml; those on the command line win.",
        callback=read,
        is_eager=True,
    )


def _parameter(cls: type[Config], name: str, option: Option) -> inspect.Parameter:
    kind, optional = type_of(cls, name)
    default = default_of(cls, name)
    missing = default is MISSING
    if option.share and not missing:
        kind, default = str, f"{100 * default:g}%"
    if kind is tuple or getattr(kind, "__origin__", None) is tuple:
        kind, default, optional = list[str], None if not missing else default, not missing
    hint = kind | None if optional else kind
    if option.flag:
        info = typer.Option(option.flag, help=option.help, rich_help_panel=option.group or None)
    else:
        info = typer.Argument(help=option.help, show_default=False)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if missing else default,
        annotation=Annotated[hint, info],
    )


def _value(cls: type[Config], name: str, given: Any) -> Any:
    """What typer gives as the config keeps it."""
    option = options_of(cls)[name]
    if option.share:
        return parse_share(given, option.flag)
    if given is None and not type_of(cls, name)[1]:
        return ()
    return tuple(given) if isinstance(given, list) else str(given) if isinstance(given, Path) else given
