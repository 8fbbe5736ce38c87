"""The measured shape of the source: how long files are, and how many functions branch a lot."""

from __future__ import annotations

import ast
from pathlib import Path

import gossamer

SOURCE = Path(gossamer.__file__).parent
MOST_LINES = 400
LONGER = {
    "data/_scene_parts.py": "drawings: one short function a thing that is drawn",
    "data/scenes.py": "drawings: one function a class of scene",
}
MOST_BRANCHES, SHARE = 10, 0.04
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.Assert, ast.match_case)


def _complexity(function):
    """Cyclomatic complexity as radon counts it: decisions, parts of and/or, loops and conditions of comprehensions."""
    count = 1
    open_ = [*ast.iter_child_nodes(function)]
    while open_:
        node = open_.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue  # counted by itself
        if isinstance(node, _BRANCHES):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += 1 + len(node.ifs)
        open_ += ast.iter_child_nodes(node)
    return count


def test_no_file_is_long_but_drawings():
    long = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if len(file.read_text().splitlines()) > MOST_LINES
    }
    assert long == set(LONGER)


def test_few_functions_branch_a_lot():
    every = [
        (_complexity(node), f"{file.relative_to(SOURCE)}:{node.lineno} {node.name}")
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    many = sorted((each for each in every if each[0] > MOST_BRANCHES), reverse=True)
    assert len(many) < SHARE * len(every), f"{len(many)} of {len(every)}, simplify some: {many[:20]}"


def test_complexity_is_counted():
    source = """
def f(a, b):
    if a and b or not a:
        return [x for x in a if x for y in b]
    try:
        return 1 if a else 2
    except ValueError:
        assert b
    def inner():
        if a: pass
"""
    function = ast.parse(source).body[0]
    assert _complexity(function) == 1 + 1 + 1 + 1 + 3 + 1 + 1 + 1
