"""The input contract round-trips, normalises band by band, and refuses every other document."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gossamer.deploy.contract import InputContract
from gossamer.errors import BundleError
from gossamer.types import Size

FINITE = st.floats(-1e3, 1e3, allow_nan=False)


@st.composite
def contracts(draw: st.DrawFn) -> InputContract:
    bands = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
    side = draw(st.integers(1, 24))
    return InputContract(
        Size(side, side),
        tuple(bands),
        draw(st.floats(1e-3, 10)),
        draw(FINITE),
        tuple(draw(st.lists(FINITE, min_size=len(bands), max_size=len(bands)))),
        tuple(draw(st.lists(st.floats(1e-2, 1e3), min_size=len(bands), max_size=len(bands)))),
        nodata=draw(st.none() | FINITE),
    )


@given(contracts())
def test_json_gives_the_contract_back(contract):
    assert InputContract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


@given(contracts(), st.integers(0, 2**32 - 1))
def test_normalise_is_the_formula_band_by_band(contract, seed):
    raw = np.random.default_rng(seed).integers(
        0, 256, (2, contract.size.height, contract.size.width, len(contract.bands)), np.uint8
    )
    ready = contract.normalise(raw)
    assert ready.shape == (2, *contract.shape[1:])
    assert (ready.dtype, ready.flags.c_contiguous) == (np.float32, True)
    for band, (mean, std) in enumerate(zip(contract.mean, contract.std, strict=True)):
        expected = (raw[..., band].astype(np.float64) * contract.scale + contract.offset - mean) / std
        size = (255 * contract.scale + abs(contract.offset) + abs(mean)) / std
        assert np.abs(ready[:, band] - expected).max() <= 1e-5 * size


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_any_picture_becomes_the_networks_input(height, width, side):
    contract = InputContract(Size(side, side))
    ready = contract.prepare(Image.new("RGB", (width, height), (1, 2, 3)))
    assert ready.shape == contract.shape
    assert (ready == np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1)).all()


@given(contracts(), st.data())
def test_a_document_without_one_of_its_keys_is_refused(contract, data):
    document = contract.to_json()
    del document[data.draw(st.sampled_from(sorted(document)))]
    with pytest.raises(BundleError, match="an input contract needs size, bands, scale"):
        InputContract.from_json(document)
