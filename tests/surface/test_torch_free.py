"""What runs where torch is not installed, and what says so in one line."""

from __future__ import annotations

import json

import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file
from without_torch import gossamer, python

from gossamer.cli import VERBS
from gossamer.deploy import bundle
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, get_runtime
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.packed.graph import split_graph
from gossamer.deploy.runtimes.packed.tensors import write_packed
from gossamer.files.onnx import write_metadata
from gossamer.testing.networks import tiny_networks
from gossamer.types import Size
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted
from gossamer.zoo.spec import ModelSpec

SHELL = [
    "gossamer",
    "gossamer._files",
    "gossamer._machine",
    "gossamer.cli",
    "gossamer.compress.codebook.steps",
    "gossamer.compress.order",
    "gossamer.runs.choice",
    "gossamer.cost.block_formulas",
    "gossamer.timing.energy",
    "gossamer.cost.figures",
    "gossamer.cost.file_count",
    "gossamer.cost.formulas",
    "gossamer.timing.latency",
    "gossamer.timing.table.latency_table",
    "gossamer.timing.memory",
    "gossamer.cost.onnx_count",
    "gossamer.timing.table.predictor",
    "gossamer.timing.profilers",
    "gossamer.timing.roofline",
    "gossamer.data.bands",
    "gossamer.data.cache",
    "gossamer.data.check",
    "gossamer.data.dataset",
    "gossamer.data.readers.folder",
    "gossamer.data.pictures",
    "gossamer.data.scan",
    "gossamer.data.scenes",
    "gossamer.data.split",
    "gossamer.deploy.bundle",
    "gossamer.deploy.contract",
    "gossamer.deploy.kernels.binary",
    "gossamer.deploy.kernels.reference",
    "gossamer.deploy.kernels.shift",
    "gossamer.deploy.kernels.weights",
    "gossamer.deploy.asked",
    "gossamer.deploy.films",
    "gossamer.deploy.predict",
    "gossamer.deploy.tables",
    "gossamer.deploy.watch",
    "gossamer.geo.merge",
    "gossamer.geo.regions",
    "gossamer.geo.scene",
    "gossamer.geo.windows",
    "gossamer.deploy.runtimes",
    "gossamer.deploy.runtimes.convert",
    "gossamer.deploy.runtimes.int8_checks",
    "gossamer.deploy.runtimes.litert.int8",
    "gossamer.deploy.runtimes.litert.run",
    "gossamer.deploy.runtimes.node_times",
    "gossamer.deploy.runtimes.onnxruntime.floats",
    "gossamer.deploy.runtimes.onnxruntime.int8",
    "gossamer.deploy.runtimes.onnxruntime.post_training",
    "gossamer.deploy.runtimes.onnxruntime.profile",
    "gossamer.deploy.runtimes.onnxruntime.run",
    "gossamer.deploy.runtimes.openvino.int8",
    "gossamer.deploy.runtimes.openvino.profile",
    "gossamer.deploy.runtimes.openvino.run",
    "gossamer.deploy.runtimes.packed.graph",
    "gossamer.deploy.runtimes.packed.run",
    "gossamer.deploy.runtimes.packed.tensors",
    "gossamer.deploy.runtimes.parts",
    "gossamer.deploy.runtimes.reference.run",
    "gossamer.errors",
    "gossamer.files.metadata",
    "gossamer.files.onnx",
    "gossamer.files.tflite",
    "gossamer.fit.api",
    "gossamer.fit.config",
    "gossamer.runs.folder",
    "gossamer.runs.reporter",
    "gossamer.report.charts",
    "gossamer.report.document",
    "gossamer.report.html",
    "gossamer.report.matrix",
    "gossamer.report.svg",
    "gossamer.tasks.classify.confusion",
    "gossamer.testing",
    "gossamer.types",
    "gossamer.zoo.catalogue",
    "gossamer.zoo.counted",
    "gossamer.zoo.rows",
    "gossamer.zoo.spec",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One .onnx file with its contract inside."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    contract = InputContract.of("imagenet", 33)
    export(tiny_networks(num_classes=3)["plain"], contract, path)
    file = onnx.load(path)
    write_metadata(file, {"labels": ["a", "b", "c"], "input": contract.to_json()})
    onnx.save(file, path)
    assert contract.size == Size(33, 33)
    return path


def test_the_block_blocks():
    result = python("import importlib.util\nassert importlib.util.find_spec('torch') is None\nimport torch")
    assert result.returncode == 1
    assert "No module named 'torch'" in result.stderr


def test_the_shell_imports():
    code = f"import importlib\nfor name in {SHELL!r}: importlib.import_module(name)\n"
    check = "assert 'torch' not in sys.modules\nprint('all', len(sys.modules) > 100)"
    result = python(code + check)
    assert result.stderr == ""
    assert result.stdout == "all True\n"


def test_importing_gossamer_imports_no_numpy_either():
    result = python(
        "import gossamer, gossamer.cli\nprint(sorted({'numpy', 'onnx', 'pytest', 'PIL'} & set(sys.modules)))"
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_public_names_that_need_no_torch():
    names = [
        "Budget",
        "Bundle",
        "GossamerError",
        "InputContract",
        "ModelSpec",
        "check",
        "fit",
        "load",
        "predict",
    ]
    result = python(f"import gossamer\nfor name in {names!r}: assert callable(getattr(gossamer, name))")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("-h",), *((verb, "--help") for verb in VERBS)], ids=" ".join
)
def test_help(arguments):
    result = gossamer(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: gossamer")


def test_zoo():
    result = gossamer("zoo", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows] == list(CLASSIFIERS)
    assert all(row["macs"] == counted(row["name"], row["input"]).macs for row in rows)


def test_zoo_as_a_table():
    result = gossamer("zoo", "--within", "macs<=100M", "--sort", "top1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nmobilenet_v3_small " in result.stdout
    assert "\nmobilenet_v2 " not in result.stdout


def test_zoo_of_one_leaves_its_stages_out():
    said = "stages are left out: building a network needs torch; pip install 'gossamer[train]'\n"
    result = gossamer("zoo", "mobilenet_v2")
    assert (result.returncode, result.stderr) == (0, said)
    assert "\n224 x 224  3,504,872 " in result.stdout
    assert "stages.0" not in result.stdout
    result = gossamer("zoo", "mobilenet_v2", "--json")
    assert (result.returncode, result.stderr) == (0, said)
    (row,) = json.loads(result.stdout)
    assert (row["params"], row["stages"]) == (3_504_872, None)


def test_doctor():
    result = gossamer("doctor", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["runtimes"] == dict.fromkeys(RUNTIMES, "ready")
    assert document["missing"]["training"] == (
        "torch, torchvision, lightning, tensorboard not installed; pip install 'gossamer[train]'"
    )
    assert document["missing"]["weights"].startswith("timm not installed")


def test_check(pictures):
    root = pictures({"a": 5, "b": 5})
    result = gossamer("check", root, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["labels"] == ["a", "b"]


def test_predict_from_one_file(model, pictures):
    picture = pictures({"a": 1}) / "a" / "000.png"
    result = gossamer("predict", model, picture, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    (prediction,) = json.loads(result.stdout)
    assert prediction["file"] == str(picture)
    assert sorted(row["label"] for row in prediction["top"]) == ["a", "b", "c"]
    assert sum(row["score"] for row in prediction["top"]) == pytest.approx(1, abs=1e-5)


def test_predict_from_one_packed_file(model, pictures, tmp_path):
    file, split = onnx.load(model), tmp_path / "model.gsm"
    graph = split_graph(file, {})
    metadata = json.loads({each.key: each.value for each in file.metadata_props}["gossamer"])
    write_packed(split, graph.tensors, metadata=metadata, graph=graph.graph)
    picture = pictures({"a": 1}) / "a" / "000.png"
    found, expected = (
        gossamer("predict", split, picture, "--json"),
        gossamer("predict", model, picture, "--json"),
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == expected.stdout


def test_fit_says_what_to_install(pictures, tmp_path):
    root = pictures({"a": 5, "b": 5})
    result = gossamer("fit", root, "--within", "size<=1MB", "--out", tmp_path / "run")
    assert result.returncode == 3
    assert result.stdout == ""
    assert (
        result.stderr
        == "error: training needs torch, which is not installed; pip install 'gossamer[train]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_measure_says_what_to_install():
    result = gossamer("measure", "mobilenet_v2")
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr == (
        "error: measuring a network needs torch, which is not installed; pip install 'gossamer[train]'\n"
    )


@pytest.mark.parametrize("name", ["openvino", pytest.param("litert", marks=pytest.mark.slow)])
def test_predict_on_another_runtime(name, tmp_path):
    """From a bundle, as `fit --on` ships it; what runs is not what made the file."""
    runtime = get_runtime(name)
    contract = InputContract.of("imagenet", 33)
    network = tiny_networks(num_classes=3)["plain"]
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    runtime.export(network, contract, tmp_path / f"model{runtime.suffix}")
    bundle.save(
        tmp_path / "bundle",
        spec=ModelSpec("mobilenet_v1_0.25", {}),
        weights=tmp_path / "weights.safetensors",
        task="classify",
        labels=["a", "b", "c"],
        contract=contract,
        files=[(name, "fp32", 1, tmp_path / f"model{runtime.suffix}")],
        measured={},
        provenance={},
        texts={},
    )
    Image.new("RGB", (40, 50), (200, 30, 90)).save(tmp_path / "p.png")
    result = gossamer("predict", tmp_path / "bundle", tmp_path / "p.png", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    (row,) = json.loads(result.stdout)
    assert row["label"] in "abc"
    code = (
        "from gossamer.deploy.predict import predict\n"
        f"predict({str(tmp_path / 'bundle')!r}, [{str(tmp_path / 'p.png')!r}])\n"
        "print(sorted({'torch', 'jax', 'nncf', 'litert_torch', 'openvino_telemetry'} & {n for n, m in sys.modules.items() if m}))"
    )
    result = python(code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
