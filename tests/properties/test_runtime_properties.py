"""What holds for every scale, value and document: codes round to the nearest, the contract comes back as it was."""

from __future__ import annotations

import json
import zipfile

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.deploy.runtimes.litert.run import _real, _stored
from gossamer.files.tflite import read_metadata_props, write_metadata

scales = st.floats(2**-10, 8, width=32)
documents = st.dictionaries(
    st.text(max_size=8),
    st.lists(st.text(max_size=6), max_size=3) | st.integers() | st.text(max_size=20),
    max_size=4,
)


@given(scales, st.integers(-128, 127), st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_codes_are_the_nearest_within_the_type(scale, zero_point, shares):
    port = {"dtype": np.int8, "quantization": (scale, zero_point)}
    values = np.float32(shares) * np.float32(300 * scale)
    lowest, highest = ((limit - zero_point) * scale for limit in (-128, 127))
    back = _real(_stored(values, port), port)
    assert np.abs(back - np.clip(values, lowest, highest)).max() <= 0.5001 * scale


@given(scales, st.integers(-128, 127))
def test_every_code_comes_back(scale, zero_point):
    port = {"dtype": np.int8, "quantization": (scale, zero_point)}
    codes = np.arange(-128, 128).astype(np.int8)
    assert np.array_equal(_stored(_real(codes, port), port), codes)


@given(st.binary(max_size=300), documents, documents)
def test_any_document_behind_any_network_comes_back(tmp_path_factory, network, first, second):
    path = tmp_path_factory.mktemp("tflite") / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + network)
    whole = path.read_bytes()
    for document in (first, second):
        write_metadata(path, document)
        assert json.loads(read_metadata_props(path)["gossamer"]) == document
    assert path.read_bytes().startswith(whole)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.infolist()) == 1
