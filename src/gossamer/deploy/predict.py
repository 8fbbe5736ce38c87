"""Prediction from a bundle, one file of a runtime or a packed one: pictures in, labels with scores out, without torch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.data.pictures import is_picture
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, Runtime, get_runtime, runtime_of_file
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import BundleError, DataError
from gossamer.files.metadata import read_metadata
from gossamer.tasks.classify.metrics import softmax

__all__ = ["Prediction", "Predictor", "find_pictures", "predict"]


@dataclass(frozen=True)
class Prediction:
    """The classes of one picture, best first; `error` says why there are none."""

    file: Path
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        top = [
            {"label": label, "score": round(score, 6)}
            for label, score in zip(self.labels, self.scores, strict=True)
        ]
        return {
            "file": str(self.file),
            "label": self.labels[0] if self.labels else None,
            "top": top,
            "error": self.error,
        }


class Predictor:
    """A deployed classifier: session, contract and labels, from a bundle folder or one file."""

    def __init__(self, model: str | Path, *, threads: int | None = None, on: str | None = None) -> None:
        """Open a model; `on` chooses among a bundle's files, RUNTIME or RUNTIME:PRECISION.

        Raises:
            BundleError: it is missing, damaged, carries no contract, or has no file for `on`.
        """
        path = Path(model)
        if on is not None and not path.is_dir():
            raise BundleError(f"--on chooses among the files of a bundle, {path} is one file; leave it out")
        if path.is_dir():
            bundle = load(path)
            self.session: Session = bundle.session(threads=threads, on=on)
            self.labels, self.contract = bundle.labels, bundle.contract
        elif (name := runtime_of_file(path)) is not None:
            self.session = get_runtime(name).load(path, threads=threads or 1)
            document = read_metadata(self.session.metadata, path)
            self.labels = tuple(str(label) for label in document["labels"])
            self.contract = InputContract.from_json(document["input"])
        else:
            raise BundleError(
                f"a model is a bundle folder, a {_suffixes()} file, got {path}; give one that gossamer wrote"
            )

    def predict(self, file: Path, *, top: int = 5) -> Prediction:
        """The best `top` classes of one picture; a picture that cannot be read gives an error, not an exception."""
        try:
            scores = softmax(self.session.run(self.contract.open(file))[0])[0]
        except DataError as error:
            return Prediction(file, (), (), str(error))
        order = np.argsort(-scores, kind="stable")[:top]
        return Prediction(file, tuple(self.labels[i] for i in order), tuple(float(scores[i]) for i in order))


def _suffixes() -> str:
    """Of single files that can be opened, in words."""
    *others, last = dict.fromkeys(Runtime(name).suffix for name in RUNTIMES)
    return f"{', '.join(others)} or {last}"


def find_pictures(inputs: Iterable[str | Path]) -> Iterator[Path]:
    """Files as given; of folders every picture below them, in sorted order.

    Raises:
        DataError: a path does not exist; said before the first picture is given.
    """
    paths = [Path(given) for given in inputs]
    for path in paths:
        if not path.exists():
            raise DataError(f"no such picture or folder: {path}; check the path")
    return itertools.chain.from_iterable(_pictures_of(path) for path in paths)


def _pictures_of(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        yield from (Path(folder) / name for name in sorted(names) if is_picture(Path(name)))


def predict(
    model: str | Path, inputs: Iterable[str | Path], *, top: int = 5, threads: int | None = None
) -> list[Prediction]:
    """Predict every picture of `inputs` (files or folders) with a bundle, .onnx, .tflite or .gsm file."""
    predictor = Predictor(model, threads=threads)
    return [predictor.predict(file, top=top) for file in find_pictures(inputs)]
