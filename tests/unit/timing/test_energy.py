"""Energy counters of a made-up machine: what a run uses, the rest, and machines that do not tell."""

from __future__ import annotations

import json

import pytest

from gossamer.errors import GossamerError
from gossamer.timing import energy
from gossamer.timing.energy import measure_energy, why_not


def counter(root, folder, name, start=0, highest=1_000_000_000):
    place = root / folder
    place.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", start), ("max_energy_range_uj", highest)):
        (place / file).write_text(f"{text}\n")
    return place / "energy_uj"


def use(file, microjoules, highest=1_000_000_000):
    """The counter goes on, and starts again at 0 after its highest number."""
    file.write_text(f"{(int(file.read_text()) + microjoules) % (highest + 1)}\n")


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to."""

    class Clock:
        now = 0.0
        at_rest = ()

        def perf_counter(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds
            for file, watts in self.at_rest:
                use(file, round(watts * seconds * 1e6))

    made = Clock()
    monkeypatch.setattr(energy, "time", made)
    return made


def test_joules_of_a_run_and_above_the_rest(tmp_path, clock):
    file = counter(tmp_path, "intel-rapl:0", "package-0")
    clock.at_rest = [(file, 2.0)]

    def run():
        clock.now += 0.5
        use(file, 4_000_000)

    found = measure_energy(run, 2.0, 3.0, root=tmp_path)
    assert (found.joules, found.joules_above_idle) == (4.0, 3.0)
    assert (found.watts, found.idle_watts) == (8.0, 2.0)
    assert (found.runs, found.seconds, found.packages) == (4, 2.0, ("package-0",))
    assert json.loads(json.dumps(found.to_json())) == {
        "joules": 4.0, "joules_above_idle": 3.0, "watts": 8.0, "idle_watts": 2.0, "runs": 4, "seconds": 2.0,
        "packages": ["package-0"],
    }  # fmt: skip


def test_what_rest_would_have_used_is_of_the_time_that_the_runs_took(tmp_path, clock):
    """Three runs of 0.75 s pass the 2 s that were asked for: rest is taken off for all 2.25 of them."""
    file = counter(tmp_path, "intel-rapl:0", "package-0")
    clock.at_rest = [(file, 2.0)]

    def run():
        clock.now += 0.75
        use(file, 4_000_000)

    found = measure_energy(run, 2.0, 3.0, root=tmp_path)
    assert (found.runs, found.seconds) == (3, 2.25)
    assert found.joules_above_idle == pytest.approx(4.0 - 2.0 * 0.75)
    assert found.watts == pytest.approx(12 / 2.25)


def test_a_counter_that_starts_again(tmp_path, clock):
    highest = 9_999_999
    file = counter(tmp_path, "intel-rapl:0", "package-0", start=6_500_000, highest=highest)

    def run():
        clock.now += 1.0
        use(file, 3_000_000, highest)

    assert measure_energy(run, 2.0, 1.0, root=tmp_path).joules == 3.0
    assert int(file.read_text()) == 5_500_000, "9 J past 6.5 J, once round"


def test_packages_add_up_and_their_parts_are_left_out(tmp_path, clock):
    files = [counter(tmp_path, f"intel-rapl:{i}", f"package-{i}") for i in range(2)]
    others = [
        counter(tmp_path, "intel-rapl:0:0", "core"),
        counter(tmp_path, "intel-rapl:2", "psys"),
        counter(tmp_path, "intel-rapl-mmio:0", "package-0"),
    ]

    def run():
        clock.now += 1.0
        for file in [*files, *others]:
            use(file, 1_000_000)

    found = measure_energy(run, 1.0, 1.0, root=tmp_path)
    assert (found.joules, found.packages) == (2.0, ("package-0", "package-1"))


def test_a_run_longer_than_the_time_counts_once(tmp_path, clock):
    counter(tmp_path, "intel-rapl:0", "package-0")

    def run():
        clock.now += 60.0

    assert measure_energy(run, 1.0, 1.0, root=tmp_path).runs == 1


def _one_line(root):
    reason = why_not(root)
    assert "\n" not in reason
    return reason


def test_a_machine_without_counters(tmp_path):
    missing = tmp_path / "powercap"
    assert measure_energy(lambda: None, root=missing) is None
    assert _one_line(missing).startswith(f"{missing} does not exist: only Linux has it, and virtual machines")


def test_a_machine_with_counters_of_other_things_only(tmp_path):
    counter(tmp_path, "intel-rapl:0", "psys")
    assert measure_energy(lambda: None, root=tmp_path) is None
    assert "has no counter of a processor package (intel-rapl:0)" in _one_line(tmp_path)


def test_a_counter_for_root_only(tmp_path, monkeypatch):
    file = counter(tmp_path, "intel-rapl:0", "package-0")
    read = type(file).read_text

    def refuse(path, *arguments, **options):
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read(path, *arguments, **options)

    monkeypatch.setattr(type(file), "read_text", refuse)
    assert measure_energy(lambda: None, root=tmp_path) is None
    assert _one_line(tmp_path) == (
        f"{file} may be read by root only; run `sudo chmod a+r {file}` once after each start"
    )


@pytest.mark.parametrize("text", ["", "many"])
def test_a_counter_that_holds_no_number(tmp_path, text):
    counter(tmp_path, "intel-rapl:0", "package-0").write_text(text)
    assert measure_energy(lambda: None, root=tmp_path) is None
    assert "cannot be read (invalid literal" in _one_line(tmp_path)


def test_a_counter_that_goes_away_meanwhile(tmp_path, clock):
    file = counter(tmp_path, "intel-rapl:0", "package-0")
    assert why_not(tmp_path) is None
    assert measure_energy(lambda: file.unlink(missing_ok=True), 1.0, 1.0, root=tmp_path) is None


def test_an_error_of_the_run_is_not_swallowed(tmp_path):
    counter(tmp_path, "intel-rapl:0", "package-0")

    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        measure_energy(fail, root=tmp_path)


@pytest.mark.parametrize(("seconds", "idle"), [(0, 1), (1, 0), (-1, 1)])
def test_it_needs_time(tmp_path, seconds, idle):
    with pytest.raises(GossamerError, match=rf"got seconds={seconds} and idle_seconds={idle}; give both"):
        measure_energy(lambda: None, seconds, idle, root=tmp_path)
