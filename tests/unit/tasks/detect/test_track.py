"""Things known again: crossing, missed, unsure, new; and the assignment below it."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.tasks.detect.answer import answer_of
from gossamer.tasks.detect.track import BoxFollower, assigned

LABELS = ["car", "ship"]


def _answer(*rows):
    return answer_of(
        [{"label": label, "score": score, "box": list(map(float, box))} for label, score, box in rows], LABELS
    )


def _at(x, y, side=20):
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def _ids(answer):
    return {tuple(row["box"]): row["id"] for row in answer.document["boxes"]}


def test_nothing_gives_nothing():
    follower = BoxFollower(LABELS)
    assert follower.update(_answer()).document["boxes"] == []
    assert follower.counts == {"car": 0, "ship": 0}


@given(st.floats(-6, 6), st.floats(-6, 6), st.integers(0, 1000))
def test_a_thing_that_moves_evenly_keeps_its_id_with_noise(speed_x, speed_y, seed):
    rng = np.random.default_rng(seed)
    follower = BoxFollower(LABELS)
    for frame in range(40):
        x, y = 300 + speed_x * frame, 300 + speed_y * frame
        box = np.array(_at(x, y, 40)) + rng.normal(0, 0.7, 4)
        (row,) = follower.update(_answer(("car", 0.9, box))).document["boxes"]
        assert row["id"] == 1
    assert follower.counts == {"car": 1, "ship": 0}


@given(st.integers(2, 5), st.integers(0, 12))
def test_things_that_cross_keep_their_ids(speed, shift):
    follower = BoxFollower(LABELS)
    seen = {"right": set(), "left": set()}
    for frame in range(80):
        x = -40 * speed + speed * frame
        right, left = _at(x, 0), _at(-x, shift)
        ids = _ids(follower.update(_answer(("car", 0.9, right), ("car", 0.8, left))))
        if right != left:
            seen["right"].add(ids[right])
            seen["left"].add(ids[left])
    assert sorted(map(len, seen.values())) == [1, 1]
    assert follower.counts["car"] == 2


@given(st.integers(1, 25))
def test_a_thing_that_was_missed_for_some_frames_is_the_same(gap):
    follower = BoxFollower(LABELS)
    for frame in range(60):
        missing = 20 <= frame < 20 + gap
        rows = [] if missing else [("car", 0.9, _at(3 * frame, 50, 30))]
        said = follower.update(_answer(*rows)).document["boxes"]
        assert [row["id"] for row in said] == [1] * len(rows)
    assert follower.counts["car"] == 1


def test_a_thing_that_is_away_for_long_is_a_new_one():
    follower = BoxFollower(LABELS)
    for frame in range(100):
        follower.update(_answer(*([] if 10 <= frame < 50 else [("car", 0.9, _at(50, 50))])))
    assert follower.counts["car"] == 2


def test_an_unsure_box_goes_on_a_track_and_begins_none():
    follower = BoxFollower(LABELS)
    follower.update(_answer(("car", 0.9, _at(50, 50))))
    both = _answer(("car", 0.2, _at(51, 50)), ("car", 0.3, _at(150, 150)), ("car", 0.05, _at(51, 51)))
    (row,) = follower.update(both).document["boxes"]
    assert (row["id"], row["score"]) == (1, 0.2)


def test_a_new_thing_is_told_from_its_second_frame_on():
    follower = BoxFollower(LABELS)
    follower.update(_answer())
    assert follower.update(_answer(("ship", 0.9, _at(50, 50)))).document["boxes"] == []
    (row,) = follower.update(_answer(("ship", 0.9, _at(51, 50)))).document["boxes"]
    assert row["id"] == 1
    follower.update(_answer(("ship", 0.9, _at(52, 50)), ("car", 0.9, _at(300, 300))))
    follower.update(_answer(("ship", 0.9, _at(53, 50))))
    assert follower.counts == {"car": 0, "ship": 1}


def test_labels_are_not_mixed():
    follower = BoxFollower(LABELS)
    follower.update(_answer(("car", 0.9, _at(50, 50))))
    assert follower.update(_answer(("ship", 0.9, _at(50, 50)))).document["boxes"] == []


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5))
def test_pairs_are_the_best_there_are(seed, rows, columns):
    rng = np.random.default_rng(seed)
    gain = rng.random((rows, columns)).round(3)
    pairs = assigned(gain, 0.3)
    assert len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist())) == len(pairs)
    assert (gain[pairs[:, 0], pairs[:, 1]] >= 0.3).all()
    worth = gain[pairs[:, 0], pairs[:, 1]].sum()
    wide = gain if rows <= columns else gain.T
    best = (0, 0.0)
    for order in itertools.permutations(range(wide.shape[1]), wide.shape[0]):
        chosen = wide[np.arange(wide.shape[0]), list(order)]
        chosen = chosen[chosen >= 0.3]
        best = max(best, (len(chosen), round(float(chosen.sum()), 6)))
    assert (len(pairs), round(float(worth), 6)) == best
