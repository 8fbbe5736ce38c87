"""TF.js layers models: shards stay in their folder and hold what the manifest says, no more and no less."""

from __future__ import annotations

import json
import struct

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.tfjs import read

LAYERS = [
    ("InputLayer", "input"),
    ("Conv2D", "conv"),
    ("BatchNormalization", "conv_bn"),
    ("DepthwiseConv2D", "dw"),
    ("Dense", "fc"),
]
KERNEL = torch.arange(16.0).reshape(1, 2, 2, 4)


def _topology():
    layers = [{"class_name": kind, "name": name, "config": {"name": name}} for kind, name in LAYERS]
    return {"keras_version": "2.1.4", "model_config": {"class_name": "Model", "config": {"layers": layers}}}


def _entry(name, shape, dtype="float32"):
    return {"name": name, "shape": list(shape), "dtype": dtype}


def _floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def _write(folder, groups, **document):
    """model.json and its shards; groups are (shards {path: bytes}, entries)."""
    manifest = []
    for shards, entries in groups:
        for name, data in shards.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        manifest.append({"paths": list(shards), "weights": entries})
    document = {"modelTopology": _topology(), "weightsManifest": manifest} | document
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def _one(folder, data, *entries, **document):
    return _write(folder, [({"shard": data}, list(entries))], **document)


def _network(folder):
    """In alphabetical order, as converters write it, with one group over two shards that cut a value."""
    kernel = _floats(*KERNEL.flatten())
    return _write(
        folder,
        [
            (
                {"g1-1": kernel[:10], "g1-2": kernel[10:] + _floats(1, 2, 3, 4)},
                [_entry("conv/kernel", (1, 2, 2, 4)), _entry("conv/bias", (4,))],
            ),
            (
                {"sub/g2": _floats(*range(16))},
                [
                    _entry(f"conv_bn/{leaf}", (4,))
                    for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
                ],
            ),
            (
                {"g4": _floats(*range(6)) + _floats(7, 8, 9)},
                [_entry("fc/kernel", (2, 3)), _entry("fc/bias", (3,))],
            ),
            ({"g3": _floats(*range(8))}, [_entry("dw/depthwise_kernel", (1, 1, 4, 2))]),
        ],
    )


@pytest.mark.parametrize("name", [".", "model.json"])
def test_tensors_in_the_order_of_the_topology(tmp_path, name):
    found = read_checkpoint(_network(tmp_path) / name)
    expected = {
        "conv.weight": KERNEL.permute(3, 2, 0, 1),
        "conv.bias": torch.tensor([1.0, 2, 3, 4]),
        "conv_bn.weight": torch.arange(0.0, 4),
        "conv_bn.bias": torch.arange(4.0, 8),
        "conv_bn.running_mean": torch.arange(8.0, 12),
        "conv_bn.running_var": torch.arange(12.0, 16),
        "dw.weight": torch.arange(8.0).reshape(8, 1, 1, 1),
        "fc.weight": torch.tensor([[0.0, 3], [1, 4], [2, 5]]),
        "fc.bias": torch.tensor([7.0, 8, 9]),
    }
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("topology", [None, {}, {"model_config": None}])
def test_without_a_topology_the_manifests_order_holds(tmp_path, topology):
    _one(tmp_path, _floats(1, 2), _entry("z/bias", (1,)), _entry("a/bias", (1,)), modelTopology=topology)
    assert list(read(tmp_path)) == ["z.bias", "a.bias"]


@pytest.mark.parametrize(
    ("data", "entry", "expected"),
    [
        (struct.pack("<2e", 0.5, -2), _entry("fc/bias", (2,), "float16"), [0.5, -2]),
        (struct.pack("<2e", 0.5, -2), _entry("fc/bias", (2,)) | {"quantization": {"dtype": "float16"}}, [0.5, -2]),
        (struct.pack("<2i", 5, -7), _entry("fc/bias", (2,), "int32"), [5, -7]),
        (bytes([0, 255]), _entry("fc/bias", (2,), "uint8"), [0, 255]),
        (bytes([0, 2, 255]), _entry("fc/bias", (3,)) | {"quantization": {"dtype": "uint8", "min": -1, "scale": 0.5}}, [-1, 0, 126.5]),
        (struct.pack("<2H", 0, 65535), _entry("fc/bias", (2,)) | {"quantization": {"dtype": "uint16", "min": 1.0, "scale": 2.0}}, [1, 131071]),
    ],
)  # fmt: skip
def test_types_become_float32(tmp_path, data, entry, expected):
    found = read(_one(tmp_path, data, entry))["fc.bias"]
    assert (found.dtype, found.tolist()) == (torch.float32, expected)


@pytest.mark.parametrize("length", [0, 3, 40, 79])
def test_a_truncated_shard_is_refused(tmp_path, length):
    shard = _network(tmp_path) / "g1-2"
    shard.write_bytes(shard.read_bytes()[: max(0, length - 10)])
    with pytest.raises(
        ModelError, match=r"model\.json ends too early: 'conv/(kernel|bias)' needs \d+ bytes, \d+ are left"
    ):
        read(tmp_path)


def test_trailing_bytes_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model\.json goes on after its last layer: 4 bytes are left"):
        read(_one(tmp_path, _floats(1, 2), _entry("fc/bias", (1,))))


def test_a_missing_shard_is_named(tmp_path):
    (_network(tmp_path) / "g4").unlink()
    with pytest.raises(
        ModelError, match=r"cannot read weights from .*g4: there is no such file; check the path"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "sub/../../secret",
        "/etc/hostname",
        "C:secret",
        "C:/secret",
        "..\\secret",
        "\\\\host\\secret",
        3,
        None,
    ],
)
def test_a_shard_outside_the_folder_is_not_opened(tmp_path, path):
    (tmp_path / "secret").write_bytes(_floats(1))
    folder = tmp_path / "model"
    folder.mkdir()
    manifest = [{"paths": [path], "weights": [_entry("fc/bias", (1,))]}]
    with pytest.raises(
        ModelError,
        match=r"model\.json: shards lie in its own folder, each named once, got .*; give the model",
    ):
        read(_write(folder, [], weightsManifest=manifest))


@pytest.mark.parametrize("path", ["", ".", "a" * 5000, "nul\0byte"])
def test_a_shard_that_is_no_file_is_refused(tmp_path, path):
    manifest = [{"paths": [path], "weights": [_entry("fc/bias", (1,))]}]
    with pytest.raises(ModelError, match="cannot read weights from"):
        read(_write(tmp_path, [], weightsManifest=manifest))


def test_a_shard_counts_once(tmp_path):
    """Ten thousand times the same shard would be a bomb."""
    group = ({"shard": _floats(1)}, [_entry("fc/bias", (1,))])
    again = ({"./shard": _floats(1)}, [_entry("fc/kernel", (1,))])
    with pytest.raises(ModelError, match=r"each named once, got '\./shard'"):
        read(_write(tmp_path, [group, again]))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([2**31 - 1, 2**31 - 1], r"'fc/bias' needs \d+ bytes, 4 are left"),
        ([10**12], r"a size of 'fc/bias' is a whole number up to 2147483647, got 1000000000000"),
        ([-1], "is a whole number up to 2147483647, got -1"),
        ([1.0], "got float"),
        ([True], "got True"),
        (["1", None], "got NoneType"),
        ([0], r"a shape is up to 8 sizes of at least 1, 'fc/bias' has \(0,\)"),
        ([1] * 10**5, r"a shape is up to 8 sizes of at least 1, 'fc/bias' has \(1, 1, 1, 1, 1, 1, 1, 1, 1\)"),
    ],
)
def test_impossible_shapes_are_refused(tmp_path, shape, message):
    with pytest.raises(ModelError, match=message) as caught:
        read(_one(tmp_path, _floats(1), _entry("fc/bias", shape)))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "fc/bias", "shape": [1], "dtype": "string"}, r"weights are float32, .* 'fc/bias' is string; convert"),
        ({"name": "fc/bias", "shape": [1]}, "dtype is a str in a TF.js layers model, got NoneType"),
        ({"name": 3, "shape": [1], "dtype": "float32"}, "name is a str in a TF.js layers model, got int"),
        ({"name": "fc/bias", "shape": 1, "dtype": "float32"}, "shape is a list .* got int"),
        (["fc/bias"], "name is a str .* got NoneType"),
        (_entry("fc/bias", [4]) | {"quantization": {"dtype": "uint8"}}, "scale of a quantization is a finite number, got NoneType"),
        (_entry("fc/bias", [4]) | {"quantization": {"dtype": "uint8", "scale": 1, "min": 10**400}}, "numbers have at most 18 digits"),
        (_entry("fc/bias", [4]) | {"quantization": {"dtype": "uint8", "scale": float("nan"), "min": 0}}, "numbers are finite, got NaN"),
        (_entry("fc/bias", [4]) | {"quantization": {"dtype": "uint8", "scale": True, "min": 0}}, "finite number, got bool"),
        (_entry("fc/bias", [4]) | {"quantization": "uint8"}, "dtype is a str .* got NoneType"),
    ],
)  # fmt: skip
def test_entries_that_are_none_are_refused(tmp_path, entry, message):
    with pytest.raises(ModelError, match=message) as caught:
        read(_one(tmp_path, _floats(1), entry))
    assert "model.json" in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [[], "x", {}, {"weightsManifest": {}}, {"weightsManifest": [3]}, {"weightsManifest": [{"paths": "a"}]}],
)
def test_a_document_without_a_manifest_is_refused(tmp_path, document):
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(
        ModelError, match=r"model\.json: (weightsManifest|paths) is a list in a TF\.js layers model, got"
    ):
        read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, "\xff"])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"model\.json is no JSON: .*; fetch it again") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_graph_model_is_refused(tmp_path):
    with pytest.raises(
        ModelError, match=r"is a TF\.js graph model, which keeps no layers; give a layers model"
    ):
        read(_write(tmp_path, [], format="graph-model"))


@pytest.mark.shared
def test_the_published_model(shared):
    found = read_checkpoint(shared / "weights" / "mobilenet-v1-0.75-224-tfjs")
    assert sum(v.numel() for v in found.values()) == 2_601_976
    kernels = {k: tuple(v.shape) for k, v in found.items() if v.dim() == 4}
    blocks = [name for i in range(1, 14) for name in (f"conv_dw_{i}", f"conv_pw_{i}")]
    assert list(kernels) == [f"{name}.weight" for name in ("conv1", *blocks, "conv_preds")]
    assert [kernels[f"conv_{kind}_13.weight"] for kind in ("dw", "pw")] == [(768, 1, 3, 3), (768, 768, 1, 1)]
    assert kernels["conv_preds.weight"] == (1000, 768, 1, 1)
    names = list(found)
    for name in ("conv1", *blocks):
        at = names.index(f"{name}.weight")
        leaves = ("weight", "bias", "running_mean", "running_var")
        assert names[at + 1 : at + 5] == [f"{name}_bn.{leaf}" for leaf in leaves]
    assert len(names) == 27 * 5 + 2
    assert all(v.min() >= 0 for k, v in found.items() if k.endswith("running_var"))
