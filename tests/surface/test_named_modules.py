"""What docs, benchmarks, tools and examples name of gossamer is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"),
]
PROGRAMS = sorted(
    file for folder in ("benchmarks", "tools", "examples") for file in (ROOT / folder).rglob("*.py")
)
FILES = re.compile(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)`")
"""A source file in a page: `fit/shortlist.py`."""


def _prose(page):
    """A page without its diffs: they name what is not there yet."""
    return re.sub(r"^```diff\n.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _exists(name):
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def _imports(source):
    """`module.name` of every import of gossamer in a program."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gossamer":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "gossamer")


def _code(page):
    return re.findall(r"^```python\n(.*?)^```$", _prose(page), re.DOTALL | re.MULTILINE)


def test_a_name_that_is_gone_is_found_out():
    assert _exists("gossamer.cost.meter.measure")
    assert _exists("gossamer.deploy.runtimes.RUNTIMES")
    assert not _exists("gossamer.cost.latency")
    assert not _exists("gossamer.cost.meter.measures")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page):
    text = _prose(page)
    named = set(re.findall(r"(?:`|::: )(gossamer(?!\.json)(?:\.[A-Za-z_]\w*)+)", text))
    named |= {name for code in _code(page) for name in _imports(code)}
    assert sorted(name for name in named if not _exists(name)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_calls_as_gs_is_public(page):
    import gossamer

    used = {name for code in _code(page) for name in re.findall(r"\bgs\.([A-Za-z_]+)", code)}
    used |= set(re.findall(r"`gs\.([A-Za-z_]+)", _prose(page)))
    assert sorted(used - set(gossamer.__all__)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_source_files_that_a_page_names_are_there(page):
    places = (ROOT, ROOT / "src", ROOT / "src" / "gossamer", ROOT / "docs", page.parent)
    named = set(FILES.findall(_prose(page)))
    assert sorted(name for name in named if not any((place / name).is_file() for place in places)) == []


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_a_program_imports_is_there(file):
    assert sorted(name for name in _imports(file.read_text()) if not _exists(name)) == []
