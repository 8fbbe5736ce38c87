"""Documents of strangers: what is bounded is refused in words, what is plain is read as json and yaml read it."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from gossamer._documents import MOST_BYTES, parse_json, parse_yaml, read_json

PLAIN = {"a": [1, -2.5, True, None, "é"], "b": {"c": 10**17, "d": 1e300}}


def test_what_is_plain_is_read():
    assert parse_json(json.dumps(PLAIN)) == PLAIN
    assert parse_json(json.dumps(PLAIN).encode()) == PLAIN
    assert parse_yaml(yaml.safe_dump(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "at most 64 levels deep"),
        ("[" * 66 + "]" * 66, "at most 64 levels deep"),
        ('{"a":' * 66 + "1" + "}" * 66, "at most 64 levels deep"),
        ("9" * 5000, "at most 18 digits, got 999999999999... with 5000"),
        ("1e999", "numbers are finite, got 1e999"),
        ("-1e999", "numbers are finite, got -1e999"),
        ("NaN", "numbers are finite, got NaN"),
        ("Infinity", "numbers are finite"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
    ],
)
def test_json_out_of_bounds(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_the_deepest_that_is_read():
    assert parse_json("[" * 65 + "]" * 65)


def test_json_that_is_too_long(tmp_path):
    with pytest.raises(ValueError, match="at most 10 bytes, this one has 12"):
        parse_json('"0123456789"', most_bytes=10)
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=f"at most {MOST_BYTES} bytes"):
        read_json(tmp_path / "x.json")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(OSError, match="it is no regular file"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1, 1]\nb: *x", r"aliases are not read, got \*x; write the value out"),
        ("[" * 100_000, "at most 64 levels deep"),
        ("a: .inf", "numbers are finite"),
        ("a: [.nan]", "numbers are finite"),
        ("a: " + "9" * 100, "at most 18 digits"),
        ("a: b: c", "mapping values are not allowed"),
        ("!!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
)
def test_yaml_out_of_bounds(text, message):
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)
