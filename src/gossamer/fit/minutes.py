"""How the minutes of the main job are shared out: training gets what the stages around it leave."""

from __future__ import annotations

from pydantic import BaseModel

from gossamer.fit.shortlist import Shortlist

__all__ = ["Minutes", "share_out"]

_REST_SHARE = 0.04
"""Of the whole, what follows training gets at least."""
_REST_CANDIDATES = 12.0
"""Files are made and timed after training as they are for the shortlist: it takes as long as so many of its candidates."""
_REST_RUNS, _CALIBRATION = 6, 1024
"""Files that are run over the validation pictures as a rule; what int8's calibration takes, in pictures."""
_LEAST_TRAINING = 0.15
"""Of the whole; with less nothing is learned, and the run says that it will be late."""


class Minutes(BaseModel):
    """Seconds from now on."""

    training: float
    rest: float
    """Of what follows."""
    note: str = ""
    """Where the run will be late."""


def share_out(whole: float, elapsed: float, short: Shortlist, *, validated: int, tested: int) -> Minutes:
    """Share out `whole` seconds of which `elapsed` are gone, by what measuring the shortlist took on this machine."""
    chosen = {candidate.key for candidate in short.chosen}
    rows = [row for row in short.measured if row.candidate.key in chosen]
    each = max((row.seconds for row in rows), default=1.0)
    latency = max((file.latency_ms for row in rows for file in row.files), default=1.0) / 1e3
    runs = (_REST_RUNS * validated + tested + _CALIBRATION) * latency
    rest = max(_REST_SHARE * whole, _REST_CANDIDATES * each + runs)
    training = whole - elapsed - rest
    if training >= _LEAST_TRAINING * whole:
        return Minutes(training=training, rest=rest)
    training = _LEAST_TRAINING * whole
    late = (elapsed + training + rest) / 60
    return Minutes(
        training=training,
        rest=rest,
        note=(
            f"{whole / 60:g} minutes are too few on this machine at the moment: data and shortlist took {elapsed:.0f} s, making "
            f"and measuring the files takes about {rest:.0f} s; this run takes about {late:.1f} minutes"
        ),
    )
