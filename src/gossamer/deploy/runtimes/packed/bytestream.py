"""Bytes in and out: whole numbers of as few bytes as they need, and reads that never pass the end of what is there.

A varint is little endian base 128, the high bit set in every byte but the last; a signed number is folded first
(0, -1, 1, -2 ... become 0, 1, 2, 3 ...). Rice codes are unary quotients and `k` low bits (Rice, 1979).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import BundleError

__all__ = ["ByteReader", "ByteWriter", "damaged", "rice_bits"]

LARGEST = 2**48
_RICE_SHIFTS = range(8)


def damaged(what: str) -> BundleError:
    """The error for content that contradicts itself; `what` says how."""
    return BundleError(
        f"a packed file must agree with itself, this one does not: {what}; fetch or write it again"
    )


class ByteWriter:
    """Bytes, one value after another."""

    def __init__(self) -> None:
        self.data = bytearray()

    def number(self, value: int) -> None:
        """A whole number >= 0 as a varint."""
        while value > 127:
            self.data.append(value & 127 | 128)
            value >>= 7
        self.data.append(value)

    def signed(self, value: int) -> None:
        """A whole number of either sign as a varint."""
        self.number(2 * value if value >= 0 else -2 * value - 1)

    def array(self, values: NDArray[Any], kind: str) -> None:
        """Values in this little-endian type, without their count."""
        self.data += np.ascontiguousarray(values.astype(kind, copy=False)).tobytes()

    def rice(self, values: NDArray[np.int64]) -> None:
        """Whole numbers, each near the one before it: Rice codes of the folded differences; (N,) without its count."""
        folded = _fold(np.diff(values, prepend=0))
        shift = min(_RICE_SHIFTS, key=lambda k: rice_bits(folded, k))
        packed = _rice_pack(folded, shift)
        self.number(shift)
        self.number(len(packed))
        self.data += packed


class ByteReader:
    """Values from bytes, first to last; all of them must be there."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._rest = memoryview(data)

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._rest)

    def take(self, count: int, what: str) -> memoryview:
        """The next `count` bytes.

        Raises:
            BundleError: fewer are left; `what` names them.
        """
        if count > len(self._rest):
            raise damaged(f"{what} needs {count} bytes and {len(self._rest)} are left")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def number(self, what: str, most: int = LARGEST) -> int:
        """The next varint, 0 to `most`.

        Raises:
            BundleError: it is larger, or the bytes end inside it.
        """
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & 127) << shift
            shift += 7
            if value > most or shift > 63:
                raise damaged(f"{what} is at most {most}, got {value}")
            if byte < 128:
                return value

    def signed(self, what: str, most: int = LARGEST) -> int:
        """The next signed varint, -most to `most`."""
        folded = self.number(what, 2 * most)
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2

    def array(self, kind: str, count: int, what: str) -> NDArray[Any]:
        """The next `count` values of a little-endian type, as memory of their own."""
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize, what), kind).copy()

    def rice(self, count: int, what: str) -> NDArray[np.int64]:
        """What `ByteWriter.rice` wrote, (count,).

        Raises:
            BundleError: the bits end before the last number.
        """
        shift = self.number(what, len(_RICE_SHIFTS))
        size = self.number(what, self.left)
        folded = _rice_unpack(self.take(size, what), count, shift, what)
        return np.cumsum(np.where(folded % 2 == 0, folded // 2, -(folded + 1) // 2))

    def finish(self, what: str) -> None:
        """Nothing may be left.

        Raises:
            BundleError: there is; `what` names what ended.
        """
        if self._rest:
            raise damaged(f"{len(self._rest)} bytes follow {what}")


def rice_bits(folded: NDArray[np.int64], shift: int) -> int:
    """Bits of these numbers (all >= 0) as Rice codes with `shift` low bits."""
    return int((folded >> shift).sum()) + len(folded) * (1 + shift)


def _fold(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(values >= 0, 2 * values, -2 * values - 1)


def _rice_pack(folded: NDArray[np.int64], shift: int) -> bytes:
    """Ones as many as the quotient, a zero, the low bits, most significant first."""
    quotients = folded >> shift
    ends = np.cumsum(quotients + 1 + shift)
    bits = np.ones(int(ends[-1]) if len(ends) else 0, np.uint8)
    zeros = ends - shift - 1
    bits[zeros] = 0
    for place in range(shift):
        bits[zeros + 1 + place] = (folded >> (shift - 1 - place)) & 1
    return np.packbits(bits).tobytes()


def _rice_unpack(data: memoryview, count: int, shift: int, what: str) -> NDArray[np.int64]:
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    zeros = np.flatnonzero(bits == 0).tolist()
    weights = 1 << np.arange(shift)[::-1]
    values = np.zeros(count, np.int64)
    at = found = 0
    for number in range(count):
        while found < len(zeros) and zeros[found] < at:
            found += 1
        if found == len(zeros) or zeros[found] + 1 + shift > len(bits):
            raise damaged(f"{what} ends after {number} of {count} numbers")
        low = bits[zeros[found] + 1 : zeros[found] + 1 + shift]
        values[number] = ((zeros[found] - at) << shift) + int(low @ weights)
        at = zeros[found] + 1 + shift
    return values
