"""The page of the guidelines: written anew it is what is committed, and its picture can be read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

from tools.guidelines_data import read
from tools.guidelines_page import JSON, PAGE, PICTURE

from gossamer.report.svg import Box, text_width

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_writing_again_gives_what_is_committed(tmp_path):
    (tmp_path / JSON).parent.mkdir()
    shutil.copy(DOCS / JSON, tmp_path / JSON)
    command = [sys.executable, "-W", "error", "-m", "tools.guidelines_page", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    stale = [name for name in (PAGE, PICTURE) if (tmp_path / name).read_bytes() != (DOCS / name).read_bytes()]
    assert stale == [], "docs are stale; run python -m tools.guidelines_page"
    assert PAGE in (ROOT / "mkdocs.yml").read_text()


def test_figures_are_whole():
    measured = read(DOCS / JSON)
    for group in measured.groups:
        for network in group.networks:
            assert 0 < network.low <= network.ratio <= network.high
            assert network.macs <= network.ran_macs
            assert network.state == "clean" or network.state.startswith("flagged: ")


def test_texts_of_the_picture_are_inside_and_apart_and_it_suits_both_themes():
    root = ElementTree.parse(DOCS / PICTURE).getroot()
    width, height = (float(root.get(side)) for side in ("width", "height"))
    texts = []
    for text in root.iter(f"{SVG}text"):
        room, x, y = text_width(text.text) - 1, float(text.get("x")), float(text.get("y"))
        side = text.get("class", "")
        left = x - room if side == "end" else x - room / 2 if side == "mid" else x
        texts.append((text.text, Box(left, y - 9, left + room, y + 2.4)))
    assert len(texts) > 40
    assert [words for words, box in texts if not box.within(Box(-1, 0, width + 1, height))] == []
    assert [(a, b) for (a, one), (b, two) in combinations(texts, 2) if one.overlaps(two)] == []
    style = root.findtext(f"{SVG}style")
    assert "prefers-color-scheme:dark" in style
    assert "background" not in style
    assert root.get("role") == "img"
