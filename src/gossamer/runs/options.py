"""Options, each declared once: a field of a config is the flag, its help, the Python keyword and the bounds (stdlib).

The command line is built from the fields (`gossamer.cli.verbs`), Python functions take the same keywords (a test holds
their signatures against the fields), config.yaml keeps the values, and the command that makes a run again is written
from those that are not the default.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Union, dataclass_transform, get_args, get_origin, get_type_hints

from gossamer._documents import parse_yaml
from gossamer.errors import GossamerError, RunFolderError, nearest

__all__ = [
    "Config",
    "Option",
    "command_line",
    "config",
    "option",
    "options_of",
    "parse_share",
    "read_options",
]

_OPTION = "option"
_MOST_WHOLE = 2**63 - 1
"""What whole numbers may be where an option says no more: those that other libraries take have 64 bits."""


@dataclass(frozen=True)
class Option:
    """What is known of an option beside its type and default."""

    help: str
    flag: str = ""
    """`--name`; empty for what is given by its place."""
    group: str = ""
    """Heading in the help."""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    share: bool = False
    """Written as 1% or 0.01."""
    example: str = ""
    """A value that is good, for errors."""


def option(
    default: Any,
    help: str,
    *,
    flag: str = "",
    positional: bool = False,
    group: str = "",
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    share: bool = False,
    example: str = "",
) -> Any:
    """A field of a config; `...` as the default means that it must be given. The flag is `--name` by itself."""
    known = Option(help, "-" if positional else flag, group, choices, least, most, share, example)
    return field(default=MISSING if default is ... else default, metadata={_OPTION: known})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
def config(cls: type) -> Any:
    """A config: a frozen dataclass whose fields are options, by keyword."""
    return dataclass(frozen=True, kw_only=True)(cls)


@config
class Config:
    """What a verb was asked for."""

    def check(self) -> None:
        """Complain about values of another type, out of their bounds, or none of their choices.

        Raises:
            GossamerError: one line for a person.
        """
        for name, known in options_of(type(self)).items():
            value = getattr(self, name)
            if value is not None:
                _check_value(known.flag or name, value, _hints(type(self))[name], known)
                if value != default_of(type(self), name):
                    _check_texts(known.flag or name, value)

    def to_yaml(self) -> str:
        """The configuration as YAML."""
        import yaml

        document = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    @classmethod
    def from_yaml(cls, path: Path) -> Any:
        """Read what `to_yaml` wrote.

        Raises:
            RunFolderError: the file is missing, damaged, or of another version.
        """
        try:
            document = parse_yaml(path.read_text())
            if not isinstance(document, dict):
                raise TypeError("it holds no mapping")
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in document.items()})
        except (OSError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise RunFolderError(
                f"{path.parent} holds no run that can be resumed ({reason}); start a new one with another --out"
            ) from error

    def differences(self, other: Config) -> list[str]:
        """The names of the options that differ."""
        ours, theirs = vars(self), vars(other)
        return [name for name in ours if ours[name] != theirs.get(name)]


def options_of(cls: Any) -> Mapping[str, Option]:
    """The options of a config by name, in their order; each with its flag, which is empty for a place."""
    found: dict[str, Option] = {}
    for each in fields(cls):
        known: Option = each.metadata[_OPTION]
        flag = known.flag or f"--{each.name.replace('_', '-')}"
        found[each.name] = dataclasses.replace(known, flag="" if flag == "-" else flag)
    return found


def read_options(cls: Any, path: Path) -> dict[str, Any]:
    """Options of a config from a YAML file such as a run's config.yaml, as the command line would take them.

    An option that is null there is as if it were not named.

    Raises:
        GossamerError: there is no such file, it names an option that the verb does not have, or a value of another kind.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise GossamerError(
            f"{path} holds no options ({reason}); give a YAML file as a run's config.yaml"
        ) from error
    known = options_of(cls)
    if not isinstance(document, dict):
        raise GossamerError(f"options are names with values, {path} holds none; write e.g. minutes: 10")
    values: dict[str, Any] = {}
    for key, value in document.items():
        name = "on" if key is True else key  # YAML takes a bare on for yes
        if name not in known:
            raise GossamerError(
                f"{path} names {name!r}, which is no option here; {nearest(str(name), known)}"
            )
        if value is not None:
            values[name] = _as_typed(cls, name, value, known[name])
    return values


def _as_typed(cls: Any, name: str, value: Any, known: Option) -> Any:
    kind, _ = type_of(cls, name)
    flag = known.flag or name
    if known.share:
        return _written(parse_share(value, flag), share=True)
    if isinstance(value, int | float) and not isinstance(value, bool) and kind is str:
        value = str(value)  # 128 is a size as good as "128"
    if isinstance(value, list):
        value = tuple(value)
    _check_value(flag, value, _hints(cls)[name], known)
    return list(value) if isinstance(value, tuple) else value


def default_of(cls: Any, name: str) -> Any:
    """The default of an option, `dataclasses.MISSING` where it must be given."""
    return next(each.default for each in fields(cls) if each.name == name)


def _hints(cls: Any) -> Mapping[str, Any]:
    return get_type_hints(cls)


def type_of(cls: Any, name: str) -> tuple[Any, bool]:
    """(type of an option's value, whether it may be None)."""
    hint = _hints(cls)[name]
    if get_origin(hint) in (Union, types.UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        return inner[0], True
    if get_origin(hint) is Literal:
        return str, False
    return hint, False


def _check_value(name: str, value: Any, hint: Any, known: Option) -> None:
    kinds = {int: "a whole number", float: "a number", str: "a text", bool: "yes or no"}
    args = [each for each in get_args(hint) if each is not type(None)] or [hint]
    kind = args[0] if get_origin(hint) in (Union, types.UnionType) else hint
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple) or not all(isinstance(each, get_args(kind)[0]) for each in value):
            raise GossamerError(f"{name} is a list of texts, got {value!r}")
        return
    kind = str if get_origin(kind) is Literal else kind
    fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise GossamerError(f"{name} is {kinds.get(kind, kind)}, got {value!r}")
    if known.choices and value not in known.choices:
        hint_text = nearest(value, known.choices) if isinstance(value, str) else ""
        raise GossamerError(f"{name} is {' or '.join(known.choices)}, got {value!r}; {hint_text}")
    if kind in (int, float):
        _check_bounds(name, value, known)


def _check_texts(name: str, value: Any) -> None:
    """A text says something, and can be part of a path."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and (not text.strip() or "\0" in text):
            raise GossamerError(
                f"{name} is a text with something in it, got {text!r}; leave it out, or give a value"
            )


def _check_bounds(name: str, value: float, known: Option) -> None:
    low = -math.inf if known.least is None else known.least
    high = (_MOST_WHOLE if isinstance(value, int) else math.inf) if known.most is None else known.most
    if low <= value <= high:
        return
    short = name.removeprefix("--")
    if high == math.inf:
        rule = f"{short} is at least {_shown(low)}"
    else:
        rule = f"{short} is between {_shown(low)} and {_shown(high)}"
    raise GossamerError(f"{rule}, got {_shown(value)}; use e.g. {name} {known.example or f'{max(low, 1):g}'}")


def _shown(value: float) -> str:
    """Whole numbers with all their digits, up to the 19 of 64 bits."""
    if isinstance(value, int) and abs(value) > 2 * _MOST_WHOLE:
        return "a whole number of more than 64 bits"
    return f"{int(value):,}" if math.isfinite(value) and value == int(value) else f"{value:g}"


def command_line(verb: str, values: Config) -> str:
    """The command that does the same again: what is given by place, what must be given, and what is not the default."""
    cls: Any = type(values)
    parts = ["gossamer", verb]
    known = options_of(cls)
    for name in sorted(known, key=lambda name: bool(known[name].flag)):  # places first, in their order
        value, flag = getattr(values, name), known[name].flag
        if value is None or (value == default_of(cls, name) and name != "seed"):
            continue
        for each in value if isinstance(value, tuple) else [value]:
            if each is True:
                parts.append(flag)
            else:
                parts += [*([flag] if flag else []), _quoted(_written(each, share=known[name].share))]
    return " ".join(parts)


def _written(value: Any, *, share: bool) -> str:
    if share:
        return f"{100 * value:g}%"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    """As a shell takes it back."""
    import shlex

    if shlex.quote(text) == text:
        return text
    return shlex.quote(text) if any(sign in text for sign in '"$`\\!') else f'"{text}"'


def parse_share(text: str | float, name: str) -> float:
    """A share written as `1%` or `0.01`, between 0 and 1.

    Raises:
        GossamerError: it is none.
    """
    given = str(text).strip()
    try:
        value = float(given.removesuffix("%")) / (100.0 if given.endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise GossamerError(f"{name} is a share between 0 and 1 or a percentage, got {text!r}; write e.g. 1%")
    return value
