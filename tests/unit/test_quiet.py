"""Silence holds for Python and for descriptors, and ends."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

from gossamer._quiet import quiet


def _loud() -> None:
    sys.stdout.write("out\n")
    sys.stderr.write("err\n")
    os.write(1, b"descriptor 1\n")
    os.write(2, b"descriptor 2\n")
    logging.getLogger().warning("logged")
    warnings.warn("warned", stacklevel=2)


def _fail_quietly() -> None:
    with quiet():
        logging.basicConfig()
        raise ZeroDivisionError


def test_nothing_comes_through(capfd):
    with quiet():
        _loud()
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_an_error_too(capfd):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with pytest.raises(ZeroDivisionError):
        _fail_quietly()
    assert (root.level, list(root.handlers)) == before
    sys.stdout.write("heard\n")
    os.write(2, b"too\n")
    assert capfd.readouterr() == ("heard\n", "too\n")


def test_what_was_printed_before_is_not_lost(capfd):
    sys.stdout.write("before ")
    with quiet():
        os.write(1, b"unheard")
    sys.stdout.write("after")
    assert capfd.readouterr().out == "before after"
    with pytest.warns(UserWarning, match="warned"):
        warnings.warn("warned", stacklevel=1)
