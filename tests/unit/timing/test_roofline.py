"""The limit: made-up nodes and peaks, the cache of peaks, and one real measurement of which only signs are held."""

from __future__ import annotations

import json

import pytest

from gossamer.deploy.runtimes.node_times import NodeTime, Profile
from gossamer.errors import GossamerError
from gossamer.timing import roofline as module
from gossamer.timing.roofline import Peaks, cache_file, measure_peaks, peaks, roofline

PEAKS = Peaks("cpu", "runtime 1", 1, 50.0, 40.0, 200.0, 10.0, "2026-01-01")


def node(ms, macs, activations, weights=0, precision="fp32"):
    return NodeTime("n", "Conv", "Conv 1x1", None, ms, macs, activations, 0, weights // 4, weights, precision)


def limit(*nodes):
    return roofline(Profile(tuple(nodes), 1, 1, ()), PEAKS)


@pytest.mark.parametrize(
    ("made", "compute", "memory", "binds", "distance"),
    [
        (node(2.0, 50_000_000, 1_000_000), 1.0, 0.1, "compute", 2.0),
        (node(2.0, 5_000_000, 10_000_000), 0.1, 1.0, "memory", 2.0),
        (node(3.0, 5_000_000, 0, 10_000_000), 0.1, 1.0, "memory", 3.0),
        (node(1.0, 200_000_000, 0, 0, "int8"), 1.0, 0.0, "compute", 1.0),
    ],
)
def test_which_bound_binds_and_how_far(made, compute, memory, binds, distance):
    (bound,) = limit(made).nodes
    assert (bound.compute_ms, bound.memory_ms) == pytest.approx((compute, memory))
    assert (bound.bound_ms, bound.binds) == (pytest.approx(max(compute, memory)), binds)
    assert bound.distance == pytest.approx(distance)


@pytest.mark.parametrize(
    ("made", "hint"),
    [
        (node(1.2, 50_000_000, 0), "compute-bound: fewer macs or int8"),
        (node(0.5, 50_000_000, 0), "measure the peaks again"),
        (
            node(1.2, 0, 10_000_000),
            "memory-bound: fewer or narrower activations; a faster kernel would not help",
        ),
        (node(1.2, 0, 1_000_000, 9_000_000), "memory-bound by weights"),
        (node(0.4, 0, 10_000_000), "stay in the cache"),
        (node(9.0, 50_000_000, 0), "far from both: fragmented"),
        (node(0.01, 50_000, 0), "far from both, but short"),
        (node(0.01, 0, 0), "moves and computes nothing"),
    ],
)
def test_one_hint_a_situation(made, hint):
    (bound,) = limit(made).nodes
    assert hint in bound.hint


def test_a_node_without_work_has_no_distance():
    found = limit(node(0.01, 0, 0))
    assert (found.nodes[0].binds, found.nodes[0].distance, found.network.distance) == ("nothing", None, None)


def test_bounds_of_a_network_add_up():
    found = limit(node(2.0, 50_000_000, 0), node(6.0, 0, 30_000_000)).network
    assert (found.ms, found.bound_ms, found.binds) == (8.0, pytest.approx(4.0), "memory")
    assert found.distance == pytest.approx(2.0)
    assert (found.compute_ms, found.memory_ms) == pytest.approx((1.0, 3.0))


def test_it_can_be_written_as_json():
    document = json.loads(json.dumps(limit(node(1.0, 1, 1)).to_json(), allow_nan=False))
    assert set(document) == {"peaks", "network", "nodes"}


def test_threads_must_be_the_same():
    with pytest.raises(GossamerError, match="same number of threads, got 2 and 1"):
        roofline(Profile((node(1.0, 1, 1),), 1, 2, ()), PEAKS)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """The calls of the measurement, which is made up."""
    calls = []

    def made_up(threads):
        calls.append(threads)
        return Peaks("cpu", "runtime 1", threads, 50.0 + len(calls), 40.0, 200.0, 10.0, "2026-01-01")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "measure_peaks", made_up)
    return calls


def test_peaks_are_measured_once_a_number_of_threads(counted, tmp_path):
    assert peaks() == peaks()
    assert peaks(threads=2).threads == 2
    assert counted == [1, 2]
    assert peaks(again=True).gemm_gmacs == 53.0
    assert peaks().gemm_gmacs == 53.0
    assert counted == [1, 2, 1]
    assert cache_file() == tmp_path / "gossamer" / "peaks.json"
    assert len(json.loads(cache_file().read_text())) == 2


@pytest.mark.parametrize("text", ["", "[]", "{broken", '{"%s": {"cpu": "x"}}', '{"%s": 3}'])
def test_a_damaged_cache_is_measured_anew(counted, text):
    cache_file().parent.mkdir()
    cache_file().write_text(text.replace("%s", module._key(1)))
    assert peaks().gemm_gmacs == 51.0
    assert peaks().gemm_gmacs == 51.0
    assert counted == [1]


def test_a_cache_that_cannot_be_written_does_not_stop_it(counted, tmp_path):
    (tmp_path / "gossamer").write_text("a file where the folder goes")
    assert peaks().gemm_gmacs == 51.0
    assert peaks().gemm_gmacs == 52.0


def test_threads_are_at_least_one():
    with pytest.raises(GossamerError, match="threads must be at least 1, got 0"):
        peaks(threads=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_this_machine(threads, monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS", 2)
    monkeypatch.setattr(module, "_ARRAY_BYTES", 2 * module._PART_BYTES)
    found = measure_peaks(threads)
    assert found.threads == threads
    assert min(found.gemm_gmacs, found.convolution_gmacs, found.int8_gmacs, found.bandwidth_gbs) > 0
    assert found.gmacs("int8") >= found.gmacs("fp32") >= found.gemm_gmacs
    assert found.runtime.startswith("onnxruntime ")
