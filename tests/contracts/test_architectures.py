"""Every network of the catalogue keeps the contract; one a builder is exported too."""

from __future__ import annotations

from gossamer.testing.architectures import ArchitectureContract, ExportContract
from gossamer.zoo.catalogue import CATALOGUE

EXPORTED = {
    "mobilenet_v2_0.25",
    "mobilenet_v3_large_0.75",
    "mobilenet_v3_small_0.5",
    "shufflenet_v2_0.25",
    "squeezenet_1.0",
    "squeezenet_1.1",
    "efficientnet_lite0_0.5",
}

for _name in CATALOGUE:
    _title = "Test_" + _name.replace(".", "_")
    _bases = (ArchitectureContract, ExportContract) if _name in EXPORTED else (ArchitectureContract,)
    globals()[_title] = type(_title, _bases, {"name": _name})


def test_every_builder_is_exported_once_at_least():
    assert set(CATALOGUE) >= EXPORTED
    assert {CATALOGUE[name].builder for name in EXPORTED} == {e.builder for e in CATALOGUE.values()}
    assert {CATALOGUE[name].family for name in EXPORTED} == {e.family for e in CATALOGUE.values()}


def test_every_entry_is_held_to_the_contract():
    assert sorted(c.name for c in ArchitectureContract.__subclasses__()) == sorted(CATALOGUE)
