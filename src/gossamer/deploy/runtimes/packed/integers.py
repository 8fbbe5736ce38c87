"""Runs of whole numbers as symbols: of one table where their range is narrow, as classes and raw bits where it is wide.

A class is the bit length of the folded number (0, -1, 1, -2 ... become 0, 1, 2, 3 ...); the bits below its highest
follow raw (Elias, 1975, with the lengths entropy-coded). Whichever costs less is taken. Many zeros are told apart
first: `dense` codes them among the others, `bitmask` says of each place whether it is zero, `gaps` counts the zeros
before each other number, at most 15 of them, after which a zero is coded like the others (Deep Compression, Han et
al., 2016, arXiv 1510.00149, figure 2).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged, rice_bits
from gossamer.deploy.runtimes.packed.huffman import HuffmanDecoder, HuffmanEncoder, code_lengths
from gossamer.deploy.runtimes.packed.rans import RansDecoder, RansEncoder
from gossamer.deploy.runtimes.packed.tables import MOST_SYMBOLS, Table

__all__ = [
    "CODERS",
    "Coder",
    "Decoder",
    "Encoder",
    "Positions",
    "put_numbers",
    "put_sparse",
    "run_bits",
    "take_numbers",
    "take_sparse",
]

Integers = NDArray[np.int64]
Positions = Literal["dense", "bitmask", "gaps"]
"""How zeros are told apart."""
Coder = Literal["rans", "huffman"]
LONGEST_GAP = 15
_ONE_SYMBOL_BITS, _RUN_BITS = 24, 40
"""What a run takes beside symbols and frequencies: where one symbol is all of it, and else."""
WIDEST = 62
_TABLE, _WIDE, _EMPTY = range(3)


class Encoder(Protocol):
    """What turns runs of symbols into bytes."""

    def put(self, table: Table, values: Integers) -> None:
        """A run of values that the table holds."""

    def finish(self) -> bytes:
        """The coded runs."""


class Decoder(Protocol):
    """What gives runs of symbols back, in their order."""

    @property
    def bits_taken(self) -> float:
        """What the symbols so far carried, from any start."""

    def take(self, table: Table, count: int) -> Integers:
        """The next `count` values."""

    def finish(self) -> None:
        """Nothing may be left."""


class CoderPair(NamedTuple):
    """One entropy coder."""

    encoder: type[RansEncoder] | type[HuffmanEncoder]
    decoder: type[RansDecoder] | type[HuffmanDecoder]


CODERS: dict[Coder, CoderPair] = {
    "rans": CoderPair(RansEncoder, RansDecoder),
    "huffman": CoderPair(HuffmanEncoder, HuffmanDecoder),
}


def put_numbers(writer: ByteWriter, encoder: Encoder, values: Integers) -> float:
    """Write a run of whole numbers (N,): the table to the writer, the symbols to the encoder. Returns its bits."""
    before = len(writer.data)
    if not len(values):
        writer.number(_EMPTY)
        return 8.0
    folded = np.where(values >= 0, 2 * values, -2 * values - 1)
    classes = _bit_lengths(folded)
    wide = Table.of(classes)
    raw = int(np.maximum(classes - 1, 0).sum())
    wide_bits = _symbol_bits(encoder, wide, classes) + raw
    table = Table.of(values) if int(values.max() - values.min()) < MOST_SYMBOLS else None
    if table is not None:
        bits = _symbol_bits(encoder, table, values)
        if _table_bits(table) + bits <= _table_bits(wide) + wide_bits:
            writer.number(_TABLE)
            table.write(writer)
            encoder.put(table, values)
            return bits + 8 * (len(writer.data) - before)
    writer.number(_WIDE)
    wide.write(writer)
    encoder.put(wide, classes)
    writer.data += _raw_bits(folded, classes)
    return wide_bits - raw + 8 * (len(writer.data) - before)


def run_bits(values: Integers) -> float:
    """About what `put_numbers` takes for a run (N,), N >= 1, told from its counts without writing it."""
    folded = np.where(values >= 0, 2 * values, -2 * values - 1)
    classes = np.frexp(folded.astype(np.float64))[1].astype(np.int64)
    bits = _counted_bits(np.bincount(classes)) + int(np.maximum(classes - 1, 0).sum())
    low = int(values.min())
    if int(values.max()) - low < MOST_SYMBOLS:
        bits = min(bits, _counted_bits(np.bincount(values - low)))
    return bits


def _counted_bits(counts: Integers) -> float:
    """Frequencies as octaves in Rice codes, and the entropy of the symbols."""
    if len(counts) == 1:
        return _ONE_SYMBOL_BITS
    steps = 2 * np.abs(np.diff(np.frexp(counts.astype(np.float64))[1], prepend=0))
    table = min(rice_bits(steps, shift) for shift in range(4))
    some = counts[counts > 0]
    total = int(some.sum())
    return _RUN_BITS + table + float(total * np.log2(total) - (some * np.log2(some)).sum())


def take_numbers(reader: ByteReader, decoder: Decoder, count: int) -> Integers:
    """What `put_numbers` wrote, (count,).

    Raises:
        BundleError: it is not there.
    """
    kind = reader.number("the kind of a run", _EMPTY)
    if kind == _EMPTY:
        if count:
            raise damaged(f"a run of {count} numbers is empty")
        return np.zeros(0, np.int64)
    table = Table.read(reader)
    values = decoder.take(table, count)
    if kind == _TABLE:
        return values
    if values.min(initial=0) < 0 or values.max(initial=0) > WIDEST:
        raise damaged(f"numbers have at most {WIDEST} bits")
    below = np.maximum(values - 1, 0)
    bits = int(below.sum())
    packed = np.frombuffer(reader.take(-(-bits // 8), "the low bits of wide numbers"), np.uint8)
    folded = _from_raw_bits(np.unpackbits(packed)[:bits], values, below)
    return np.where(folded % 2 == 0, folded // 2, -(folded + 1) // 2)


def _bit_lengths(folded: Integers) -> Integers:
    """How many bits each number has, 0 for 0."""
    lengths = np.zeros(len(folded), np.int64)
    rest = folded
    while rest.any():
        lengths += rest > 0
        rest = rest >> 1
    return lengths


def _raw_bits(folded: Integers, classes: Integers) -> bytes:
    """All bits of each number below its highest."""
    below = np.maximum(classes - 1, 0)
    place = _places(below)
    return np.packbits(((np.repeat(folded, below) >> place) & 1).astype(np.uint8)).tobytes()


def _from_raw_bits(bits: NDArray[np.uint8], classes: Integers, below: Integers) -> Integers:
    folded = np.where(classes > 0, np.int64(1) << below, 0)
    owner = np.repeat(np.arange(len(classes)), below)
    np.add.at(folded, owner, bits.astype(np.int64) << _places(below))
    return folded


def _places(below: Integers) -> Integers:
    """For each raw bit, which bit of its number it is: the highest first."""
    ends = np.cumsum(below)
    return np.repeat(ends, below) - 1 - np.arange(int(ends[-1]) if len(ends) else 0)


def _table_bits(table: Table) -> int:
    writer = ByteWriter()
    table.write(writer)
    return 8 * len(writer.data)


def _symbol_bits(encoder: Encoder, table: Table, values: Integers) -> float:
    """Bits that these values will take, without the table."""
    counts = np.bincount(values - table.low, minlength=len(table.classes))
    if isinstance(encoder, HuffmanEncoder):
        return float(counts @ code_lengths(table.weights))
    return table.bits(counts)


def put_sparse(
    writer: ByteWriter, encoder: Encoder, values: Integers, positions: Positions | Literal["auto"] = "auto"
) -> float:
    """Write whole numbers (N,) of which many may be zero, by the cheapest of the ways where none is asked for.

    Returns the bits.
    """
    ways = get_args(Positions) if positions == "auto" else (positions,)
    trials = [(_put_way(trial := ByteWriter(), type(encoder)(), values, way), way, trial) for way in ways]
    _, way, _ = min(trials, key=lambda trial: trial[0])
    writer.number(get_args(Positions).index(way))
    return 8 + _put_way(writer, encoder, values, way)


def _put_way(writer: ByteWriter, encoder: Encoder, values: Integers, way: Positions) -> float:
    if way == "dense":
        return put_numbers(writer, encoder, values)
    if way == "bitmask":
        mask = (values != 0).astype(np.int64)
        return put_numbers(writer, encoder, mask) + put_numbers(writer, encoder, values[mask > 0])
    gaps, entries = _to_gaps(values)
    before = len(writer.data)
    writer.number(len(gaps))
    counted = 8 * (len(writer.data) - before)
    return counted + put_numbers(writer, encoder, gaps) + put_numbers(writer, encoder, entries)


def take_sparse(reader: ByteReader, decoder: Decoder, count: int) -> Integers:
    """What `put_sparse` wrote, (count,).

    Raises:
        BundleError: it is not there, or an entry lies beyond `count`.
    """
    ways = get_args(Positions)
    way = cast(Positions, ways[reader.number("how zeros are told apart", len(ways) - 1)])
    if way == "dense":
        return take_numbers(reader, decoder, count)
    values = np.zeros(count, np.int64)
    if way == "bitmask":
        mask = take_numbers(reader, decoder, count)
        if ((mask != 0) & (mask != 1)).any():
            raise damaged("a bitmask holds more than 0 and 1")
        places = np.flatnonzero(mask)
        values[places] = take_numbers(reader, decoder, len(places))
        return values
    entries = reader.number("the number of entries", count)
    gaps = take_numbers(reader, decoder, entries)
    found = take_numbers(reader, decoder, entries)
    if entries and (gaps.min() < 0 or gaps.max() > LONGEST_GAP):
        raise damaged(f"gaps are 0 to {LONGEST_GAP}")
    places = np.cumsum(gaps + 1) - 1
    if entries and places[-1] >= count:
        raise damaged(f"an entry lies at {int(places[-1])} of {count} places")
    values[places] = found
    return values


def _to_gaps(values: Integers) -> tuple[Integers, Integers]:
    """(zeros before each entry, entries): a zero is an entry of its own after LONGEST_GAP of them."""
    places = np.flatnonzero(values)
    before = np.diff(places, prepend=-1) - 1
    pads = before // (LONGEST_GAP + 1)
    owner = np.repeat(np.arange(len(places)), pads + 1)
    ends = np.cumsum(pads + 1) - 1
    gaps = np.full(len(owner), LONGEST_GAP, np.int64)
    entries = np.zeros(len(owner), np.int64)
    gaps[ends] = before - pads * (LONGEST_GAP + 1)
    entries[ends] = values[places]
    return gaps, entries
