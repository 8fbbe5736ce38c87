"""Which module may import which: THE table, and that it is true.

Imports inside functions count like any other, for the direction and for cycles. What a table names by a text (a runtime,
a method, a family, an edit) is no import: whoever asks for it by name knows only the table.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import gossamer
from gossamer.zoo.catalogue import CLASSIFIERS

SOURCE = Path(gossamer.__file__).parent

# Lowest first. A module stands in the layer of its longest prefix and imports from its own and lower layers only; a * is
# any one name. The layers from pictures to report are the shell that needs no torch.
LAYERS: dict[str, tuple[str, ...]] = {
    "ground": (
        "",
        "errors",
        "types",
        "_documents",
        "_files",
        "_machine",
        "_callable",
        "_quiet",
        "_table",
        "_text",
        "_waiting",
    ),
    "pictures": (
        "data",
        "data.bands",
        "data.cache",
        "data.geometry",
        "data.pictures",
        "data.ranges",
        "data.walk",
    ),
    "maps": ("geo",),
    "answers": ("tasks",),
    "data": (
        "data._scene_parts",
        "data.alike",
        "data.box_scenes",
        "data.check",
        "data.convert",
        "data.dataset",
        "data.findings",
        "data.leakage",
        "data.oddities",
        "data.readers",
        "data.scan",
        "data.scenes",
        "data.split",
        "data.writers",
    ),
    "files": ("files",),
    "tables": (
        "cost",
        "cost.block_formulas",
        "cost.figures",
        "cost.file_count",
        "cost.formulas",
        "cost.onnx_count",
        "cost.onnx_shapes",
        "zoo.catalogue",
        "zoo.composed",
        "zoo.counted",
        "zoo.entries",
        "zoo.entry",
        "zoo.offer",
        "zoo.rows",
        "zoo.spec",
    ),
    "running": ("deploy",),
    "report": ("report",),
    "search": ("search",),
    "nn": ("nn", "search.amc", "search.ddpg"),
    "networks": (
        "cost.meter",
        "cost.operators",
        "cost.receptive",
        "tasks.*.networks",
        "zoo",
    ),
    "detectors": ("tasks.detect.networks", "tasks.detect.parts"),
    "making": (
        "deploy.runtimes.convert",
        "deploy.runtimes.int8_checks",
        "deploy.runtimes.*.export",
        "deploy.runtimes.*.int8",
        "deploy.runtimes.*.profile",
        "deploy.runtimes.onnxruntime.floats",
        "deploy.runtimes.onnxruntime.post_training",
        "deploy.runtimes.onnxruntime.sensitivity",
    ),
    "timing": ("timing",),
    "batches": ("data.augment", "data.batches", "data.draws"),
    "training": ("compress", "train"),
    "objectives": ("tasks.*.objective", "tasks.detect.motion"),
    "runs": ("runs",),
    "fit": ("fit",),
    "verbs": ("verbs",),
    "cli": ("__main__", "cli"),
    "testing": ("testing",),
}

# What a layer may take from outside the standard library when it is imported.
THIRD_PARTY: dict[str, set[str]] = {
    "ground": {"psutil"},
    "pictures": {"PIL", "numpy"},
    "maps": {"PIL", "numpy"},
    "answers": {"numpy"},
    "data": {"PIL", "numpy"},
    "files": {"numpy", "onnx"},
    "tables": {"onnx"},
    "running": {"PIL", "llvmlite", "numba", "numpy"},
    "report": {"jinja2", "markupsafe", "pydantic"},
    "search": {"numpy"},
    "nn": {"numpy", "torch"},
    "networks": {"torch"},
    "detectors": {"torch"},
    "making": {"numpy", "onnx", "torch"},
    "timing": {"numpy", "torch"},
    "batches": {"numpy", "torch"},
    "training": {"lightning", "numpy", "torch"},
    "objectives": {"numpy", "torch"},
    "runs": {"PIL", "numpy", "pydantic", "torch"},
    "fit": {"numpy", "pydantic", "torch"},
    "verbs": set(),
    "cli": {"typer"},
    "testing": {"PIL", "numpy", "pytest", "safetensors", "torch"},
}


def _modules():
    """Module below gossamer -> its file; the package itself is ''."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
        found[name.removesuffix("__init__").removesuffix(".")] = file
    return found


MODULES = _modules()


def _fits(module, name):
    """Whether a name of the table is a module's own or of one above it."""
    if not name:
        return module == ""
    return re.fullmatch(re.escape(name).replace(r"\*", r"[^.]+") + r"(\..*)?", module) is not None


def _layer(module):
    fitting = [
        (len(n.split(".")), "*" not in n, layer)
        for layer, names in LAYERS.items()
        for n in names
        if _fits(module, n)
    ]
    return max(fitting)[2] if fitting else None


def _targets(node):
    """What an import statement names, as full module names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level:
        raise AssertionError("imports are absolute here")
    found = []
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        is_module = inner.removeprefix("gossamer.") in MODULES and inner.startswith("gossamer.")
        found.append(inner if is_module else node.module)
    return found


def _imports(file):
    """(at import time, late) targets of a file; what only the type checker sees is left out."""
    now, late = set(), set()

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                (late if inside else now).update(_targets(child))
            walk(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda | ast.AsyncFunctionDef))

    walk(ast.parse(file.read_text()), False)
    return now, late


def _ours(targets):
    return {t.removeprefix("gossamer").removeprefix(".") for t in targets if t.split(".")[0] == "gossamer"}


GRAPH = {name: _imports(file) for name, file in MODULES.items()}
ORDER = list(LAYERS)


def _all_ours(module):
    """What a module imports of gossamer, when it is imported or later."""
    now, late = GRAPH[module]
    return _ours(now | late)


def _package(module):
    return module.split(".")[0]


def test_every_module_has_a_layer():
    assert [name for name in MODULES if _layer(name) is None] == []


def test_the_table_names_only_what_exists():
    every = [name for names in LAYERS.values() for name in names]
    assert [name for name in every if not any(_fits(module, name) for module in MODULES)] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    own = ORDER.index(_layer(module))
    upward = {t for t in _all_ours(module) if ORDER.index(_layer(t)) > own}
    assert upward == set(), f"{module} ({ORDER[own]}) imports from above"


def test_siblings_do_not_meet():
    """Packages of one layer know nothing of each other, but for the layers that join what lies below them."""
    met = {
        (module, target)
        for module in MODULES
        for target in _all_ours(module)
        if _package(module) != _package(target)
        and _layer(module) == _layer(target)
        and _layer(module) not in ("ground", "cli", "testing")
    }
    assert met == set()


def test_a_family_knows_no_other():
    families = {entry.builder.partition(":")[0].removeprefix("gossamer.") for entry in CLASSIFIERS.values()}
    assert len(families) > 20
    for family in families:
        assert {_package(t) for t in _all_ours(family)} <= {"nn", "errors"}


def test_nothing_shipped_imports_the_test_classes():
    users = [
        m for m, (now, late) in GRAPH.items() if any(_package(t) == "testing" for t in _ours(now | late))
    ]
    assert all(_package(m) == "testing" for m in users)


def test_no_cycles():
    state: dict[str, str] = {}

    def visit(module, path):
        if state.get(module) == "open":
            raise AssertionError(" -> ".join([*path, module]))
        if state.get(module) == "done":
            return
        state[module] = "open"
        for target in sorted(_all_ours(module) - {"", module}):
            visit(target, [*path, module])
        state[module] = "done"

    for module in MODULES:
        visit(module, [])
    assert set(state) == set(MODULES) | {""}


@pytest.mark.parametrize("layer", LAYERS)
def test_other_peoples_packages(layer):
    found = {
        t.split(".")[0]
        for module, (now, _) in GRAPH.items()
        if _layer(module) == layer
        for t in now
        if t.split(".")[0] not in sys.stdlib_module_names | {"gossamer", "__future__"}
    }
    assert found == THIRD_PARTY[layer]
