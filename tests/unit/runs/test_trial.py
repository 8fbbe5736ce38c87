"""The trial before training: what cannot be shipped is told before the first picture is seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.runs.model import open_model
from gossamer.runs.python_model import named_model
from gossamer.runs.trial import try_export


class _Tail(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3), last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x).mean((2, 3)))


class _ByChance(nn.Module):
    """Adds numbers that a file cannot repeat."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class _NoOperator(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.matrix_exp(x[:, :, None] @ x[:, None, :])[:, 0]


def _model(last):
    _, model = named_model(_Tail(last), "3x16x16")
    assert model is not None
    return model


def test_what_can_be_shipped_passes():
    try_export(open_model("lcnet_0.25"), "onnxruntime")
    try_export(_model(nn.Linear(4, 2)), "onnxruntime")


def test_an_operator_that_no_file_has_is_told():
    with pytest.raises(
        ModelError, match=r"cannot export _Tail to ONNX: .*; check that it runs on one picture"
    ):
        try_export(_model(_NoOperator()), "onnxruntime")


def test_a_file_that_says_something_else_is_told():
    with pytest.raises(
        ModelError, match=r"that of python:_Tail on onnxruntime differs by .* of the largest output"
    ):
        try_export(_model(_ByChance()), "onnxruntime")
