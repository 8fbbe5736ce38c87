"""Malformed commands over all verbs: one line, exit code 2 (3 for what is not installed), no folder, no picture opened."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

HUGE = "9" * 30
ENDLESS = "9" * 5_000
SAMPLE = Path(__file__).parents[1] / "samples" / "earlier_bundles" / "export"
FIT = "fit DATA --within size<=1MB"
TRAIN = "train DATA --model shufflenet_v2_0.25"
COMPRESS = "compress shufflenet_v2_0.25"
EXPORT = "export shufflenet_v2_0.25"

CORE = [
    f"{FIT} --threads {HUGE}",
    f"{FIT} --threads {ENDLESS}",
    f"{FIT} --seed {HUGE}",
    f"{FIT} --split-seed {HUGE}",
    f"{FIT} --minutes 1e999",
    f"{FIT} --threads ²",
    f"{FIT} --out ''",
    f"{FIT} --out=",
    f"{FIT} --out ' '",
    "fit '' --within size<=1MB",
    "fit DATA --within ''",
    f"fit DATA --within size<={ENDLESS}MB",
    "fit DATA --within size<=1e999MB",
    "fit DATA --within 'size<=1MB' extra",
    f"check DATA --split-seed {HUGE}",
    "check DATA --seed 1",
    "check ''",
    "check DATA --bands ''",
    "check DATA --groups ''",
    f"bench shufflenet_v2_0.25 --threads {ENDLESS}",
    "bench shufflenet_v2_0.25 --threads ²",
    f"bench shufflenet_v2_0.25 --seed {HUGE}",
    "bench shufflenet_v2_0.25 --seconds nan",
    f"predict BUNDLE picture.png --top {HUGE}",
    f"predict BUNDLE picture.png --threads {HUGE}",
    "predict BUNDLE ''",
    "predict '' picture.png",
    "predict BUNDLE picture.png --out ''",
    "zoo ''",
    "zoo --within ''",
    "zoo --sort size",
    "zoo --family Nothing",
    "zoo mobilenet_v9",
    "zoo --descending",
    "report ''",
    "report nowhere",
    "report DATA",
    "doctor extra",
    f"measure shufflenet_v2_0.25 --seed {HUGE}",
    f"measure shufflenet_v2_0.25 --threads {HUGE}",
    "measure ''",
    "train DATA --model ''",
    f"{TRAIN} --epochs 5 --minutes 5",
    f"{TRAIN} --size ²x²",
    f"{TRAIN} --size {ENDLESS}",
    f"export shufflenet_v2_0.25 --to onnxruntime --input 3x{ENDLESS}x8",
    "compress ''",
    f"{COMPRESS} --method prune:macs=50% --plan ''",
    f"{FIT} --config nowhere.yaml",
    f"{FIT} --out {'n' * 300}",
    "train DATA --model mobilenet_v3_small@timm",
    "compress mobilenet_v3_small@timm --method prune:macs=50%",
    "export mobilenet_v3_small@timm --to onnxruntime",
    "bench mobilenet_v3_small@timm",
    "measure mobilenet_v3_small@timm",
    f"{TRAIN} --teacher nowhere",
    f"{TRAIN} --set batch=1e30",
    f"{FIT} --bands B99",
    f"{COMPRESS} --method nothing",
]

FULL = [
    "train DATA",
    f"{FIT} --minutes two",
    f"{FIT} --minutes -inf",
    f"{FIT} --max-drop nan",
    f"{FIT} --max-drop ''",
    f"{FIT} --max-drop 1e999",
    f"{FIT} --view up",
    f"{FIT} --on packed",
    f"{FIT} --on ''",
    f"{FIT} --resume",
    f"{FIT} --bands ²",
    f"{FIT} --bands {ENDLESS}",
    f"{FIT} --groups nowhere.csv:site",
    f"{FIT} --groups nonsense",
    f"{FIT} --families Nothing",
    f"{FIT} --families ''",
    f"{FIT} --sizes 7",
    f"{FIT} --sizes ²",
    f"{FIT} --sizes {HUGE}",
    f"{FIT} --precision int9",
    "fit nowhere --within size<=1MB",
    "fit DATA --within 'size<=1MB,,latency'",
    "fit DATA --within latency<=3ms --within ''",
    f"fit {'n' * 5000} --within size<=1MB",
    f"{TRAIN} --set batch={HUGE}",
    f"{TRAIN} --set batch={ENDLESS}",
    f"{TRAIN} --set batch=²",
    f"{TRAIN} --set batch=0",
    f"{TRAIN} --set batch",
    f"{TRAIN} --set ''",
    f"{TRAIN} --set =3",
    f"{TRAIN} --set bach=3",
    f"{TRAIN} --set learning_rate=nan",
    f"{TRAIN} --set learning_rate=1e30",
    f"{TRAIN} --set momentum=2",
    f"{TRAIN} --set milestones=0.5,nan",
    f"{TRAIN} --set milestones=5",
    f"{TRAIN} --set patience=1e300",
    f"{TRAIN} --set mixup=1e30",
    f"{TRAIN} --set augmentation.degrees=1e30",
    f"{TRAIN} --set augmentation.scale=1",
    f"{TRAIN} --set augmentation.randaugment=1e30",
    f"{TRAIN} --set distillation.temperature=0",
    f"{TRAIN} --set distillation.logits=-1",
    f"{TRAIN} --set distillation=1",
    f"{TRAIN} --set compile=perhaps",
    f"{TRAIN} --recipe large-data",
    f"{TRAIN} --recipe ''",
    f"{TRAIN} --recipe paper:Nothing",
    f"{TRAIN} --recipe nowhere.yaml",
    f"{TRAIN} --teacher shufflenet_v2_0.25",
    f"{TRAIN} --teacher mobilenet_v2@nowhere.pth",
    f"{TRAIN} --teacher mobilenet_v2@torchvision",
    f"{TRAIN} --teacher +",
    f"{TRAIN} --teacher DATA",
    f"{TRAIN} --metric happiness",
    f"{TRAIN} --metric ''",
    f"{TRAIN} --epochs 0",
    f"{TRAIN} --epochs {HUGE}",
    f"{TRAIN} --devices {HUGE}",
    f"{TRAIN} --nodes 0",
    f"{TRAIN} --strategy magic",
    f"{TRAIN} --size 8",
    f"{TRAIN} --resize stretch",
    f"{TRAIN} --find everything",
    f"{TRAIN} --on packed",
    f"{TRAIN} --bands B99",
    "train DATA --model nothing",
    "train DATA --model nothing --find rate",
    "train DATA --model shufflenet_v2_0.25[:99]",
    "train DATA --model shufflenet_v2_0.25[:]",
    "train DATA --model shufflenet_v2_0.25@nowhere.pth",
    "train DATA --model mobilenet_v3_small@imagenet",
    "train DATA --model keras:mobilenet",
    f"{COMPRESS}",
    f"{COMPRESS} --method ''",
    f"{COMPRESS} --method prune:macs=1e999",
    f"{COMPRESS} --method prune:macs=-1",
    f"{COMPRESS} --method prune:macs=²",
    f"{COMPRESS} --method prune:macs=nan",
    f"{COMPRESS} --method pack:bits={HUGE}",
    f"{COMPRESS} --method pack:bits=²",
    f"{COMPRESS} --method sparsify:pattern=²:4",
    f"{COMPRESS} --method sparsify:pattern=2:{ENDLESS}",
    f"{COMPRESS} --method quantize:bits=many",
    f"{COMPRESS} --method pack:bits=6 --method prune:macs=50%",
    f"{COMPRESS} --apply nowhere.json",
    f"{COMPRESS} --apply nowhere.json --data DATA",
    f"{COMPRESS} --method prune:macs=50% --apply plan.json",
    f"{COMPRESS} --method prune:macs=50% --minutes 1",
    f"{COMPRESS} --method prune:macs=50% --minutes {HUGE} --data DATA",
    f"{COMPRESS} --method prune:macs=50% --input 3x²x8",
    f"{COMPRESS} --method prune:macs=50% --data nowhere",
    f"{COMPRESS} --method prune:macs=50% --data ''",
    f"{COMPRESS} --method prune:macs=50% --max-drop 100%",
    "compress nothing --method prune:macs=50%",
    "compress model.onnx --method prune:macs=50%",
    f"{EXPORT}",
    f"{EXPORT} --to ''",
    f"{EXPORT} --to ,",
    f"{EXPORT} --to tpu",
    f"{EXPORT} --to onnxruntime:int9",
    f"{EXPORT} --to onnxruntime,onnxruntime",
    f"{EXPORT} --to onnxruntime:int8",
    f"{EXPORT} --to onnxruntime --input 9",
    f"{EXPORT} --to onnxruntime --input 5x64x64",
    f"{EXPORT} --to onnxruntime --threads 0",
    "export nothing --to onnxruntime",
    "bench nothing",
    "bench nowhere.onnx",
    "bench shufflenet_v2_0.25 nothing",
    "bench shufflenet_v2_0.25 --on tpu",
    "bench shufflenet_v2_0.25 --sort speed",
    "bench shufflenet_v2_0.25 --out table.xls",
    "bench shufflenet_v2_0.25 --input 3x0x8",
    "measure nothing",
    "measure nowhere.onnx",
    "measure shufflenet_v2_0.25 --sizes ²",
    f"measure shufflenet_v2_0.25 --sizes {ENDLESS}",
    f"measure shufflenet_v2_0.25 --input 3x{HUGE}x8",
    "measure shufflenet_v2_0.25 --sizes 64 --input 3x64x64",
    "measure shufflenet_v2_0.25 --sort speed",
    "measure shufflenet_v2_0.25 --out table.xls",
    "measure shufflenet_v2_0.25 --latency tpu",
    "measure shufflenet_v2_0.25 --precision int9 --predict",
    "measure shufflenet_v2_0.25 --picture chart.png --profile",
    "predict nowhere picture.png",
    "predict BUNDLE nowhere.png",
    "predict BUNDLE DATA --on tpu",
    "predict BUNDLE DATA --out table.xls",
    f"predict BUNDLE DATA --top {ENDLESS}",
    "zoo mobilenet_v2 --sort macs",
    "zoo --within speed<1",
    "zoo --within latency<=1ms",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.conftest import write_class_folders

    return write_class_folders(tmp_path_factory.mktemp("malformed") / "data", {"a": 3, "b": 3})


@pytest.fixture
def refused(gossamer, data, tmp_path, monkeypatch):
    """`refused(command)`: it ends in one line before any work, and leaves nothing."""

    def opened(*_arguments, **_keywords):
        raise AssertionError("pictures were opened before the arguments were checked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gossamer.data.check.scan_files", opened)
    monkeypatch.setattr("socket.socket.connect", opened)
    places = {"DATA": str(data), "BUNDLE": str(SAMPLE)}

    def call(command):
        code, out, err = gossamer(*(places.get(word, word) for word in shlex.split(command)))
        assert code in (2, 3), (code, out, err)
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert len(err) < 2_500
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []

    return call


def _name(command):
    return command if len(command) < 90 else f"{command[:60]}...{len(command)}"


@pytest.mark.parametrize("command", CORE, ids=_name)
def test_the_core_of_malformed_commands(refused, command):
    refused(command)


@pytest.mark.slow
@pytest.mark.parametrize("command", FULL, ids=_name)
def test_malformed_commands(refused, command):
    refused(command)


def test_the_suite_covers_every_verb():
    from gossamer.cli import VERBS

    assert {command.split()[0] for command in [*CORE, *FULL]} == set(VERBS)
    assert len(CORE + FULL) == len(set(CORE + FULL)) > 130
