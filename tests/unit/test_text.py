"""Texts of others on a terminal and in a table."""

from __future__ import annotations

import pytest

from gossamer._text import cells, code_span, markdown, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("forêt 森林 a,b;c", "forêt 森林 a,b;c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\tand\x9b", "two\\nlines\\tand\\x9b"),
        ("caf\udce9.png", "caf\\udce9.png"),
        ("exe.\u202egnp", "exe.\\u202egnp"),
    ],
)
def test_what_moves_a_terminal_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown


def test_formulas_are_texts_and_numbers_stay():
    row = ["=1+1", "+x", "-x", "@x", "\t=x", "-0.5", "+1e3", "a=b", "", 0.25, "caf\udce9"]
    wanted = ["'=1+1", "'+x", "'-x", "'@x", "'\t=x", "-0.5", "+1e3", "a=b", "", "0.25", "caf\\udce9"]
    assert cells(row) == wanted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("forêt dense, mobilenet_v3_small", "forêt dense, mobilenet_v3_small"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"),
        ("a | b", "a \\| b"),
        ("one\n\n# two", "one \\# two"),
        ("*x* `y` ~z~ &amp;", "\\*x\\* \\`y\\` \\~z\\~ &amp;amp;"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text, shown):
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("fit a", "`fit a`"), ("fit `a`", "`` fit `a` ``"), ("a\n<b>", "`a <b>`")]
)
def test_code_ends_where_its_text_does(text, shown):
    assert code_span(text) == shown
