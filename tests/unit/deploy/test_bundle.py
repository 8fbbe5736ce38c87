"""A bundle comes back as it was written, and what happened to it since is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gossamer._files import sha256
from gossamer.deploy import bundle as bundle_module
from gossamer.deploy.bundle import VERSION, Bundle, load, save
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes.onnxruntime.export import export
from gossamer.errors import BundleError, ModelError, RunFolderError
from gossamer.testing.networks import noise, scores
from gossamer.zoo.build import build
from gossamer.zoo.of_bundle import network_of
from gossamer.zoo.spec import parse_model

LABELS = ("forêt", 'a "quoted" one', "river")
CONTRACT = InputContract.of("imagenet", 32)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Network, weights and file that bundles are made of."""
    folder = tmp_path_factory.mktemp("parts")
    spec, _ = parse_model("shufflenet_v2_0.25[:1]", num_classes=3)
    network = build(spec, seed=4).eval()
    save_file(network.state_dict(), folder / "best.safetensors")
    export(network, CONTRACT, folder / "model.onnx")
    return network, spec, folder


def _save(parts, folder):
    _, spec, source = parts
    return save(
        folder,
        spec=spec,
        weights=source / "best.safetensors",
        task="classify",
        labels=LABELS,
        contract=CONTRACT,
        files=[("onnxruntime", "fp32", 2, source / "model.onnx")],
        measured={"accuracy": 0.5},
        provenance={"seed": "4"},
        texts={"MODEL_CARD.md": "# card\n"},
    )


@pytest.fixture
def bundle(parts, tmp_path):
    return _save(parts, tmp_path / "bundle")


def _edit(bundle: Bundle, **changes):
    file = bundle.folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_was_saved_is_loaded(parts, bundle):
    again = load(str(bundle.folder))
    assert again == bundle
    assert (again.spec, again.labels, again.contract) == (parts[1], LABELS, CONTRACT)
    assert (again.task, again.measured, again.provenance) == ("classify", {"accuracy": 0.5}, {"seed": "4"})
    (file,) = again.files
    assert (file.runtime, file.precision, file.threads) == ("onnxruntime", "fp32", 2)
    assert file.path == "deploy/onnxruntime-fp32/model.onnx"
    assert file.sha256 == sha256(parts[2] / "model.onnx")
    assert file.size_bytes == (parts[2] / "model.onnx").stat().st_size


def test_the_folder_holds_this_and_nothing_else(bundle):
    files = sorted(p.relative_to(bundle.folder).as_posix() for p in bundle.folder.rglob("*") if p.is_file())
    assert files == [
        "MODEL_CARD.md",
        "deploy/onnxruntime-fp32/model.onnx",
        "labels.txt",
        "model.json",
        "predict.py",
        "weights.safetensors",
    ]
    assert (bundle.folder / "MODEL_CARD.md").read_text() == "# card\n"


def test_the_file_runs(parts, bundle):
    value = noise(1, (3, 32, 32))
    assert np.abs(bundle.session(threads=1).run(value)[0] - scores(parts[0], value).numpy()).max() < 1e-4


def test_the_network_is_rebuilt_with_its_weights(parts, bundle):
    network = network_of(bundle)
    assert not network.training
    value = noise(1, (3, 32, 32))
    assert torch.equal(scores(network, value), scores(parts[0], value))


def test_a_bundle_moves(parts, bundle, tmp_path):
    shutil.move(bundle.folder, tmp_path / "elsewhere")
    value = noise(1, (3, 32, 32))
    assert load(tmp_path / "elsewhere").session().run(value)[0].shape == (1, 3)


def test_saving_again_replaces(parts, bundle):
    assert _save(parts, bundle.folder) == bundle


class _Killed(BaseException):
    """What ends a process between two instructions."""


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("step", ["_copy", "write_text", "write_json"])
def test_a_process_killed_on_the_way_leaves_no_half_of_a_bundle(parts, tmp_path, monkeypatch, step, before):
    """The bundle's place holds nothing, or the whole bundle of before, whichever file was being written."""
    folder = tmp_path / "bundle"
    earlier = _save(parts, folder) if before else None

    def killed(*arguments):
        path = next(each for each in reversed(arguments) if isinstance(each, Path))
        (path.parent / f".{path.name}.a1b2").write_bytes(b"half")
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(bundle_module, step, killed)
        patch.setattr(
            "gossamer._files.shutil.rmtree", lambda *_a, **_k: None
        )  # nobody cleans up after a kill
        with pytest.raises(_Killed):
            _save(parts, folder)
    assert folder.exists() == before
    if before:
        assert load(folder) == earlier
        assert not list(folder.rglob(".*"))
    saved = _save(parts, folder)
    assert load(folder) == saved
    assert not list(folder.rglob(".*"))
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_no_folder_and_no_model(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(
            BundleError,
            match=r"is no bundle \(it has no model\.json\); give a folder that gossamer wrote or a \.onnx file$",
        ):
            load(folder)


@pytest.mark.parametrize("text", ["", "{", "\x00\x01", '{"format": "gossamer-bundle",'])
def test_a_model_file_that_is_no_json(bundle, text):
    (bundle.folder / "model.json").write_text(text)
    with pytest.raises(BundleError, match=r"model\.json is damaged \(.*\); copy the bundle again$"):
        load(bundle.folder)


def test_a_model_file_that_is_no_text(bundle):
    (bundle.folder / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match=r"model\.json is damaged"):
        load(bundle.folder)


@pytest.mark.parametrize(
    "key", ["format", "version", "task", "labels", "files", "measured", "provenance", "spec"]
)
def test_a_key_that_is_missing(bundle, key):
    document = json.loads((bundle.folder / "model.json").read_text())
    del document[key]
    (bundle.folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(
        BundleError, match=rf"model\.json is damaged \(KeyError: '{key}'\); copy the bundle again"
    ):
        load(bundle.folder)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"'])
def test_json_that_is_no_object(bundle, text):
    (bundle.folder / "model.json").write_text(text)
    with pytest.raises(BundleError, match=r"model\.json is damaged \(TypeError"):
        load(bundle.folder)


def test_files_that_are_none(bundle):
    _edit(bundle, files=[])
    with pytest.raises(BundleError, match=r"damaged \(ValueError: it names no deployed file\)"):
        load(bundle.folder)
    _edit(bundle, files=[{"runtime": "onnxruntime"}])
    with pytest.raises(BundleError, match=r"damaged \(TypeError"):
        load(bundle.folder)


def test_another_format(bundle):
    _edit(bundle, format="other")
    with pytest.raises(
        BundleError, match=r"model\.json is not a bundle's; give a folder that gossamer wrote$"
    ):
        load(bundle.folder)


def test_a_newer_version(bundle):
    _edit(bundle, version=9)
    with pytest.raises(
        BundleError, match=r"is a bundle of version 9, this gossamer reads 1; update gossamer$"
    ):
        load(bundle.folder)


def test_the_next_version_is_newer_too_and_this_one_is_not(bundle):
    _edit(bundle, version=VERSION)
    assert load(bundle.folder).labels == LABELS
    _edit(bundle, version=VERSION + 1)
    with pytest.raises(
        BundleError, match=f"is a bundle of version {VERSION + 1}, this gossamer reads {VERSION}"
    ):
        load(bundle.folder)


def test_a_damaged_spec(bundle):
    _edit(bundle, spec={"name": "x"})
    with pytest.raises(ModelError, match=r"^a model spec needs name, arguments and edits"):
        load(bundle.folder)


def test_a_tampered_file(bundle):
    path = bundle.folder / bundle.files[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(
        BundleError,
        match=r"model\.onnx is not the file that was shipped \(its sha256 differs\); copy the bundle again$",
    ):
        load(bundle.folder).session()


def test_a_lost_file(bundle):
    (bundle.folder / bundle.files[0].path).unlink()
    with pytest.raises(
        BundleError, match=r"bundle lacks deploy/onnxruntime-fp32/model\.onnx; copy the whole bundle again$"
    ):
        load(bundle.folder).session()


def test_a_bundle_that_cannot_be_written_leaves_the_one_of_before(parts, tmp_path, monkeypatch):
    from gossamer.deploy import bundle as module

    def full(*_):
        raise RunFolderError("cannot write x: the disk is full")

    earlier = _save(parts, tmp_path / "bundle")
    monkeypatch.setattr(module, "write_text", full)
    with pytest.raises(RunFolderError, match="the disk is full"):
        _save(parts, earlier.folder)
    assert load(earlier.folder) == earlier
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_a_file_where_the_folder_should_be(parts, tmp_path):
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(RunFolderError, match="a file stands where a folder is needed"):
        _save(parts, tmp_path / "bundle")
    assert (tmp_path / "bundle").read_text() == "mine"


def test_a_full_disk_is_a_folder_error(parts, tmp_path, monkeypatch):
    def full(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RunFolderError, match=r"weights\.safetensors: the disk is full; free some space"):
        _save(parts, tmp_path / "bundle")


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "MODEL_CARD.md", "deploy/onnxruntime-fp32/model.onnx"]
)
def test_every_file_has_a_digest(bundle, name):
    assert bundle.checked(name) == bundle.folder / name
    data = bytearray((bundle.folder / name).read_bytes())
    data[-1] ^= 0x80
    (bundle.folder / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match=rf"{name} is not the file that was shipped \(its sha256 differs\)"):
        load(bundle.folder).checked(name)


def test_a_flipped_sign_in_the_weights_is_refused(bundle):
    path = bundle.folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x80
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"weights\.safetensors is not the file that was shipped"):
        network_of(load(bundle.folder))


def test_a_bundle_of_an_earlier_version_has_no_digests(bundle):
    file = bundle.folder / "model.json"
    document = json.loads(file.read_text())
    del document["digests"]
    file.write_text(json.dumps(document))
    assert load(bundle.folder).digests == {}
    assert not network_of(load(bundle.folder)).training


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "../../etc/hostname", "deploy/../../x", "C:\\x", "..\\x", "\\\\host\\x", "", "a\0b"],
)
def test_a_path_that_leads_out_is_refused_before_it_is_opened(bundle, path):
    document = json.loads((bundle.folder / "model.json").read_text())
    _edit(bundle, files=[{**document["files"][0], "path": path}])
    with pytest.raises(BundleError, match=r"damaged \(ValueError: paths lie inside the bundle, got"):
        load(bundle.folder)
    _edit(bundle, files=document["files"], digests={path: "0"})
    with pytest.raises(BundleError, match=r"damaged \(ValueError: paths lie inside the bundle, got"):
        load(bundle.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a"]}, "1 labels for 3 outputs"),
        ({"labels": [*LABELS, "d"]}, "4 labels for 3 outputs"),
        ({"labels": "abc"}, "labels are a list of texts"),
        ({"labels": [1, 2, 3]}, "labels are a list of texts"),
        ({"labels": []}, "labels are a list of texts"),
        ({"version": []}, "TypeError"),
        ({"spec": 3}, "a model spec needs name, arguments and edits"),
        ({"digests": [1]}, "TypeError"),
        ({"digests": {"x": 1}}, "a digest is a text"),
        ({"measured": 3}, "TypeError"),
        ({"files": [{**dict.fromkeys(("runtime", "precision", "path", "sha256"), "x"), "threads": -1, "size_bytes": 1}]},
         "threads of a file is a whole number up to 1024, got -1"),
        ({"files": [{**dict.fromkeys(("runtime", "precision", "path", "sha256"), 3), "threads": 1, "size_bytes": 1}]},
         "runtime of a file is a text, got 3"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_values_of_another_kind(bundle, change, message):
    _edit(bundle, **change)
    with pytest.raises((BundleError, ModelError), match=message):
        load(bundle.folder)


@pytest.mark.parametrize(
    "text", ['{"version":' + "[" * 100_000, '{"version":' + "9" * 5000 + "}", '{"version":1e999}']
)
def test_documents_out_of_bounds(bundle, text):
    (bundle.folder / "model.json").write_text(text)
    with pytest.raises(BundleError, match=r"model\.json is damaged \(.*\); copy the bundle again$"):
        load(bundle.folder)


def _with_spec(bundle, **changes):
    document = json.loads((bundle.folder / "model.json").read_text())
    _edit(bundle, spec={**document["spec"], **changes})
    return bundle.folder


def test_a_thousand_edits_are_refused_at_once(bundle):
    _with_spec(bundle, edits=[{"edit": "fuse"}] * 1000)
    with pytest.raises(ModelError, match="at most 64 structural edits, got 1000 of shufflenet"):
        load(bundle.folder)


@pytest.mark.parametrize(
    "edit",
    [
        {"edit": "truncate", "stages": 99},
        {"edit": "truncate"},
        {"edit": "prune", "kept": {"stem.0.weight": {"0": [[0, 10**15]]}}},
        {"edit": "prune", "kept": {"stem.0.weight": {"7": [[0, 1]]}}},
        {"edit": "prune", "kept": {"stem": {"0": [[0, 1]]}}},
        {"edit": "factorise", "layers": {"head": {"kind": "svd", "ranks": [1]}}},
        {"edit": "quantize", "layers": {"stem.0": {"weights": [], "bits": 1e9, "per_channel": 0, "activation_bits": 9}}},
        {"edit": "rescale", "scale": [1.0] * 5, "offset": [0.0] * 5},
        {"edit": "exec"},
        {},
    ],
    ids=str,
)  # fmt: skip
def test_an_edit_that_does_not_fit(bundle, edit):
    loaded = load(_with_spec(bundle, edits=[edit]))
    with pytest.raises((BundleError, ModelError)):
        network_of(loaded)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 3, "width": 64}, "at most 268435456 params, .* claims one of"),
        ({"num_classes": 3, "width": 1e5}, "width of a network is at most 64"),
        ({"num_classes": 3, "in_channels": 10**9}, "in_channels of a network is at most 1024"),
        ({"num_classes": 3, "no_such": 1}, "has no argument 'no_such'"),
    ],
    ids=str,
)
def test_arguments_that_make_no_network_that_fits(bundle, arguments, message):
    with pytest.raises((BundleError, ModelError), match=message):
        network_of(load(_with_spec(bundle, arguments=arguments)))
