"""The run folder: configuration, machine, events, metrics, and one result a stage. A finished stage is never redone."""

from __future__ import annotations

import contextlib
import csv
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gossamer._files import folder_error, write_json, write_text
from gossamer._machine import describe_machine, versions
from gossamer.errors import RunFolderError
from gossamer.runs.options import Config

__all__ = ["RunFolder", "default_folder", "name_after", "open_run"]

Result = TypeVar("Result", bound=BaseModel)
_ENDS = ("done", "goal not met")
_METRICS = ("time", "network", "seconds", "passes", "train_loss", "val_loss")
"""First columns of metrics.csv; the figures of the task follow."""


def default_folder(name: str) -> Path:
    """`runs/NAME`, or the first free `runs/NAME-2`, `-3` and so on."""
    base = Path("runs") / (name or "run")
    folder, number = base, 1
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def name_after(model: str, what: str) -> str:
    """The name of a run that makes something of a model: `bundle-exported`."""
    return f"{Path(model).name or 'model'}-{what}".replace(":", "-").replace("@", "-")


def _resumable_folder(name: str, config: Config) -> Path:
    """The newest interrupted run of these arguments among `runs/NAME`, `runs/NAME-2` ..., else the newest of them, else
    the newest of all.
    """
    base = Path("runs") / (name or "run")
    number, folders = 1, []
    while (folder := base if number == 1 else base.with_name(f"{base.name}-{number}")).exists():
        folders.append(folder)
        number += 1
    same = [each for each in folders if _is_of(each, config)]
    interrupted = [each for each in same if not _is_done(each)]
    return (interrupted or same or folders or [base])[-1]


def _is_of(folder: Path, config: Config) -> bool:
    try:
        earlier = type(config).from_yaml(folder / "config.yaml")
    except (OSError, RunFolderError):
        return False
    return set(earlier.differences(config)) <= {"minutes"}


def _is_done(folder: Path) -> bool:
    """Whether nothing is left to do: it ended, and was not given more minutes since."""
    try:
        lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        kinds = [json.loads(line).get("event") for line in lines]
    except (OSError, ValueError, AttributeError):
        return False
    turns = [kind for kind in kinds if kind in ("started", "extended", *_ENDS)]
    return turns[-1:] != [] and turns[-1] in _ENDS


@contextlib.contextmanager
def open_run(
    config: Config, name: str, out: str | Path | None, *, resume: bool, extends: bool = False
) -> Iterator[RunFolder]:
    """The run's folder, by default one of the data's `name`, open for as long as the context lasts.

    With `extends` a resumed run may be given more minutes than it had.

    Raises:
        RunFolderError: as `RunFolder`, and where the disk fills up on the way.
    """
    if out is not None:
        folder = Path(out)
    else:
        folder = _resumable_folder(name, config) if resume else default_folder(name)
    run = RunFolder(folder, config, resume=resume, extends=extends)
    try:
        yield run
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise folder_error(error, folder) from error
        raise
    finally:
        run.close()


class RunFolder:
    """A folder that one process at a time writes to."""

    def __init__(self, path: Path, config: Config, *, resume: bool, extends: bool = False) -> None:
        """Open a new folder, or with `resume` the folder of an earlier run of the same arguments.

        With `extends` the earlier run may have had fewer minutes: everything from its training on is done again, which
        goes on from where it ended.

        Raises:
            RunFolderError: taken, read-only, full, in use, or of another run.
        """
        self.path = path
        self.resumed = resume
        different: list[str] = []
        if resume:
            if not (path / "config.yaml").is_file():
                raise RunFolderError(
                    f"nothing to resume in {path}; leave out --resume, or name the run's folder with --out"
                )
            earlier = type(config).from_yaml(path / "config.yaml")
            different = earlier.differences(config)
            longer = extends and different == ["minutes"] and _minutes(earlier) < _minutes(config)
            if different and not longer:
                raise RunFolderError(
                    f"--resume continues the same command, {', '.join(different)} changed in {path}; start a new run with another --out"
                )
        elif path.exists() and (not path.is_dir() or any(each.name != ".lock" for each in path.iterdir())):
            raise RunFolderError(
                f"{path} is not empty and nothing is overwritten; continue it with --resume or give another --out"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise RunFolderError(
                f"another gossamer writes to {path}; wait for it or give another --out"
            ) from error
        except OSError as error:
            raise folder_error(error, path) from error
        try:
            if resume and different:
                self._forget_training()
                self.event("extended", minutes=_minutes(config))
            if not resume or different:
                write_text(path / "config.yaml", config.to_yaml())
            write_json(path / "env.json", {"machine": describe_machine(), "versions": versions()})
            self.event("resumed" if resume else "started")
        except RunFolderError:
            self.close()
            if not resume:
                self.discard()
            raise

    def _forget_training(self) -> None:
        """Stages are numbered: what the first two found out stays true, however long training takes."""
        for stage in (self.path / "stages").glob("*.json"):
            if not stage.name.startswith(("1-", "2-")):
                stage.unlink()

    def close(self) -> None:
        """Let another process write here."""
        self._lock.close()

    def discard(self) -> None:
        """Take a new run's folder away again: it holds nothing worth keeping."""
        for name in ("config.yaml", "env.json", "events.jsonl", ".lock"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "stages", ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: somebody else's files stay
            self.path.rmdir()

    def event(self, kind: str, **fields: Any) -> None:
        """Append one line to events.jsonl."""
        record = {"time": _now(), "event": kind, **fields}
        self._append("events.jsonl", json.dumps(record, ensure_ascii=False) + "\n")

    def metric(self, **fields: Any) -> None:
        """Append one row to metrics.csv; the first row's figures are its columns."""
        file = self.path / "metrics.csv"
        row = {"time": _now(), **fields}
        if file.exists():
            with file.open(encoding="utf-8", newline="") as lines:
                names = next(csv.reader(lines))
            rows = []
        else:
            names = [*_METRICS, *(name for name in row if name not in _METRICS)]
            rows = [names]
        text = "".join(_csv_line(line) for line in [*rows, [row.get(name, "") for name in names]])
        self._append(file.name, text)

    def _append(self, name: str, text: str) -> None:
        try:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise folder_error(error, self.path / name) from error

    def stage(self, name: str, kind: type[Result], compute: Callable[[], Result]) -> Result:
        """The stage's result: read back where it is finished, else computed and written whole.

        Raises:
            RunFolderError: its file is damaged, or cannot be written.
        """
        file = self.path / "stages" / f"{name}.json"
        if file.is_file():
            try:
                result = kind.model_validate_json(file.read_bytes())
            except ValidationError as error:
                raise RunFolderError(
                    f"{file} is damaged; delete it to repeat the stage, or start a new run"
                ) from error
            self.event("stage kept", stage=name)
            return result
        start = time.monotonic()
        self.event("stage started", stage=name)
        result = compute()
        write_text(file, result.model_dump_json(indent=2) + "\n")
        self.event("stage finished", stage=name, seconds=round(time.monotonic() - start, 2))
        return result


def _minutes(config: Config) -> float:
    return float(getattr(config, "minutes", None) or 0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _csv_line(values: Any) -> str:
    import io

    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
