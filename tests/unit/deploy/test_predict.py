"""Prediction: the same from a bundle and from one file; pictures that cannot be read stop nothing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from gossamer.cli import app
from gossamer.compress.codebook.network_file import network_file
from gossamer.data.pictures import open_rgb
from gossamer.deploy.bundle import load, save
from gossamer.deploy.contract import InputContract
from gossamer.deploy.predict import Prediction, Predictor, find_pictures, predict
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.deploy.runtimes.packed.settings import PackPlan
from gossamer.errors import BundleError, DataError
from gossamer.files.onnx import write_metadata
from gossamer.tasks import get_task
from gossamer.testing.networks import enliven, scores
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.spec import parse_model

LABELS = ["field", "forêt", "river"]
CONTRACT = InputContract.of("imagenet", 32)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A network, its bundle and its file."""
    folder = tmp_path_factory.mktemp("shipped")
    spec, _ = parse_model("shufflenet_v2_0.25[:1]", num_classes=3)
    network = enliven(build(spec), (3, 32, 32))
    save_file(network.state_dict(), folder / "best.safetensors")
    export(network, CONTRACT, folder / "model.onnx")
    model = onnx.load(folder / "model.onnx")
    write_metadata(model, {"labels": LABELS, "input": CONTRACT.to_json()})
    onnx.save(model, folder / "model.onnx")
    bundle = save(
        folder / "bundle",
        spec=spec,
        weights=folder / "best.safetensors",
        task="classify",
        labels=LABELS,
        contract=CONTRACT,
        files=[("onnxruntime", "fp32", 1, folder / "model.onnx")],
        measured={},
        provenance={},
        texts={},
    )
    return network, bundle.folder, folder / "model.onnx"


def test_bundle_and_file_agree(shipped, pictures):
    _, bundle, file = shipped
    root = pictures({"a": 4, "b": 3}, size=(48, 36))
    from_bundle, from_file = predict(bundle, [root]), predict(str(file), [root])
    assert from_bundle == from_file
    assert len(from_bundle) == 7
    assert len({p.scores for p in from_bundle}) == 7, "every picture differs"


def test_scores_are_torchs_shares(shipped, pictures):
    network, bundle, _ = shipped
    path = pictures({"a": 1}, size=(48, 36)) / "a" / "000.png"
    found = Predictor(bundle).predict(path)
    raw = scores(network, CONTRACT.prepare(open_rgb(path))).softmax(1)[0].numpy()
    assert found.labels == tuple(LABELS[i] for i in np.argsort(-raw))
    assert found.scores == pytest.approx(sorted(raw, reverse=True), abs=1e-5)
    assert sum(found.scores) == pytest.approx(1, abs=1e-6)
    assert found.error is None


def test_top_bounds_the_classes(shipped, pictures):
    path = pictures({"a": 1}) / "a" / "000.png"
    predictor = Predictor(shipped[2])
    assert len(predictor.predict(path, top=1).labels) == 1
    assert predictor.predict(path, top=1).labels[0] == predictor.predict(path, top=99).labels[0]
    assert len(predictor.predict(path, top=99).labels) == 3


def test_a_picture_that_cannot_be_read_is_named_and_stops_nothing(shipped, pictures):
    root = pictures({"a": 3})
    (root / "a" / "001.png").write_text("no picture")
    (root / "a" / "002.png").write_bytes(b"")
    found = predict(shipped[2], [root])
    assert [p.file.name for p in found] == ["000.png", "001.png", "002.png"]
    assert [p.error is None for p in found] == [True, False, False]
    assert "001.png is named as a picture but is none" in found[1].error
    assert "002.png is empty" in found[2].error
    assert (found[1].labels, found[1].scores) == ((), ())


def test_the_document(shipped, pictures):
    answer = get_task("classify").decode((np.log(np.array([[0.75, 0.25]], np.float32)),), ("x", "y"), top=2)
    good = Prediction(Path("a.png"), answer)
    assert good.labels == ("x", "y")
    assert good.to_json() == {
        "file": "a.png",
        "label": "x",
        "top": [{"label": "x", "score": 0.75}, {"label": "y", "score": 0.25}],
        "error": None,
    }
    bad = Predictor(shipped[1]).predict(Path("b.png"))
    assert bad.labels == bad.scores == ()
    assert bad.to_json() == {
        "file": "b.png",
        "label": None,
        "top": [],
        "error": "no such picture: b.png; check the path",
    }


def test_folders_are_walked_in_order_and_files_taken_as_given(pictures, tmp_path):
    root = pictures({"b": 2, "a": 1})
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / ".hidden.png").write_bytes(b"x")
    odd = tmp_path / "strange.bin"
    odd.write_bytes(b"x")
    found = [
        p.relative_to(tmp_path).as_posix() for p in find_pictures([odd, str(root), root / "b" / "000.png"])
    ]
    assert found == ["strange.bin", "data/a/000.png", "data/b/000.png", "data/b/001.png", "data/b/000.png"]
    assert list(find_pictures([])) == []


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"^no such picture or folder: .*none\.png; check the path$"):
        list(find_pictures([tmp_path / "none.png"]))


@pytest.mark.parametrize("name", ["model.pt", "model", "model.ONNXX"])
def test_what_is_no_model(tmp_path, name):
    with pytest.raises(
        BundleError,
        match=r"^a model is a bundle folder, a \.onnx, \.tflite or \.gsm file, got .*; give one that gossamer wrote$",
    ):
        Predictor(tmp_path / name)


def test_a_file_without_a_contract(shipped, tmp_path):
    model = onnx.load(shipped[2])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(BundleError, match=r"bare\.onnx carries no input contract"):
        Predictor(tmp_path / "bare.onnx")


def test_a_missing_file(tmp_path):
    with pytest.raises(BundleError, match=r"no such model file: .*none\.onnx"):
        Predictor(tmp_path / "none.onnx")


def test_a_grey_cmyk_or_palette_picture_is_read_as_any(shipped, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    for mode, name in (("L", "l.png"), ("CMYK", "c.tif"), ("P", "p.png"), ("RGBA", "a.png")):
        image.convert(mode).save(tmp_path / name)
    assert [p.error for p in predict(shipped[2], [tmp_path])] == [None] * 4


def test_on_packed_runs_the_packed_file_of_a_bundle(shipped, pictures, tmp_path):
    network, folder, file = shipped
    packed = tmp_path / "model.gsm"
    packed.write_bytes(
        network_file(network, CONTRACT, PackPlan(), {"labels": LABELS, "input": CONTRACT.to_json()})
    )
    bundle = load(folder)
    both = save(
        tmp_path / "bundle", spec=bundle.spec, weights=folder / "weights.safetensors", task="classify",
        labels=LABELS, contract=CONTRACT, files=[("onnxruntime", "fp32", 1, file), ("packed", "", 1, packed)],
        measured={}, provenance={}, texts={},
    )  # fmt: skip
    path = pictures({"a": 1}, size=(48, 36)) / "a" / "000.png"
    found = Predictor(both.folder, on="packed")
    assert type(found.session).__name__ == "PackedSession"
    assert found.predict(path) == Predictor(packed).predict(path)
    assert found.predict(path).labels == Predictor(both.folder).predict(path).labels


def _rewritten(model, target, **changes):
    """The file with other things said in its contract."""
    graph = onnx.load(model)
    write_metadata(graph, {"labels": LABELS, "input": CONTRACT.to_json(), **changes})
    onnx.save(graph, target)
    return target


@pytest.mark.parametrize("labels", [LABELS[:1], [*LABELS, "more"]], ids=len)
def test_labels_fewer_or_more_than_outputs(shipped, pictures, tmp_path, labels):
    model = _rewritten(shipped[2], tmp_path / "m.onnx", labels=labels)
    count = len(labels)
    with pytest.raises(
        BundleError,
        match=rf"for classify with {count} labels gives 1 x {count}, .*m\.onnx gives 1 x 3; export",
    ):
        predict(model, [pictures({"a": 1})])


def test_scores_that_are_no_numbers(shipped, pictures, tmp_path):
    root = pictures({"a": 1})
    document = {**CONTRACT.to_json(), "scale": 1e38}
    model = _rewritten(shipped[2], tmp_path / "m.onnx", input=document)
    with pytest.raises(BundleError, match="finite values, got"):
        predict(model, [root])
    graph = onnx.load(shipped[2])
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32("nan"), tensor.name))
    onnx.save(graph, model)
    with pytest.raises(
        BundleError, match=r"with scores that are no numbers \(NaN or infinite\); export it again"
    ):
        predict(model, [root])


def test_a_contract_of_another_size_than_the_graph(shipped, pictures, tmp_path):
    model = _rewritten(shipped[2], tmp_path / "m.onnx", input={**CONTRACT.to_json(), "size": [8, 8]})
    with pytest.raises(BundleError, match="does not run on the input that its contract names"):
        predict(model, [pictures({"a": 1})])


def test_arrays_pictures_and_batches_say_what_their_files_say(shipped, pictures):
    root = pictures({"a": 3}, size=(48, 36))
    files = sorted((root / "a").iterdir())
    told = [p.answer for p in predict(shipped[1], files)]
    images = [Image.open(file) for file in files]
    arrays = [np.asarray(image) for image in images]
    for inputs in (
        images,
        arrays,
        np.stack(arrays),
        [np.stack(arrays[:2]), images[2]],
        [files[0], *arrays[1:]],
    ):
        assert [p.answer for p in predict(shipped[1], inputs)] == told
    assert [str(p.file) for p in predict(shipped[1], np.stack(arrays))] == [
        "picture 0",
        "picture 1",
        "picture 2",
    ]
    for one in (files[0], str(files[0]), images[0], arrays[0]):
        assert [p.answer for p in predict(shipped[1], one)] == told[:1]


def test_grey_and_transparent_arrays_and_pictures(shipped, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 4), np.uint8))
    for mode in ("L", "RGBA"):
        image.convert(mode).save(tmp_path / f"{mode}.png")
        array = np.asarray(image.convert(mode))
        told = predict(shipped[2], tmp_path / f"{mode}.png")[0].answer
        assert predict(shipped[2], array)[0].answer == told
        assert predict(shipped[2], image.convert(mode))[0].answer == told
    grey = np.asarray(image.convert("L"))
    assert predict(shipped[2], grey[:, :, None])[0].answer == predict(shipped[2], grey)[0].answer


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((40, 40, 3), np.float32), "multiply values of 0 to 1 by 255"),
        (np.zeros((40, 40, 2), np.uint8), r"got \(40, 40, 2\) of uint8; give \(H, W, 3\)"),
        (np.zeros((0, 40, 3), np.uint8), r"got \(0, 40, 3\)"),
        (np.zeros(4, np.uint8), r"got \(4,\) of uint8"),
    ],
    ids=["float", "two bands", "empty", "a row"],
)
def test_an_array_that_is_no_picture_is_named_and_stops_nothing(shipped, pictures, array, why):
    first, second = predict(shipped[2], [array, pictures({"a": 1})])
    assert first.answer is None
    assert re.search(why, first.error)
    assert second.error is None


def test_arrays_of_other_bands():
    contract = InputContract(Size(8, 8), ("b1", "b2"), mean=(10.0, 20.0), std=(2.0, 4.0))
    values = np.random.default_rng(0).normal(15, 5, (8, 8, 2)).astype(np.float32)
    assert contract.take(values) == pytest.approx(contract.normalise(values[None]), abs=1e-4)
    with pytest.raises(
        DataError, match=r"^a picture here is \(H, W, 2\) of numbers, the bands b1, b2, got \(8, 8, 3\)"
    ):
        contract.take(np.zeros((8, 8, 3)))


def test_what_is_no_picture_at_all(shipped):
    with pytest.raises(
        DataError, match=r"a picture is a path, an array .* or of Pillow, got int; give one, or a list"
    ):
        predict(shipped[2], [3])


def test_the_temperature_of_a_file_cools_its_shares_and_changes_no_label(shipped, pictures, tmp_path):
    root = pictures({"a": 4}, size=(48, 36))
    warm = predict(_rewritten(shipped[2], tmp_path / "m.onnx", temperature=4.0), [root])
    for plain, cool in zip(predict(shipped[2], [root]), warm, strict=True):
        expected = np.array(plain.scores) ** 0.25
        assert cool.labels == plain.labels
        assert cool.scores == pytest.approx(expected / expected.sum(), abs=1e-5)


@pytest.mark.parametrize("value", [0, -1, 1e9, "hot", None, True])
def test_a_temperature_that_is_none(shipped, tmp_path, value):
    model = _rewritten(shipped[2], tmp_path / "m.onnx", temperature=value)
    with pytest.raises(
        BundleError, match=r"a temperature is a number from 0\.001 to 1000, .* export it again"
    ):
        Predictor(model)


def test_a_bundle_tells_the_temperature_of_each_file(shipped, pictures, tmp_path):
    _, folder, file = shipped
    bundle = load(folder)
    hot = save(
        tmp_path / "bundle", spec=bundle.spec, weights=folder / "weights.safetensors", task="classify",
        labels=LABELS, contract=CONTRACT, files=[("onnxruntime", "fp32", 1, file), ("openvino", "fp32", 1, file)],
        measured={}, provenance={}, texts={}, temperatures=[1.0, 3.0],
    )  # fmt: skip
    document = json.loads((hot.folder / "model.json").read_text())
    assert document["temperatures"] == {"deploy/openvino-fp32/model.onnx": 3.0}
    assert (hot.temperature(), hot.temperature("openvino")) == (1.0, 3.0)
    assert bundle.temperature() == 1.0
    document["temperatures"] = {"deploy/onnxruntime-fp32/model.onnx": "hot"}
    (hot.folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="a temperature is a number"):
        load(hot.folder)


def test_below_the_threshold_an_answer_is_unsure(shipped, pictures):
    root = pictures({"a": 6}, size=(48, 36))
    sure = sorted(p.scores[0] for p in predict(shipped[1], [root]))
    told = predict(shipped[1], [root], threshold=sure[3])
    assert sum(p.unsure for p in told) == 3
    for p in told:
        assert p.unsure == (p.scores[0] < sure[3])
        assert p.to_json()["unsure"] is p.unsure
        assert p.to_json()["label"] == (None if p.unsure else p.labels[0])
        assert p.answer.row["label"] == ("unsure" if p.unsure else p.labels[0])
    assert "unsure" not in predict(shipped[1], [root])[0].to_json()


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_share(shipped, threshold):
    with pytest.raises(BundleError, match=r"^a threshold is a share from 0 to 1, got .*; write e\.g\. 0\.8$"):
        predict(shipped[1], [], threshold=threshold)


def test_a_threshold_for_numbers(shipped, tmp_path):
    model = _rewritten(shipped[2], tmp_path / "m.onnx", task="regress")
    with pytest.raises(
        BundleError, match=r"a threshold is for answers that are one class, .* is for regress; leave it out"
    ):
        predict(model, [], threshold=0.5)


def test_the_table_has_every_one_of_the_best(shipped, pictures, tmp_path):
    root = pictures({"a": 2}, size=(48, 36))
    out = tmp_path / "said.csv"
    done = CliRunner().invoke(
        app, ["predict", str(shipped[1]), str(root), "-o", str(out), "--top", "2", "--threshold", "1"]
    )
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    told = predict(shipped[1], [root], top=2)
    assert list(rows[0]) == ["file", "label", "score", "label_2", "score_2", "error"]
    for row, p in zip(rows, told, strict=True):
        assert (row["label"], row["label_2"]) == ("unsure", p.labels[1])
        assert [float(row["score"]), float(row["score_2"])] == pytest.approx(p.scores, abs=1e-6)
    assert "  unsure: " in done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tile", "64"), "--tile"),
        (("--draw", "drawn"), "--draw"),
        (("-o", "t.coco.json"), "--out t.coco.json"),
        (("-o", "t.csv", "--rows", "things"), "--rows things"),
        (("--region", "r.geojson"), "--region"),
    ],
)
def test_what_needs_a_place_is_refused_for_a_class(shipped, pictures, options, told, monkeypatch, tmp_path):
    root = pictures({"a": 1})
    monkeypatch.chdir(tmp_path)
    Path("r.geojson").write_text('{"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9]]]}')
    done = CliRunner().invoke(app, ["predict", str(shipped[1]), str(root), *options])
    assert isinstance(done.exception, BundleError)
    assert str(done.exception) == (
        f"{told} is for answers that lie somewhere in a picture, the model is for classify; leave it out"
    )
    assert not list(tmp_path.glob("t.*"))


def test_pictures_read_ahead_are_those_read_one_by_one(shipped, pictures):
    root = pictures({"a": 3, "b": 2}, size=(48, 36))
    (root / "b" / "broken.png").write_bytes(b"nothing")
    predictor = Predictor(shipped[1])
    files = list(find_pictures([root]))
    assert list(predictor.each(files, top=2)) == [predictor.predict(file, top=2) for file in files]
    assert list(predictor.each([])) == []


def test_the_time_of_the_network_is_kept(shipped, pictures):
    predictor = Predictor(shipped[1])
    predictor.predict(next(find_pictures([pictures({"a": 1})])))
    assert 0 < predictor.network_seconds < 5
