"""How the minutes are shared out, by what measuring candidates took."""

from __future__ import annotations

import pytest

from gossamer.fit.candidates import Candidate
from gossamer.fit.minutes import share_out
from gossamer.fit.shortlist import FileFigures, Measured, Shortlist


def _short(seconds, latency=2.0):
    candidate = Candidate(
        name="n", size=64, weights=None, preprocessing="imagenet", params=1, macs=1, promise=1.0
    )
    file = FileFigures(precision="fp32", size_bytes=1, latency_ms=latency)
    measured = Measured(candidate=candidate, files=[file], fits=["fp32"], seconds=seconds)
    return Shortlist(chosen=[candidate], measured=[measured], refused=[], seconds=seconds)


def test_training_gets_what_the_rest_leaves():
    minutes = share_out(1200, 40, _short(1.5), validated=560, tested=560)
    assert minutes.rest == pytest.approx(max(48, 12 * 1.5 + (6 * 560 + 560 + 1024) * 2e-3))
    assert minutes.training == pytest.approx(1200 - 40 - minutes.rest)
    assert minutes.note == ""


def test_a_slow_machine_leaves_less():
    quiet, slow = (share_out(300, 40, _short(each), validated=560, tested=560) for each in (1.5, 12.0))
    assert slow.rest > 4 * quiet.rest
    assert slow.training < quiet.training


def test_a_run_that_will_be_late_says_so_before_training():
    minutes = share_out(60, 38, _short(4.0), validated=192, tested=192)
    assert minutes.training == pytest.approx(9)
    assert "1 minutes are too few" in minutes.note
    assert "this run takes about 1.7 minutes" in minutes.note
