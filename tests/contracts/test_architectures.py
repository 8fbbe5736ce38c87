"""Every network of the catalogue keeps the contract; the cheapest of every builder is compiled too."""

from __future__ import annotations

import pytest

from gossamer.testing.architectures import HEAVY, ArchitectureContract, CompileContract, WholeContract
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.counted import counted

CHEAPEST = {
    builder: min(
        (name for name, entry in CLASSIFIERS.items() if entry.builder == builder),
        key=lambda name: counted(name, 64),
    )
    for builder in {entry.builder for entry in CLASSIFIERS.values()}
}
for _name in CLASSIFIERS:
    _title = "Test_" + _name.replace(".", "_")
    _compiled = CLASSIFIERS[_name].builder in CHEAPEST and CHEAPEST[CLASSIFIERS[_name].builder] == _name
    _bases = (ArchitectureContract, CompileContract) if _compiled else (ArchitectureContract,)
    globals()[_title] = type(_title, _bases, {"name": _name})
    if counted(_name, 64).params > HEAVY:
        _slow = {"name": _name, "pytestmark": [pytest.mark.slow]}
        globals()[f"{_title}_whole"] = type(f"{_title}_whole", (WholeContract,), _slow)


def test_every_builder_is_compiled_once():
    assert len({c.name for c in CompileContract.__subclasses__()}) == len(
        {e.builder for e in CLASSIFIERS.values()}
    )


def test_every_entry_is_held_to_the_contract():
    assert sorted(c.name for c in ArchitectureContract.__subclasses__()) == sorted(CLASSIFIERS)
