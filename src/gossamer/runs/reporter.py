"""What a person watching sees: headings, lines and one moving bar, all on standard error."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TextIO, cast

from gossamer._text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "Quiet", "Reporter", "RichReporter"]


class Bar(Protocol):
    """A bar that moves."""

    def update(self, done: float, *, text: str = "") -> None:
        """Move to `done`; `text` stands beside the bar."""
        ...


class Reporter(Protocol):
    """Where a run says what it does."""

    def heading(self, text: str) -> None:
        """A stage begins."""
        ...

    def line(self, text: str, *, style: str = "") -> None:
        """One line."""
        ...

    def bar(self, text: str, total: float) -> AbstractContextManager[Bar]:
        """A bar for as long as the context lasts."""
        ...


class Quiet:
    """Says nothing: for the library's callers and tests."""

    def heading(self, text: str) -> None:
        return

    def line(self, text: str, *, style: str = "") -> None:
        return

    @contextmanager
    def bar(self, text: str, total: float) -> Iterator[Bar]:
        yield _NoBar()


class _NoBar:
    def update(self, done: float, *, text: str = "") -> None:
        return


class RichReporter:
    """Headings and bars by rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=cast(IO[str], _StandardError()), highlight=False)

    def heading(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(f"\n{printable(text)}", style="bold"))

    def line(self, text: str, *, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text("  " + printable(text), style=style), soft_wrap=True)

    @contextmanager
    def bar(self, text: str, total: float) -> Iterator[Bar]:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        still = not self._console.is_terminal  # a bar in a file is a blank line
        with Progress(*columns, console=self._console, transient=True, disable=still) as progress:
            yield _RichBar(progress, progress.add_task(printable(text), total=total, text=""))


class _StandardError(io.TextIOBase):
    """Standard error as it is at the time; a full disk behind it is no reason to stop."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    @property
    def _stream(self) -> TextIO:
        stream: TextIO = getattr(
            sys.stderr, "rich_proxied_file", sys.stderr
        )  # under a bar rich stands before it
        return stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, done: float, *, text: str = "") -> None:
        self._progress.update(self._task, completed=done, text=printable(text))
