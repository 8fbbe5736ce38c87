"""Output that goes nowhere, into a full disk or to a terminal: a line and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")


def _run(root, redirect="", *options):
    command = " ".join([f'"{sys.executable}" -m gossamer check', *options, f'"{root}"', redirect])
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("options", [(), ("--json",), ("--help",)])
def test_a_full_disk_behind_standard_output_is_one_line(pictures, options):
    done = _run(pictures({"a": 5, "b": 5}), ">/dev/full", *options)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the output cannot be written (No space left on device); free some space, or send it elsewhere\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_full_disk_behind_standard_error_changes_nothing(pictures):
    root = pictures({"a": 5, "b": 5})
    done = _run(root, "2>/dev/full", "--json")
    assert (done.returncode, json.loads(done.stdout)["pictures"]) == (0, 10)
    assert _run(root / "nowhere", "2>/dev/full").returncode == 2


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(pictures, redirect):
    done = _run(pictures({"a": 5, "b": 5}), redirect)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_names_move_no_terminal_and_stop_nothing(pictures):
    root = pictures({"a\x1b[31m": 5, "b": 5})
    try:
        (root / "b" / "000.png").rename(os.fsdecode(os.fsencode(root / "b") + b"/caf\xe9.png"))
    except OSError:
        pytest.skip("this file system knows no such names")
    done = _run(root)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "a\\x1b[31m" in done.stdout
    assert "b/caf\\udce9.png" in done.stdout
    assert json.loads(_run(root, "", "--json").stdout)["labels"] == ["a\x1b[31m", "b"]


def test_a_thousand_findings_print_as_a_few_lines(pictures):
    root = pictures({"a": 5, "b": 5})
    for i in range(1000):
        (root / "a" / f"{i}.png").touch()
    assert len(_run(root).stdout.splitlines()) < 20
    assert len(json.loads(_run(root, "", "--json").stdout)["findings"]) > 1000
