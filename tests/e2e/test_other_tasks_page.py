"""The page of other tasks: its program makes the pictures, and the check says of them what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "other-tasks.md").read_text(encoding="utf-8")


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """The folder that the page's program makes."""
    (program,) = re.findall(r"^```python\n(import csv.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "other-tasks.md", "exec"), {})
    return tmp_path / "shapes"


@pytest.mark.parametrize("data", ["shapes", "shapes/cover.csv"])
def test_the_check_says_what_the_page_says(shapes, gossamer, data):
    code, out, _ = gossamer("check", data)
    assert code == 0
    _, _, rest = PAGE.partition(f"$ gossamer check {data}\n")
    told = re.split(r"^(?:\$|\.\.\.|```)", rest, maxsplit=1, flags=re.MULTILINE)[0]
    assert len(told.splitlines()) > 8
    assert out.startswith(told)
