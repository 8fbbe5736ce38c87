"""The page of detectors holds what the catalogue, the networks and the measured times say."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tools.detectors_page import BACKBONES, CSV, PAGE, PICTURE, SIDE, Timed, front

from gossamer.zoo.catalogue import of_task

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_writing_again_gives_what_is_committed(tmp_path):
    for file in (PAGE, CSV, SIDE):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DOCS / file, tmp_path / file)
    command = [sys.executable, "-W", "error", "-m", "tools.detectors_page", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    for file in (PAGE, PICTURE):
        assert (tmp_path / file).read_text() == (DOCS / file).read_text(), (
            f"{file} is stale; run python -m tools.detectors_page"
        )


def test_every_detector_has_a_time_and_a_backbone():
    with (DOCS / CSV).open(encoding="utf-8") as lines:
        timed = {line["name"] for line in csv.DictReader(lines)}
    assert timed == set(of_task("detect"))
    for name in timed:
        assert any(name.startswith(prefix) for prefix, _ in BACKBONES)


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([("a", 0.2, 1.0), ("b", 0.1, 2.0), ("c", 0.3, 3.0)], ["a", "c"]),
        ([("a", 0.2, 2.0), ("b", 0.3, 2.0), ("c", None, 1.0)], ["b"]),
        ([], []),
    ],
)
def test_the_front_has_no_dominated_member(figures, best):
    found = [SimpleNamespace(name=name, average_precision=ap) for name, ap, _ in figures]
    timed = {name: Timed(name, 320, ms, ms, "clean") for name, _, ms in figures}
    assert [entry.row.name for entry in front(found, timed) if entry.best] == best
