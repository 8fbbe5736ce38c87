"""A bar a layer: its width is the channels before, its filled part those that stay."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gossamer.report.kept_channels import kept_channels

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    {"layer": "stem", "channels": 8, "channels_before": 16},
    {"layer": "body", "channels": 24, "channels_before": 32},
    {"layer": "gone", "channels": None, "channels_before": 8},
    {"layer": "no channels", "channels": 0, "channels_before": 0},
]


def _widths(kind):
    root = ElementTree.fromstring(kept_channels("pruned", ROWS))
    return [float(bar.get("width")) for bar in root.iter(f"{SVG}rect") if bar.get("class") == kind]


def test_widths_are_relative_to_the_widest_layer():
    widest = _widths("gone")[1]
    assert _widths("gone") == pytest.approx([widest / 2, widest, widest / 4], abs=0.1)
    assert _widths("kept") == pytest.approx([widest / 4, 0.75 * widest, 0.0], abs=0.1)


def test_the_numbers_stand_beside_the_bars():
    root = ElementTree.fromstring(kept_channels("pruned", ROWS))
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert texts == ["pruned", "stem", "8 of 16", "body", "24 of 32", "gone", "0 of 8"]


def test_nothing_to_show_is_a_picture_all_the_same():
    assert "pruned" in kept_channels("pruned", [])
