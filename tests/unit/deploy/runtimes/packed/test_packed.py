"""Packed files: tensors come back, errors are bounded, tables add up, and bad files are refused in one line."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed import fileformat
from gossamer.deploy.runtimes.packed.fileformat import Row, assemble
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack, parse, read_packed, unpack, write_packed
from gossamer.errors import BundleError, ModelError, RunFolderError

METADATA = {"spec": {"name": "x", "arguments": {}, "edits": []}, "labels": ["Zürich", "a"]}


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random((8, 4, 3, 3)) < 0.3, rng.standard_normal((8, 4, 3, 3)), 0).astype(np.float32)
    return {
        "conv.weight": sparse,
        "conv.bias": rng.standard_normal(8).astype(np.float32),
        "norm.num_batches_tracked": np.array(7, np.int64),
        "shared": rng.choice(np.float32([-0.5, 0.0, 0.25]), (20, 30)),
    }


@pytest.fixture(scope="module")
def file(tensors):
    return pack(tensors, PackPlan({"conv.weight": TensorPlan("step", {"step": 0.1})}), METADATA)


def _signed(body):
    """With a checksum that fits."""
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize("coder", ["rans", "huffman"])
def test_lossless_by_default(tensors, coder, tmp_path):
    size = write_packed(tmp_path / "a.packed", tensors, PackPlan(coder=coder), METADATA)
    packed = read_packed(tmp_path / "a.packed")
    assert (packed.metadata, packed.coder, packed.size_bytes) == (METADATA, coder, size)
    assert list(packed.tensors) == list(tensors)
    for name, tensor in tensors.items():
        again = packed.tensors[name]
        assert (again.dtype, again.shape, again.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


def test_few_values_become_a_codebook(tensors):
    table = {row.name: row for row in parse(pack(tensors)).table}
    assert table["shared"].codec == "codebook"
    assert table["conv.bias"].codec == "raw"
    assert table["shared"].bytes < 20 * 30 * np.log2(3) / 8 + 40


def test_a_step_loses_at_most_half_of_itself(tensors, file):
    error = np.abs(unpack(file)["conv.weight"] - tensors["conv.weight"])
    assert 0.02 < error.max() <= 0.05 + 1e-6


def test_a_dead_zone_makes_zeros(tensors):
    found = unpack(
        pack(tensors, PackPlan({"conv.weight": TensorPlan("step", {"step": 0.1, "deadzone": 5.0})}))
    )
    before = np.abs(tensors["conv.weight"])
    assert ((found["conv.weight"] == 0) == (before / 0.1 < 5)).mean() > 0.99


@pytest.mark.parametrize("initial", ["linear", "density", "uniform"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_codebook_keeps_zeros_and_has_its_bits(tensors, initial, dtype):
    settings = {"bits": 3, "initial": initial, "dtype": dtype}
    weights = tensors["conv.weight"]
    found = unpack(pack(tensors, PackPlan({"conv.weight": TensorPlan("codebook", settings)})))["conv.weight"]
    assert len(np.unique(found)) <= 8
    assert not found[weights == 0].any()
    assert np.square(found - weights).sum() < 0.15 * np.square(weights).sum()


def test_sub_vectors(tensors):
    rows = np.tile(np.random.default_rng(0).standard_normal((5, 9)).astype(np.float32), (40, 1))
    packed = parse(
        pack(
            {"w": rows}, PackPlan({"w": TensorPlan("product", {"width": 9, "codes": 5, "dtype": "float32"})})
        )
    )
    assert (packed.tensors["w"] == rows).all()
    assert packed.table[0].bytes < 5 * 9 * 4 + 200 * np.log2(5) / 8 + 40
    odd = unpack(pack(tensors, PackPlan({"shared": TensorPlan("product", {"width": 7, "codes": 50})})))[
        "shared"
    ]
    assert odd.shape == (20, 30)
    assert np.square(odd - tensors["shared"]).mean() < np.square(tensors["shared"]).mean()


def test_the_ways_to_tell_zeros_apart_give_the_same_and_auto_is_the_smallest(tensors):
    sizes = {}
    for way in ("dense", "bitmask", "gaps", "auto"):
        for coder in ("rans", "huffman"):
            plan = PackPlan({"conv.weight": TensorPlan("step", {"step": 0.1, "positions": way})}, coder)
            data = pack({"conv.weight": tensors["conv.weight"]}, plan)
            sizes[way, coder] = len(data)
            assert (
                unpack(data)["conv.weight"] == np.float32(0.1) * np.rint(tensors["conv.weight"] / 0.1)
            ).all()
    for coder in ("rans", "huffman"):
        assert sizes["auto", coder] <= min(sizes[way, coder] for way in ("dense", "bitmask", "gaps")) + 4


def test_long_runs_of_zeros_are_padded():
    sparse = np.zeros(5000, np.float32)
    sparse[[0, 17, 33, 49, 1000, 4999]] = [1, 2, 3, 4, 5, 6]
    plan = PackPlan({"w": TensorPlan("step", {"step": 1.0, "positions": "gaps"})}, "huffman")
    assert (unpack(pack({"w": sparse}, plan))["w"] == sparse).all()


def test_the_table_adds_up(file):
    packed = parse(file)
    total = sum(row.bytes for row in packed.table)
    text, table = struct.unpack_from("<II", file, 12)
    assert 0 <= len(file) - 32 - text - table - total <= 16


@pytest.mark.parametrize("codec", ["codebook", "step", "product"])
def test_nan_weights(codec):
    settings = {"step": 0.1} if codec == "step" else {}
    with pytest.raises(ModelError, match=r"w: 1 of 3 weights are NaN or infinite; mend"):
        pack({"w": np.float32([1, np.nan, 2])}, PackPlan({"w": TensorPlan(codec, settings)}))


def test_nan_is_kept_where_nothing_may_be_lost():
    odd = np.float32([np.nan, np.inf, -0.0, 0.0])
    assert unpack(pack({"w": odd}))["w"].tobytes() == odd.tobytes()


def test_what_a_plan_cannot_do(tensors):
    with pytest.raises(ModelError, match="'convv' is none"):
        pack(tensors, PackPlan({"convv": TensorPlan("raw")}))
    with pytest.raises(
        ModelError, match=r"norm\.num_batches_tracked: the codec step takes floats, got int64"
    ):
        pack(tensors, PackPlan({"norm.num_batches_tracked": TensorPlan("step", {"step": 1.0})}))
    with pytest.raises(ModelError, match="w: fp16 holds values up to 65504"):
        pack({"w": np.float32([1e6])}, PackPlan({"w": TensorPlan("raw", {"dtype": "float16"})}))
    with pytest.raises(ModelError, match="w: weights are at most 2147483647 steps"):
        pack({"w": np.float32([1.0])}, PackPlan({"w": TensorPlan("step", {"step": 1e-30})}))
    with pytest.raises(ModelError, match=r"w: tensors are of type .* got complex64"):
        pack({"w": np.zeros(3, np.complex64)})
    with pytest.raises(ModelError, match="an exact codebook holds at most"):
        pack(
            {"w": np.arange(70_000, dtype=np.float32)},
            PackPlan({"w": TensorPlan("codebook", {"exact": True})}),
        )
    with pytest.raises(ModelError, match="metadata of a packed file are JSON"):
        pack(tensors, metadata={"x": object()})


def test_every_flipped_byte_is_noticed(file):
    for place in range(len(file)):
        with pytest.raises(BundleError):
            parse(file[:place] + bytes([file[place] ^ 0x10]) + file[place + 1 :])


def test_every_truncation_is_noticed(file):
    for length in range(0, len(file), 7):
        with pytest.raises(BundleError):
            parse(file[:length])
    with pytest.raises(BundleError, match="should have"):
        parse(file + b"x")


def test_one_error_for_each_kind_of_bad_file(file, tmp_path):
    with pytest.raises(BundleError, match=r"cat\.jpg is no packed network"):
        parse(b"\xff\xd8\xff" * 40, "cat.jpg")
    with pytest.raises(BundleError, match="version 3, this gossamer reads up to 2; update"):
        parse(_signed(file[:8] + struct.pack("<H", 3) + file[10:-4]))
    with pytest.raises(BundleError, match="cut off after 12 bytes"):
        parse(file[:12])
    with pytest.raises(BundleError, match="checksum does not fit"):
        parse(file[:60] + bytes([file[60] ^ 1]) + file[61:])
    with pytest.raises(BundleError, match="no packed network at"):
        read_packed(tmp_path / "none")
    with pytest.raises(BundleError, match="no packed network at"):
        read_packed(tmp_path)


def test_damage_behind_a_fitting_checksum_is_an_error_too(file):
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        body = bytearray(file[:-4])
        for place in rng.integers(28, len(body), 3):
            body[place] = rng.integers(256)
        try:
            parse(_signed(bytes(body)))
        except BundleError:
            refused += 1
    assert refused > 200


def _hostile(rows, sections=(b"",), stream=b"", monkeypatch=None):
    monkeypatch.setattr(fileformat, "WEIGHTS_A_BYTE", 2**60)
    monkeypatch.setattr(fileformat, "MOST_WEIGHTS", 2**60)
    data = assemble({}, "rans", rows, sections, stream)
    monkeypatch.undo()
    return data


def test_a_hostile_shape_allocates_nothing(monkeypatch):
    data = _hostile([Row("w", (2**20, 2**20), "f4", "raw", 0)], monkeypatch=monkeypatch)
    tracemalloc.start()
    with pytest.raises(BundleError, match="cannot hold the 1099511627776 weights"):
        parse(data)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


def test_a_hostile_section_allocates_nothing(monkeypatch):
    data = _hostile([Row("w", (4,), "f4", "raw", 50)], (b"\0" * 50,), monkeypatch=monkeypatch)
    table_at = len(data) - 4 - 50
    grown = zlib.compress(
        zlib.decompress(data[28 + struct.unpack_from("<I", data, 12)[0] : table_at])[:-1] + b"\xff\xff\x03", 9
    )
    text = struct.unpack_from("<I", data, 12)[0]
    body = data[:16] + struct.pack("<IQ", len(grown), 50) + data[28 : 28 + text] + grown + b"\0" * 50
    with pytest.raises(BundleError, match="a section's size is at most"):
        parse(_signed(body))


def test_metadata_that_inflate_without_end_are_refused(file):
    bomb = zlib.compress(b" " * (1 << 24), 9)
    text, table, payload = struct.unpack_from("<IIQ", file, 12)
    body = file[:12] + struct.pack("<IIQ", len(bomb), table, payload) + bomb + file[28 + text : -4]
    tracemalloc.start()
    with pytest.raises(BundleError, match="no proper end within 4194304 bytes"):
        parse(_signed(body))
    assert tracemalloc.get_traced_memory()[1] < 3 * (1 << 22)
    tracemalloc.stop()


def test_an_unwritable_target_leaves_nothing(tensors, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(RunFolderError, match="cannot write"):
        write_packed(tmp_path / "taken" / "a.packed", tensors)
    assert os.listdir(tmp_path) == ["taken"]


def test_a_refused_network_leaves_the_old_file(tensors, tmp_path):
    target = tmp_path / "a.packed"
    write_packed(target, tensors)
    before = target.read_bytes()
    with pytest.raises(ModelError):
        write_packed(target, tensors, PackPlan({"nothing": TensorPlan("raw")}))
    assert target.read_bytes() == before
