"""Whatever the tensor: exact codecs give it back bit for bit, steps and codebooks lose what they may and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gossamer.deploy.runtimes.packed.bytestream import ByteReader, ByteWriter
from gossamer.deploy.runtimes.packed.integers import (
    CODERS,
    put_numbers,
    put_sparse,
    run_bits,
    take_numbers,
    take_sparse,
)
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack, parse, unpack
from gossamer.errors import BundleError

CODER = st.sampled_from(sorted(CODERS))
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
FLOATS = arrays.arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=32))
SPARSE = arrays.arrays(np.int64, st.integers(0, 200), elements=st.integers(-50, 50), fill=st.just(0))
SMALL = pack({"w": np.arange(12, dtype=np.float32), "v": np.zeros(5, np.float32)}, metadata={"a": 1})
WAY = st.sampled_from(["auto", "dense", "bitmask", "gaps"])


def _there_and_back(put, take, values, coder):
    writer, encoder = ByteWriter(), CODERS[coder].encoder()
    put(writer, encoder, values)
    reader, decoder = ByteReader(bytes(writer.data)), CODERS[coder].decoder(encoder.finish())
    found = take(reader, decoder, len(values))
    reader.finish("the run")
    decoder.finish()
    return found


@given(
    st.integers(1, 2000),
    st.floats(0.01, 1e4),
    st.floats(0, 0.95),
    st.integers(-3000, 3000),
    st.integers(0, 99),
)
def test_the_bits_of_a_run_are_told_without_writing_it(count, scale, zeros, shift, seed):
    rng = np.random.default_rng(seed)
    values = np.rint(scale * rng.standard_normal(count) * (rng.random(count) >= zeros) + shift).astype(
        np.int64
    )
    encoder = CODERS["rans"].encoder()
    assert run_bits(values) == pytest.approx(put_numbers(ByteWriter(), encoder, values), rel=0.05, abs=24)


@given(arrays.arrays(np.int64, st.integers(0, 300), elements=st.integers(-(2**60), 2**60)), CODER)
def test_numbers_of_any_size(values, coder):
    assert (_there_and_back(put_numbers, take_numbers, values, coder) == values).all()


@given(SPARSE, WAY, CODER)
def test_sparse_numbers(values, way, coder):
    def put(writer, encoder, numbers):
        put_sparse(writer, encoder, numbers, way)

    assert (_there_and_back(put, take_sparse, values, coder) == values).all()


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.int32, np.uint8]), SHAPES
    ),
    CODER,
)
def test_without_a_plan_nothing_is_lost(tensor, coder):
    found = unpack(pack({"w": tensor}, PackPlan(coder=coder)))["w"]
    assert (found.dtype, found.shape, found.tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


@given(arrays.arrays(np.float32, SHAPES, elements=st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e-40])), CODER)
def test_an_exact_codebook_loses_nothing(tensor, coder):
    plan = PackPlan({"w": TensorPlan("codebook", {"exact": True})}, coder)
    assert unpack(pack({"w": tensor}, plan))["w"].tobytes() == tensor.tobytes()


@given(FLOATS, st.floats(1e-3, 10), CODER, WAY)
def test_a_step_loses_at_most_half_of_itself(tensor, step, coder, way):
    plan = PackPlan({"w": TensorPlan("step", {"step": step, "positions": way})}, coder)
    found = unpack(pack({"w": tensor}, plan))["w"]
    assert found.shape == tensor.shape
    assert (np.abs(found.astype(np.float64) - tensor) <= step / 2 + 1e-6 * (step + np.abs(tensor))).all()
    again = unpack(pack({"w": found}, plan))["w"]
    assert (again == found).all()


@given(FLOATS, st.integers(1, 8), st.sampled_from(["linear", "density", "uniform"]), CODER)
def test_a_codebook_has_its_bits_stays_in_range_and_keeps_zeros(tensor, bits, initial, coder):
    plan = PackPlan({"w": TensorPlan("codebook", {"bits": bits, "initial": initial})}, coder)
    found = unpack(pack({"w": tensor}, plan))["w"]
    assert len(np.unique(found)) <= 2**bits
    assert not found[tensor == 0].any()
    if tensor.size:
        slack = 1e-5 * np.abs(tensor).max()
        assert min(tensor.min(), 0) - slack <= found.min() <= found.max() <= max(tensor.max(), 0) + slack


@given(FLOATS, st.integers(1, 9), st.integers(1, 40), CODER)
def test_sub_vectors_are_of_the_codebook(tensor, width, codes, coder):
    plan = PackPlan({"w": TensorPlan("product", {"width": width, "codes": codes, "dtype": "float32"})}, coder)
    found = unpack(pack({"w": tensor}, plan))["w"]
    assert found.shape == tensor.shape
    rows = np.pad(found.ravel(), (0, -found.size % width)).reshape(-1, width)
    whole = rows[: found.size // width]
    assert len(np.unique(whole, axis=0)) <= codes


@given(st.binary(max_size=300))
def test_bytes_of_anything_are_refused(data):
    with pytest.raises(BundleError):
        parse(data)


@given(st.data())
@settings(max_examples=60)
def test_a_changed_byte_is_noticed(data):
    file = SMALL
    place = data.draw(st.integers(0, len(file) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != file[place]))
    with pytest.raises(BundleError):
        parse(file[:place] + bytes([changed]) + file[place + 1 :])


@pytest.mark.parametrize("coder", sorted(CODERS))
@pytest.mark.parametrize("kind", ["random", "zero", "one value", "sparse"])
def test_three_million_weights(coder, kind):
    size = 3_000_000
    rng = np.random.default_rng(0)
    codes = np.clip(np.rint(rng.standard_normal(size) * 8), -60, 60)
    tensor = {
        "random": codes,
        "zero": np.zeros(size),
        "one value": np.full(size, 0.5),
        "sparse": np.where(rng.random(size) < 0.05, codes, 0),
    }[kind].astype(np.float32)
    data = pack(
        {"w": tensor}, PackPlan({"w": TensorPlan("step", {"step": 0.5, "positions": "dense"})}, coder)
    )
    assert (unpack(data)["w"] == tensor).all()
    counts = np.unique(tensor, return_counts=True)[1]
    entropy = -(counts * np.log2(counts / size)).sum() / 8
    assert len(data) <= (1.01 if coder == "rans" else 3.0) * entropy + 2000
