"""Canonical Huffman codes, many streams side by side, so that numpy decodes a row of symbols in one go.

Huffman, 1952; codes in the order of (length, symbol) as in RFC 1951, at most 15 bits. Symbol i of a run belongs to
stream i mod N. The lengths follow from the table's weights: they are not stored. Little endian: the number of streams
(varint), the bits of each (varints), then all streams, each from a whole byte, first bit highest.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged
from gossamer.deploy.runtimes.packed.tables import Table

__all__ = ["LONGEST", "HuffmanDecoder", "HuffmanEncoder", "code_lengths", "codes"]

LONGEST = 15
MOST_STREAMS = 1024
_SYMBOLS_A_STREAM = 512


def code_lengths(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of each symbol's code, (K,): 0 where the weight is 0 or only one symbol occurs.

    Where a code would be longer than LONGEST, weights are halved until none is.
    """
    while True:
        lengths = _tree_depths(weights)
        if lengths.max() <= LONGEST:
            return lengths
        weights = np.where(weights > 0, weights // 2 + 1, 0)


def _tree_depths(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Depths of Huffman's tree; of equal weights the one that came first is joined first."""
    heap = [(int(weight), place) for place, weight in enumerate(weights) if weight]
    heapq.heapify(heap)
    parents = [-1] * (len(weights) + max(0, len(heap) - 1))
    joined = len(weights)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        parents[first[1]] = parents[second[1]] = joined
        heapq.heappush(heap, (first[0] + second[0], joined))
        joined += 1
    depths = [0] * len(parents)
    for place in reversed(range(len(parents))):
        if parents[place] >= 0:
            depths[place] = depths[parents[place]] + 1
    return np.array(depths[: len(weights)], np.int64)


def codes(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The canonical code of each symbol, (K,), as a number of that many bits."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    starts = np.cumsum(1 << (LONGEST - lengths[order])) - (1 << (LONGEST - lengths[order]))
    found = np.zeros(len(lengths), np.int64)
    found[order] = starts >> (LONGEST - lengths[order])
    return found


class HuffmanEncoder:
    """Collects runs of symbols; `finish` codes them."""

    def __init__(self, streams: int | None = None) -> None:
        self._streams = streams
        self._runs: list[tuple[Table, NDArray[np.int64]]] = []

    def put(self, table: Table, values: NDArray[np.int64]) -> None:
        """A run of values (N,) that the table holds."""
        self._runs.append((table, values))

    def finish(self) -> bytes:
        """The coded runs."""
        total = sum(len(values) for _, values in self._runs)
        if not total:
            return b""
        lanes = self._streams or min(128, total // _SYMBOLS_A_STREAM + 1)
        coded = [_coded(table, values) for table, values in self._runs]
        writer, streams = ByteWriter(), bytearray()
        writer.number(lanes)
        for lane in range(lanes):
            bits = _bits(
                np.concatenate([code[lane::lanes] for code, _ in coded]),
                np.concatenate([length[lane::lanes] for _, length in coded]),
            )
            writer.number(len(bits))
            streams += np.packbits(bits).tobytes()
        return bytes(writer.data + streams)


def _coded(table: Table, values: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """(code, length) of each value."""
    lengths = code_lengths(table.weights)
    symbols = values - table.low
    return codes(lengths).astype(np.uint16)[symbols], lengths.astype(np.uint8)[symbols]


def _bits(code: NDArray[np.uint16], length: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The codes one after another, a bit an entry."""
    each = length.astype(np.int64)
    ends = np.cumsum(each)
    place = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - each, each)
    return ((np.repeat(code, each) >> (np.repeat(each, each) - 1 - place)) & 1).astype(np.uint8)


class HuffmanDecoder:
    """Gives back the runs of a `HuffmanEncoder`, in the order in which they were put.

    Raises:
        BundleError: the bytes are not those of an encoder.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        reader = ByteReader(data)
        lanes = reader.number("the number of Huffman streams", MOST_STREAMS) if reader.left else 0
        sizes = [reader.number("the bits of a Huffman stream", 8 * reader.left) for _ in range(lanes)]
        size_bytes = np.array([-(-bits // 8) for bits in sizes], np.int64)
        if int(size_bytes.sum()) != reader.left:
            raise damaged("the bits of its Huffman streams do not add up to their bytes")
        starts = 8 * (np.cumsum(size_bytes) - size_bytes)
        self._places, self._ends = starts.copy(), starts + np.array(sizes, np.int64)
        content = reader.array("u1", reader.left, "the Huffman streams").astype(np.int64)
        content = np.concatenate([content, np.zeros(4, np.int64)])
        self._windows = (content[:-2] << 16) + (content[1:-1] << 8) + content[2:]

    @property
    def bits_taken(self) -> float:
        """What the symbols so far carried."""
        return float(self._places.sum())

    def take(self, table: Table, count: int) -> NDArray[np.int64]:
        """The next `count` values.

        Raises:
            BundleError: the bits end before.
        """
        if count and not len(self._places):
            raise damaged("symbols are asked of an empty Huffman stream")
        lengths = code_lengths(table.weights)
        if not lengths.any():
            return np.full(count, table.low + int(table.weights.argmax()), np.int64)
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        spans = 1 << (LONGEST - lengths[order])
        peeks = np.empty(count, np.int16)
        self._decode(peeks, np.repeat(lengths[order], spans))
        values: NDArray[np.int64] = np.repeat(order + table.low, spans)[peeks]
        return values

    def _decode(self, peeks: NDArray[np.int16], length: NDArray[np.int64]) -> None:
        """Fill `peeks` (N,) with the LONGEST bits at each symbol's start."""
        lanes, last = len(self._places), len(self._windows) - 1
        for at in range(0, len(peeks), lanes):
            place = self._places[: len(peeks) - at]
            window = self._windows[np.minimum(place >> 3, last)]
            peek = (window >> (24 - LONGEST - (place & 7))) & ((1 << LONGEST) - 1)
            peeks[at : at + lanes] = peek
            place += length[peek]
        if (self._places > self._ends).any():
            raise damaged("its Huffman streams end too early")

    def finish(self) -> None:
        """Nothing may be left.

        Raises:
            BundleError: bits are left.
        """
        if (self._places != self._ends).any():
            raise damaged("bits of its Huffman streams are left")
