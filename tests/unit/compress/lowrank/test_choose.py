"""The mildest choices that meet a need."""

from __future__ import annotations

from gossamer.compress.lowrank.choose import Choice, choose

MENUS = [[Choice(10, 1.0), Choice(20, 3.0)], [Choice(10, 0.5), Choice(30, 9.0)], []]


def test_the_cheapest_steps_come_first():
    assert choose(MENUS, 10) == [None, 0, None]
    assert choose(MENUS, 20) == [0, 0, None]
    assert choose(MENUS, 30) == [1, 0, None]
    assert choose(MENUS, 50) == [1, 1, None]


def test_nothing_needed_is_nothing_taken():
    assert choose(MENUS, 0) == [None, None, None]


def test_what_is_too_much_is_given_back():
    menu = [Choice(3, 2.0), Choice(10, 2.5)]
    assert choose([menu], 2) == [0]
    assert choose([[Choice(5, 1.0)], [Choice(6, 1.1)]], 6) == [None, 0]


def test_more_than_there_is_takes_all():
    assert choose(MENUS, 60) == [1, 1, None]
