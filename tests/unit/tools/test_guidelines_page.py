"""The guidelines' page: what its sentences say follows from the figures of a small literal file."""

from __future__ import annotations

import json

import pytest
from tools.guidelines_data import Measured, Network, Series, read, verdict
from tools.guidelines_page import JSON, PAGE, PICTURE, page, write

SETTING = {
    "machine": "A chip, 2 cores, 8 GiB",
    "instructions": ["avx2"],
    "runtime": "ONNX Runtime",
    "version": "9.9",
    "precision": "fp32",
    "side": 56,
    "rounds": 40,
    "seconds": 2.0,
    "date": "2026-01-02",
    "command": "python -m benchmarks.guidelines --threads 1",
}


def _network(name, base, ratio, *, macs_ratio=1.0, ran=1.0, blocked=1.0, state="clean"):
    low, high = (ratio, ratio) if name == base else (ratio - 0.02, ratio + 0.02)
    return Network(
        name, base, int(100e6 * macs_ratio), macs_ratio, int(100e6 * macs_ratio * ran), blocked,
        10 * ratio, 11 * ratio, ratio, low, high, state,
    )  # fmt: skip


def _series(guideline, series, *others, threads=1):
    return Series(guideline, series, threads, (_network("one (1)", "one (1)", 1.0), *others))


def _other(name, ratio, **more):
    return _network(name, "one (1)", ratio, **more)


def _snapping(ratio):
    widths = (_network("32", "32", 1.0), _network("33", "32", ratio, macs_ratio=1.06, blocked=0.0))
    return Series("G5", "pointwise", 1, widths)


def _measured(*groups):
    return Measured(SETTING, groups)


@pytest.mark.parametrize(
    ("ratios", "status"),
    [
        ((1.2, 1.5), "holds"),
        ((1.0, 1.5), "holds in part"),
        ((1.0, 1.06), "does not hold"),
        ((1.0, 0.8), "is reversed"),
        ((1.3, 0.8), "is mixed"),
    ],
)
def test_a_verdict_needs_the_whole_interval_beyond_the_threshold(ratios, status):
    others = [_other(f"other {index}", ratio) for index, ratio in enumerate(ratios)]
    assert verdict(_series("G2", "full vectors", *others)).status == status


def test_widths_are_judged_by_the_time_a_mac():
    assert verdict(_snapping(1.1)).status == "does not hold"
    assert verdict(_snapping(1.5)).status == "holds"


def test_sentences_follow_the_figures():
    text = page(
        _measured(
            _series("G1", "paper's widths", _other("1:2 (3, 6)", 1.2, blocked=0.0), _other("1:6", 1.3, ran=1.25)),
            _series("G1", "full vectors", _other("1:4", 1.01)),
            _series("G2", "paper's widths", _other("g=2", 1.2)),
            _series("G2", "full vectors", _other("g=4", 1.1, state="flagged: busy")),
            _snapping(1.5),
        )
    )  # fmt: skip
    assert "Holds here: 1:2 takes 1.20, 1:6 1.30 times as long as one." in text
    assert "Outside the blocked layout: 1:2. With channels filled up: 1:6 (1.25 times its macs)." in text
    assert "Does not hold here: no sure difference above 5 % for 1:4 1.01." in text
    assert "With full vectors the effect is gone" in text
    assert (
        "With full vectors an effect stays: up to 1.10 times, where the paper's widths show up to 1.20"
        in text
    )
    assert "32 to 33 +50 % time for +6 % macs" in text
    assert "| G1 equal channel widths | full vectors | does not hold; 1.01 to 1.01 times the time |" in text
    assert "1.10 (flagged)" in text
    assert "9 of 10 figures are clean; the others are marked" not in text
    assert "10 of 11 figures are clean; the others are marked" in text
    assert "on A chip, 2 cores, 8 GiB (avx2), fp32, 2026-01-02" in text


def test_no_effect_with_the_papers_widths_is_said():
    text = page(
        _measured(
            _series("G3", "paper's widths", _other("4 series", 1.0)),
            _series("G3", "full vectors", _other("4 series", 1.3)),
        )
    )
    assert "With the paper's widths no network is slower" in text


def test_more_threads_have_a_column_and_a_short_verdict():
    one, two = (
        _series("G4", "full vectors", _other("shortcut", ratio), threads=threads)
        for threads, ratio in ((1, 1.2), (2, 1.0))
    )
    text = page(_measured(one, two))
    assert " On 2 threads it does not hold (1.00 to 1.00 times the time)." in text
    assert "| ratio | interval | ratio, 2 threads |" in text
    assert "| 1.20 | 1.18 to 1.22 | 1.00 |" in text


def test_page_and_picture_are_written_from_the_file(tmp_path):
    groups = [_series("G1", "paper's widths", _other("1:2 (3, 6)", 1.2)), _snapping(1.5)]
    document = {
        **SETTING,
        "groups": [
            {**one._asdict(), "networks": [network._asdict() for network in one.networks]} for one in groups
        ],
    }
    (tmp_path / JSON).parent.mkdir()
    (tmp_path / JSON).write_text(json.dumps(document))
    assert read(tmp_path / JSON) == Measured(SETTING, tuple(groups))
    (tmp_path / PAGE).parent.mkdir()
    write(tmp_path)
    assert (tmp_path / PAGE).read_text() == page(read(tmp_path / JSON))
    picture = (tmp_path / PICTURE).read_text()
    assert ">1.20<" in picture
    assert ">33<" not in picture
    assert "G5 widths that fill the vector" in picture
