"""The page of the zoo: written anew it is what is committed, complete, and its pictures can be read."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tools import measure_zoo
from tools.measure_zoo import CSV, SIDE, Timed, read_setting, read_timed, wanted
from tools.zoo_chart import COLOURS, REACH, SHAPES

from gossamer.report.svg import Box, text_width
from gossamer.types import format_quantity
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.rows import rows, short

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = DOCS / "reference" / "zoo.md"
PICTURES = [DOCS / "assets" / f"zoo-{name}.svg" for name in ("macs", "latency")]
SVG = "{http://www.w3.org/2000/svg}"
ROW = re.compile(r"^\| `([^`]+)` \| (\d+) \| ([^|]+) \| ([^|]+) \|.*\|$", re.MULTILINE)


def test_writing_again_gives_what_is_committed(tmp_path):
    for name in (CSV, SIDE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DOCS / name, tmp_path / name)
    command = [sys.executable, "-W", "error", "-m", "tools.zoo_page", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    stale = [
        str(file.relative_to(DOCS))
        for file in (PAGE, *PICTURES)
        if (tmp_path / file.relative_to(DOCS)).read_bytes() != file.read_bytes()
    ]
    assert stale == [], "docs are stale; run python -m tools.zoo_page"


def test_every_network_has_its_line_and_every_family_its_head():
    page = PAGE.read_text()
    body = re.sub(r"\nAt other inputs:\n\n(?:\|.*\n)+", "\n", page)
    lines = {name: (int(size), params, macs) for name, size, params, macs in ROW.findall(body)}
    assert lines == {row.name: (row.own.input, short(row.own.params), short(row.own.macs)) for row in rows()}
    heads = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert sorted(heads) == sorted({entry.family for entry in CLASSIFIERS.values()})
    assert page.index("\n## Lightweight networks") < page.index("\n### MobileNetV2\n")
    assert page.index("\n## Baselines") < page.index("\n### ResNet\n")


def test_a_note_stands_under_its_table():
    section = PAGE.read_text().partition("\n### MobileNetV2\n")[2].partition("\n### ")[0]
    number = re.search(r"^\| `mobilenet_v2_0\.35` .*\| (\d+) \|[^|]*\|$", section, re.MULTILINE).group(1)
    assert f"\n{number}. {CLASSIFIERS['mobilenet_v2_0.35'].note}\n" in section
    published = format_quantity("macs", CLASSIFIERS["mobilenet_v2"].grid[96].macs)
    assert f"| `mobilenet_v2` | 96 | 56.3 M | {published} | 60.3 | +0.5 |" in section


def test_latency_was_measured_of_every_network_that_is_wanted():
    timed, setting = read_timed(DOCS / CSV), read_setting(DOCS / SIDE)
    assert [(one.name, one.input) for one in timed] == [(row.name, row.own.input) for row in wanted()]
    for one in timed:
        assert 0 < one.p50_ms <= one.p95_ms < math.inf
        assert one.state == "clean" or one.state.startswith("flagged: ")
        assert CLASSIFIERS[one.name]
    assert setting.precision == "fp32"
    assert setting.machine in PAGE.read_text()
    assert setting.date in PAGE.read_text()


def test_trained_forms_are_left_to_their_deploy_forms():
    names = {row.name for row in wanted()}
    assert "mobileone_s0_deploy" in names
    assert "mobileone_s0" not in names
    assert "vgg16" not in names


def test_a_group_is_exported_and_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_zoo, "SECONDS", 0.02)
    group = [row for row in wanted() if row.name in ("shufflenet_v2_0.25", "resnet20_cifar")]
    timed = measure_zoo.measure_group(group, tmp_path)
    assert [(one.name, one.input) for one in timed] == [("resnet20_cifar", 32), ("shufflenet_v2_0.25", 224)]
    assert all(0 < one.p50_ms <= one.p95_ms for one in timed)
    assert list(tmp_path.iterdir()) == []


def test_measuring_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    """Rows that are there stay, flagged ones too unless asked for; another machine's are refused."""
    monkeypatch.setattr(measure_zoo, "DOCS", tmp_path)
    first, second, *_ = small = [row for row in wanted() if row.own.macs < 25e6]
    monkeypatch.setattr(measure_zoo, "wanted", lambda: small)
    asked = []

    def instead(group, folder):
        asked.extend(row.name for row in group)
        return [Timed(row.name, row.own.input, 1.0, 2.0, "clean") for row in group]

    monkeypatch.setattr(measure_zoo, "measure_group", instead)
    measure_zoo._write(
        [
            Timed(first.name, first.own.input, 3.0, 4.0, "clean"),
            Timed(second.name, 224, 3.0, 4.0, "flagged: x, y"),
        ],
        measure_zoo.setting(),
    )
    measure_zoo.main([])
    assert asked == [row.name for row in small[2:]]
    timed = {one.name: one for one in read_timed(tmp_path / CSV)}
    assert list(timed) == [row.name for row in small]
    assert timed[second.name].state == "flagged: x, y"
    asked.clear()
    measure_zoo.main(["--flagged"])
    assert asked == [second.name]
    asked.clear()
    measure_zoo.main(["--fresh"])
    assert asked == [row.name for row in small]
    other = measure_zoo.setting()._replace(machine="another")
    monkeypatch.setattr(measure_zoo, "setting", lambda: other)
    with pytest.raises(SystemExit, match="rows of one table come from one machine and setting"):
        measure_zoo.main([])
    assert capsys.readouterr().out == ""


# --- pictures -------------------------------------------------------------------------------------


def _texts(root):
    """(words, box) of every text, by a safe guess of its width."""
    for text in root.iter(f"{SVG}text"):
        width = text_width(text.text) - 1
        side = text.get("text-anchor") or text.get("class", "").split()[-1:]
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - width if "end" in side else x - width / 2 if "mid" in str(side) else x
        yield text.text, Box(left, y - 9, left + width, y + 2.4)


def _marks(root):
    for mark in root.iter(f"{SVG}path"):
        if mark.get("class").startswith("mark"):
            x, y = map(float, re.findall(r"-?[\d.]+", mark.get("transform")))
            yield (
                (mark.get("d"), mark.get("class")),
                Box(x - REACH + 1, y - REACH + 1, x + REACH - 1, y + REACH - 1),
            )


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.stem)
def test_texts_of_a_picture_are_inside_and_apart_and_clear_of_marks(file):
    root = ElementTree.parse(file).getroot()
    width, height = (float(root.get(side)) for side in ("width", "height"))
    texts = list(_texts(root))
    assert len(texts) > 50
    assert [words for words, box in texts if not box.within(Box(-1, 0, width + 1, height))] == []
    assert [(a, b) for (a, one), (b, two) in combinations(texts, 2) if one.overlaps(two)] == []
    assert [words for words, box in texts for _, mark in _marks(root) if box.overlaps(mark)] == []
    named = {words for words, _ in texts} & set(CLASSIFIERS)
    assert len(named) >= 12, "the best-known networks are named"


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.stem)
def test_families_are_told_apart_and_colours_suit_both_themes(file):
    root = ElementTree.parse(file).getroot()
    texts = [words for words, _ in _texts(root)]
    families = [words for words in texts if words in {entry.family for entry in CLASSIFIERS.values()}]
    looks = {look for look, _ in _marks(root)}
    assert len(looks) == len(families) == len(set(families)) > 20
    style = root.findtext(f"{SVG}style")
    assert "prefers-color-scheme:dark" in style
    assert "background" not in style
    assert root.get("role") == "img"
    assert "networks over" in root.findtext(f"{SVG}desc")


def test_a_family_looks_the_same_in_both_pictures():
    looks = []
    for file in PICTURES:
        root = ElementTree.parse(file).getroot()
        names = [words for words, _ in _texts(root)]
        families = [words for words in names if words in {entry.family for entry in CLASSIFIERS.values()}]
        legend = [look for look, _ in _marks(root)][-len(families) :]
        looks.append(dict(zip(families, legend, strict=True)))
    assert {family: looks[0][family] for family in looks[1]} == looks[1]


def test_there_are_looks_enough():
    assert len(set(SHAPES)) * len(set(COLOURS)) >= len({entry.family for entry in CLASSIFIERS.values()})
