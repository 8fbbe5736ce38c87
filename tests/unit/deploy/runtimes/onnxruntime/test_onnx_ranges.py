"""Ranges measured a few pictures at a time: those of all at once, without all at once in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from deploy_samples import CONTRACT, inputs, tiny_network

from gossamer.deploy.runtimes.onnxruntime import ranges
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.onnxruntime.post_training import prepared_graph
from gossamer.deploy.runtimes.onnxruntime.ranges import measure_ranges


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranges")
    export(tiny_network(), CONTRACT, folder / "fp32.onnx")
    with prepared_graph(folder / "fp32.onnx", inputs(4, seed=1)) as graph:
        yield graph


def _ranges(prepared, target, method):
    measure_ranges(prepared.path, target, "input", inputs(24, seed=1), method)
    text = json.loads(target.read_text())
    pairs = {}

    def walk(name, node):
        if isinstance(node, dict):
            if "lowest" in node:
                pairs[name] = (_number(node["lowest"]), _number(node["highest"]))
            for key, value in node.items():
                walk(key, value)

    walk("", text)
    return pairs


def _number(node):
    value = node.get("data", node.get("value")) if isinstance(node, dict) else node
    return float(np.asarray(value).reshape(-1)[0])


@pytest.mark.parametrize("method", ["MinMax", "Percentile"])
def test_few_at_a_time_gives_the_ranges_of_all_at_once(prepared, tmp_path, monkeypatch, method):
    monkeypatch.setattr(ranges, "GROUP_BYTES", 1 << 40)
    whole = _ranges(prepared, tmp_path / "whole.json", method)
    monkeypatch.setattr(ranges, "GROUP_BYTES", 1)
    streamed = _ranges(prepared, tmp_path / "streamed.json", method)
    assert whole.keys() == streamed.keys()
    assert len(whole) > 3
    for name, (low, high) in whole.items():
        bins = 2 * max(abs(low), abs(high)) / 128  # the coarsest histogram's width
        slack = 0.0 if method == "MinMax" else 2 * bins
        assert streamed[name][0] == pytest.approx(low, abs=slack + 1e-6)
        assert streamed[name][1] == pytest.approx(high, abs=slack + 1e-6)


def test_no_more_than_the_bound_is_kept(prepared, tmp_path, monkeypatch):
    groups = []
    reader = ranges._Reader

    def watched(name, some):
        groups.append(len(some))
        return reader(name, some)

    monkeypatch.setattr(ranges, "_Reader", watched)
    monkeypatch.setattr(ranges, "GROUP_BYTES", 1)
    _ranges(prepared, tmp_path / "one.json", "Percentile")
    assert groups == [1] * 24
