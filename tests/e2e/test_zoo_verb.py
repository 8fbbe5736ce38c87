"""gossamer zoo: the list with its filters, and one network with its stages."""

from __future__ import annotations

import json

import pytest

from gossamer.zoo.catalogue import CLASSIFIERS, of_task
from gossamer.zoo.counted import counted

SMALL = ("shufflenet_v2_0.25", "squeezenet_1.1", "resnet20_cifar", "espnet_v2_0.5", "mobileone_s0")
STAGE = ["name", "blocks", "channels", "reduction", "output", "params", "macs"]


@pytest.fixture
def listed(gossamer):
    """`listed(*options)`: the objects of --json; exit code 0 and nothing said beside them."""

    def call(*options):
        code, out, err = gossamer("zoo", *options, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def _names(out):
    """First words of the lines between head and legend."""
    lines = out.splitlines()
    return [line.split()[0] for line in lines[1 : lines.index("")]]


# --- the list -------------------------------------------------------------------------------------


def test_the_list_in_words(gossamer):
    code, out, err = gossamer("zoo")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == [
        "network",
        "input",
        "params",
        "dev",
        "macs",
        "dev",
        "top-1",
        "weights",
    ]
    assert _names(out) == list(CLASSIFIERS), "no name is cut"
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out
    assert out.isascii()
    assert f"{len(CLASSIFIERS)} networks; *: top-1 on other pictures than ImageNet's\n" in out


def test_within(gossamer, listed):
    budget = "macs<=100M, size<=10MB, accuracy>=60%"
    rows = listed("--within", budget)
    assert rows
    for row in rows:
        assert row["macs"] <= 100e6
        assert 4 * row["params"] <= 10e6
        assert row["published"]["top1"] >= 0.6
    code, out, err = gossamer("zoo", "--within", budget)
    assert (code, err) == (0, "")
    assert _names(out) == [row["name"] for row in rows]
    assert "*" not in out


def test_options_go_together(listed):
    rows = listed("--family", "mobilenetv2", "--within", "macs<=300M", "--sort", "macs", "--descending")
    assert {row["family"] for row in rows} == {"MobileNetV2"}
    macs = [row["macs"] for row in rows]
    assert macs == sorted(macs, reverse=True)
    assert 1 < len(macs) < sum(entry.family == "MobileNetV2" for entry in CLASSIFIERS.values())


def test_sort_by_top1_puts_the_unknown_last(listed):
    found = [row["published"] and row["published"]["top1"] for row in listed("--sort", "top1")]
    names = [row["name"] for row in listed("--sort", "top1")]
    known = [top1 for top1, name in zip(found, names, strict=True) if top1 and "cifar" not in name]
    assert found[: len(known)] == sorted(known)


def test_nothing_found_is_no_failure(gossamer):
    code, out, err = gossamer("zoo", "--within", "macs<=1M")
    assert (code, out) == (0, "")
    assert err == (
        f"no network within 'macs <= 1 M': of {len(CLASSIFIERS)}, 0 keep macs <= 1 M; loosen a limit\n"
    )
    code, out, again = gossamer("zoo", "--within", "macs<=1M", "--json")
    assert (code, json.loads(out), again) == (0, [], err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mobilenet_v22"], r"the catalogue has no network 'mobilenet_v22'; did you mean '"),
        (["--family", "mobilnet"], "the catalogue has no family 'mobilnet'; did you mean '"),
        (["--sort", "speed"], "networks are sorted by name, params, macs, top1, ap, got 'speed'; write e.g."),
        (["--descending"], "--descending turns --sort round, got no --sort; write e.g."),
        (["--within", "speed<=3"], "unknown budget metric 'speed' in 'speed<=3'"),
        (["--within", "macs<=3x"], "unknown unit 'x' for macs; use k, M, G or none"),
        (["--within", ","], "a budget needs at least one limit"),
        (["--within", ""], "--within is empty, got ''; leave it out, or give a value"),
        (
            ["--within", "latency<=5ms"],
            "got a limit on latency in 'latency<=5ms'; latency is a property of a",
        ),
        (["--within", "macs<=1M, memory<=5MB"], "memory is measured on a running file: give this limit to"),
        (
            ["mobilenet_v2", "--sort", "macs"],
            "choose among all networks, got them with the name 'mobilenet_v2'",
        ),
        (["mobilenet_v2", "--within", "macs<=1G"], "leave out the name or the options"),
    ],
)
@pytest.mark.parametrize("json_flag", [[], ["--json"]], ids=["words", "json"])
def test_bad_usage_is_one_line(gossamer, arguments, message, json_flag):
    code, out, err = gossamer("zoo", *arguments, *json_flag)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_an_unknown_name_gives_the_three_nearest(gossamer):
    _, _, err = gossamer("zoo", "mobilenet_v22")
    hint = err.partition("did you mean ")[2].partition("?")[0]
    named = hint.replace(" or ", ", ").split(", ")
    assert len(named) == 3
    assert {name.strip("'") for name in named} <= set(CLASSIFIERS)


# --- one network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_stages_add_up(listed, name):
    (row,) = listed(name)
    entry, stages = CLASSIFIERS[name], row["stages"]
    assert list(row)[-1] == "stages"
    assert [list(stage) for stage in stages] == [STAGE] * len(stages)
    inner = [stage["name"] for stage in stages[1:-1]]
    assert [stages[0]["name"], *inner, stages[-1]["name"]] == [
        "stem", *(f"stages.{index}" for index in range(len(inner))), "head",
    ]  # fmt: skip
    count = counted(name, entry.input)
    assert sum(stage["params"] for stage in stages) == row["params"] == count.params
    assert sum(stage["macs"] for stage in stages) == row["macs"] == count.macs
    assert stages[-1]["output"] == [entry.num_classes, 1, 1]
    for stage in stages:
        assert stage["channels"] == stage["output"][0]
    for stage in stages[1:-1]:
        assert stage["blocks"] >= 1
        assert abs(stage["output"][1] - entry.input / stage["reduction"]) <= 1.5


def test_the_stages_of_mobilenet_v2_are_table_2_of_the_paper(listed):
    (row,) = listed("mobilenet_v2")
    found = [
        (stage["blocks"], stage["channels"], stage["reduction"], stage["output"][1])
        for stage in row["stages"]
    ]
    assert found == [
        (None, 32, 2, 112),
        (1, 16, 2, 112),
        (2, 24, 4, 56),
        (3, 32, 8, 28),
        (4, 64, 16, 14),
        (3, 96, 16, 14),
        (3, 160, 32, 7),
        (1, 320, 32, 7),
        (None, 1000, None, 1),
    ]


def test_resolutions(listed):
    (row,) = listed("mobilenet_v1_0.25")
    assert [at["input"] for at in row["resolutions"]] == [192, 160, 128]
    assert row["resolutions"][0]["macs"] == counted("mobilenet_v1_0.25", 192).macs
    (row,) = listed("squeezenet_1.1")
    assert row["resolutions"] == []


def test_one_network_in_words(gossamer):
    code, out, err = gossamer("zoo", "mobilenet_v1_0.75")
    assert (code, err) == (0, "")
    assert out.startswith("mobilenet_v1_0.75: MobileNetV1, arXiv 1704.04861, 1,000 classes\n")
    assert "\x1b" not in out
    for words in (
        "224 x 224  2,585,560  2,590,000  -0.2  325,400,448  317,000,000  +2.6  68.40",
        "192 x 192",
        "published  TF-slim README (2018_02_22); params with 1,001 classes",
        "note       the README's 317 M macs are below the paper's 325 M, which we count",
        "arguments  width=0.75",
        "weights    no source known",
        "files      mobilenet_v1_0.75@FILE of TF.js (inception preprocessing, relu6=True, same=True, ",
        "           mobilenet_v1_0.75@FILE of Keras (",
        "part      blocks  channels  reduction     output ",
        "stages.3       6       384         16    14 x 14 ",
    ):
        assert f"\n{words}" in out


def test_weight_sources_in_words(gossamer):
    _, out, _ = gossamer("zoo", "squeezenet_1.0")
    source = "squeezenet_1.0@torchvision: SqueezeNet1_0_Weights.IMAGENET1K_V1 "
    assert f"weights    {source}(imagenet preprocessing, caffe_padding=False)\n" in out
    assert "squeezenet_1.0@FILE of Deep Compression (caffe preprocessing, trained on BGR)\n" in out


def test_a_terminal_gets_lines_of_its_width(gossamer, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name in ("efficientnet_b7", "mobilenet_v1_0.75", "espnet_v2_2.0"):
        code, out, _ = gossamer("zoo", name)
        assert code == 0
        assert max(map(len, out.splitlines())) <= 100
        assert CLASSIFIERS[name].note in " ".join(out.split())


# --- detectors ------------------------------------------------------------------------------------


HEADS = ("network", "input", "params", "dev", "macs", "dev", "AP", "weights")


def test_detectors_are_listed_by_their_task(gossamer, listed):
    rows = listed("--task", "detect", "--sort", "ap")
    assert {row["name"] for row in rows} == set(of_task("detect"))
    ap = [row["published"]["ap"] for row in rows if (row["published"] or {}).get("ap")]
    assert len(ap) > 15
    assert ap == sorted(ap)
    code, out, err = gossamer("zoo", "--task", "detect", "--family", "nanodet")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == list(HEADS)
    assert _names(out) == [name for name, entry in of_task("detect").items() if entry.family == "NanoDet"]
    assert "AP: published, of COCO" in out


def test_a_detector_in_parts(gossamer, listed):
    (row,) = listed("nanodet_plus_m_320")
    assert [part["name"] for part in row["stages"]] == ["backbone", "neck", "head"]
    assert sum(part["params"] for part in row["stages"]) == row["params"]
    assert sum(part["macs"] for part in row["stages"]) == row["macs"]
    code, out, _ = gossamer("zoo", "nanodet_plus_m_320")
    assert code == 0
    assert "nanodet_plus_m_320@FILE of ncnn (imagenet preprocessing, trained on BGR)" in out
    assert "27.00" in out


def test_a_task_that_the_catalogue_has_nothing_for(gossamer):
    code, out, err = gossamer("zoo", "--task", "segment")
    assert (code, out) == (2, "")
    assert (
        err
        == "error: the catalogue has networks to classify and to detect, got 'segment'; name one of these\n"
    )
