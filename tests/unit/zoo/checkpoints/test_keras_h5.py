"""Keras .h5 files: the model's order, values that lie in the file as they are, no links."""

from __future__ import annotations

import json
import struct
import sys
import warnings

import pytest
import torch

from gossamer.errors import MissingExtraError, ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.keras_h5 import read

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    h5py = pytest.importorskip("h5py")

KERNEL = torch.arange(8.0).reshape(1, 2, 2, 2)
LAYERS = {
    "dense": {"dense/bias:0": torch.arange(3.0), "dense/kernel:0": torch.arange(6.0).reshape(2, 3)},
    "act": {},
    "conv": {"conv/kernel:0": KERNEL, "conv/bias:0": torch.arange(2.0)},
    "bn": {
        f"bn/{leaf}:0": torch.full((2,), float(i))
        for i, leaf in enumerate(("gamma", "beta", "moving_mean", "moving_variance"))
    },
}
TOPOLOGY = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": kind, "config": {"name": name}}
            for kind, name in (
                ("Conv2D", "conv"),
                ("BatchNormalization", "bn"),
                ("ReLU", "act"),
                ("Dense", "dense"),
            )
        ]
    },
}


def _write(path, layers=LAYERS, topology=TOPOLOGY, below="model_weights", **options):
    """A file as Keras 2 and 3 write it; `options` go to every data set."""
    with h5py.File(path, "w") as file:
        if topology is not None:
            file.attrs["model_config"] = topology if isinstance(topology, str) else json.dumps(topology)
        root = file.create_group(below) if below else file
        root.attrs["layer_names"] = [name.encode() for name in layers]
        for name, weights in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [key.encode() for key in weights]
            for key, values in weights.items():
                group.create_dataset(key, data=values.numpy(), **options)
    return path


def _edit(path):
    return h5py.File(path, "r+")


ORDERED = [
    *("conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
    *("dense.weight", "dense.bias"),
]


@pytest.mark.parametrize("name", ["w.h5", "w.hdf5"])
@pytest.mark.parametrize("below", ["model_weights", ""])
def test_tensors_in_the_order_of_the_topology(tmp_path, name, below):
    found = read_checkpoint(_write(tmp_path / name, below=below))
    assert list(found) == ORDERED
    assert torch.equal(found["conv.weight"], KERNEL.permute(3, 2, 0, 1))
    assert found["dense.weight"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["dense.bias"].tolist() == [0, 1, 2]
    assert [found[key].tolist() for key in ORDERED[2:6]] == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_without_a_topology_the_files_order_holds(tmp_path):
    found = read(_write(tmp_path / "w.h5", topology=None, below=""))
    assert list(found) == ORDERED[-2:] + ORDERED[:-2]


def test_the_group_is_the_layer_whatever_the_weight_is_called(tmp_path):
    """TensorFlow 1 numbered scopes anew when a model was built twice."""
    layers = {"conv": {"conv_1/kernel:0": KERNEL}}
    assert list(read(_write(tmp_path / "w.h5", layers))) == ["conv.weight"]
    assert list(read(_write(tmp_path / "v.h5", layers, None))) == ["conv.weight"]


def test_a_model_inside_a_model_is_opened(tmp_path):
    layers = {"body": {"b/kernel:0": KERNEL, "a/kernel:0": KERNEL}, "head": {"head/bias:0": torch.ones(1)}}
    inner = {
        "class_name": "Functional",
        "config": {"name": "body", "layers": [{"config": {"name": n}} for n in "ab"]},
    }
    topology = {"config": {"layers": [inner, {"config": {"name": "head"}}]}}
    assert list(read(_write(tmp_path / "w.h5", layers, topology))) == ["a.weight", "b.weight", "head.bias"]
    assert list(read(_write(tmp_path / "v.h5", layers, None))) == ["b.weight", "a.weight", "head.bias"]


def test_long_lists_of_names_are_put_together(tmp_path):
    """Keras cuts an attribute over 64 KB."""
    path = _write(tmp_path / "w.h5")
    with _edit(path) as file:
        root = file["model_weights"]
        names = list(root.attrs["layer_names"])
        del root.attrs["layer_names"]
        root.attrs["layer_names0"], root.attrs["layer_names1"] = names[:3], names[3:]
    assert list(read(path)) == ORDERED


@pytest.mark.parametrize("dtype", ["<f2", "<f8"])
def test_other_floats_become_float32(tmp_path, dtype):
    found = read(_write(tmp_path / "w.h5", dtype=dtype))
    assert {v.dtype for v in found.values()} == {torch.float32}
    assert torch.equal(found["conv.weight"], KERNEL.permute(3, 2, 0, 1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    data = _write(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "w.h5").write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        ModelError,
        match=r"cannot read weights from .*w\.h5: .+; give a file that Keras saved with model\.save\('name\.h5'\)$",
    ):
        read(tmp_path / "w.h5")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"these are no weights")
    with pytest.raises(ModelError, match=r"cannot read weights from .*w\.h5"):
        read(tmp_path / "w.h5")


@pytest.mark.parametrize("below", ["model_weights", "", "layers"])
def test_an_hdf5_file_of_somebody_else_is_refused(tmp_path, below):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        if below:
            file.create_group(below)
    with pytest.raises(
        ModelError,
        match=r"a Keras h5 file lists layer_names, .*w\.h5 does not; save the model with model\.save",
    ):
        read(tmp_path / "w.h5")


def _replaced(path, **options):
    """The file with the convolution's bias created anew."""
    _write(path)
    with _edit(path) as file:
        group = file["model_weights/conv/conv"]
        del group["bias:0"]
        group.create_dataset("bias:0", **options)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (10**12,), "dtype": "<f4"},
        {"shape": (2**33, 2**31), "dtype": "<f4"},
        {"shape": (10**12,), "dtype": "<f4", "chunks": (1024,), "compression": "gzip"},
        {"shape": (2,), "dtype": "<f4", "chunks": (2,)},
        {"shape": (0,), "dtype": "<f4"},
    ],
    ids=["oversize", "overflowing", "oversize, compressed", "chunked", "empty"],
)
def test_a_data_set_of_another_size_than_its_bytes_is_refused(tmp_path, options):
    with pytest.raises(
        ModelError,
        match=r"w\.h5: weights are stored as they are, 'conv/bias:0' \(\d+ bytes\) is compressed, elsewhere",
    ):
        read(_replaced(tmp_path / "w.h5", **options))


def test_data_sets_together_are_no_longer_than_the_file(tmp_path):
    """Many names for one data set would be a bomb."""
    names = [f"conv{i}/kernel:0" for i in range(3)]
    path = _write(tmp_path / "w.h5", {"conv0": {names[0]: torch.zeros(100, 100)}}, None)
    with _edit(path) as file:
        group = file["model_weights/conv0"]
        for name in names[1:]:
            group[name] = group[names[0]]
        group.attrs["weight_names"] = names
    with pytest.raises(
        ModelError,
        match=r"'conv1/kernel:0' \(40000 bytes\) is compressed, elsewhere, empty or longer than the file",
    ):
        read(path)


def test_values_in_another_file_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8))
    path = _replaced(tmp_path / "w.h5", shape=(2,), dtype="<f4", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(ModelError, match=r"'conv/bias:0' \(8 bytes\) is compressed, elsewhere"):
        read(path)


@pytest.mark.parametrize("kind", ["external", "soft"])
@pytest.mark.parametrize("place", ["model_weights/conv/conv/bias:0", "model_weights/conv", "model_weights"])
def test_links_are_not_followed(tmp_path, kind, place):
    path = _write(tmp_path / "w.h5")
    other = _write(tmp_path / "other.h5")
    with _edit(path) as file:
        del file[place]
        file[place] = (
            h5py.ExternalLink(str(other), f"/{place}") if kind == "external" else h5py.SoftLink("/elsewhere")
        )
    with pytest.raises(
        ModelError, match=r"w\.h5: weights lie in the file itself, .* is a link; save the model again"
    ):
        read(path)


def test_a_virtual_data_set_is_refused(tmp_path):
    path = _write(tmp_path / "w.h5")
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["values"] = [1.0, 2.0]
    layout = h5py.VirtualLayout(shape=(2,), dtype="<f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "values", shape=(2,))
    with _edit(path) as file:
        group = file["model_weights/conv/conv"]
        del group["bias:0"]
        group.create_virtual_dataset("bias:0", layout)
    with pytest.raises(ModelError, match=r"'conv/bias:0' \(8 bytes\) is compressed, elsewhere"):
        read(path)


def test_a_weight_that_is_listed_and_not_there_is_named(tmp_path):
    path = _write(tmp_path / "w.h5")
    with _edit(path) as file:
        del file["model_weights/conv/conv/bias:0"]
    with pytest.raises(
        ModelError, match=r"w\.h5: 'conv/bias:0' is listed and not there; it is damaged, fetch it again"
    ):
        read(path)


@pytest.mark.parametrize("dtype", ["<i4", ">f4", "S4"])
def test_other_types_are_refused(tmp_path, dtype):
    with pytest.raises(
        ModelError, match=r"w\.h5: weights are <f2, <f4, <f8, 'conv/bias:0' is .*; save the model again"
    ):
        read(_replaced(tmp_path / "w.h5", shape=(2,), dtype=dtype))


def test_values_have_nothing_below_them(tmp_path):
    path = _write(tmp_path / "w.h5")
    with _edit(path) as file:
        file["model_weights/conv"].attrs["weight_names"] = [b"conv/bias:0/deeper"]
    with pytest.raises(ModelError, match=r"'conv/bias:0/deeper' is listed and not there"):
        read(path)


def test_a_group_in_place_of_values_is_refused(tmp_path):
    path = _write(tmp_path / "w.h5")
    with _edit(path) as file:
        del file["model_weights/conv/conv/bias:0"]
        file.create_group("model_weights/conv/conv/bias:0")
    with pytest.raises(ModelError, match=r"weights are <f2, <f4, <f8, 'conv/bias:0' is None"):
        read(path)


@pytest.mark.parametrize("topology", ["{", "[" * 60_000])
def test_a_topology_that_is_no_json_is_refused(tmp_path, topology):
    with pytest.raises(
        ModelError, match=r"cannot read weights from .*w\.h5: .+; give a file that Keras saved"
    ):
        read(_write(tmp_path / "w.h5", topology=topology))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 2**64 - 16)])
def test_a_heap_without_end_is_refused(tmp_path, index, size):
    """HDF5 itself never returns from these; found by changing bytes at random."""
    path = _write(tmp_path / "w.h5")
    data = bytearray(path.read_bytes())
    entry = data.index(b"GCOL\x01") + 16
    data[entry : entry + 2] = struct.pack("<H", index)
    data[entry + 8 : entry + 16] = struct.pack("<Q", size)
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"w\.h5: its heap at byte 2048 has no end; fetch it again$"):
        read(path)


def test_heaps_on_top_of_each_other_are_refused(tmp_path):
    """Each walk would pass through all heaps after it: every heap is the value of an entry of the one before."""
    entry = struct.pack("<HHIQ", 1, 0, 0, 16)
    (tmp_path / "w.h5").write_bytes((b"GCOL\x01\x00\x00\x00" + struct.pack("<Q", 2**40) + entry) * 20_000)
    with pytest.raises(ModelError, match=r"its heap at byte \d+ has no end"):
        read(tmp_path / "w.h5")


@pytest.mark.parametrize(
    "value",
    [3.0, [[b"conv"]], h5py.Empty("S4"), [1, 2]],
    ids=["number", "matrix", "empty", "numbers"],
)
@pytest.mark.parametrize("key", ["model_config", "layer_names"])
def test_attributes_that_are_no_text_are_refused(tmp_path, key, value):
    """HDF5 itself crashes on some of them."""
    path = _write(tmp_path / "w.h5")
    with _edit(path) as file:
        node = file if key == "model_config" else file["model_weights"]
        node.attrs[key] = value
    with pytest.raises(
        ModelError, match=rf"w\.h5: the attribute {key} is text, got .*; save the model again"
    ):
        read(path)


def test_a_missing_h5py_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        MissingExtraError,
        match=r"^reading Keras h5 files needs h5py, which is not installed; pip install 'gossamer\[weights\]'$",
    ):
        read(tmp_path / "w.h5")


@pytest.mark.shared
def test_the_published_resnet8(shared):
    """Its shortcut convolutions stand between a convolution and its norm in the file, after the norm here."""
    found = read_checkpoint(shared / "weights" / "mlperf-tiny" / "pretrainedResnet.h5")
    assert (len(found), sum(v.numel() for v in found.values())) == (48, 78_666)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in found))
    conv, norm = "conv2d", "batch_normalization"
    assert layers == [
        *(conv, norm, f"{conv}_1", f"{norm}_1", f"{conv}_2", f"{norm}_2"),
        *(f"{conv}_3", f"{norm}_3", f"{conv}_4", f"{norm}_4", f"{conv}_5"),
        *(f"{conv}_6", f"{norm}_5", f"{conv}_7", f"{norm}_6", f"{conv}_8", "dense"),
    ]
    assert {f"{conv}_5": (32, 16, 1, 1), f"{conv}_8": (64, 32, 1, 1), "dense": (10, 64)}.items() <= {
        layer: tuple(found[f"{layer}.weight"].shape) for layer in layers
    }.items()


@pytest.mark.shared
def test_the_published_mobilenet(shared):
    found = read_checkpoint(shared / "weights" / "mlperf-tiny" / "vww_96.h5")
    assert (len(found), sum(v.numel() for v in found.values())) == (164, 221_794)
    shapes = [tuple(v.shape) for v in found.values() if v.dim() == 4]
    assert shapes[:3] == [(8, 3, 3, 3), (8, 1, 3, 3), (16, 8, 1, 1)]
    assert len(shapes) == 27
    assert tuple(found["dense.weight"].shape) == (2, 256)
    assert sum(k.endswith("running_var") for k in found) == 27
