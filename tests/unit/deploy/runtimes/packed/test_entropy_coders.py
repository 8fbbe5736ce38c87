"""Huffman and rANS: what goes in comes out, close to the entropy, and damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed.huffman import (
    LONGEST,
    HuffmanDecoder,
    HuffmanEncoder,
    code_lengths,
    codes,
)
from gossamer.deploy.runtimes.packed.integers import CODERS
from gossamer.deploy.runtimes.packed.rans import RansDecoder, RansEncoder
from gossamer.deploy.runtimes.packed.tables import Table
from gossamer.errors import BundleError

ONE = Table(0, 0, np.ones(1, np.int64))


def _runs(seed=0):
    rng = np.random.default_rng(seed)
    sizes = ((1, 1.0), (5, 3.0), (1000, 4.0), (0, 1.0), (300, 0.0), (40_000, 1.5), (7, 200.0))
    runs = [np.rint(rng.laplace(size=size) * scale).astype(np.int64) for size, scale in sizes]
    return [(Table.of(run) if len(run) else ONE, run) for run in runs]


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("lanes", [None, 1, 3, 128])
def test_runs_come_back_in_their_order(coder, lanes):
    encoder = CODERS[coder].encoder(lanes)
    runs = _runs()
    for table, run in runs:
        encoder.put(table, run)
    decoder = CODERS[coder].decoder(encoder.finish())
    for table, run in runs:
        assert (decoder.take(table, len(run)) == run).all()
    decoder.finish()


def test_rans_is_within_a_thousandth_of_its_table_and_below_huffman():
    values = (np.random.default_rng(1).random(200_000) < 0.1).astype(np.int64)
    table = Table.of(values)
    sizes = {}
    for name, coder in CODERS.items():
        encoder = coder.encoder()
        encoder.put(table, values)
        sizes[name] = len(encoder.finish())
    ideal = table.bits(np.bincount(values)) / 8
    assert ideal <= sizes["rans"] <= 1.001 * ideal + 4 * 128
    assert sizes["huffman"] >= len(values) / 8
    assert sizes["rans"] < 0.5 * sizes["huffman"]


@pytest.mark.parametrize("coder", CODERS)
def test_what_each_run_took_adds_up(coder):
    encoder = CODERS[coder].encoder()
    runs = _runs(2)
    for table, run in runs:
        encoder.put(table, run)
    data = encoder.finish()
    decoder = CODERS[coder].decoder(data)
    taken = []
    for table, run in runs:
        before = decoder.bits_taken
        decoder.take(table, len(run))
        taken.append(decoder.bits_taken - before)
    assert min(taken) >= -1e-9
    assert 0.97 * len(data) <= sum(taken) / 8 <= len(data)


def test_huffman_by_hand():
    """The textbook's 45, 13, 12, 16, 9, 5: 224 bits a hundred symbols (Cormen et al., section 16.3)."""
    weights = np.array([45, 13, 12, 16, 9, 5])
    lengths = code_lengths(weights)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    assert weights @ lengths == 224
    assert [f"{code:0{length}b}" for code, length in zip(codes(lengths), lengths, strict=True)] == [
        "0",
        "100",
        "101",
        "110",
        "1110",
        "1111",
    ]


def test_no_code_is_longer_than_the_limit_and_codes_fill_the_tree():
    lengths = code_lengths(2 ** np.arange(40))
    assert lengths.max() == LONGEST
    assert sum(2.0**-lengths) == 1.0


def test_a_single_symbol_takes_no_bits():
    for encoder, decoder in ((RansEncoder(1), RansDecoder), (HuffmanEncoder(1), HuffmanDecoder)):
        encoder.put(ONE, np.zeros(10_000, np.int64))
        data = encoder.finish()
        assert len(data) <= 5
        assert not decoder(data).take(ONE, 10_000).any()


@pytest.mark.parametrize("coder", CODERS)
def test_too_few_bytes_or_too_many(coder):
    table, run = _runs()[5]
    encoder = CODERS[coder].encoder(4)
    encoder.put(table, run)
    data = encoder.finish()
    with pytest.raises(BundleError):
        CODERS[coder].decoder(data[:-2]).take(table, len(run))
    decoder = CODERS[coder].decoder(data)
    decoder.take(table, len(run) - 20)
    with pytest.raises(BundleError, match=r"end where|are left"):
        decoder.finish()
    with pytest.raises(BundleError, match="empty"):
        CODERS[coder].decoder(b"").take(table, 1)


def test_states_below_the_lowest_are_refused():
    with pytest.raises(BundleError, match="states and words"):
        RansDecoder(b"\x01\x00\x00\x00\x00")
    with pytest.raises(BundleError, match="number of rANS states"):
        RansDecoder(b"\xff\xff\x7f")
