"""What a bundle carries for machines without gossamer: labels.txt, predict.py, and how to run its files in other languages.

All of it is made from the bundle's own contract, labels, task and temperature; `program` is the text of predict.py.
"""

from __future__ import annotations

import importlib.resources
import pprint
from collections.abc import Sequence
from typing import NamedTuple

from gossamer.data.bands import RGB
from gossamer.data.pictures import FORMATS
from gossamer.deploy.contract import InputContract
from gossamer.deploy.elsewhere.snippets import Shipped, snippets

__all__ = ["CARD", "LABELS", "PROGRAM", "companions"]

CARD, LABELS, PROGRAM = "MODEL_CARD.md", "labels.txt", "predict.py"
_PLACE = "CARD: dict[str, Any] = {}\n"
_RUNTIMES = {
    "onnxruntime": "onnxruntime",
    "reference": "onnxruntime",
    "openvino": "openvino",
    "litert": "litert",
}
"""Runtime of a file -> whose session of the program opens it."""
_TASKS = ("classify", "multi-label", "regress", "detect")
"""Whose answers the programs know how to read; a task from outside has labels.txt alone."""
_PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}


class _File(NamedTuple):
    """A deployed file of a bundle."""

    runtime: str
    path: str
    threads: int
    temperature: float


def companions(
    task: str,
    labels: Sequence[str],
    contract: InputContract,
    files: Sequence[tuple[str, str, int, float]],
    card: str | None,
) -> dict[str, str]:
    """Texts by name for a bundle of these files (runtime, path, threads, temperature); `card` is that of MODEL_CARD.md."""
    texts = {LABELS: "".join(f"{' '.join(label.split())}\n" for label in labels)}
    known = [file for file in map(_File._make, files) if file.runtime in _RUNTIMES and task in _TASKS]
    file = next(iter(known), None)
    if file is not None:
        texts[PROGRAM] = _program(task, labels, contract, file)
    if card is not None:
        texts[CARD] = card + ("" if file is None else _section(task, labels, contract, file))
    return texts


def _program(task: str, labels: Sequence[str], contract: InputContract, file: _File) -> str:
    document = {
        "file": file.path,
        "runtime": _RUNTIMES[file.runtime],
        "threads": max(1, file.threads),
        "task": task,
        "labels": list(labels),
        "input": {key: list(v) if isinstance(v, tuple) else v for key, v in contract.to_json().items()},
        "temperature": file.temperature,
        "formats": list(FORMATS),
    }
    text = importlib.resources.files(__name__).joinpath("program.py").read_text(encoding="utf-8")
    return text.replace(_PLACE, f"CARD: dict[str, Any] = {pprint.pformat(document, sort_dicts=False)}\n")


def _section(task: str, labels: Sequence[str], contract: InputContract, file: _File) -> str:
    """How to run the file, for MODEL_CARD.md."""
    package = _PACKAGES[_RUNTIMES[file.runtime]]
    more = "" if contract.bands == RGB else "; rasters other than .npy need rasterio"
    shipped = Shipped(
        path=file.path,
        height=contract.size.height,
        width=contract.size.width,
        bands=len(contract.bands),
        rgb=contract.bands == RGB,
        scale=tuple(contract.scale / std for std in contract.std),
        shift=tuple(
            (contract.offset - mean) / std for mean, std in zip(contract.mean, contract.std, strict=True)
        ),
        rule=contract.resize,
        task=task,
        outputs=len(labels),
        temperature=file.temperature,
    )
    return (
        "\n## Run it elsewhere\n\n"
        f"`{PROGRAM}` needs numpy, Pillow and {package}, neither gossamer nor torch{more}. "
        f"`{LABELS}` has the labels in the order of the outputs, one a line.\n\n"
        f"```\npip install numpy pillow {package}\npython {PROGRAM} picture.jpg --top 3\n```\n"
        + snippets(shipped)
    )
