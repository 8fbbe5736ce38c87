"""The state of the machine, read from made-up system files and counters."""

from __future__ import annotations

from collections import namedtuple

import pytest

from gossamer import _machine
from gossamer._machine import MachineState, ProcessorTimes, describe_machine, machine_state, processor_times


def cores(root, *told):
    for i, files in enumerate(told):
        folder = root / f"cpu{i}" / "cpufreq"
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(f"{text}\n")
    (root / "cpufreq").mkdir()  # a folder of Linux's own that is no core
    return root


def test_the_clock_is_the_fastest_cores(tmp_path):
    root = cores(
        tmp_path,
        {"scaling_cur_freq": 800000, "cpuinfo_max_freq": 4200000, "scaling_governor": "powersave"},
        {"scaling_cur_freq": 3600500, "cpuinfo_max_freq": 3900000, "scaling_governor": "powersave"},
    )
    state = machine_state(root=root)
    assert (state.frequency_mhz, state.max_frequency_mhz, state.governor) == (3600.5, 4200.0, "powersave")
    assert (state.others, state.steal) == (None, None)


def test_governors_that_differ_are_all_named(tmp_path):
    root = cores(tmp_path, {"scaling_governor": "schedutil"}, {"scaling_governor": "performance"})
    assert machine_state(root=root).governor == "performance, schedutil"


@pytest.mark.parametrize("told", [{}, {"scaling_cur_freq": "<unknown>", "scaling_governor": ""}], ids=str)
def test_what_is_not_told_is_none(tmp_path, told):
    state = machine_state(root=cores(tmp_path, told))
    assert (state.frequency_mhz, state.max_frequency_mhz, state.governor) == (None, None, None)


def test_a_file_that_may_not_be_read_is_left_out(tmp_path):
    root = cores(tmp_path, {"scaling_governor": "performance"}, {})
    (root / "cpu1" / "cpufreq" / "scaling_governor").mkdir()
    assert machine_state(root=root).governor == "performance"


@pytest.mark.parametrize("error", [NotImplementedError, OSError, RuntimeError, AttributeError])
def test_a_system_without_a_clock(monkeypatch, tmp_path, error):
    def fail():
        raise error("no clock")

    monkeypatch.setattr(_machine, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(_machine.psutil, "cpu_freq", fail, raising=False)
    assert machine_state(root=tmp_path).frequency_mhz is None


def test_other_systems_tell_their_clock_through_psutil(monkeypatch, tmp_path):
    clock = namedtuple("clock", "current min max")
    monkeypatch.setattr(_machine, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(_machine.psutil, "cpu_freq", lambda: clock(2596.0, 0.0, 0.0), raising=False)
    state = machine_state(root=tmp_path)
    assert (state.frequency_mhz, state.max_frequency_mhz) == (2596.0, None)
    monkeypatch.setattr(_machine.psutil, "cpu_freq", lambda: None)
    assert machine_state(root=tmp_path).frequency_mhz is None


def state(times):
    return MachineState(0.1, None, None, None, None, None, times)


@pytest.mark.parametrize(
    ("now", "others", "steal"),
    [
        (ProcessorTimes(10.0, 116.0, 16.0, 3.0), 0.5, 0.1),
        (ProcessorTimes(10.0, 104.0, 16.0, 1.0), 0.0, 0.0),
        (ProcessorTimes(10.0, 190.0, 16.0, 90.0), 1.0, 1.0),
        (ProcessorTimes(10.0, 116.0, 16.0, None), 0.5, None),
    ],
)
def test_shares_are_of_all_cores_between_two_readings(monkeypatch, tmp_path, now, others, steal):
    monkeypatch.setattr(_machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(_machine, "processor_times", lambda: now)
    found = machine_state(state(ProcessorTimes(0.0, 100.0, 10.0, 1.0)), root=tmp_path)
    assert (found.others, found.steal) == (pytest.approx(others), steal and pytest.approx(steal))


def test_stolen_and_guest_time_is_used_by_nobody_here(monkeypatch):
    fields = "user nice system idle iowait irq softirq steal guest guest_nice"
    times = namedtuple("times", fields)(10.0, 2.0, 3.0, 100.0, 7.0, 0.5, 0.5, 40.0, 4.0, 1.0)
    monkeypatch.setattr(_machine.psutil, "cpu_times", lambda: times)
    assert processor_times()[1] == 16.0
    assert processor_times().stolen == 40.0
    monkeypatch.setattr(_machine.psutil, "cpu_times", lambda: namedtuple("times", "user idle")(5.0, 9.0))
    assert (processor_times().all, processor_times().stolen) == (5.0, None)


def test_the_machine_is_described_with_its_clock_where_it_tells(monkeypatch, tmp_path):
    plain = {"cpu", "cores", "memory_bytes", "system", "python", "load_per_core"}
    root = cores(tmp_path, {"cpuinfo_max_freq": 4200000, "scaling_governor": "powersave"})
    monkeypatch.setattr(_machine, "CPU_FOLDER", root)
    described = describe_machine()
    assert (described["max_frequency_mhz"], described["governor"]) == (4200.0, "powersave")
    monkeypatch.setattr(_machine, "_frequencies", lambda _: (None, None))
    monkeypatch.setattr(_machine, "_governor", lambda _: None)
    assert set(describe_machine()) == plain
