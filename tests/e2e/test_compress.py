"""gossamer compress, end to end: plans, the guard, fine-tuning, kill and resume, bad input."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch

from gossamer.deploy.bundle import load
from gossamer.deploy.predict import predict
from gossamer.deploy.runtimes import get_runtime
from gossamer.files.metadata import read_metadata
from gossamer.zoo.of_bundle import network_of

pytestmark = pytest.mark.slow
NAME = "shufflenet_v2_0.25"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.e2e.conftest import write_coloured

    return write_coloured(tmp_path_factory.mktemp("compress") / "data", count=20)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A bundle that knows the colours."""
    import gossamer as gs

    out = tmp_path_factory.mktemp("compress") / "trained"
    settings = ("batch=6", "learning_rate=0.01")
    return gs.train(data, model=NAME, size=32, epochs=16, set=settings, out=out).bundle.folder


@pytest.fixture
def run(gossamer):
    """`run(*arguments)` -> Done(code, stdout, stderr)."""
    return lambda *arguments: Done(*gossamer(*arguments))


class Done(NamedTuple):
    """What a command left."""

    code: int
    stdout: str
    stderr: str


def _document(result):
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def test_a_bundle_is_pruned_within_the_guard(run, data, trained, tmp_path):
    out = tmp_path / "run"
    result = run(
        "compress",
        trained,
        "--data",
        data,
        "--method",
        "prune:macs=80%",
        "--max-drop",
        "20%",
        "--out",
        out,
        "--json",
    )
    found = _document(result)
    assert result.code == (0 if found["met"] else 1)
    before, after = load(trained), load(out / "bundle")
    assert found["steps"][0]["macs"][0] < found["steps"][0]["macs"][1]
    score, base = found["steps"][0]["metric"]
    assert score >= base - 0.2
    assert after.labels == before.labels
    # the bundle's network, its file, and the file alone say the same
    picture = np.random.default_rng(0).standard_normal(after.contract.shape).astype(np.float32)
    with torch.no_grad():
        torch_scores = network_of(after)(torch.from_numpy(picture)).numpy()
    assert np.allclose(after.session().run(picture)[0], torch_scores, atol=1e-4)
    file = out / "bundle" / "deploy" / "onnxruntime-fp32" / "model.onnx"
    assert predict(file, [next(data.rglob("*.png"))])
    told = read_metadata(get_runtime("onnxruntime").load(file, threads=1).metadata, file)["model"]
    assert [edit["edit"] for edit in told["edits"]] == [edit["edit"] for edit in after.spec.edits]
    assert len(json.dumps(told)) < 1000, "the places of a plan stay out of the file"
    assert "kept" in (out / "channels.svg").read_text()
    assert "channels before" in (out / "report.html").read_text()
    assert not (out / "cache").exists()


def test_no_drop_allowed_and_too_much_asked_for(run, data, trained, tmp_path):
    out = tmp_path / "run"
    result = run(
        "compress",
        trained,
        "--data",
        data,
        "--method",
        "prune:macs=5%,floor=1%",
        "--max-drop",
        "0",
        "--out",
        out,
        "--json",
    )
    found = _document(result)
    assert (result.code, found["met"]) == (1, False)
    assert found["steps"][0]["refused"]
    assert found["steps"][0]["metric"][0] >= found["steps"][0]["metric"][1]
    assert "the best network is saved" in result.stderr
    assert network_of(load(out / "bundle")) is not None


def test_fine_tuning_wins_back_what_was_cut(run, data, trained, tmp_path):
    result = run(
        "compress", trained, "--data", data, "--method", "prune:macs=40%", "--minutes", "0.1", "--max-drop", "30%",
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    (step,) = _document(result)["steps"]
    assert step["macs"][0] <= 0.4 * step["macs"][1]
    assert step["metric"][0] >= step["cut"]


def test_methods_chain_and_a_finished_step_is_kept(run, tmp_path):
    arguments = (
        "compress", "mobilenet_v2_0.35", "--input", "3x64x64", "--method", "prune:macs=60%",
        "--method", "factorise:params=80%,check=no", "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    first = _document(run(*arguments))
    assert [step["method"][:5] for step in first["steps"]] == ["prune", "facto"]
    (tmp_path / "run" / "stages" / "2-step-2.json").unlink()  # as if killed in the second step
    again = _document(run(*arguments, "--resume"))
    assert again["steps"][0] == first["steps"][0]
    assert again["steps"][1]["params"] == first["steps"][1]["params"]
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert '"stage kept", "stage": "2-step-1"' in events
    file = next((tmp_path / "run" / "bundle" / "deploy").rglob("*.onnx"))
    assert onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_inputs()[
        0
    ].shape == [1, 3, 64, 64]


def test_a_plan_is_written_edited_and_applied(run, tmp_path):
    plan = tmp_path / "plan.json"
    told = _document(
        run("compress", NAME, "--input", "3x64x64", "--method", "prune:macs=70%", "--plan", plan, "--json")
    )
    assert told["macs"] <= 0.7 * told["macs_before"]
    found = _document(
        run("compress", NAME, "--input", "3x64x64", "--apply", plan, "--out", tmp_path / "run", "--json")
    )
    assert found["steps"][0]["macs"] == [told["macs"], told["macs_before"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NAME,), "give methods or plans to apply, got 0 and 0"),
        ((NAME, "--method", "prune:macs=0"), "a target is a share above 0"),
        ((NAME, "--method", "prune:macs=150%"), "a target is a share above 0"),
        ((NAME, "--method", "shrink:macs=50%"), "methods are prune"),
        ((NAME, "--method", "prune:macs=50%", "--plan", "p.json", "--data", "demo"), "--plan goes by the weights alone"),
        ((NAME, "--plan", "p.json"), "give methods or plans to apply"),
        ((NAME, "--method", "prune:macs=50%", "--minutes", "2"), "fine-tuning needs labelled pictures"),
        ((NAME, "--method", "prune:macs=50%", "--input", "3x64"), "--input is"),
        ((NAME, "--method", "prune:macs=50%", "--max-drop", "150%"), "--max-drop is a share between 0 and 1"),
        (("timm:vit_tiny_patch16_224", "--method", "prune:latency=-3"), "a target is a share above 0"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, tmp_path, arguments, message):
    result = run("compress", *arguments, "--out", tmp_path / "run")
    assert result.code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_other_classes_are_refused(run, trained, tmp_path):
    from tests.e2e.conftest import write_coloured

    other = write_coloured(tmp_path / "other", count=4)
    next(folder for folder in sorted(other.iterdir()) if folder.is_dir()).rename(other / "aardvark")
    result = run(
        "compress", trained, "--data", other, "--method", "prune:macs=50%", "--out", tmp_path / "run"
    )
    assert result.code == 2
    assert "give the data that it was trained on" in result.stderr


def test_zeros_stay_when_a_later_method_is_trained(run, data, trained, tmp_path):
    result = run(
        "compress", trained, "--data", data, "--method", "sparsify:share=60%", "--method", "quantize:bits=8",
        "--minutes", "0.15", "--max-drop", "60%", "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    first, second = _document(result)["steps"]
    plan = json.loads((tmp_path / "run" / first["plan"]).read_text())["layers"]
    network = network_of(load(tmp_path / "run" / "bundle"))
    assert json.loads((tmp_path / "run" / second["plan"]).read_text())["edit"] == "quantize"
    for name, each in plan.items():
        weight = network.get_parameter(f"{name}.weight")
        assert int((weight == 0).sum()) >= each["zeros"], name


def test_a_split_that_the_network_was_not_trained_with_is_one_line(run, data, trained, tmp_path):
    first = run("compress", trained, "--method", "prune:macs=80%", "--out", tmp_path / "first", "--json")
    cut = _document(first)["bundle"]
    for model in (trained, cut):
        result = run(
            "compress",
            model,
            "--data",
            data,
            "--method",
            "prune:macs=60%",
            "--split-seed",
            "1",
            "--out",
            tmp_path / "run",
        )
        assert result.code == 2
        assert "use --split-seed 0" in result.stderr
        assert len(result.stderr.strip().splitlines()[-1:]) == 1


def test_an_applied_plan_of_zeros_makes_them_even_where_minutes_are_given(run, data, trained, tmp_path):
    planned = run("compress", trained, "--method", "sparsify:share=50%", "--plan", tmp_path / "plan.json")
    assert planned.code == 0
    result = run(
        "compress", trained, "--data", data, "--apply", tmp_path / "plan.json", "--minutes", "0.1", "--max-drop", "90%",
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    plan = json.loads((tmp_path / "plan.json").read_text())["layers"]
    network = network_of(load(_document(result)["bundle"]))
    assert all(
        int((network.get_parameter(f"{name}.weight") == 0).sum()) >= each["zeros"]
        for name, each in plan.items()
    )
