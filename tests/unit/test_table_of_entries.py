"""A table: what it holds, what it loads, what is added for a while."""

from __future__ import annotations

import pytest

from gossamer._table import Table
from gossamer.errors import DataError


@pytest.fixture
def table():
    return Table("thing", {"json": "json", "dumps": "json:dumps"}, error=DataError)


def test_it_loads_modules_and_attributes(table):
    import json

    assert table.load("json") is json
    assert table.load("dumps") is json.dumps
    assert table.has("json", "decoder")
    assert table.part("json", "nothing") is None


def test_an_unknown_name_is_its_own_error(table):
    with pytest.raises(DataError, match=r"^unknown thing 'jsn'; did you mean 'json'"):
        table.load("jsn")


def test_a_row_is_added_at_the_end_or_first_and_goes_again(table):
    with table.added("last", "csv"), table.added("first", "abc", first=True):
        assert list(table) == ["first", "json", "dumps", "last"]
    assert list(table) == ["json", "dumps"]


def test_a_name_is_not_taken_twice(table):
    message = r"^each thing has a name of its own, 'json' stands for json; choose another$"
    with pytest.raises(DataError, match=message), table.added("json", "csv"):
        pass
    assert table["json"] == "json"


def test_a_row_goes_where_the_block_fails(table):
    with pytest.raises(RuntimeError, match="inside"), table.added("mine", "csv"):
        raise RuntimeError("inside")
    assert "mine" not in table
