"""Every compression method of the table keeps the contract."""

from __future__ import annotations

from gossamer.compress.methods import METHODS
from gossamer.testing.methods import MethodContract


class TestPrune(MethodContract):
    name = "prune"
    text = "prune:macs=60%,multiple=1"


class TestFactorise(MethodContract):
    name = "factorise"
    text = "factorise:macs=80%,check=no"


class TestSlim(MethodContract):
    name = "slim"
    text = "slim:strength=1"
    trains = True
    mildest_is_nothing = False


class TestSparsify(MethodContract):
    name = "sparsify"
    text = "sparsify:share=60%"
    mildest_is_nothing = False


class TestAuto(MethodContract):
    name = "auto"
    text = "auto:macs=60%,driver=evolve,evaluations=4,multiple=1"


class TestQuantize(MethodContract):
    name = "quantize"
    text = "quantize:weights=uniform,bits=4,activation_bits=8"
    mildest_is_nothing = False


class TestPack(MethodContract):
    name = "pack"
    text = "pack:bits=4"
    nothing_is_exact = False
    mildest_is_nothing = False


def test_every_method_is_held_to_the_contract():
    assert sorted(c.name for c in MethodContract.__subclasses__()) == sorted(METHODS)
