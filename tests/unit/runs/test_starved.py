"""A training that ended by the clock: when it is said, and what would be enough."""

from __future__ import annotations

import pytest

from gossamer.runs.starved import starved
from gossamer.runs.trained import CurvePoint, NetworkValue, TrainedNetwork


def _network(scores, *, passes, wanted, seconds=60.0):
    value = NetworkValue(label="n", spec={}, contract={}, weights=None, params=1, macs=1)
    points = [
        CurvePoint(
            seconds=1,
            passes=passes * (i + 1) / len(scores),
            train_loss=1,
            val_loss=1 - score,
            val_score=score,
        )
        for i, score in enumerate(scores)
    ]
    return TrainedNetwork(
        network=value,
        folder="f",
        score=max(scores),
        seconds=seconds,
        rungs=1,
        points=points,
        recipe={},
        wanted=wanted,
    )


def test_what_was_had_what_is_wanted_and_how_to_get_it():
    text = starved(_network([0.5, 0.6], passes=0.4, wanted=12, seconds=24), minutes=1)
    assert text == (
        "starved: 0.4 of the 12 passes it wants; --minutes 13 would reach them here, --resume --minutes 13 goes on"
    )


@pytest.mark.parametrize(
    ("scores", "passes", "wanted"),
    [
        ([0.5, 0.6], 11, 12),
        ([0.5, 0.6], 3, None),
        ([0.9, 0.7, 0.7, 0.7, 0.6, 0.6], 3, 12),
        ([0.9, 1.0], 3, 12),
    ],
    ids=["enough", "by steps", "fell long ago", "perfect"],
)
def test_nothing_is_said_where_more_would_not_help(scores, passes, wanted):
    assert starved(_network(scores, passes=passes, wanted=wanted), minutes=1) is None
