"""How often each symbol occurs, in a few bits a symbol: the static model behind Huffman and rANS.

A count is kept as a class on a scale of octaves, each cut into 2**resolution even parts; class 0 never occurs. Classes
become weights by shifts and additions alone, so every machine decodes with the same table. A finer scale costs more
bytes in the table and fewer in the symbols: `Table.of` takes the resolution whose sum is least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged

__all__ = ["MOST_SYMBOLS", "PRECISION", "Table", "frequencies"]

MOST_SYMBOLS = 4096
"""Entries a table may have; wider ranges are cut into classes first."""
PRECISION = 14
"""Frequencies are multiples of 2**-PRECISION."""
_OCTAVES = 40
_RESOLUTIONS = range(4)


@dataclass(frozen=True)
class Table:
    """Entry i is the symbol `low + i`; `classes` (K,) says how often it occurs."""

    low: int
    resolution: int
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.int64]) -> Table:
        """The table with the fewest bytes, its own and those of the values (N,), N >= 1, at most MOST_SYMBOLS wide."""
        low = int(values.min())
        counts = np.bincount(values - low)
        tables = [cls(low, resolution, _classes(counts, resolution)) for resolution in _RESOLUTIONS]
        return min(tables, key=lambda table: table.cost(counts))

    @property
    def weights(self) -> NDArray[np.int64]:
        """What the classes stand for: whole numbers in proportion to the counts, (K,)."""
        octave, part = np.divmod(np.maximum(self.classes - 1, 0), 1 << self.resolution)
        return np.where(self.classes > 0, ((1 << self.resolution) + part) << octave, 0)

    @property
    def shares(self) -> NDArray[np.int64]:
        """Frequencies that sum to 2**PRECISION, (K,)."""
        return frequencies(self.weights)

    def bits(self, counts: NDArray[np.int64]) -> float:
        """Bits of symbols that occur so often, coded by these frequencies."""
        used = counts > 0
        return float((counts[used] * (PRECISION - np.log2(self.shares[used]))).sum())

    def cost(self, counts: NDArray[np.int64]) -> float:
        """Bits of the table and of the symbols."""
        writer = ByteWriter()
        self.write(writer)
        return 8 * len(writer.data) + self.bits(counts)

    def write(self, writer: ByteWriter) -> None:
        """The table as bytes."""
        writer.signed(self.low)
        writer.number((len(self.classes) - 1) * len(_RESOLUTIONS) + self.resolution)
        if len(self.classes) > 1:
            writer.rice(self.classes)

    @classmethod
    def read(cls, reader: ByteReader) -> Table:
        """What `write` wrote.

        Raises:
            BundleError: no symbol can occur, or a class is out of range.
        """
        low = reader.signed("the first symbol of a table")
        size = reader.number("the size of a table", MOST_SYMBOLS * len(_RESOLUTIONS) - 1)
        entries, resolution = size // len(_RESOLUTIONS) + 1, size % len(_RESOLUTIONS)
        classes = reader.rice(entries, "a table of frequencies") if entries > 1 else np.ones(1, np.int64)
        if classes.min() < 0 or not 0 < classes.max() <= _OCTAVES << resolution:
            raise damaged("a table of frequencies holds impossible classes")
        return cls(low, resolution, classes)


def _classes(counts: NDArray[np.int64], resolution: int) -> NDArray[np.int64]:
    """The class whose weight is nearest below or at each count."""
    scaled = counts.astype(np.int64) << resolution
    octave = np.zeros_like(scaled)
    limit = 2 << resolution
    while (over := (scaled >> octave) >= limit).any():
        octave += over
    part = (scaled >> octave) - (1 << resolution)
    # half-way rounding: the next class where the remainder is in the upper half
    upper = ((scaled << 1) >> octave) & 1
    return np.where(counts > 0, (octave << resolution) + part + upper + 1, 0)


def frequencies(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers (K,) that sum to 2**PRECISION, near proportion to the weights, at least 1 where a weight is."""
    total = 1 << PRECISION
    least = (weights > 0).astype(np.int64)
    # products with 2**PRECISION stay below 2**63
    shift = max(0, int(weights.sum()).bit_length() - 48)
    scaled = weights >> shift
    shares: NDArray[np.int64] = np.maximum(scaled * total // max(1, int(scaled.sum())), least)
    rest = total - int(shares.sum())
    while rest:
        most = int(shares.argmax())
        change = max(rest, -(int(shares[most]) // 2))
        shares[most] += change
        rest -= change
    return shares
