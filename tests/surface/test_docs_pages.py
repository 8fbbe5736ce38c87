"""The section "Why it is smaller": drawn anew it is what is committed, its pictures can be read, its pages are whole."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gossamer.report.svg import Box, text_width
from gossamer.zoo.catalogue import CLASSIFIERS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "explanation" / "why-smaller"
PICTURES = ROOT / "docs" / "assets" / "blocks"
BLOCK_PAGES = sorted(page for page in PAGES.glob("*.md") if page.name != "index.md")
DRAWN = sorted(PICTURES.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def _texts(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_drawing_again_gives_what_is_committed(tmp_path):
    pages = tmp_path / "explanation" / "why-smaller"
    shutil.copytree(PAGES, pages)
    command = [sys.executable, "-W", "error", "-m", "tools.draw_blocks", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    again = "docs are stale; run python -m tools.draw_blocks"
    assert _texts(tmp_path / "assets" / "blocks") == _texts(PICTURES), again
    assert _texts(pages) == _texts(PAGES), again


def _box(text):
    """Where a text stands, by a safe guess of its width."""
    classes = text.get("class", "").split()
    size = 14 if "title" in classes else 13 if "layer" in classes else 12
    width = text_width(text.text, size) - 1
    x, y = float(text.get("x")), float(text.get("y"))
    left = x - width if "end" in classes else x - width / 2 if classes[-1:] in (["mid"], ["inside"]) else x
    return Box(left, y - 0.75 * size, left + width, y + 0.2 * size)


@pytest.mark.parametrize("file", DRAWN, ids=lambda file: file.stem)
def test_texts_of_a_picture_are_large_inside_and_apart(file):
    root = ElementTree.parse(file).getroot()
    width, height = (float(root.get(side)) for side in ("width", "height"))
    texts = root.findall(f".//{SVG}text")
    placed = [(text.text, _box(text)) for text in texts]
    assert len(placed) > 3
    assert [words for words, box in placed if not box.within(Box(-1, 0, width + 1, height))] == []
    assert [(a, b) for (a, one), (b, two) in combinations(placed, 2) if one.overlaps(two)] == []
    sizes = re.findall(r"(\d+)px", root.findtext(f"{SVG}style"))
    assert min(map(int, sizes)) >= 12


@pytest.mark.parametrize("file", DRAWN, ids=lambda file: file.stem)
def test_a_picture_has_a_name_and_colours_for_both_themes(file):
    root = ElementTree.parse(file).getroot()
    assert root.get("role") == "img"
    assert len(root.findtext(f"{SVG}title")) > 3
    assert len(root.findtext(f"{SVG}desc")) > 20
    style = root.findtext(f"{SVG}style")
    assert "prefers-color-scheme:dark" in style
    assert "background" not in style


def test_every_picture_is_shown_once_and_every_page_has_a_diagram_and_a_chart():
    shown = []
    for page in BLOCK_PAGES:
        names = re.findall(r"!\[[^\]]+\]\(\.\./\.\./assets/blocks/([^)]+)\)", page.read_text())
        assert {name.endswith("-chart.svg") for name in names} == {True, False}, page.name
        shown += names
    assert sorted(shown) == [file.name for file in DRAWN]


@pytest.mark.parametrize("page", BLOCK_PAGES, ids=lambda page: page.stem)
def test_a_page_says_who_uses_the_block_and_who_wrote_of_it(page):
    text = page.read_text()
    named = re.search(r"^\*\*In the zoo:\*\* ([^.]+)\.", text, re.MULTILINE).group(1).split(", ")
    families = {entry.family for entry in CLASSIFIERS.values()}
    assert [name for name in named if name not in families] == []
    assert re.search(r"^\*\*Source:\*\* .*arXiv \d{4}\.\d{5}", text, re.MULTILINE)
    assert "## When it is not faster" in text
    assert f"]({page.name})" in (PAGES / "index.md").read_text()
    assert f"explanation/why-smaller/{page.name}" in (ROOT / "mkdocs.yml").read_text()
