"""Prediction: the same from a bundle and from one file; pictures that cannot be read stop nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file

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
    with pytest.raises(
        BundleError, match=rf"one number a label, .* has {len(labels)} labels and gives \(1, 3\)"
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
