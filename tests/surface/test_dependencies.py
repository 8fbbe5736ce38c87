"""What the code imports is what pyproject.toml asks for: a fresh installation has it."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def _imported(folder: Path) -> dict[str, Path]:
    """Top-level package -> one file that imports it, at its head or late."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            found.update({name.split(".")[0]: path for name in names})
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


def test_every_imported_package_is_declared():
    distributions, declared = packages_distributions(), _declared()
    undeclared = {
        name: str(path.relative_to(ROOT))
        for name, path in _imported(ROOT / "src").items()
        if name != "gossamer"
        and not any(canonicalize_name(each) in declared for each in distributions.get(name, [name]))
    }
    assert undeclared == {}


def test_the_wheel_says_that_it_is_typed():
    import gossamer

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert settings == {"packages": ["src/gossamer"]}, "the whole package goes into the wheel"
    assert (Path(gossamer.__file__).parent / "py.typed").is_file()


def test_the_demo_installs_what_trains_and_the_tests_the_rest():
    made = (ROOT / "Makefile").read_text()
    for target, needs in (("demo", ".trains"), ("test", ".installed"), ("check", ".installed")):
        assert f"\n{target}: $(VENV)/{needs}\n" in made
    assert made.count("--editable '.[train,weights]'") == 1
    assert made.count("--editable '.[dev]'") == 1
