"""Which module may import which: THE table, and that it is true.

Only what runs when a module is imported is held against the layers; what a function imports late is listed by itself.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import gossamer

SOURCE = Path(gossamer.__file__).parent

FAMILIES = tuple(
    f"zoo.{name}"
    for name in (
        "alexnet",
        "densenet",
        "efficientnet",
        "espnet_v2",
        "fbnet",
        "ghostnet",
        "googlenet",
        "lcnet",
        "mixnet",
        "mnasnet",
        "mobilenet_v1",
        "mobilenet_v2",
        "mobilenet_v3",
        "mobilenet_v4",
        "mobilenext",
        "mobileone",
        "moga",
        "regnet",
        "repvgg",
        "resnet",
        "resnet_cifar",
        "shufflenet_v1",
        "shufflenet_v2",
        "snet",
        "squeezenet",
        "starnet",
        "vgg",
        "xception",
    )
)

# Lowest first. A module stands in the layer of its longest prefix and imports from its own and lower layers only.
LAYERS: dict[str, tuple[str, ...]] = {
    "ground": ("", "errors", "types", "_files", "_machine", "_quiet", "_table"),
    "shell": (
        "compress",
        "compress.codebook",
        "cost",
        "cost.block_formulas",
        "cost.figures",
        "cost.formulas",
        "cost.onnx_count",
        "data",
        "data._scene_parts",
        "data.bands",
        "data.cache",
        "data.check",
        "data.dataset",
        "data.folder",
        "data.pictures",
        "data.scan",
        "data.scenes",
        "data.split",
        "deploy",
        "files",
        "report",
        "tasks",
        "zoo",
        "zoo.catalogue",
        "zoo.counted",
        "zoo.entries",
        "zoo.entry",
        "zoo.rows",
        "zoo.spec",
    ),
    "nn": ("nn", "search"),
    "networks": (
        "cost.meter",
        "cost.operators",
        "cost.receptive",
        "deploy.runtimes.litert.export",
        "deploy.runtimes.onnxruntime.export",
        "deploy.runtimes.openvino.export",
        "deploy.runtimes.reference.export",
        "zoo.build",
        "zoo.checkpoints",
        "zoo.mapping",
        "zoo.weights",
        *FAMILIES,
    ),
    "timing": ("timing",),
    "training": (
        "compress.ratios",
        "compress.trace",
        "compress.codebook.calibrate",
        "compress.codebook.method",
        "compress.codebook.network_file",
        "compress.codebook.sized",
        "compress.guard",
        "compress.lowrank",
        "compress.method",
        "compress.methods",
        "compress.prune",
        "compress.quantize.adaround",
        "compress.quantize.bias",
        "compress.quantize.edits",
        "compress.quantize.equalize",
        "compress.quantize.flow",
        "compress.quantize.method",
        "compress.quantize.mixed",
        "compress.quantize.pictures",
        "compress.quantize.qat_apply",
        "compress.quantize.qat_codebook",
        "compress.quantize.qat_codes",
        "compress.quantize.qat_layers",
        "compress.quantize.qat_order",
        "compress.quantize.qat_plan",
        "compress.quantize.ranges",
        "compress.quantize.schedule",
        "compress.quantize.simulate",
        "compress.quantize.sweep",
        "compress.quantize.verdict",
        "compress.sparse",
        "data.augment",
        "data.batches",
        "data.draws",
        "train",
    ),
    "fit": ("fit",),
    "cli": ("__main__", "cli"),
    "testing": ("testing",),
}

# Packages that meet below fit and cli all the same, and why; every other pair of packages in one layer is forbidden.
SIBLINGS: dict[tuple[str, str], str] = {
    ("deploy", "cost"): "a profile counts what its nodes compute",
    ("deploy", "files"): "a runtime writes the contract into its files",
    ("deploy", "data"): "the contract prepares a picture the way the data are read",
    ("deploy", "tasks"): "prediction turns scores into shares",
    ("deploy", "zoo"): "a bundle holds a spec",
    ("compress", "deploy"): "quantizing works on the file that the runtime exports",
    ("train", "data"): "training reads batches and augments them",
    ("train", "deploy"): "training normalises as the input contract says",
    ("train", "zoo"): "a teacher is named as a network is",
}

# What functions import late from a higher layer: torch stays out until the call.
LATE_UPWARD: set[tuple[str, str]] = {
    ("deploy.bundle", "zoo.build"),
    ("deploy.bundle", "zoo.checkpoints"),
}

# What a layer may take from outside the standard library when it is imported.
THIRD_PARTY: dict[str, set[str]] = {
    "ground": {"psutil"},
    "shell": {"PIL", "jinja2", "llvmlite", "markupsafe", "numba", "numpy", "onnx", "pydantic"},
    "nn": {"numpy", "torch"},
    "networks": {"onnx", "torch"},
    "timing": {"numpy", "torch"},
    "training": {"lightning", "numpy", "torch"},
    "fit": {"numpy", "pydantic", "torch", "yaml"},
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


def _layer(module):
    prefixes = [(p, layer) for layer, names in LAYERS.items() for p in names]
    fitting = [(len(p), layer) for p, layer in prefixes if module == p or (p and module.startswith(p + "."))]
    return max(fitting)[1] if fitting else None


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


def _package(module):
    return module.split(".")[0]


def test_every_module_has_a_layer():
    assert [name for name in MODULES if _layer(name) is None] == []


def test_the_table_names_only_what_exists():
    assert [p for names in LAYERS.values() for p in names if p not in MODULES] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    own = ORDER.index(_layer(module))
    upward = {t for t in _ours(GRAPH[module][0]) if ORDER.index(_layer(t)) > own}
    assert upward == set(), f"{module} ({ORDER[own]}) imports from above"


def _crossings():
    for module, (now, _) in GRAPH.items():
        for target in _ours(now):
            layers = _layer(module), _layer(target)
            if (layers[0] == layers[1] and layers[0] not in ("ground", "fit", "cli", "testing")) or (
                layers == ("training", "shell") and "." in target
            ):
                yield module, target


def test_siblings_meet_only_where_the_table_says():
    met = {(_package(a), _package(b)) for a, b in _crossings() if _package(a) != _package(b)}
    assert met == set(SIBLINGS)


def test_a_family_knows_no_other():
    for family in FAMILIES:
        assert {_package(t) for t in _ours(GRAPH[family][0])} <= {"nn", "errors"}


def test_late_imports_from_above_are_these():
    found = {
        (module, target)
        for module, (_, late) in GRAPH.items()
        for target in _ours(late)
        if ORDER.index(_layer(target)) > ORDER.index(_layer(module))
    }
    assert found == LATE_UPWARD


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
        for target in sorted(_ours(GRAPH[module][0]) - {"", module}):
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
