"""The bundle: a folder with a network as a value, its weights, its deployed files and what was measured on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossamer._files import atomic_path, sha256, write_json, write_text
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import BundleError
from gossamer.zoo.spec import ModelSpec

__all__ = ["Bundle", "DeployedFile", "load", "save"]

FORMAT, VERSION = "gossamer-bundle", 1


@dataclass(frozen=True)
class DeployedFile:
    """One exported file of a bundle; `path` is relative to the bundle. A packed one has no precision of its own."""

    runtime: str
    precision: str
    threads: int
    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; reading it needs no torch, `gossamer.network_of` rebuilds its network."""

    folder: Path
    spec: ModelSpec
    task: str
    labels: tuple[str, ...]
    contract: InputContract
    files: tuple[DeployedFile, ...]
    measured: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def session(self, *, threads: int | None = None, on: str | None = None) -> Session:
        """A deployed file, its digest checked, on its runtime: the first, or that of `on`, RUNTIME or RUNTIME:PRECISION.

        Raises:
            BundleError: there is none such, it is missing, or not the one that was shipped.
        """
        file = self.files[0] if on is None else self._file(on)
        path = self.folder / file.path
        if not path.is_file():
            raise BundleError(f"{self.folder} lacks {file.path}; copy the whole bundle again")
        if sha256(path) != file.sha256:
            raise BundleError(
                f"{path} is not the file that was shipped (its sha256 differs); copy the bundle again"
            )
        return get_runtime(file.runtime).load(path, threads=threads or file.threads)

    def _file(self, on: str) -> DeployedFile:
        runtime, _, precision = on.partition(":")
        for file in self.files:
            if file.runtime == runtime and precision in ("", file.precision):
                return file
        there = ", ".join(":".join(filter(None, (file.runtime, file.precision))) for file in self.files)
        raise BundleError(
            f"{self.folder} has files for {there}, got {on!r}; make one with gossamer export {self.folder} --to {on}"
        )


def save(
    folder: Path,
    *,
    spec: ModelSpec,
    weights: Path,
    task: str,
    labels: Sequence[str],
    contract: InputContract,
    files: Sequence[tuple[str, str, int, Path]],
    measured: Mapping[str, Any],
    provenance: Mapping[str, Any],
    texts: Mapping[str, str],
) -> Bundle:
    """Write a bundle: each deployed file (runtime, precision, threads, path) is copied to deploy/RUNTIME-PRECISION/, to
    deploy/RUNTIME/ where it has no precision.

    `texts` are further files by name. model.json is written last, so that a half-written bundle does not load.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    if folder.is_dir():
        (folder / "model.json").unlink(missing_ok=True)
    _copy(weights, folder / "weights.safetensors")
    deployed: list[DeployedFile] = []
    for runtime, precision, threads, path in files:
        target = folder / "deploy" / "-".join(filter(None, (runtime, precision))) / path.name
        _copy(path, target)
        relative = target.relative_to(folder).as_posix()
        deployed.append(
            DeployedFile(runtime, precision, threads, relative, sha256(target), target.stat().st_size)
        )
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "spec": spec.to_json(),
            "task": task,
            "labels": list(labels),
            "input": contract.to_json(),
            "files": [vars(file) for file in deployed],
            "measured": dict(measured),
            "provenance": dict(provenance),
        },
    )
    return load(folder)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def load(path: str | Path) -> Bundle:
    """Read a bundle: no pickle, no code.

    Raises:
        BundleError: the folder is none, is damaged, or is of a newer version.
    """
    folder = Path(path)
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"{folder} is no bundle (it has no model.json); give a folder that gossamer wrote or a .onnx file"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / 'model.json'} is damaged ({error}); copy the bundle again") from error
    try:
        if document["format"] != FORMAT:
            raise BundleError(f"{folder / 'model.json'} is not a bundle's; give a folder that gossamer wrote")
        if int(document["version"]) > VERSION:
            raise BundleError(
                f"{folder} is a bundle of version {document['version']}, this gossamer reads {VERSION}; update gossamer"
            )
        if not document["files"]:
            raise ValueError("it names no deployed file")
        return Bundle(
            folder,
            ModelSpec.from_json(document["spec"]),
            str(document["task"]),
            tuple(str(label) for label in document["labels"]),
            InputContract.from_json(document["input"]),
            tuple(DeployedFile(**file) for file in document["files"]),
            dict(document["measured"]),
            dict(document["provenance"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / 'model.json'} is damaged ({type(error).__name__}: {error}); copy the bundle again"
        ) from error
