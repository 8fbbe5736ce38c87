"""The Chinese README and tutorial say what the English ones say: the same commands, code, figures and pages, in order."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/zh/tutorial.md")]
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s+# .*$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")
FIGURE = re.compile(r"\d[\d,.]*\d|\d")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
_OWN = {
    "README.md": "README.zh-CN.md",
    "README.zh-CN.md": "README.md",
    "docs/zh/tutorial.md": "docs/tutorial.md",
}
"""Where a page of one language points to that of the other, or to its own."""


def _sections(text):
    """The text between headings, code blocks left out."""
    return re.split(r"^#+ .*$", BLOCK.sub("", text), flags=re.MULTILINE)


def _figures(section):
    """Numbers that are said, without those inside names of code and links."""
    return Counter(FIGURE.findall(LINK.sub("", SPAN.sub("", section))))


def _pages(file, text):
    """What the links lead to, below the root, the anchor with it; the other language's page counts as its own."""
    found = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        place = Path(ROOT / file).parent / path
        name = place.resolve().relative_to(ROOT).as_posix()
        assert place.exists(), f"{file} leads to {target}, which is not there"
        found.append((min(name, _OWN.get(name, name)), anchor))
    return Counter(found)


@pytest.fixture(params=PAIRS, ids=lambda pair: pair[1])
def pair(request):
    return [(file, (ROOT / file).read_text(encoding="utf-8")) for file in request.param]


def test_the_code_is_the_same_but_for_comments(pair):
    english, chinese = ([COMMENT.sub("", block) for block in BLOCK.findall(text)] for _, text in pair)
    assert chinese == english
    assert len(english) > 5


def test_every_section_says_the_same_figures_and_names(pair):
    english, chinese = (_sections(text) for _, text in pair)
    assert len(chinese) == len(english)
    for ours, theirs in zip(chinese, english, strict=True):
        assert _figures(ours) == _figures(theirs), ours[:200]
        assert Counter(SPAN.findall(ours)) == Counter(SPAN.findall(theirs)), ours[:200]


def test_lists_and_tables_have_the_same_lines(pair):
    english, chinese = (
        [re.match(r"(- |\| |\|-|\d+\. |!\[|)", line)[0] for line in BLOCK.sub("", text).splitlines()]
        for _, text in pair
    )
    assert chinese == english


def test_links_lead_to_the_same_pages(pair):
    english, chinese = (_pages(file, text) for file, text in pair)
    assert chinese == english


def test_prose_is_chinese(pair):
    (_, _), (_, text) = pair
    for line in BLOCK.sub("", text).splitlines():
        words = re.findall(r"[A-Za-z]{2,}", SPAN.sub("", LINK.sub("", line)))
        assert CHINESE.search(line) or len(words) < 5, line


def test_the_pages_lead_to_one_another():
    assert "](README.zh-CN.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](README.md)" in (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    assert "zh/tutorial.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
