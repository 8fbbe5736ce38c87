"""Prediction from a bundle or one file of a runtime: pictures in, answers of its task out, without torch."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gossamer.data.pictures import is_picture
from gossamer.data.walk import walk
from gossamer.deploy.bundle import load
from gossamer.deploy.contract import Framed, InputContract
from gossamer.deploy.runtimes import RUNTIMES, Runtime, get_runtime, runtime_of_file
from gossamer.deploy.runtimes.parts import Session
from gossamer.deploy.temperature import cooled, read_temperature
from gossamer.errors import BundleError, DataError
from gossamer.files.metadata import PICTURES, read_metadata
from gossamer.tasks import Answer, Outputs, get_task
from gossamer.types import Size

__all__ = ["Picture", "Prediction", "Predictor", "find_pictures", "predict"]

Picture = NDArray[Any] | Image.Image
"""In memory: an array (H, W, bands), or one of Pillow."""


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture; `error` says why there is nothing."""

    file: Path
    answer: Answer | None
    error: str | None = None
    empty: Mapping[str, Any] = field(default_factory=dict)
    """Keys that an answer would have, without values."""
    size: Size | None = None
    """Of the picture as it is shown, where it could be read."""

    @property
    def unsure(self) -> bool:
        """Whether no label is as sure as the threshold asks for; `labels` and `scores` are there all the same."""
        return self.answer is not None and self.answer.unsure

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
        self.network_seconds = 0.0
        if on is not None and not path.is_dir():
            raise BundleError(f"--on chooses among the files of a bundle, {path} is one file; leave it out")
        if path.is_dir():
            bundle = load(path)
            self.session: Session = bundle.session(threads=threads, on=on)
            self.labels, self.contract, self.task = bundle.labels, bundle.contract, get_task(bundle.task)
            self.temperature, self.takes_bytes = bundle.temperature(on), False
        elif (name := runtime_of_file(path)) is not None:
            self.session = get_runtime(name).load(path, threads=threads or 1)
            document = read_metadata(self.session.metadata, path)
            self.labels = tuple(str(label) for label in document["labels"])
            self.contract = InputContract.from_json(document["input"])
            self.task = get_task(str(document.get("task", "classify")))
            self.temperature = read_temperature(document.get("temperature", 1.0), path)
            self.takes_bytes = document.get("takes") == PICTURES
        else:
            raise BundleError(
                f"a model is a bundle folder, a {_suffixes()} file, got {path}; give one that gossamer wrote"
            )

    def columns(self, top: int = 1) -> tuple[str, ...]:
        """Of a CSV table of answers of at most `top` labels, between `file` and `error`."""
        return tuple(self.blank(top).row)

    def predict(
        self, file: Path | Picture, *, top: int = 5, threshold: float | None = None, name: Path | None = None
    ) -> Prediction:
        """What is said of one picture, of many classes the best `top`; one that cannot be read gives an error, no exception.

        A picture is a file, an array (H, W, bands) or of Pillow; those in memory are told by `name`. With `threshold` an
        answer whose best share is below it is unsure.

        Raises:
            BundleError: the threshold is no share, or answers of the task are never unsure.
        """
        self.check(threshold)
        if isinstance(file, str | Path):
            name = file = Path(file)
        name = name or Path("picture")
        return self._answered(name, self._framed(file), top, threshold)

    def each(
        self, files: Iterable[Path], *, top: int = 5, threshold: float | None = None
    ) -> Iterator[Prediction]:
        """As `predict`, of one file after the other; the next picture is decoded while the network runs.

        Raises:
            BundleError: as `predict`.
        """
        self.check(threshold)
        with ThreadPoolExecutor(1, thread_name_prefix="next-picture") as reader:
            waiting: deque[tuple[Path, Future[Framed | DataError]]] = deque()
            for file in files:
                waiting.append((file, reader.submit(self._framed, file)))
                if len(waiting) > 1:
                    name, framed = waiting.popleft()
                    yield self._answered(name, framed.result(), top, threshold)
            for name, framed in waiting:
                yield self._answered(name, framed.result(), top, threshold)

    def _framed(self, file: Path | Picture) -> Framed | DataError:
        """A picture as the network takes it, or why there is none."""
        try:
            return self._open(file) if isinstance(file, Path) else self._take(file)
        except DataError as error:
            return error

    def _answered(
        self, name: Path, framed: Framed | DataError, top: int, threshold: float | None
    ) -> Prediction:
        """What the network says of it."""
        try:
            if isinstance(framed, DataError):
                raise framed
            taken, frame = framed
            outputs = self._run(taken, name)
        except DataError as error:
            return Prediction(name, None, str(error), self.nothing(threshold))
        cold = cooled(outputs, self.temperature)
        return Prediction(
            name,
            self.task.said(cold, self.labels, top=top, frame=frame, threshold=threshold),
            size=frame.picture,
        )

    def check(self, threshold: float | None) -> None:
        """Raises BundleError: the threshold is no share, or answers of the task are never unsure."""
        if threshold is None:
            return
        if not 0 <= threshold <= 1:
            raise BundleError(f"a threshold is a share from 0 to 1, got {threshold:g}; write e.g. 0.8")
        if self.task.doubted(self.blank(), threshold) is None:
            raise BundleError(
                f"a threshold is for answers that are one class, {self._model} is for {self.task.name}; leave it out"
            )

    def nothing(self, threshold: float | None = None) -> dict[str, Any]:
        """The keys of an answer's document, without values."""
        answer = self.blank()
        if threshold is not None:
            answer = self.task.doubted(answer, threshold) or answer
        return {key: [] if isinstance(v, list) else None for key, v in answer.document.items()}

    def _open(self, file: Path) -> Framed:
        return self._bytes(self.contract.read(file)) if self.takes_bytes else self.contract.framed(file)

    def _take(self, picture: Picture) -> Framed:
        if self.takes_bytes:
            return self._bytes(self.contract.rgb(picture))
        return self.contract.taken(picture)

    def _bytes(self, image: Image.Image) -> Framed:
        return Framed(self.contract.pixels(image), self.contract.frame(Size(image.height, image.width)))

    def _run(self, picture: NDArray[Any], file: Path) -> Outputs:
        """What the network says, held against its labels.

        Raises:
            DataError: the picture holds values that are no numbers.
            BundleError: the answers are no numbers, or more or fewer than the labels.
        """
        start = time.perf_counter()
        with np.errstate(all="ignore"):
            outputs = self.session.run(picture)
        self.network_seconds += time.perf_counter() - start
        shape = tuple(outputs[0].shape) if outputs else ()
        wanted = (1, *self.task.row_shape(self.labels))
        if len(shape) != len(wanted) or any(b not in (None, a) for a, b in zip(shape, wanted, strict=True)):
            raise BundleError(
                f"a network for {self.task.name} with {len(self.labels)} labels gives {_shape(wanted)}, {self._model} gives "
                f"{_shape(shape)}; export it again"
            )
        if not all(np.isfinite(output).all() for output in outputs):
            if not np.isfinite(picture).all():
                raise DataError(f"{file} holds values that are no numbers (NaN or infinite); leave it out")
            raise BundleError(
                f"{self._model} answers {file} with scores that are no numbers (NaN or infinite); export it again"
            )
        if self.takes_bytes and self.task.shares(outputs) is not None:  # logs of shares have them for shares
            return (np.log(np.maximum(outputs[0], np.finfo(np.float32).tiny)),)
        return outputs

    def blank(self, top: int = 1) -> Answer:
        """An answer of the task, whatever it says."""
        shape = tuple(1 if side is None else side for side in self.task.row_shape(self.labels))
        return self.task.decode((np.zeros((1, *shape), np.float32),), self.labels, top=top)


def _shape(sides: Sequence[int | None]) -> str:
    """`1 x 3549 x 84`; `any` where every number will do."""
    return " x ".join("any" if side is None else str(side) for side in sides)


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
    inputs: Any,
    *,
    top: int = 5,
    threads: int | None = None,
    on: str | None = None,
    threshold: float | None = None,
) -> list[Prediction]:
    """Predict every picture of `inputs` with a bundle, .onnx, .tflite or .gsm file.

    `inputs` is a file or folder, an array (H, W, bands) or a batch (N, H, W, bands) of them, a picture of Pillow, or any
    number of all these. Pictures in memory are told by their place, `picture 0` and so on. Arrays of red, green and blue
    are bytes, 0 to 255. With `threshold` a prediction whose best share is below it is `unsure`.

    Raises:
        BundleError: the model, or the threshold, is none.
        DataError: a path does not exist, or something is no picture.
    """
    predictor = Predictor(model, threads=threads, on=on)
    predictor.check(threshold)
    return [
        predictor.predict(picture, top=top, threshold=threshold, name=name)
        for name, picture in _named(inputs)
    ]


def _named(inputs: Any) -> Iterator[tuple[Path, Path | Picture]]:
    """Every picture with what it is told by.

    Raises:
        DataError: a path does not exist, or something is no picture.
    """
    for place, picture in enumerate(_each(inputs)):
        yield (picture if isinstance(picture, Path) else Path(f"picture {place}")), picture


def _each(inputs: Any) -> Iterator[Path | Picture]:
    if isinstance(inputs, str | Path):
        yield from find_pictures([inputs])
    elif isinstance(inputs, Image.Image):
        yield inputs
    elif isinstance(inputs, np.ndarray):
        yield from inputs if inputs.ndim == 4 else [inputs]
    elif isinstance(inputs, Iterable):
        for each in inputs:
            yield from _each(each)
    else:
        raise DataError(
            f"a picture is a path, an array (H, W, bands) or of Pillow, got {type(inputs).__name__}; give one, or a list"
        )
