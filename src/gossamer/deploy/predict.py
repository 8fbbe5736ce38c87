"""Prediction from a bundle or one file of a runtime: pictures in, answers of its task out, without torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.data.pictures import is_picture
from gossamer.data.walk import walk
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, Runtime, get_runtime, runtime_of_file
from gossamer.deploy.runtimes.parts import Session
from gossamer.errors import BundleError, DataError
from gossamer.files.metadata import read_metadata
from gossamer.tasks import Answer, Outputs, get_task

__all__ = ["Prediction", "Predictor", "find_pictures", "predict"]


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture; `error` says why there is nothing."""

    file: Path
    answer: Answer | None
    error: str | None = None
    empty: Mapping[str, Any] = field(default_factory=dict)
    """Keys that an answer would have, without values."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes best first, the labels that are said, or names of values."""
        return () if self.answer is None else self.answer.labels

    @property
    def scores(self) -> tuple[float, ...]:
        """Of the labels: probabilities, or the values themselves."""
        return () if self.answer is None else self.answer.scores

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""
        document = self.empty if self.answer is None else self.answer.document
        return {"file": str(self.file), **document, "error": self.error}


class Predictor:
    """A deployed network: session, contract, task and labels, from a bundle folder or one file."""

    def __init__(self, model: str | Path, *, threads: int | None = None, on: str | None = None) -> None:
        """Open a model; `on` chooses among a bundle's files, RUNTIME or RUNTIME:PRECISION.

        Raises:
            BundleError: it is missing, damaged, carries no contract, or has no file for `on`.
        """
        path = self._model = Path(model)
        if on is not None and not path.is_dir():
            raise BundleError(f"--on chooses among the files of a bundle, {path} is one file; leave it out")
        if path.is_dir():
            bundle = load(path)
            self.session: Session = bundle.session(threads=threads, on=on)
            self.labels, self.contract, self.task = bundle.labels, bundle.contract, get_task(bundle.task)
        elif (name := runtime_of_file(path)) is not None:
            self.session = get_runtime(name).load(path, threads=threads or 1)
            document = read_metadata(self.session.metadata, path)
            self.labels = tuple(str(label) for label in document["labels"])
            self.contract = InputContract.from_json(document["input"])
            self.task = get_task(str(document.get("task", "classify")))
        else:
            raise BundleError(
                f"a model is a bundle folder, a {_suffixes()} file, got {path}; give one that gossamer wrote"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a CSV table of answers, between `file` and `error`."""
        return tuple(self._nothing().row)

    def predict(self, file: Path, *, top: int = 5) -> Prediction:
        """What is said of one picture, of many classes the best `top`; one that cannot be read gives an error, no exception."""
        try:
            outputs = self._run(self.contract.open(file), file)
        except DataError as error:
            empty: dict[str, Any] = {
                key: [] if isinstance(v, list) else None for key, v in self._nothing().document.items()
            }
            return Prediction(file, None, str(error), empty)
        return Prediction(file, self.task.decode(outputs, self.labels, top=top))

    def _run(self, picture: NDArray[np.float32], file: Path) -> Outputs:
        """What the network says, held against its labels.

        Raises:
            DataError: the picture holds values that are no numbers.
            BundleError: the answers are no numbers, or more or fewer than the labels.
        """
        with np.errstate(all="ignore"):
            outputs = self.session.run(picture)
        shape = tuple(outputs[0].shape) if outputs else ()
        if shape != (1, len(self.labels)):
            raise BundleError(
                f"a network gives one number a label, {self._model} has {len(self.labels)} labels and gives {shape}; "
                "export it again"
            )
        if not all(np.isfinite(output).all() for output in outputs):
            if not np.isfinite(picture).all():
                raise DataError(f"{file} holds values that are no numbers (NaN or infinite); leave it out")
            raise BundleError(
                f"{self._model} answers {file} with scores that are no numbers (NaN or infinite); export it again"
            )
        return outputs

    def _nothing(self) -> Answer:
        """An answer of the task, whatever it says."""
        return self.task.decode((np.zeros((1, len(self.labels)), np.float32),), self.labels, top=1)


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
    for entry in walk(path):
        if entry.kind == "picture" or (entry.kind == "name" and is_picture(entry.path)):
            yield entry.path


def predict(
    model: str | Path,
    inputs: Iterable[str | Path],
    *,
    top: int = 5,
    threads: int | None = None,
    on: str | None = None,
) -> list[Prediction]:
    """Predict every picture of `inputs` (files or folders) with a bundle, .onnx, .tflite or .gsm file."""
    predictor = Predictor(model, threads=threads, on=on)
    return [predictor.predict(file, top=top) for file in find_pictures(inputs)]
