"""Packing plans are data, and say what is wrong with them."""

from __future__ import annotations

import json

import pytest

from gossamer.deploy.runtimes.packed.codecs import CODECS
from gossamer.deploy.runtimes.packed.settings import CODEC_SETTINGS, PackPlan, TensorPlan
from gossamer.errors import ModelError


def test_every_codec_has_settings_with_defaults_that_hold():
    assert set(CODECS) == set(CODEC_SETTINGS)
    for codec, settings in CODEC_SETTINGS.items():
        given = {name: 0.5 if default is None else default for name, (default, _) in settings.items()}
        assert TensorPlan(codec, given).complete == given


def test_json_and_back():
    plan = PackPlan(
        {"a": TensorPlan("step", {"step": 0.25}), "b": TensorPlan("codebook", {"bits": 4})}, "huffman"
    )
    assert PackPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    ("codec", "settings", "message"),
    [
        ("stepp", {}, "did you mean 'step'"),
        ("codebook", {"bit": 4}, "did you mean 'bits'"),
        ("codebook", {"bits": 17}, "bits of codebook is a whole number from 1 to 16, got 17"),
        ("codebook", {"bits": True}, "whole number"),
        ("codebook", {"exact": 1}, "true or false, got 1"),
        ("codebook", {"initial": "random"}, "one of linear, density, uniform, got 'random'"),
        ("codebook", {"dtype": "own"}, "one of float32, float16, got 'own'"),
        ("step", {}, "needs its step"),
        ("step", {"step": -1.0}, "a number >= 0, got -1.0"),
        ("step", {"step": float("nan")}, "a number >= 0, got nan"),
    ],
)
def test_settings_that_do_not_exist_or_fit(codec, settings, message):
    with pytest.raises(ModelError, match=message):
        TensorPlan(codec, settings)


@pytest.mark.parametrize(
    "document",
    [{}, {"coder": "rans"}, {"coder": "rans", "tensors": 3}, {"coder": "rans", "tensors": {"a": {}}}],
)
def test_documents_that_are_no_plan(document):
    with pytest.raises(ModelError, match="write it with to_json"):
        PackPlan.from_json(document)


def test_an_unknown_coder():
    with pytest.raises(ModelError, match="rans or huffman, got 'lzma'"):
        PackPlan(coder="lzma")
