"""Scores of a teacher are kept under what it is, not only under its name."""

from __future__ import annotations

from gossamer.runs.train.prepare import _teacher_digest


def test_a_teacher_that_was_trained_again_is_another(tmp_path):
    bundle, file = tmp_path / "bundle", tmp_path / "w.pth"
    bundle.mkdir()
    weights = bundle / "weights.safetensors"
    weights.write_bytes(b"one")
    file.write_bytes(b"a")
    names = [str(bundle), f"mobilenet_v1@{file}", f"{bundle}+mobilenet_v1@{file}"]
    before = [_teacher_digest(name) for name in names]
    assert before == [_teacher_digest(name) for name in names]
    weights.write_bytes(b"two")
    after = [_teacher_digest(name) for name in names]
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, False, True]
    file.write_bytes(b"b")
    assert _teacher_digest(names[1]) != before[1]
