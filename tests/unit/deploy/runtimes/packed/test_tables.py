"""Frequency tables: near the counts, whole, cheap, and the same after reading."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter
from gossamer.deploy.runtimes.packed.tables import PRECISION, Table, frequencies
from gossamer.errors import BundleError


def _entropy(values):
    counts = np.unique(values, return_counts=True)[1]
    return -(counts * np.log2(counts / counts.sum())).sum()


@pytest.mark.parametrize("size", [40, 4000, 400_000])
def test_a_table_costs_little_over_the_entropy(size):
    values = np.rint(np.random.default_rng(size).laplace(scale=6, size=size)).astype(np.int64)
    table = Table.of(values)
    counts = np.bincount(values - table.low)
    assert _entropy(values) <= table.bits(counts) <= 1.05 * _entropy(values)
    assert table.cost(counts) - table.bits(counts) <= 7 * len(counts) + 40


def test_more_symbols_pay_for_a_finer_table():
    rng = np.random.default_rng(0)
    few, many = (
        Table.of(np.rint(rng.laplace(scale=6, size=size)).astype(np.int64)) for size in (50, 500_000)
    )
    assert few.resolution < many.resolution


def test_written_and_read():
    table = Table.of(np.array([-3, -3, 0, 0, 0, 9, 12]))
    writer = ByteWriter()
    table.write(writer)
    again = Table.read(ByteReader(bytes(writer.data)))
    assert (again.low, again.resolution, again.classes.tolist()) == (
        -3,
        table.resolution,
        table.classes.tolist(),
    )


def test_one_symbol_is_three_bytes():
    writer = ByteWriter()
    Table.of(np.full(1000, 7)).write(writer)
    assert len(writer.data) == 2


@pytest.mark.parametrize(
    "weights", [[1], [1, 0, 1], [1] * 4096, [2**50, *[1] * 4000], [0, 3, 2**39, 5], [2**42] * 4096]
)
def test_frequencies_are_whole_and_sum_up(weights):
    shares = frequencies(np.array(weights, np.int64))
    assert shares.sum() == 1 << PRECISION
    assert ((shares > 0) == (np.array(weights) > 0)).all()


def test_classes_that_cannot_be():
    for classes in ([0, 0], [3, -1], [1, 10**6]):
        writer = ByteWriter()
        Table(0, 0, np.array(classes, np.int64)).write(writer)
        with pytest.raises(BundleError, match="impossible classes"):
            Table.read(ByteReader(bytes(writer.data)))
