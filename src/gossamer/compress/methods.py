"""Every compression method by the name that a person types; this table is the only place that names them all.

`NAME:key=value,key=value`: shares as 50%, numbers as 1M or 400k, several values joined by +. The keys of a method are
the fields of its class.
"""

from __future__ import annotations

import types
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from gossamer._documents import read_json
from gossamer._table import Table
from gossamer.errors import GossamerError, nearest

if TYPE_CHECKING:
    from gossamer.compress.method import Method, Plan

__all__ = ["METHODS", "check_settings", "parse_method", "read_plan"]

METHODS = Table(
    "method",
    {
        "prune": "gossamer.compress.prune.method:Prune",
        "factorise": "gossamer.compress.lowrank.method:Factorise",
        "slim": "gossamer.compress.sparse.method:Slim",
        "sparsify": "gossamer.compress.sparse.method:Sparsify",
        "auto": "gossamer.compress.ratios.method:Auto",
        "quantize": "gossamer.compress.quantize.method:Quantize",
        "pack": "gossamer.compress.codebook.method:Pack",
    },
)
"""Name -> where its class stands. A method is a frozen dataclass that is a `Method`."""

_NO_PLANS = ("auto", "slim")
"""Methods without plans that can be applied: ratios that `auto` finds are pruned, `slim` is training."""
_NOT_TYPED = ("name", "ambition")
"""Fields that are no settings of a person."""
_MOST = 2.0**63
_UNITS = {"%": 0.01, "k": 1e3, "kB": 1e3, "K": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "ms": 1.0}


def parse_method(text: str) -> Method:
    """Read e.g. `prune:macs=50%,importance=l1`.

    Raises:
        GossamerError: an unknown method, key or value.
    """
    name, _, rest = text.strip().partition(":")
    if name not in METHODS:
        raise GossamerError(
            f"methods are {', '.join(METHODS)}; got {name!r}; {nearest(name, METHODS)}, as in prune:macs=50%"
        )
    kind = METHODS.load(name)
    hints = get_type_hints(kind)
    typed = (field.name for field in fields(kind) if field.name not in _NOT_TYPED)
    known = {name: hints[name] for name in typed}
    values: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or key not in known:
            raise GossamerError(
                f"{name} takes key=value with {', '.join(known)}; got {pair!r}; {nearest(key, known)}"
            )
        if key in values:
            raise GossamerError(f"{name} takes {key} once, got it again in {text!r}; leave one out")
        values[key] = _value(value.strip(), known[key], f"{name}: {key}")
    made: Method = kind(**values)
    return made


def check_settings(method: Method) -> None:
    """Complain about settings that cannot be, before a network is opened; a method that has no such check passes.

    Raises:
        GossamerError: one line for a person.
    """
    check = getattr(method, "check_settings", None)
    if check is not None:
        check()


def read_plan(file: Path) -> tuple[Method, Plan]:
    """A plan that was written, and the method that applies it.

    Raises:
        GossamerError: the file is no plan.
    """
    try:
        document = read_json(file)
        edit = document["edit"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GossamerError(
            f"{file} is no plan ({type(error).__name__}: {error}); write one with gossamer compress --plan"
        ) from error
    known = [name for name in METHODS if name not in _NO_PLANS]
    if edit not in known:
        raise GossamerError(f"{file} holds the edit {edit!r}; plans of {' and '.join(known)} can be applied")
    method = parse_method(edit)
    return method, method.read(document)


def _value(text: str, kind: Any, what: str) -> Any:
    """Text as the field's type; unions are tried in order, None aside."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        problems = []
        for each in (each for each in get_args(kind) if each is not type(None)):
            try:
                return _value(text, each, what)
            except GossamerError as error:
                problems.append(error)
        raise problems[0]
    if origin is Literal:
        if text not in get_args(kind):
            raise GossamerError(
                f"{what} is one of {', '.join(map(str, get_args(kind)))}; got {text!r}; {nearest(text, map(str, get_args(kind)))}"
            )
        return text
    if origin is tuple:
        return tuple(_value(part, get_args(kind)[0], what) for part in text.split("+"))
    if kind is bool:
        if text not in ("yes", "no"):
            raise GossamerError(f"{what} is yes or no, got {text!r}")
        return text == "yes"
    if kind in (int, float):
        number = _number(text, what)
        if kind is int and number != int(number):
            raise GossamerError(f"{what} is a whole number, got {text!r}")
        return kind(number)
    return text


def _number(text: str, what: str) -> float:
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if text.endswith(u)), "")
    digits = text.removesuffix(unit)
    try:
        number = float(digits) * _UNITS.get(unit, 1.0)
        if not abs(number) < _MOST:
            raise ValueError("it is no number of 64 bits")
        return number
    except ValueError as error:
        raise GossamerError(
            f"{what} is a number such as 50%, 0.5, 400k or 1M; got {text!r}; write e.g. 50%"
        ) from error
