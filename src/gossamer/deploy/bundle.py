"""The bundle: a folder with a network as a value, its weights, its deployed files and what was measured on them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

from gossamer._documents import read_json
from gossamer._files import atomic_folder, atomic_path, sha256, write_json, write_text
from gossamer.deploy.contract import InputContract
from gossamer.deploy.elsewhere import companions
from gossamer.deploy.runtimes import get_runtime
from gossamer.deploy.runtimes.parts import Session
from gossamer.deploy.temperature import read_temperature
from gossamer.errors import BundleError
from gossamer.zoo.spec import ModelSpec

__all__ = ["WEIGHTS", "Bundle", "DeployedFile", "load", "save"]

FORMAT, VERSION = "gossamer-bundle", 1
WEIGHTS = "weights.safetensors"
_MODEL = "model.json"
_MOST_THREADS = 1024


@dataclass(frozen=True)
class DeployedFile:
    """One exported file of a bundle; `path` is relative to the bundle. A packed one has no precision of its own."""

    runtime: str
    precision: str
    threads: int
    path: str
    sha256: str
    size_bytes: int

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DeployedFile:
        """Read what a bundle says of one of its files.

        Raises:
            TypeError, ValueError: a key is missing, unknown or of the wrong kind, or the path leads out of the bundle.
        """
        file = cls(**document)
        for name in ("runtime", "precision", "path", "sha256"):
            if not isinstance(getattr(file, name), str):
                raise TypeError(f"{name} of a file is a text, got {getattr(file, name)!r:.40}")
        for name, most in (("threads", _MOST_THREADS), ("size_bytes", 1 << 62)):
            value = getattr(file, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise TypeError(f"{name} of a file is a whole number up to {most}, got {value!r:.40}")
        _check_inside(file.path)
        return file


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
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every further file by its path in the bundle; empty in bundles of earlier versions."""
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """What scores of a deployed file are divided by before shares are told from them, by its path; 1 where none is told."""

    def checked(self, name: str) -> Path:
        """A file of the bundle by its path in it, its digest checked where one is known.

        Raises:
            BundleError: it is missing, or not the one that was shipped.
        """
        path = self.folder / name
        if not path.is_file():
            raise BundleError(f"{self.folder} lacks {name}; copy the whole bundle again")
        known = {file.path: file.sha256 for file in self.files} | dict(self.digests)
        if name in known and sha256(path) != known[name]:
            raise BundleError(
                f"{path} is not the file that was shipped (its sha256 differs); copy the bundle again"
            )
        return path

    def session(self, *, threads: int | None = None, on: str | None = None) -> Session:
        """A deployed file, its digest checked, on its runtime: the first, or that of `on`, RUNTIME or RUNTIME:PRECISION.

        Raises:
            BundleError: there is none such, it is missing, or not the one that was shipped.
        """
        file = self.file(on)
        return get_runtime(file.runtime).load(self.checked(file.path), threads=threads or file.threads or 1)

    def temperature(self, on: str | None = None) -> float:
        """What the scores of the file of `on` are divided by."""
        return self.temperatures.get(self.file(on).path, 1.0)

    def file(self, on: str | None = None) -> DeployedFile:
        """The first deployed file, or that of `on`, RUNTIME or RUNTIME:PRECISION.

        Raises:
            BundleError: there is none such.
        """
        if on is None:
            return self.files[0]
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
    card: str | None = None,
    temperatures: Sequence[float] = (),
    beside: Mapping[str, Path] = MappingProxyType({}),
) -> Bundle:
    """Write a bundle: each deployed file (runtime, precision, threads, path) is copied to deploy/RUNTIME-PRECISION/, to
    deploy/RUNTIME/ where it has no precision.

    `texts` are further files by name, `beside` such files to copy, `card` the text of MODEL_CARD.md, which gets how to run
    the files elsewhere; labels.txt and predict.py are made here. `temperatures` are those of `files`, 1 by itself. The
    bundle is written beside its place and put there whole; model.json has a digest of every other file, so that neither a
    half-written bundle nor a damaged one is used.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    with atomic_folder(folder) as place:
        _write(
            place,
            spec=spec,
            weights=weights,
            task=task,
            labels=labels,
            contract=contract,
            files=files,
            measured=measured,
            provenance=provenance,
            texts=texts,
            card=card,
            temperatures=tuple(temperatures) or (1.0,) * len(files),
            beside=beside,
        )
    return load(folder)


def _write(
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
    card: str | None,
    temperatures: Sequence[float],
    beside: Mapping[str, Path],
) -> None:
    """The files of a bundle, as `save` says, in an empty folder."""
    _copy(weights, folder / WEIGHTS)
    deployed: list[DeployedFile] = []
    for runtime, precision, threads, path in files:
        target = folder / "deploy" / "-".join(filter(None, (runtime, precision))) / path.name
        _copy(path, target)
        relative = target.relative_to(folder).as_posix()
        deployed.append(
            DeployedFile(runtime, precision, threads, relative, sha256(target), target.stat().st_size)
        )
    heat = {file.path: value for file, value in zip(deployed, temperatures, strict=True) if value != 1}
    written = {
        **texts,
        **companions(
            task,
            labels,
            contract,
            [(f.runtime, f.path, f.threads, heat.get(f.path, 1.0)) for f in deployed],
            card,
        ),
    }
    for name, text in written.items():
        write_text(folder / name, text)
    for name, path in beside.items():
        _copy(path, folder / name)
    write_json(
        folder / _MODEL,
        {
            "format": FORMAT,
            "version": VERSION,
            "spec": spec.to_json(),
            "task": task,
            "labels": list(labels),
            "input": contract.to_json(),
            "files": [vars(file) for file in deployed],
            "digests": {name: sha256(folder / name) for name in (WEIGHTS, *written, *beside)},
            "temperatures": heat,
            "measured": dict(measured),
            "provenance": dict(provenance),
        },
    )


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def load(path: str | Path) -> Bundle:
    """Read a bundle: no pickle, no code, no path that leads out of it, nothing fetched.

    Raises:
        BundleError: the folder is none, is damaged, or is of a newer version.
    """
    folder = Path(path)
    file = folder / _MODEL
    try:
        document = read_json(file)
    except OSError as error:
        raise BundleError(
            f"{folder} is no bundle (it has no model.json); give a folder that gossamer wrote or a .onnx file"
        ) from error
    except ValueError as error:
        raise BundleError(f"{file} is damaged ({error}); copy the bundle again") from error
    try:
        if document["format"] != FORMAT:
            raise BundleError(f"{file} is not a bundle's; give a folder that gossamer wrote")
        if int(document["version"]) > VERSION:
            raise BundleError(
                f"{folder} is a bundle of version {document['version']}, this gossamer reads {VERSION}; update gossamer"
            )
        return _bundle(folder, document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{file} is damaged ({type(error).__name__}: {str(error)[:200]}); copy the bundle again"
        ) from error


def _bundle(folder: Path, document: Mapping[str, Any]) -> Bundle:
    files = tuple(DeployedFile.from_json(file) for file in document["files"])
    if not files:
        raise ValueError("it names no deployed file")
    digests = dict(document.get("digests", {}))
    for name, digest in digests.items():
        _check_inside(name)
        if not isinstance(digest, str):
            raise TypeError(f"a digest is a text, got {digest!r:.40} for {name}")
    labels = document["labels"]
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels are a list of texts, got {labels!r:.60}")
    spec = ModelSpec.from_json(document["spec"])
    if (outputs := spec.arguments.get("num_classes", len(labels))) != len(labels):
        raise ValueError(f"{len(labels)} labels for {outputs} outputs")
    return Bundle(
        folder,
        spec,
        str(document["task"]),
        tuple(labels),
        InputContract.from_json(document["input"]),
        files,
        dict(document["measured"]),
        dict(document["provenance"]),
        digests,
        {
            str(name): read_temperature(value, folder)
            for name, value in document.get("temperatures", {}).items()
        },
    )


def _check_inside(name: str) -> None:
    """Raises ValueError for a path that leads out of the bundle, on any system."""
    ways = (PurePosixPath(name), PureWindowsPath(name))
    if not name or any(way.anchor or ".." in way.parts for way in ways) or "\0" in name:
        raise ValueError(f"paths lie inside the bundle, got {name!r:.80}")
