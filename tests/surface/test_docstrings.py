"""`Raises:` says what is true: it names errors that there are, and those that a public function raises itself.

No linter of docstrings fits: pydoclint and ruff want arguments and returns in sections, or take what a function calls for
an error of the docstring (pydoclint 0.12: 1,007 findings here, ruff's DOC501: private functions and caught errors too).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gossamer
from gossamer import errors

SOURCE = Path(gossamer.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
OURS = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
_ENTRY = re.compile(r"^\s*((?:[A-Z]\w*(?:, | and its children)?)+): ")


class Documented(NamedTuple):
    """A function or class with its docstring."""

    where: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public: bool


def _walk(tree: ast.AST, name: str, public: bool = True) -> Iterator[Documented]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            special = node.name.startswith("__") and node.name.endswith("__")
            here = public and (special or not node.name.startswith("_"))
            where = f"{name}:{node.lineno} {node.name}"
            yield Documented(where, node, here and not isinstance(tree, ast.FunctionDef))
            yield from _walk(node, name, here)
        elif not isinstance(node, ast.expr):
            yield from _walk(node, name, public)


def documented(file: Path) -> list[Documented]:
    return list(_walk(ast.parse(file.read_text()), file.relative_to(SOURCE).as_posix()))


def told(docstring: str | None) -> set[str]:
    """Names under `Raises:`, and that of a first line "Raises X where"."""
    _, found, section = (docstring or "").partition("Raises:")
    names = set(re.findall(r"\bRaises ([A-Z]\w*)", docstring or ""))
    for line in section.splitlines() if found else []:
        if match := _ENTRY.match(line.strip()):
            names |= set(match[1].replace(" and its children", "").split(", "))
    return names


def _caught(handlers: list[ast.ExceptHandler]) -> set[str]:
    """What handlers take, with all children of it that are ours."""
    kinds = [
        k for h in handlers if h.type for k in (h.type.elts if isinstance(h.type, ast.Tuple) else [h.type])
    ]
    names = {getattr(kind, "id", "") for kind in kinds}
    return {name for name in OURS if names & {each.__name__ for each in getattr(errors, name).__mro__}}


def raised(function: ast.AST, caught: frozenset[str] = frozenset()) -> set[str]:
    """Errors of ours that a function's own body raises and does not catch."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Try):
            inner = caught | _caught(node.handlers)
            for part in node.body:
                found |= raised(ast.Module([part], []), frozenset(inner))
            for part in (*node.handlers, *node.orelse, *node.finalbody):
                found |= raised(ast.Module([part], []), caught)
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = getattr(node.exc.func, "id", "")
            found |= {name} & OURS - caught
        found |= raised(node, caught)
    return found


def covered(name: str, names: set[str]) -> bool:
    """Whether an error or one above it is named."""
    return bool(names & {each.__name__ for each in getattr(errors, name).__mro__})


def test_what_is_raised_is_found():
    source = """
def f(x):
    try:
        raise DataError("caught")
    except GossamerError:
        raise ModelError("not caught") from None
    def inner():
        raise BudgetError("elsewhere")
    if x:
        raise BundleError("in a branch")
"""
    assert raised(ast.parse(source).body[0]) == {"ModelError", "BundleError"}
    text = """What.

    Raises:
        DataError, ModelError: one or the other, as in
            Sense: none.
        GossamerError and its children: all.
    """
    assert told(text) == {"DataError", "ModelError", "GossamerError", "Sense"}
    assert told("Raises ModelError where there is nothing.") == {"ModelError"}
    assert covered("DataError", {"GossamerError"})
    assert not covered("DataError", {"ModelError"})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_raises_names_errors_that_exist(file):
    wrong = {
        f"{each.where}: {name}"
        for each in documented(file)
        for name in told(ast.get_docstring(each.node))
        if name not in OURS and not isinstance(getattr(builtins, name, None), type)
    }
    assert wrong == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_what_a_public_function_raises_itself_is_told(file):
    """A method without a docstring has that of the class it overrides; that of a verb is its help."""
    silent = set()
    for each in documented(file):
        docstring = ast.get_docstring(each.node)
        if not each.public or isinstance(each.node, ast.ClassDef) or docstring is None:
            continue
        if each.node.name.endswith("_verb"):
            continue
        silent |= {
            f"{each.where}: {name}" for name in raised(each.node) if not covered(name, told(docstring))
        }
    assert silent == set()
