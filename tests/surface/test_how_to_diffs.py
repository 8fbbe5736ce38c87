"""Each how-to page of an extension holds one diff: applied to a copy of the source, what it adds keeps its contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for page in (ROOT / "docs" / "how-to").glob("add-a*.md") if "```diff" in page.read_text())


@pytest.fixture
def copy(tmp_path):
    """What a diff may touch, and what its tests need."""
    without = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests/contracts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=without)
    for file in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "tests" / "samples").mkdir()
    return tmp_path


def _run(command, folder, **more):
    environment = {
        **os.environ,
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "PYTHONPATH": str(folder / "src"),
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **more
    )


def test_every_extension_has_a_page_with_a_diff():
    assert [page.stem for page in PAGES] == ["add-a-method", "add-a-reader", "add-a-runtime", "add-a-task"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_diff_applies_and_what_it_adds_keeps_the_contract(page, copy):
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    applied = _run(["git", "apply", "--whitespace=error-all", "-"], copy, input=diff)
    assert (applied.returncode, applied.stderr) == (0, "")
    (tests,) = re.findall(r"^\+\+\+ b/(tests/contracts/\S+)$", diff, re.MULTILINE)
    (name,) = re.findall(r"^\+class (Test\w+)\(", diff, re.MULTILINE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        tests,
        "-k",
        f"{name} or test_every",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    ran = _run(command, copy)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    counts = re.findall(r"(\d+) passed", ran.stdout)
    assert counts
    assert int(counts[0]) > 5, "the contract and the table"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_diff_adds_one_row_to_one_table(page):
    text = page.read_text(encoding="utf-8")
    changed = re.findall(r"^--- a/(src/\S+)$", text, re.MULTILINE)
    assert len(changed) == 1, "beside the new files one table is touched"
