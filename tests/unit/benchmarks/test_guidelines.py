"""The guidelines' benchmark: networks of a group differ in one thing only, and a group is timed as a whole."""

from __future__ import annotations

import itertools

import pytest
import torch
from benchmarks import guidelines
from benchmarks._guideline_networks import GROUPS, MULTIPLE, SIDE, Group, built

from gossamer.cost.meter import measure

EQUAL = [group for group in GROUPS if group.guideline != "G5"]
SNAPPING = [group for group in GROUPS if group.guideline == "G5"]


def _name(group):
    return f"{group.guideline}-{group.series}"


def _macs(case):
    return measure(built(case), (1, case.channels, SIDE, SIDE)).macs


@pytest.mark.parametrize("group", EQUAL, ids=_name)
def test_networks_of_a_group_have_equal_macs(group):
    macs = [_macs(case) for case in group.cases]
    assert max(macs) <= 1.02 * min(macs)


@pytest.mark.parametrize("group", GROUPS, ids=_name)
def test_a_network_is_held_against_one_of_its_group(group):
    names = [case.name for case in group.cases]
    assert len(set(names)) == len(names)
    assert {case.base for case in group.cases} <= set(names)
    if group.guideline != "G5":
        assert {case.base for case in group.cases} == {names[0]}


@pytest.mark.parametrize("group", [group for group in EQUAL if group.series == "full vectors"], ids=_name)
def test_full_vectors_are_full_in_every_group_of_every_convolution(group):
    for case in group.cases:
        for layer in built(case).modules():
            if isinstance(layer, torch.nn.Conv2d):
                assert layer.in_channels == 3 or layer.in_channels % (MULTIPLE * layer.groups) == 0
                assert layer.out_channels % (MULTIPLE * layer.groups) == 0


@pytest.mark.parametrize("group", SNAPPING, ids=_name)
def test_a_width_is_held_against_the_nearest_multiple(group):
    bases = {int(case.name): int(case.base) for case in group.cases}
    assert {(31, 32), (32, 32), (33, 32), (40, 32), (47, 48), (49, 48), (63, 64), (65, 64)} <= bases.items()
    assert all(base % MULTIPLE == 0 and 2 * abs(width - base) <= MULTIPLE for width, base in bases.items())


@pytest.mark.parametrize("group", GROUPS, ids=_name)
def test_networks_give_finite_means_and_differ_from_one_another_by_seed_only(group):
    case = group.cases[-1]
    x = torch.randn(1, case.channels, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, again, other = (built(case, seed=seed)(x) for seed in (0, 0, 1))
    assert first.ndim == 2
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_additions_do_not_leave_the_blocked_layout(tmp_path):
    """So that G4 and G3 are about additions, not about changes of layout."""
    for group in EQUAL:
        if group.series == "full vectors":
            file = guidelines._exported(group.cases[-1], tmp_path / f"{group.guideline}.onnx")
            kinds = [node.op_type for node in guidelines.rewritten(file).node]
            assert sum(kind.startswith("Reorder") for kind in kinds) <= 2, group.guideline


def test_a_group_is_timed_and_what_ran_is_told(monkeypatch):
    monkeypatch.setattr(guidelines, "ROUNDS", 6)
    monkeypatch.setattr(guidelines, "TRIES", 1)
    cases = {case.name: case for case in SNAPPING[0].cases}
    found = guidelines.timed_group(
        Group("G5", "pointwise", (cases["32"], cases["36"])), threads=1, seconds=0.02
    )
    first, second = found["networks"]
    assert (first["ratio"], first["low"], first["high"]) == (1, 1, 1)
    assert (first["name"], second["name"], second["base"]) == ("32", "36", "32")
    assert second["low"] <= second["ratio"] <= second["high"]
    assert first["macs"] == 10 * 32 * 32 * SIDE * SIDE
    assert second["macs_ratio"] == pytest.approx((36 / 32) ** 2, abs=1e-4)
    assert second["ran_macs"] >= second["macs"]
    table = list(guidelines._table(found))
    assert len(table) == 4
    assert table[0].startswith("G5, pointwise, 1 thread")


def test_of_several_tries_the_one_with_fewest_flags_counts(monkeypatch):
    quiet, busy = _figure(()), _figure(("the machine was busy",))
    tries = iter([{"a": busy, "b": busy}, {"a": quiet, "b": busy}, {"a": busy, "b": busy}])
    monkeypatch.setattr(guidelines, "measure_latency", lambda runs, **_: next(tries))
    found = guidelines._timed(GROUPS[0], {}, threads=1, seconds=1)
    assert found == {"a": quiet, "b": busy}
    clean = itertools.chain([{"a": quiet}], iter(lambda: pytest.fail("a clean try is the last"), None))
    monkeypatch.setattr(guidelines, "measure_latency", lambda runs, **_: next(clean))
    assert guidelines._timed(GROUPS[0], {}, threads=1, seconds=1) == {"a": quiet}


def test_groups_that_are_clean_are_kept_and_the_others_timed_again(tmp_path, monkeypatch):
    asked = []

    def instead(group, *, threads, seconds):
        asked.append((group.guideline, group.series))
        state = "flagged: busy" if group.guideline == "G2" else "clean"
        row = dict.fromkeys(("macs", "macs_ratio", "p50_ms", "ratio", "low", "high"), 1.0)
        networks = [{**row, "name": case.name, "base": case.base, "state": state} for case in group.cases]
        return {
            "guideline": group.guideline,
            "series": group.series,
            "threads": threads,
            "networks": networks,
        }

    monkeypatch.setattr(guidelines, "timed_group", instead)
    arguments = ["--out", str(tmp_path / "x.json")]
    guidelines.main(arguments)
    assert len(asked) == len(GROUPS)
    asked.clear()
    guidelines.main([*arguments, "--flagged"])
    assert asked == [(group.guideline, group.series) for group in GROUPS if group.guideline == "G2"]
    with pytest.raises(SystemExit, match="groups of one file come from one machine and setting"):
        guidelines.main([*arguments, "--flagged", "--seconds", "3"])


def _figure(flags):
    from gossamer.timing.latency import Latency

    return Latency(1.0, 1.1, 0.9, 1.0, 10, 0.1, 0.0, flags)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threads", "0"], "thread counts are whole numbers from 1, got '0'"),
        (["--threads", "1,x"], "thread counts are whole numbers from 1, got '1,x'"),
        (["--seconds", "nan"], "seconds a network are above 0 and at most 600, got 'nan'"),
        (["--seconds", "-1"], "seconds a network are above 0 and at most 600, got '-1'"),
        (
            ["--out", "nowhere/x.json"],
            "a .json file in a folder that exists is written, got 'nowhere/x.json'",
        ),
        (["--out", "x.csv"], "a .json file in a folder that exists is written, got 'x.csv'"),
        (["--flagged"], "--flagged measures again what a file holds, got --out None"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as refused:
        guidelines.main(arguments)
    assert words in refused.value.code
    assert "\n" not in refused.value.code
    assert capsys.readouterr() == ("", "")
