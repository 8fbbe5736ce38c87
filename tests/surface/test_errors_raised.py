"""Every error class of the tree is raised somewhere, and nothing a person meets is raised outside the tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gossamer
from gossamer import errors

SOURCE = Path(gossamer.__file__).parent
CLASSES = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def _raised():
    """Class name -> modules that raise it."""
    found: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and node.exc is not None:
                called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                name = getattr(called, "id", getattr(called, "attr", ""))
                found.setdefault(name, set()).add(file.relative_to(SOURCE).as_posix())
    found["RunFolderError"] = found.get("RunFolderError", set()) | found.get("folder_error", set())
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_raised(name):
    assert _raised().get(name), f"{name} is raised nowhere: take it out of the tree or use it"


def test_the_tree_in_the_docstring_is_the_tree():
    listed = [
        word for line in errors.__doc__.splitlines() for word in line.split()[:2] if word.endswith("Error")
    ]
    assert sorted(listed) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_exit_codes_are_designs(name):
    special = {"MissingExtraError": 3, "GoalNotMetError": 1}
    assert getattr(errors, name).exit_code == special.get(name, 2)
    assert issubclass(getattr(errors, name), errors.GossamerError)


def test_assert_is_never_for_users():
    """`assert` stands in src only where a type checker needs it: on isinstance."""
    for file in SOURCE.rglob("*.py"):
        if "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assert):
                assert "isinstance" in ast.unparse(node.test), f"{file}:{node.lineno}"
