"""Every runtime of the table keeps the contract."""

from __future__ import annotations

from gossamer.compress.codebook.network_file import network_file
from gossamer.deploy.runtimes import RUNTIMES, Runtime
from gossamer.deploy.runtimes.packed.settings import PackPlan
from gossamer.testing.runtimes import CONTRACT, RunContract, RuntimeContract


class TestOnnxRuntime(RuntimeContract):
    name = "onnxruntime"


class TestOpenVino(RuntimeContract):
    name = "openvino"


class TestLiteRt(RuntimeContract):
    name = "litert"


class TestPacked(RunContract):
    name = "packed"

    @classmethod
    def make(cls, network, path):
        path.write_bytes(
            network_file(network, CONTRACT, PackPlan(), {"labels": [], "input": CONTRACT.to_json()})
        )


class TestReference(RuntimeContract):
    name = "reference"


def test_every_runtime_is_held_to_the_contract():
    makers = sorted(c.name for c in RuntimeContract.__subclasses__())
    runners = sorted(c.name for c in RunContract.__subclasses__() if c is not RuntimeContract)
    assert makers == sorted(name for name in RUNTIMES if Runtime(name).makes_files)
    assert sorted(makers + runners) == sorted(RUNTIMES)
