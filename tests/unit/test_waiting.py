"""Threads are told to sleep at barriers before torch is there, and never against the environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = "import os; {before}from gossamer._waiting import wait_passively; wait_passively(); print(os.environ.get('OMP_WAIT_POLICY'))"


@pytest.mark.parametrize(
    ("before", "policy"),
    [
        ("", "PASSIVE"),
        ("os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'; ", "ACTIVE"),
        ("import sys; sys.modules['torch'] = sys; ", "None"),
    ],
)
def test_the_policy(before, policy):
    environment = {"PATH": ""}
    out = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == policy
