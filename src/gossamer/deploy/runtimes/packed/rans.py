"""Range asymmetric numeral systems with many states at once, so that numpy decodes a row of symbols in one go.

Duda, 2013, arXiv 1311.2540; interleaved as in Giesen, 2014, arXiv 1402.3392: symbol i of a run belongs to state
i mod N. States hold 32 bits, stay at or above 2**16 and take in 16 bits at a time, at most once a symbol. Little
endian: the number of states (varint), their values before the first symbol (uint32), then the uint16 words in the
order in which decoding asks for them. Decoding ends with every state at 2**16 and no word left: a check for free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, damaged
from gossamer.deploy.runtimes.packed.tables import PRECISION, Table

__all__ = ["RansDecoder", "RansEncoder"]

MOST_STATES = 1024
_LOWEST = 1 << 16
_SYMBOLS_A_STATE = 256
"""A state costs 2 bytes; below this many symbols each the file pays for them."""


class RansEncoder:
    """Collects runs of symbols; `finish` codes them, last to first."""

    def __init__(self, states: int | None = None) -> None:
        self._states = states
        self._runs: list[tuple[Table, NDArray[np.int64]]] = []

    def put(self, table: Table, values: NDArray[np.int64]) -> None:
        """A run of values (N,) that the table holds."""
        self._runs.append((table, values))

    def finish(self) -> bytes:
        """The coded runs."""
        total = sum(len(values) for _, values in self._runs)
        lanes = self._states or min(128, total // _SYMBOLS_A_STATE + 1)
        states = np.full(lanes, _LOWEST, np.int64)
        words: list[NDArray[np.int64]] = []
        for table, values in reversed(self._runs):
            _encode(table, values, states, words)
        writer = ByteWriter()
        if total:
            writer.number(lanes)
            writer.array(states, "<u4")
            writer.array(np.concatenate([*reversed(words), states[:0]]), "<u2")
        return bytes(writer.data)


def _encode(
    table: Table, values: NDArray[np.int64], states: NDArray[np.int64], words: list[NDArray[np.int64]]
) -> None:
    """Code a run into the states, in place; what leaves them is appended, the last row first."""
    shares = table.shares
    starts = np.cumsum(shares) - shares
    lanes = len(states)
    for at in range((len(values) - 1) // lanes * lanes, -1, -lanes):
        symbols = values[at : at + lanes] - table.low
        share, state = shares[symbols], states[: len(symbols)]
        full = state >= share << (32 - PRECISION)
        words.append(state[full] & (_LOWEST - 1))
        state[full] >>= 16
        quotient, rest = np.divmod(state, share)
        state[:] = (quotient << PRECISION) + rest + starts[symbols]


class RansDecoder:
    """Gives back the runs of a `RansEncoder`, in the order in which they were put.

    Raises:
        BundleError: the bytes are not those of an encoder.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        reader = ByteReader(data)
        lanes = reader.number("the number of rANS states", MOST_STATES) if reader.left else 0
        self._states = reader.array("<u4", lanes, "the rANS states").astype(np.int64)
        if reader.left % 2 or (lanes and self._states.min() < _LOWEST):
            raise damaged("its rANS stream is no row of states and words")
        self._words = reader.array("<u2", reader.left // 2, "the rANS words").astype(np.int64)
        self._at = 0

    @property
    def bits_taken(self) -> float:
        """What the symbols so far carried: words read, less what the states still hold."""
        return 16.0 * self._at - float(np.log2(self._states).sum())

    def take(self, table: Table, count: int) -> NDArray[np.int64]:
        """The next `count` values.

        Raises:
            BundleError: the words end before.
        """
        slots = np.empty(count, np.int16)
        if count and not len(self._states):
            raise damaged("symbols are asked of an empty rANS stream")
        shares = table.shares
        share = np.repeat(shares, shares)
        offset = np.arange(1 << PRECISION) - np.repeat(np.cumsum(shares) - shares, shares)
        if len(np.flatnonzero(shares)) > 1:
            self._decode(slots, share, offset)
        else:
            slots[:] = 0
        values: NDArray[np.int64] = np.repeat(np.arange(len(shares)) + table.low, shares)[slots]
        return values

    def _decode(
        self,
        slots: NDArray[np.int16],
        share: NDArray[np.int64],
        offset: NDArray[np.int64],
    ) -> None:
        """Fill `slots` (N,) with the place of each symbol among 2**PRECISION."""
        lanes = len(self._states)
        for at in range(0, len(slots), lanes):
            state = self._states[: len(slots) - at]
            slot = state & ((1 << PRECISION) - 1)
            slots[at : at + lanes] = slot
            state >>= PRECISION
            state *= share[slot]
            state += offset[slot]
            empty = np.flatnonzero(state < _LOWEST)
            if len(empty):
                taken = self._words[self._at : self._at + len(empty)]
                if len(taken) < len(empty):
                    raise damaged("its rANS words end too early")
                state[empty] = (state[empty] << 16) | taken
                self._at += len(empty)

    def finish(self) -> None:
        """Nothing may be left.

        Raises:
            BundleError: words are left, or the states are not where encoding began.
        """
        if self._at != len(self._words) or (self._states != _LOWEST).any():
            raise damaged("its rANS stream does not end where encoding began")
