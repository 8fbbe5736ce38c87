"""Every runtime of the table keeps the contract."""

from __future__ import annotations

from gossamer.deploy.runtimes import RUNTIMES
from gossamer.testing.runtimes import RuntimeContract


class TestOnnxRuntime(RuntimeContract):
    name = "onnxruntime"


class TestOpenVino(RuntimeContract):
    name = "openvino"


class TestLiteRt(RuntimeContract):
    name = "litert"


def test_every_runtime_is_held_to_the_contract():
    assert sorted(c.name for c in RuntimeContract.__subclasses__()) == sorted(RUNTIMES)
