"""Which of several processes this one is, however they were started."""

from __future__ import annotations

import pytest

from gossamer.train.processes import Processes, rank_here

NAMES = ("RANK", "SLURM_PROCID", "SLURM_NTASKS", "NODE_RANK", "LOCAL_RANK")


@pytest.mark.parametrize(
    ("started", "rank"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "1"}, 1),
        ({"RANK": "5", "LOCAL_RANK": "1"}, 5),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, 3),
        ({"SLURM_PROCID": "3"}, 0),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, 1000),
        ({"RANK": "none"}, 0),
    ],
)
def test_the_first_process_of_all_is_0(monkeypatch, started, rank):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    assert rank_here() == rank


def test_processes_are_counted_over_machines():
    assert Processes("ddp", devices=4, nodes=2).world == 8
