"""The reader of class folders: ROOT/CLASS/**/picture, ROOT/{train,val,test}/CLASS/**, or ROOT/CLASS/{train,val,test}/**."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from gossamer.data.dataset import Dataset, Sample
from gossamer.data.findings import Finding, many, some
from gossamer.data.readers.layout import Place, understand
from gossamer.data.walk import Kind, walk
from gossamer.errors import DataError

__all__ = ["read", "recognises"]

_PASSED_OVER: Mapping[Kind, tuple[str, str]] = {
    "hidden": ("note", "hidden by a point or `__` in front of the name, passed over"),
    "name": ("error", "named in bytes that are no UTF-8, left out; rename them"),
    "closed": ("error", "folders that may not be read, left out; change who may"),
    "circle": ("warning", "links to folders that are read already, not followed; remove the links"),
}


def recognises(path: Path) -> bool:
    """Whether some sub-folder holds a picture."""
    return path.is_dir() and any(
        entry.kind == "picture" and entry.path.parent != path for entry in walk(path)
    )


def read(path: Path) -> Dataset:
    """List the pictures of every class; a class folder's own sub-folders are the groups of its pictures.

    Raises:
        DataError: fewer than two classes hold pictures, or folders named as splits would become classes.
    """
    files: dict[Kind, list[Path]] = defaultdict(list)
    for entry in walk(path):
        files[entry.kind].append(entry.path)
    parts = {file: file.relative_to(path).parts for file in files["picture"]}
    folders = [folder.relative_to(path).parts for folder in files["folder"]]
    layout = understand(path, list(parts.values()), folders)
    placed = [(file, layout.places[inner]) for file, inner in parts.items() if inner in layout.places]
    labels = tuple(sorted({place.label for _, place in placed}))
    if len(labels) < 2:
        have = f"only {labels[0]!r}" if labels else "none"
        raise DataError(
            f"classification needs at least 2 classes with pictures, {path} has {have}; add a folder a class, or give the "
            "folder that holds the class folders"
        )
    index = {name: i for i, name in enumerate(labels)}
    samples = tuple(_sample(file, place, index) for file, place in placed)
    findings = (*layout.findings, *_passed_over(path, files))
    return Dataset(path.resolve().name, path, labels, samples, tuple(files["other"]), findings=findings)


def _sample(file: Path, place: Place, index: Mapping[str, int]) -> Sample:
    return Sample(file, index[place.label], place.group, place.split)


def _passed_over(root: Path, files: Mapping[Kind, Sequence[Path]]) -> list[Finding]:
    findings: list[Finding] = []
    for kind, (severity, reason) in _PASSED_OVER.items():
        names = tuple(_name(root, path) for path in files.get(kind, ()))
        if names:
            message = f"{many(names, 'entry is', 'entries are')} {reason}: {some(names)}"
            findings.append(Finding(severity, kind, message, names))  # type: ignore[arg-type]
    return findings


def _name(root: Path, path: Path) -> str:
    """Below the root, with what is no UTF-8 as escapes."""
    name = path.relative_to(root).as_posix()
    return name.encode("utf-8", "backslashreplace").decode()
