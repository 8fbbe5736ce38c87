"""torch checkpoints: unwrapped, float32, in order; a pickle's code does not run and no view claims memory."""

from __future__ import annotations

import argparse
import os
import struct
import tarfile
import zipfile

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.torch_state import read

STATE = {
    "conv.weight": torch.arange(8.0).reshape(2, 1, 2, 2),
    "bn.running_var": torch.tensor([0.5, 2.0]),
    "bn.num_batches_tracked": torch.tensor(7),
}


@pytest.mark.parametrize("wrapper", ["", "state_dict", "model", "state_dict_ema"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_comes_back_in_order(tmp_path, wrapper, prefix):
    state = {prefix + key: value for key, value in STATE.items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")
    assert list(found) == list(STATE)
    assert all(torch.equal(found[key], STATE[key]) and found[key].dtype == STATE[key].dtype for key in STATE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(tmp_path, dtype):
    torch.save({"w": torch.tensor([0.5, -2.0], dtype=dtype)}, tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")["w"]
    assert (found.dtype, found.tolist()) == (torch.float32, [0.5, -2.0])


def test_parameters_leave_autograd_behind(tmp_path):
    torch.save({"w": nn.Parameter(torch.ones(2))}, tmp_path / "w.pth")
    assert not read(tmp_path / "w.pth")["w"].requires_grad


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch pickle-code-ran",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", [{"weight": _Bomb()}, _Bomb()], ids=["inside", "whole"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch, content, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ModelError,
        match=r"w\.pth: it is damaged or holds more than tensors; give a \.safetensors file or a torch state dict$",
    ) as caught:
        read(tmp_path / "w.pth")
    assert "weights_only" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]


def test_the_oldest_tar_format_is_refused_without_torchs_advice(tmp_path):
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            (tmp_path / name).write_bytes(b"x")
            archive.add(tmp_path / name, name)
    with pytest.raises(ModelError, match=r"w\.tar: it is damaged or holds more than tensors; give") as caught:
        read(tmp_path / "w.tar")
    assert "weights_only" not in str(caught.value)


def test_a_whole_network_is_refused(tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "w.pth")
    with pytest.raises(
        ModelError,
        match=r"w\.pth holds a whole torch\.nn\.modules\.linear\.Linear, which is code; .* save its state_dict\(\)$",
    ):
        read(tmp_path / "w.pth")


def test_torchscript_is_refused_by_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/code/__torch__.py", "")
        archive.writestr("w/data.pkl", "")
    with pytest.raises(
        ModelError, match=r"w\.pt is TorchScript, which is code; load it with torch\.jit\.load"
    ):
        read(tmp_path / "w.pt")


def test_options_and_counters_beside_the_tensors_are_passed_over(tmp_path):
    options = argparse.Namespace(lr=0.1, data="x")
    torch.save({"args": options, "model": STATE, "epoch": 3}, tmp_path / "w.pth")
    assert list(read(tmp_path / "w.pth")) == list(STATE)
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{key}": value for key, value in STATE.items()}}
    torch.save(averaged, tmp_path / "swa.pth")
    assert list(read(tmp_path / "swa.pth")) == list(STATE)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "net.", "module._orig_mod.", "network.module."])
def test_a_prefix_of_all_names_is_taken_off(tmp_path, prefix):
    torch.save({prefix + key: value for key, value in STATE.items()}, tmp_path / "w.pth")
    assert list(read(tmp_path / "w.pth")) == list(STATE)
    torch.save({prefix + "a": torch.ones(1), "model": torch.ones(1)}, tmp_path / "w.pth")
    assert list(read(tmp_path / "w.pth")) == [prefix + "a", "model"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    torch.save({"a": torch.ones(3), "b.weight": torch.tensor([1.0, value])}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"1 of 2 of b\.weight in .*w\.pth are NaN or infinite"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, torch.zeros(3), {0: torch.zeros(3)}])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(
        ModelError,
        match=r"a checkpoint holds named tensors, .*w\.pth does not; save the network's state_dict\(\)$",
    ):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(tmp_path, zipped, share):
    torch.save({"w": torch.ones(1000)}, tmp_path / "whole", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"cannot read weights from .*w\.pth: .+; give a \.safetensors file"):
        read(tmp_path / "w.pth")


def _patched(data, old, new):
    assert data.count(old) == 1
    return data.replace(old, new)


def test_a_storage_that_claims_more_than_its_bytes_is_refused(tmp_path):
    """Four floats that say they are 2**31 - 1."""
    torch.save({"w": torch.arange(4.0)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "old.pth").read_bytes()
    claimed = b"J" + struct.pack("<i", 2**31 - 1)
    (tmp_path / "old.pth").write_bytes(
        _patched(data, b"X\x03\x00\x00\x00cpuq\x06K\x04", b"X\x03\x00\x00\x00cpuq\x06" + claimed)
    )
    with pytest.raises(ModelError, match=r"cannot read weights from .*old\.pth"):
        read(tmp_path / "old.pth")

    torch.save({"w": torch.arange(4.0)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as old, zipfile.ZipFile(tmp_path / "new.pth", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, _patched(data, b"K\x04tq\x07", claimed + b"tq\x07") if name.endswith(".pkl") else data
            )
    with pytest.raises(ModelError, match=r"cannot read weights from .*new\.pth"):
        read(tmp_path / "new.pth")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(1, dtype=torch.float16).expand(10**12),
        torch.ones(3).to_sparse(),
        torch.empty(10**12, device="meta"),
    ],
    ids=["expanded", "sparse", "meta"],
)
def test_tensors_without_all_their_values_are_refused(tmp_path, tensor):
    torch.save({"w": tensor}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth"):
        read(tmp_path / "w.pth")


def test_an_expanded_tensor_is_named(tmp_path):
    torch.save({"fc.weight": torch.ones(1).expand(10**12)}, tmp_path / "w.pth")
    with pytest.raises(
        ModelError,
        match=r"dense tensors with all their values, fc\.weight of .*w\.pth is not; save the network's",
    ):
        read(tmp_path / "w.pth")


def _archive(path, like, *, compression=zipfile.ZIP_STORED, copies=1):
    """The archive `like` written anew, its last entry listed `copies` times."""
    with zipfile.ZipFile(like) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        largest = max(new.filelist, key=lambda entry: entry.file_size)
        new.filelist += [largest] * (copies - 1)
    return path


@pytest.mark.parametrize(
    "options", [{"compression": zipfile.ZIP_DEFLATED}, {"copies": 2}], ids=["compressed", "overlapping"]
)
def test_an_archive_that_claims_more_than_it_has_is_refused(tmp_path, options):
    """A thousand times its bytes could be in it."""
    torch.save({"w": torch.zeros(100_000)}, tmp_path / "w.pth")
    assert len(read(_archive(tmp_path / "plain.pth", tmp_path / "w.pth"))["w"]) == 100_000
    bomb = _archive(tmp_path / "bomb.pth", tmp_path / "w.pth", **options)
    with pytest.raises(
        ModelError, match=r"bomb\.pth: its archive claims more bytes than it has; save it with torch\.save$"
    ):
        read(bomb)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "tensors", "params", "first", "last"),
    [
        ("espnet/pretrained/decoder/espnet_p_2_q_3.pth", 134, 202_649, "encoder.level1.conv.weight", "classifier.weight"),
        ("espnet/pretrained/decoder/espnet_p_2_q_5.pth", 156, 267_417, "encoder.level1.conv.weight", "classifier.weight"),
        ("espnet/pretrained/decoder/espnet_p_2_q_8.pth", 189, 364_569, "encoder.level1.conv.weight", "classifier.weight"),
        ("espnet/pretrained/decoder/espnet_p_2_q_8_camvid.pth", 189, 354_517, "encoder.level1.conv.weight", "classifier.weight"),
        ("espnet/pretrained/encoder/espnet_p_2_q_3.pth", 99, 187_529, "level1.conv.weight", "classifier.conv.weight"),
        ("espnet/pretrained/encoder/espnet_p_2_q_5.pth", 121, 252_297, "level1.conv.weight", "classifier.conv.weight"),
        ("espnet/pretrained/encoder/espnet_p_2_q_8.pth", 154, 349_449, "level1.conv.weight", "classifier.conv.weight"),
        ("resnet-cifar10/pretrained_models/resnet20-12fca82f.th", 97, 269_722, "conv1.weight", "linear.bias"),
        ("resnet-cifar10/pretrained_models/resnet56-4bfd9763.th", 277, 853_018, "conv1.weight", "linear.bias"),
    ],
)  # fmt: skip
def test_published_files(shared, file, tensors, params, first, last):
    found = read(shared / "weights" / file)
    assert (len(found), next(iter(found)), list(found)[-1]) == (tensors, first, last)
    learnt = [v for k, v in found.items() if not k.endswith(("running_mean", "running_var"))]
    assert sum(v.numel() for v in learnt) == params
    assert {v.dtype for v in found.values()} == {torch.float32}


@pytest.mark.shared
def test_batches_tracked_stay_integers(shared):
    folder = shared / "weights" / "fastestdet"
    found = read(folder / "weights" / "weight_AP05_0.253207_280-epoch.pth")
    tracked = [v for k, v in found.items() if k.endswith("num_batches_tracked")]
    assert (len(found), len(tracked)) == (420, 70)
    assert {v.dtype for v in tracked} == {torch.int64}
    assert len(read(folder / "module" / "shufflenetv2.pth")) == 330
