"""gossamer measure --profile, --roofline and --picture: documents, words and pictures; no time is held."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from gossamer.timing import roofline as module

NETWORK = ("measure", "shufflenet_v2_0.25[:1]", "--input", "3x64x64")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS", 2)
    monkeypatch.setattr(module, "_ARRAY_BYTES", 2 * module._PART_BYTES)


def test_profile_and_roofline_as_json(gossamer):
    code, out, err = gossamer(*NETWORK, "--roofline", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["latency"]["runtime"] == "onnxruntime"
    profile, limit = found["profile"], found["roofline"]
    assert sum(total["share"] for total in profile["operators"]) == pytest.approx(1)
    assert sum(node["macs"] for node in profile["nodes"]) >= found["macs"]
    assert profile["uncounted"] == []
    convolutions = [node for node in profile["nodes"] if node["kind"].startswith("Conv")]
    assert convolutions
    assert all(node["layer"] for node in convolutions)
    assert set(profile["unmatched"]) == {node["name"] for node in profile["nodes"] if node["layer"] is None}
    assert [node["name"] for node in limit["nodes"]] == [node["name"] for node in profile["nodes"]]
    assert {node["binds"] for node in limit["nodes"]} <= {"compute", "memory", "nothing"}
    assert limit["peaks"]["threads"] == 1


def test_profile_alone(gossamer):
    code, out, _ = gossamer(*NETWORK, "--profile", "--json")
    assert code == 0
    assert "profile" in json.loads(out)
    assert "roofline" not in json.loads(out)


def test_in_words_with_a_picture(gossamer, tmp_path):
    picture = tmp_path / "operators.svg"
    code, out, err = gossamer(*NETWORK, "--new-peaks", "--picture", picture)
    assert (code, err) == (0, "")
    for words in (
        "latency on onnxruntime",
        "operator ",
        "Conv 1x1",
        "slowest nodes",
        "peaks of this machine",
        "what would help",
    ):
        assert words in out
    root = ElementTree.parse(picture).getroot()
    title = root.findtext("{http://www.w3.org/2000/svg}title")
    assert title == "Share of time by operator, shufflenet_v2_0.25[:1]"
    bars = root.findall(".//{http://www.w3.org/2000/svg}rect[@height='30']")
    assert sum(float(bar.get("width")) for bar in bars) == pytest.approx(664, abs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--picture", "bars.png"), "--picture writes an SVG file, got 'bars.png'"),
        (("--profile", "--latency", "onnxruntim"), "unknown runtime 'onnxruntim'"),
        (("--profile", "--threads", "0"), "--threads is between 1 and 1,024, got 0"),
    ],
)
def test_bad_input_is_one_line(arguments, message, gossamer):
    code, out, err = gossamer(*NETWORK, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
