"""The document inside an exported file: given back, or its absence and damage named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gossamer.errors import BundleError
from gossamer.files.metadata import METADATA_KEY, read_metadata


def test_the_document_comes_back():
    document = {"labels": ["forêt", 'it\'s "quoted"'], "input": {"size": [8, 8]}, "n": 1.5}
    assert read_metadata({METADATA_KEY: json.dumps(document), "other": "x"}, Path("m.onnx")) == document


def test_a_file_without_contract_is_told_so():
    with pytest.raises(
        BundleError, match=r"m\.onnx carries no input contract \(metadata key 'gossamer'\); export it"
    ):
        read_metadata({"other": "x"}, Path("m.onnx"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '"text"',
        "{}",
        '{"labels": []}',
        '{"labels": {}, "input": {}}',
        '{"labels": [], "input": []}',
    ],
)
def test_damaged_metadata_is_told_so(text):
    with pytest.raises(
        BundleError, match=r"contract in m\.onnx is damaged \(.*\); export the file again"
    ) as caught:
        read_metadata({METADATA_KEY: text}, Path("m.onnx"))
    assert "\n" not in str(caught.value)


def test_a_packed_file_of_an_earlier_version_names_its_network_otherwise():
    text = '{"labels": ["a"], "input": {}, "spec": {"name": "x"}}'
    document = read_metadata({METADATA_KEY: text}, Path("m.gsm"))
    assert document == {"labels": ["a"], "input": {}, "model": {"name": "x"}}
    both = '{"labels": ["a"], "input": {}, "spec": 1, "model": 2}'
    assert read_metadata({METADATA_KEY: both}, Path("m.gsm"))["model"] == 2
