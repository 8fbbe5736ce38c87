"""What a .tflite file says of itself, and the contract behind its network."""

from __future__ import annotations

import tracemalloc
import zipfile

import pytest
import torch
from torch import nn

from gossamer.cost.file_count import count_file
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.litert import export as litert
from gossamer.deploy.runtimes.litert.int8 import to_int8
from gossamer.deploy.runtimes.onnxruntime import export as onnxruntime
from gossamer.errors import BundleError
from gossamer.files.tflite import read_metadata_props, read_operators, write_metadata
from gossamer.testing.networks import noise
from gossamer.types import Size

SHAPE = (1, 3, 12, 12)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A plain, a grouped and a depthwise convolution and a matrix, in both formats."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Hardswish(),
        nn.Conv2d(8, 4, 1, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    ).eval()  # fmt: skip
    folder = tmp_path_factory.mktemp("tflite")
    litert.export(network, InputContract(Size(12, 12)), folder / "m.tflite")
    onnxruntime.export(network, InputContract(Size(12, 12)), folder / "m.onnx")
    return network, folder


def test_operators_in_the_order_they_run(files):
    operators = read_operators(files[1] / "m.tflite")
    kinds = [node.kind for node in operators]
    assert [kind for kind in kinds if kind in ("DEPTHWISE_CONV_2D", "HARD_SWISH", "FULLY_CONNECTED")] == [
        "DEPTHWISE_CONV_2D", "HARD_SWISH", "FULLY_CONNECTED",
    ]  # fmt: skip
    heavy = [node for node in operators if node.kind == "CONV_2D"]
    assert heavy[0].inputs[1].shape == (8, 3, 3, 3)
    assert heavy[0].inputs[1].values is not None
    assert heavy[0].inputs[0].values is None
    assert {node.outputs[0].kind for node in operators} == {"FLOAT32"}


def test_both_formats_count_what_torch_does(files):
    network, folder = files
    exact = measure(network, SHAPE)
    for suffix in ("onnx", "tflite"):
        found = count_file(folder / f"m.{suffix}")
        assert found.input == SHAPE
        assert found.macs == exact.macs
        assert found.params == exact.params
        assert found.uncounted == ()


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\0" * 400)
    with pytest.raises(
        BundleError,
        match=r"m\.tflite is no LiteRT file that can be run \(it does not begin as one\); export it again",
    ):
        read_operators(path)


@pytest.fixture(scope="module")
def int8(files):
    """Its weights stand behind the flatbuffer."""
    target = files[1] / "int8.tflite"
    to_int8(files[1] / "m.tflite", target, list(noise(4, SHAPE[1:])[:, None]))
    return target


def test_an_int8_file_counts_what_it_was_made_of(files, int8):
    exact, found = (count_file(path) for path in (files[1] / "m.tflite", int8))
    assert found == exact
    heavy = [node for node in read_operators(int8) if node.kind == "CONV_2D"]
    assert {node.inputs[1].kind for node in heavy} == {"INT8"}
    assert heavy[0].inputs[1].values.size == 8 * 3 * 3 * 3


@pytest.mark.parametrize("kind", ["m", "int8"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_cut_file_is_noticed(files, int8, tmp_path, kind, share):
    whole = (files[1] / f"{kind}.tflite").read_bytes()
    path = tmp_path / "m.tflite"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BundleError, match="export it again"):
        read_operators(path)


def test_the_contract_stands_behind_the_network_once(files, tmp_path):
    path = tmp_path / "m.tflite"
    whole = (files[1] / "m.tflite").read_bytes()
    path.write_bytes(whole)
    write_metadata(path, {"labels": ["a longer list", "of labels"]})
    write_metadata(path, {"labels": ["é"]})
    again = path.read_bytes()
    assert again[: len(whole)] == whole
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["gossamer.json"]
        assert archive.read("gossamer.json").decode() == '{"labels": ["é"]}'
    assert read_metadata_props(path) == {"gossamer": '{"labels": ["é"]}'}
    write_metadata(path, {"labels": ["é"]})
    assert path.read_bytes() == again
    assert [node.kind for node in read_operators(path)] == [
        node.kind for node in read_operators(files[1] / "m.tflite")
    ]


def test_a_file_without_contract_has_none(files):
    assert read_metadata_props(files[1] / "m.tflite") == {}


def test_somebody_elses_archive_is_no_contract(files, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes((files[1] / "m.tflite").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog")
    assert read_metadata_props(path) == {}
    write_metadata(path, {"labels": ["a first"]})
    write_metadata(path, {"labels": []})
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "gossamer.json"]
        assert archive.read("labels.txt") == b"cat\ndog"
    assert read_metadata_props(path) == {"gossamer": '{"labels": []}'}


def test_metadata_that_inflate_without_end_are_refused_in_little_memory(tmp_path):
    path = tmp_path / "tail.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gossamer.json", b" " * 100_000_000)
        archive.writestr("other.json", b" " * 100_000_000)
    tracemalloc.start()
    with pytest.raises(BundleError, match=r"has at most 4194304 bytes, 'gossamer\.json' in .* has more"):
        read_metadata_props(path)
    with pytest.raises(BundleError, match=r"'other\.json' in .* has more"):
        write_metadata(path, {})
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_metadata_whose_bytes_are_damaged(tmp_path):
    path = tmp_path / "tail.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("gossamer.json", b'{"labels": 1}')
    path.write_bytes(path.read_bytes().replace(b'{"labels": 1}', b'{"labels": 2}'))
    with pytest.raises(BundleError, match=r"what lies behind the network in .* is damaged \(Bad CRC-32"):
        read_metadata_props(path)
