"""A run that is killed while it publishes: no page of a bundle that is not whole, and the same command goes on."""

from __future__ import annotations

import pytest

from gossamer.deploy.bundle import load

EXPORT = ("export", "shufflenet_v2_0.25[:1]", "--to", "onnxruntime", "--input", "3x32x32")
COMPRESS = ("compress", "shufflenet_v2_0.25[:1]", "--method", "pack:bits=6", "--input", "3x32x32")


@pytest.mark.parametrize("command", [EXPORT, COMPRESS], ids=lambda command: command[0])
def test_the_report_comes_last(gossamer, tmp_path, monkeypatch, command):
    run = tmp_path / "run"

    def killed(*_arguments, **_keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gossamer.deploy.bundle._write", killed)
        code, _, err = gossamer(*command, "--out", run)
    assert code == 130, err
    assert not (run / "bundle").exists()
    assert not (run / "report.html").exists()
    code, _, err = gossamer(*command, "--out", run, "--resume")
    assert code == 0, err
    assert load(run / "bundle").files
    assert (run / "report.html").is_file()
    assert [each.name for each in run.iterdir() if each.name.startswith(".")] == [".lock"]
    assert not list((run / "bundle").rglob(".*"))
