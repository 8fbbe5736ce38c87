"""Numbers come back from bytes, and nothing is read that is not there."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter, rice_bits
from gossamer.errors import BundleError


def test_numbers_of_all_sizes_and_signs():
    writer = ByteWriter()
    for value in (0, 127, 128, 2**40):
        writer.number(value)
        writer.signed(-value)
    reader = ByteReader(bytes(writer.data))
    for value in (0, 127, 128, 2**40):
        assert reader.number("x") == value
        assert reader.signed("x") == -value
    reader.finish("x")


@pytest.mark.parametrize("values", [[], [0], [5] * 40, [0, 300, 2, 2, 9000], list(range(100))])
def test_rice(values):
    writer = ByteWriter()
    writer.rice(np.array(values, np.int64))
    assert ByteReader(bytes(writer.data)).rice(len(values), "x").tolist() == values


def test_rice_counts_its_bits_and_takes_the_best_shift():
    folded = np.array([0, 3, 8, 100])
    assert rice_bits(folded, 0) == 111 + 4
    assert rice_bits(folded, 3) == 13 + 4 * 4
    writer = ByteWriter()
    writer.rice(np.cumsum(np.array([0, -2, 4, 50])))
    assert min(rice_bits(folded, shift) for shift in range(8)) == rice_bits(folded, 4) == 26
    assert len(writer.data) == 2 + 4


def test_a_rice_code_that_ends_early():
    writer = ByteWriter()
    writer.rice(np.arange(50) * 7)
    with pytest.raises(BundleError, match="a table ends after"):
        ByteReader(bytes(writer.data)).rice(80, "a table")


def test_reads_stop_at_the_end():
    with pytest.raises(BundleError, match="names needs 5 bytes and 2 are left"):
        ByteReader(b"ab").take(5, "names")
    with pytest.raises(BundleError, match="needs 1 bytes and 0"):
        ByteReader(b"\xff\xff").number("x")
    with pytest.raises(BundleError, match="x is at most 9, got 10"):
        ByteReader(b"\x0a").number("x", 9)
    with pytest.raises(BundleError, match="2 bytes follow the table"):
        ByteReader(b"ab").finish("the table")


def test_a_huge_count_allocates_nothing():
    with pytest.raises(BundleError, match="8000000000000 bytes and 3 are left"):
        ByteReader(b"abc").array("<f8", 10**12, "weights")
