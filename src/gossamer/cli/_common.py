"""What every verb shares: exit codes, one-line errors, JSON on standard output."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer._text import printable
from gossamer.errors import GossamerError

if TYPE_CHECKING:
    from gossamer.runs.config import DataConfig
    from gossamer.runs.reporter import RichReporter

__all__ = [
    "DebugOption",
    "JsonOption",
    "OutOption",
    "ResumeOption",
    "SeedOption",
    "bounded",
    "loading",
    "one_of",
    "print_json",
    "print_lines",
    "run",
    "say",
]

BAD_USAGE, INTERRUPTED = 2, 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_RESUMABLE = ("fit", "train", "compress", "export")
_LONGEST = 2_000
SOON = 0.3
"""Seconds of loading after which it is said."""
_DEBUG_VARIABLE = "GOSSAMER_DEBUG"


def _set_debug(value: bool) -> bool:
    if value:
        os.environ[_DEBUG_VARIABLE] = "1"
    return value


def bounded(flag: str, least: int, most: int) -> Callable[[int | None], int | None]:
    """What typer calls with an option's value: it passes whole numbers from `least` to `most`, and none."""

    def check(value: int | None) -> int | None:
        if value is not None and not least <= value <= most:
            raise GossamerError(
                f"{flag} is between {least:,} and {most:,}, got {value:,}; use e.g. {flag} {max(least, 1)}"
            )
        return value

    return check


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed", help="Seed of the weights of networks by name.", callback=bounded("--seed", 0, 2**31)
    ),
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True)
]

OutOption = Annotated[Path | None, typer.Option("--out", help="Run folder; runs/NAME by default.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]


@contextlib.contextmanager
def loading(reporter: RichReporter, config: DataConfig, data: str) -> Iterator[None]:
    """Around the imports of a verb that computes: on a slow disk torch takes half a minute, of which one is told at once.

    What can be said of the runtime, and of the data where there are any, is said before.
    """
    from gossamer.deploy.runtimes import get_runtime
    from gossamer.runs.checking import name_of
    from gossamer.runs.config import RuntimeConfig
    from gossamer.runs.needs import need_torch

    need_torch()
    if isinstance(config, RuntimeConfig):
        get_runtime(config.on, making=True)
    if data:
        name_of(data, config)
    with reporter.bar("loading torch", None, after=SOON):
        yield


def one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    """Raises GossamerError for a value that the option does not take."""
    if value not in allowed:
        raise GossamerError(f"{option} is {' or '.join(allowed)}, got {value!r}")


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    _write(text.encode("utf-8", "backslashreplace").decode() + "\n")  # a name that is no UTF-8: \udce9


def print_lines(lines: Sequence[str]) -> None:
    """Lines on standard output."""
    _write("".join(printable(line) + "\n" for line in lines))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _full(error) from error


def _full(error: OSError) -> GossamerError:
    """What is said where standard output takes nothing any more, and nothing goes there from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return GossamerError(
        f"the output cannot be written ({error.strerror}); free some space, or send it elsewhere"
    )


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and give its exit code: an error is one line on standard error."""
    _open_streams()
    try:
        result = app(list(arguments), standalone_mode=False, prog_name="gossamer")
        _write("")
        if result == INTERRUPTED:  # what typer makes of Ctrl-C
            return _interrupted(arguments)
        return result if isinstance(result, int) else 0
    except GossamerError as error:
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if type(error).__name__ == "Abort":  # and click
            return _interrupted(arguments)
        if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
            say(f"error: {_full(error)}")
            return BAD_USAGE
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            say(
                f"error: no file can have this name, it is too long: {str(error.filename)[:60]}...; give a shorter one"
            )
            return BAD_USAGE
        return _usage_or_raise(error)


def _open_streams() -> None:
    """A stream that the caller closed leads nowhere; else the next file that is opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def _interrupted(arguments: Sequence[str]) -> int:
    arguments = list(arguments)
    say(
        "interrupted"
        + ("; the same command with --resume goes on" if arguments[:1] and arguments[0] in _RESUMABLE else "")
    )
    return INTERRUPTED


def _usage_or_raise(error: Exception) -> int:
    """Typer's and click's own errors are bad usage; anything else is a defect and keeps its traceback."""
    name = type(error).__name__
    if name == "Exit":
        return int(getattr(error, "exit_code", 0))
    if name == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")  # type: ignore[attr-defined]
        return BAD_USAGE
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        context = getattr(error, "ctx", None)
        command = "gossamer" if context is None else context.command_path
        say(f"error: {' '.join(str(format_message()).split())}; see {command} --help")
        return BAD_USAGE
    raise error


def say(text: str) -> None:
    """One line on standard error; of one that is longer than a page the middle is left out."""
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 400]} ... {text[-400:]}"
    with contextlib.suppress(OSError):  # nobody can be told that nobody can be told
        sys.stderr.write(printable(" ".join(text.splitlines())) + "\n")
        sys.stderr.flush()
