"""The run folder: resumed only by its own command, one writer at a time, finished stages kept, files whole."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace

import pytest
from pydantic import BaseModel

from gossamer.errors import RunFolderError
from gossamer.fit.config import FitConfig
from gossamer.runs import folder
from gossamer.runs.folder import RunFolder, default_folder, open_run

CONFIG = FitConfig(data="pictures", within="size<=1MB")


class _Result(BaseModel):
    value: int


class _Once:
    """Counts how often a stage is computed."""

    def __init__(self, value=1):
        self.calls, self.value = 0, value

    def __call__(self):
        self.calls += 1
        return _Result(value=self.value)


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run", CONFIG, resume=False)
    yield run
    run.close()


def _events(path):
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def test_a_new_run_writes_what_it_is(run):
    assert FitConfig.from_yaml(run.path / "config.yaml") == CONFIG
    environment = json.loads((run.path / "env.json").read_text())
    assert set(environment) == {"machine", "versions"}
    assert environment["machine"]["cores"] == os.cpu_count()
    assert "numpy" in environment["versions"]
    assert [e["event"] for e in _events(run.path)] == ["started"]


def test_parents_are_made(tmp_path):
    run = RunFolder(tmp_path / "a" / "b" / "c", CONFIG, resume=False)
    run.close()
    assert (tmp_path / "a" / "b" / "c" / "config.yaml").is_file()


def test_an_empty_folder_may_be_used(tmp_path):
    RunFolder(tmp_path, CONFIG, resume=False).close()
    assert (tmp_path / "config.yaml").is_file()


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        RunFolderError,
        match=r"is not empty and nothing is overwritten; continue it with --resume or give another --out$",
    ):
        RunFolder(tmp_path, CONFIG, resume=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunFolderError, match="nothing is overwritten"):
        RunFolder(tmp_path / "run", CONFIG, resume=False)
    with pytest.raises(
        RunFolderError, match="a file stands where a folder is needed; give another folder with --out"
    ):
        RunFolder(tmp_path / "run" / "inner", CONFIG, resume=False)
    assert (tmp_path / "run").read_text() == "mine"


def test_nothing_to_resume(tmp_path):
    with pytest.raises(
        RunFolderError,
        match=r"^nothing to resume in .*none; leave out --resume, or name the run's folder with --out$",
    ):
        RunFolder(tmp_path / "none", CONFIG, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_another_command_does_not_resume(run):
    run.close()
    other = replace(CONFIG, within="size<=2MB", seed=1)
    with pytest.raises(
        RunFolderError,
        match=r"^--resume continues the same command, seed, within changed in .*; start a new run with another --out$",
    ):
        RunFolder(run.path, other, resume=True)
    assert [e["event"] for e in _events(run.path)] == ["started"]


def test_the_same_command_resumes(run):
    run.close()
    again = RunFolder(run.path, CONFIG, resume=True)
    again.close()
    assert (run.resumed, again.resumed) == (False, True)
    assert [e["event"] for e in _events(run.path)] == ["started", "resumed"]


def test_one_writer_at_a_time(run):
    with pytest.raises(
        RunFolderError, match=r"^another gossamer writes to .*; wait for it or give another --out$"
    ):
        RunFolder(run.path, CONFIG, resume=True)
    run.close()
    RunFolder(run.path, CONFIG, resume=True).close()


def test_a_finished_stage_is_kept(run):
    once = _Once(7)
    assert run.stage("3-train", _Result, once) == run.stage("3-train", _Result, once) == _Result(value=7)
    assert once.calls == 1
    run.close()
    again = RunFolder(run.path, CONFIG, resume=True)
    assert again.stage("3-train", _Result, once).value == 7
    again.close()
    assert once.calls == 1
    assert [(e["event"], e.get("stage")) for e in _events(run.path)] == [
        ("started", None),
        ("stage started", "3-train"),
        ("stage finished", "3-train"),
        ("stage kept", "3-train"),
        ("resumed", None),
        ("stage kept", "3-train"),
    ]
    assert json.loads((run.path / "stages" / "3-train.json").read_text()) == {"value": 7}


def test_a_stage_that_fails_leaves_no_result_and_is_repeated(run):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.stage("3-train", _Result, fail)
    assert not (run.path / "stages").exists()
    once = _Once()
    run.stage("3-train", _Result, once)
    assert once.calls == 1


@pytest.mark.parametrize("text", ["", "{", '{"value": "x"}', '{"other": 1}'])
def test_a_damaged_result_is_named_not_repeated(run, text):
    once = _Once()
    run.stage("3-train", _Result, once)
    (run.path / "stages" / "3-train.json").write_text(text)
    with pytest.raises(
        RunFolderError, match=r"3-train\.json is damaged; delete it to repeat the stage, or start a new run$"
    ):
        run.stage("3-train", _Result, once)
    assert once.calls == 1


def test_a_full_disk_while_a_stage_is_written(run, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    events = (run.path / "events.jsonl").read_text()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        RunFolderError,
        match=r"^cannot write .*events\.jsonl: the disk is full; free some space and run the same command with --resume$",
    ):
        run.stage("3-train", _Result, _Once())
    monkeypatch.setattr(run, "event", lambda *_, **__: None)
    with pytest.raises(RunFolderError, match=r"3-train\.json: the disk is full"):
        run.stage("3-train", _Result, _Once())
    assert list((run.path / "stages").iterdir()) == [], "no half file is left"
    monkeypatch.undo()
    assert (run.path / "events.jsonl").read_text().startswith(events)
    once = _Once()
    run.stage("3-train", _Result, once)
    assert once.calls == 1


def test_a_read_only_disk(run, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    with pytest.raises(RunFolderError, match="the file system is read-only; give another folder with --out"):
        run.stage("3-train", _Result, _Once())


def test_events_are_lines_of_json_with_a_time(run):
    run.event("note", text='a "quoted"\nline', file="forêt.png")
    last = _events(run.path)[-1]
    assert (last["event"], last["text"], last["file"]) == ("note", 'a "quoted"\nline', "forêt.png")
    assert last["time"].endswith("+00:00")


def test_metrics_are_rows_under_one_header(run):
    run.metric(network="a@64", seconds=1.5, passes=0.25, train_loss=2.0, val_loss=1.9, val_accuracy=0.5)
    run.metric(network='b, "c"')
    rows = list(csv.DictReader((run.path / "metrics.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "time",
        "network",
        "seconds",
        "passes",
        "train_loss",
        "val_loss",
        "val_accuracy",
    ]
    assert [row["network"] for row in rows] == ["a@64", 'b, "c"']
    assert (rows[0]["val_accuracy"], rows[1]["val_accuracy"]) == ("0.5", "")


def test_the_default_folder_is_the_first_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(default_folder("roofs")) == "runs/roofs"
    (tmp_path / "runs" / "roofs").mkdir(parents=True)
    assert str(default_folder("roofs")) == "runs/roofs-2"
    (tmp_path / "runs" / "roofs-2").mkdir()
    assert str(default_folder("roofs")) == "runs/roofs-3"
    assert str(default_folder("")) == "runs/run"


def _finished(out=None, *, config=CONFIG, name="pictures", done=True):
    with open_run(config, name, out, resume=False) as run:
        if done:
            run.event("done")
        return run.path


def test_resume_without_a_folder_takes_the_interrupted_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _finished()
    interrupted = _finished(done=False)
    _finished()
    _finished(config=replace(CONFIG, seed=1), done=False)
    with open_run(CONFIG, "pictures", None, resume=True) as run:
        assert run.path == interrupted
        run.event("done")
    with open_run(CONFIG, "pictures", None, resume=True) as run:
        assert run.path.name == "pictures-3", "all are done: the newest of these arguments"


def test_resume_with_more_minutes_does_what_follows_training_again(tmp_path):
    path = _finished(tmp_path / "run")
    for stage in ("1-check", "2-shortlist", "3-train", "5-verify"):
        (path / "stages").mkdir(exist_ok=True)
        (path / "stages" / f"{stage}.json").write_text('{"value": 1}')
    longer = replace(CONFIG, minutes=CONFIG.minutes + 5)
    with pytest.raises(RunFolderError, match="minutes changed"), open_run(longer, "", path, resume=True):
        pass
    with open_run(longer, "", path, resume=True, extends=True) as run:
        assert sorted(file.stem for file in (run.path / "stages").iterdir()) == ["1-check", "2-shortlist"]
        assert FitConfig.from_yaml(run.path / "config.yaml").minutes == longer.minutes
    shorter = replace(CONFIG, minutes=1)
    with (
        pytest.raises(RunFolderError, match="minutes changed"),
        open_run(shorter, "", path, resume=True, extends=True),
    ):
        pass


def test_a_folder_that_could_not_be_begun_can_be_begun_again(tmp_path, monkeypatch):
    def full(*_):
        raise RunFolderError("cannot write: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_text", full)
        with (
            pytest.raises(RunFolderError, match="disk is full"),
            open_run(CONFIG, "", tmp_path / "run", resume=False),
        ):
            pass
    assert not (tmp_path / "run").exists()
    _finished(tmp_path / "run")
