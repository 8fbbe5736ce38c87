"""The table of block latencies: keys of graphs, rows kept, files of others. No time is measured."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from gossamer.errors import DataError, RunFolderError
from gossamer.timing.table import latency_table
from gossamer.timing.table.latency_table import LatencyTable, Platform, Row, block_key, default_path

HERE = Platform("Some CPU", ("avx2", "vnni"), "onnxruntime", "1.31.1", 1, "fp32")


def _row(key="a" * 32, platform=str(HERE), **changes):
    row = Row(
        platform=platform, key=key, kind="Block", latency_ms=0.125, spread=0.01, runs=36, macs=10, bytes_moved=400,
        in_channels=8, out_channels=16, height=28, width=30, kernel=3, stride=2, date="2026-11-22T03:00:00+00:00",
        provenance='test, "quoted"',
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


@pytest.fixture
def table(tmp_path):
    return LatencyTable(tmp_path / "folder" / "table.sqlite")


def _graph(*, names=("x", "w", "y"), weight=1.0, stride=1, channels=4, side=8, dtype=TensorProto.FLOAT):
    first, kernel, last = names
    conv = helper.make_node("Conv", [first, kernel], ["middle" + last], strides=[stride, stride])
    act = helper.make_node("Relu", ["middle" + last], [last])
    values = [weight] * (channels * channels)
    graph = helper.make_graph(
        [conv, act],
        "g" + last,
        [helper.make_tensor_value_info(first, dtype, (1, channels, side, side))],
        [helper.make_tensor_value_info(last, dtype, None)],
        [helper.make_tensor(kernel, dtype, (channels, channels, 1, 1), values)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


def test_names_and_weights_do_not_change_the_key():
    assert block_key(_graph()) == block_key(_graph(names=("in", "kernel", "out"), weight=0.25))
    assert len(block_key(_graph())) == 32


@pytest.mark.parametrize(
    "change", [{"stride": 2}, {"channels": 5}, {"side": 9}, {"dtype": TensorProto.FLOAT16}], ids=str
)
def test_shapes_strides_and_dtypes_change_the_key(change):
    assert block_key(_graph(**change)) != block_key(_graph())


def _pair(order, *, shared=False):
    """Two equal branches added up, their nodes in either order; or one branch added to itself."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, (2, 2, 1, 1), [1.0] * 4)
    branches = [helper.make_node("Conv", ["x", "w"], [name]) for name in ("a", "b")]
    branches = branches[:1] if shared else [branches[i] for i in order]
    total = helper.make_node("Add", ["a", "a" if shared else "b"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 4, 4))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([*branches, total], "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


def test_the_order_in_the_file_does_not_change_the_key():
    assert block_key(_pair((0, 1))) == block_key(_pair((1, 0)))


def test_work_done_twice_is_not_work_done_once():
    assert block_key(_pair((0, 1))) != block_key(_pair((0, 1), shared=True))


def _reshape(target):
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    shape = helper.make_tensor("s", TensorProto.INT64, (len(target),), target)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 12))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], [shape])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


def test_sizes_kept_as_constants_count_by_value():
    assert block_key(_reshape([3, 4])) != block_key(_reshape([4, 3]))


def test_a_constant_that_another_one_stands_for_does_not_change_the_key():
    model = onnx.load_from_string(_graph())
    model.graph.node.insert(0, helper.make_node("Identity", ["w"], ["w2"]))
    model.graph.node[1].input[1] = "w2"
    assert block_key(model.SerializeToString()) == block_key(_graph())


def test_another_opset_is_another_key():
    model = onnx.load_from_string(_graph())
    model.opset_import[0].version = 17
    assert block_key(model.SerializeToString()) != block_key(_graph())


def test_the_platform_names_all_that_changes_a_time():
    assert str(HERE) == "Some CPU | avx2+vnni | onnxruntime 1.31.1 | 1 thread(s) | fp32"
    for change in (
        {"cpu": "B"},
        {"isa": ()},
        {"runtime_version": "2"},
        {"threads": 2},
        {"precision": "int8"},
    ):
        assert str(dataclasses.replace(HERE, **change)) != str(HERE)


def test_this_platform_knows_its_runtime():
    here = Platform.here(threads=2)
    assert (here.runtime, here.threads, here.precision) == ("onnxruntime", 2, "fp32")
    assert here.runtime_version[0].isdigit()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags : fpu avx512_vnni sse avx2 avx512f", ("avx2", "avx512", "vnni")),
        ("Features : fp asimd asimddp", ("neon", "asimddp")),
        ("nothing", ()),
    ],
)
def test_instructions_are_read_from_the_system(tmp_path, line, found):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{line}\n")
    assert latency_table._instructions(file) == found


def test_the_default_lies_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "gossamer" / "latency.sqlite"
    assert LatencyTable().path == default_path()
    assert list(tmp_path.iterdir()) == []


def test_reading_makes_no_file(table):
    assert table.rows(HERE) == []
    assert table.calibration(HERE) is None
    assert not table.path.parent.exists()


def test_rows_come_back_as_they_went(table):
    rows = [_row(key) for key in ("b", "a")] + [_row("c", platform="other")]
    for row in rows:
        table.put(row)
    assert table.rows(HERE) == [rows[1], rows[0]]
    assert len(table.rows()) == 3
    assert table.find(HERE, ["a", "c", "d"]) == {"a": rows[1]}


def test_a_later_row_takes_the_place(table):
    table.put(_row())
    table.put(_row(latency_ms=0.5))
    assert [row.latency_ms for row in table.rows()] == [0.5]


def test_one_calibration_a_platform(table):
    table.put_calibration(HERE, {"a": 1})
    table.put_calibration(HERE, {"a": 2})
    assert table.calibration(HERE) == {"a": 2}
    assert table.calibration("other") is None
    assert table.rows() == []


def test_a_calibration_that_is_no_json_is_named(table):
    table.put(_row())
    with sqlite3.connect(table.path) as base:
        base.execute("INSERT INTO calibrations VALUES (?, '{')", (str(HERE),))
    base.close()
    with pytest.raises(DataError, match="calibration is no JSON"):
        table.calibration(HERE)


def test_csv_round_trip(table, tmp_path):
    rows = [_row("a"), _row("b", latency_ms=1 / 3), _row("c", platform="other, with comma")]
    for row in rows:
        table.put(row)
    assert table.to_csv(tmp_path / "all.csv") == 3
    assert table.to_csv(tmp_path / "one.csv", HERE) == 2
    copy = LatencyTable(tmp_path / "copy.sqlite")
    assert copy.from_csv(tmp_path / "all.csv") == 3
    assert copy.rows() == table.rows()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("a,b\n1,2\n", "first line"),
        (None, "line 3 of .* could not convert"),
        ("missing", "cannot read"),
    ],
)
def test_a_csv_that_is_none_of_ours_changes_nothing(table, tmp_path, text, message):
    file = tmp_path / "rows.csv"
    table.put(_row("a"))
    if text is None:
        table.put(_row("b"))
        table.to_csv(file)
        table = LatencyTable(tmp_path / "new.sqlite")
        lines = file.read_text().splitlines()
        file.write_text("\n".join([*lines[:2], lines[2].replace("0.125", "quick")]))
    elif text != "missing":
        file.write_text(text)
    before = table.rows()
    with pytest.raises(DataError, match=message):
        table.from_csv(file)
    assert table.rows() == before


@pytest.mark.parametrize("damage", ["text", "overwritten"])
def test_a_damaged_file_says_what_to_do(table, damage):
    for i in range(50):
        table.put(_row(str(i)))
    whole = table.path.read_bytes()
    table.path.write_bytes({"text": b"no table\n" * 300, "overwritten": whole[:100] + b"\xff" * 8000}[damage])
    for use in (table.rows, lambda: table.put(_row())):
        with pytest.raises(DataError, match=r"table\.sqlite is no latency table .* delete it") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_half_a_file_is_a_damaged_file(table):
    for i in range(50):
        table.put(_row(str(i)))
    whole = table.path.read_bytes()
    table.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="delete it"):
        table.rows()


def test_a_database_of_another_program_is_left_alone(table):
    table.path.parent.mkdir()
    with sqlite3.connect(table.path) as base:
        base.execute("CREATE TABLE rows (name TEXT)")
    base.close()
    before = table.path.read_bytes()
    for use in (table.rows, lambda: table.put(_row())):
        with pytest.raises(DataError, match="of another program"):
            use()
    assert table.path.read_bytes() == before


@pytest.mark.parametrize(
    ("version", "says"),
    [(1, "older format 1.*delete it and measure again"), (3, "format 3.*update gossamer")],
)
def test_a_table_of_another_version_is_refused(table, version, says):
    table.put(_row())
    with sqlite3.connect(table.path) as base:
        base.execute(f"PRAGMA user_version = {version}")
    base.close()
    with pytest.raises(DataError, match=says):
        table.rows()


def test_forms_find_their_keys(table):
    assert table.forms() == {}
    table.put_forms({"f": "a", "g": "b"})
    table.put_forms({"g": "c"})
    assert table.forms() == {"f": "a", "g": "c"}
    assert table.rows() == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "table.sqlite", tmp_path):
        with pytest.raises(RunFolderError, match="cannot be used"):
            LatencyTable(path).put(_row())


def test_an_interrupted_write_leaves_the_rows_before_it(table):
    table.put(_row("a"))

    def interrupted():
        with table._writing() as base:
            base.execute("DELETE FROM rows")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [row.key for row in table.rows()] == ["a"]


WRITER = """
import dataclasses, sys
from gossamer.timing.table.latency_table import LatencyTable, Row
values = {"str": "x", "int": 1, "float": 1.0}
row = Row(**{f.name: values[f.type] for f in dataclasses.fields(Row)})
assert "torch" not in sys.modules
for i in range(40):
    LatencyTable(sys.argv[1]).put(dataclasses.replace(row, key=f"{sys.argv[2]}{i:02d}"))
"""


def test_two_processes_fill_one_file(table):
    command = [sys.executable, "-c", WRITER, str(table.path)]
    processes = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert [row.key for row in table.rows()] == [f"{name}{i:02d}" for name in "ab" for i in range(40)]
    assert [file.name for file in table.path.parent.iterdir()] == ["table.sqlite"]
