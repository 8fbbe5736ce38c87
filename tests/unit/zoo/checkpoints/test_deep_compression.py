"""SqueezeNet 1.0 as Deep Compression packs it: a file of the full table, read value by value."""

from __future__ import annotations

import math
import struct

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.checkpoints.deep_compression import LAYERS, read

HEADER = 4 * 26


def _packed(layers):
    """Bytes of {layer: ([(gap, code), ...], codebook, bias)}; other layers are empty."""
    table, body = [], b""
    for row in LAYERS:
        entries, codebook, bias = layers.get(row.name, ([], [0.0] * 256, [0.0] * row.out_channels))
        table.append(len(entries))
        gaps = [gap for gap, _ in entries] + [0] * (len(entries) % 2)
        body += struct.pack(f"<256f{row.out_channels}f", *codebook, *bias)
        body += bytes(code for _, code in entries)
        body += bytes(low | high << 4 for low, high in zip(gaps[::2], gaps[1::2], strict=True))
    return struct.pack("<26I", *table) + body


CODEBOOK = [0.0, 0.5, -1.25, *([9.0] * 253)]
LAYER = "fire2/squeeze1x1"
BIAS = [float(i) for i in range(16)]
# 20 away: a padding entry of value 0 at 16, then 4 more
SAMPLE = {LAYER: ([(2, 1), (0, 2), (15, 0), (3, 1), (1, 2)], CODEBOOK, BIAS)}
PLACES = {2: 0.5, 3: -1.25, 23: 0.5, 25: -1.25}


@pytest.fixture
def packed(tmp_path):
    def write(data, name="w.net"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_the_table_is_squeezenets():
    assert len(LAYERS) == 26
    assert sum(r.out_channels * r.in_channels * r.kernel**2 for r in LAYERS) == 1_244_448
    assert sum(r.out_channels for r in LAYERS) == 1_248_424 - 1_244_448


def test_entries_stand_where_their_gaps_say(packed):
    found = read_checkpoint(packed(_packed(SAMPLE)))
    weight = found[f"{LAYER}.weight"]
    assert weight.shape == (16, 96, 1, 1)
    expected = torch.zeros(16 * 96)
    for place, value in PLACES.items():
        expected[place] = value
    assert torch.equal(weight.flatten(), expected)
    assert found[f"{LAYER}.bias"].tolist() == BIAS
    assert all(not v.any() for k, v in found.items() if not k.startswith(LAYER))


def test_the_order_is_the_networks(packed):
    found = read(packed(_packed({})))
    assert list(found) == [f"{row.name}.{leaf}" for row in LAYERS for leaf in ("weight", "bias")]
    assert found["conv1.weight"].shape == (96, 3, 7, 7)
    assert found["conv10.weight"].shape == (1000, 512, 1, 1)
    assert {v.dtype for v in found.values()} == {torch.float32}


def test_the_last_weight_can_be_reached_and_no_further(packed):
    total = 16 * 96
    last = [(15, 0)] * (total // 16 - 1) + [(15, 1)]
    found = read(packed(_packed({LAYER: (last, CODEBOOK, BIAS)})))
    assert found[f"{LAYER}.weight"].flatten()[-1] == 0.5
    beyond = packed(_packed({LAYER: ([*last, (0, 1)], CODEBOOK, BIAS)}))
    with pytest.raises(
        ModelError,
        match=rf"{LAYER} has 1536 weights, the file puts one at 1536; it is damaged or no SqueezeNet",
    ):
        read(beyond)


@pytest.mark.parametrize("length", [0, 50, HEADER, HEADER + 1000, HEADER + 1024 + 383, -1, -4001])
def test_a_truncated_file_is_refused(packed, length):
    path = packed(_packed(SAMPLE)[:length])
    with pytest.raises(
        ModelError, match=r"w\.net ends too early: .* bytes, \d+ are left; .* fetch it again$"
    ):
        read(path)


@pytest.mark.parametrize("count", [14_113, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_layer_cannot_claim_more_entries_than_weights(packed, count):
    assert math.prod((96, 3, 7, 7)) == 14_112
    path = packed(struct.pack("<I", count) + _packed(SAMPLE)[4:])
    with pytest.raises(
        ModelError, match=r"w\.net: conv1 has 14112 weights, the file claims entries for -?\d+; it is damaged"
    ):
        read(path)


def test_trailing_bytes_are_refused(packed):
    with pytest.raises(ModelError, match=r"w\.net goes on after its last layer: 3 bytes are left"):
        read(packed(_packed(SAMPLE) + b"abc"))


@pytest.mark.shared
def test_the_published_file(shared):
    """33.9 % of the weights have an entry; some entries are zeros that pad gaps over 15."""
    path = shared / "weights" / "squeezenet-v1.0-deep-compression" / "compressed_SqueezeNet.net"
    found = read(path)
    weights = [v for k, v in found.items() if k.endswith(".weight")]
    entries = sum(struct.unpack("<26I", path.read_bytes()[:HEADER]))
    assert (len(weights), sum(v.numel() for v in weights)) == (26, 1_244_448)
    assert round(100 * entries / 1_244_448, 1) == 33.9
    assert sum(int(v.count_nonzero()) for v in weights) == 415_921
    assert entries - 415_921 == 6_162
    assert max(float(v.abs().max()) for v in weights) < 2
