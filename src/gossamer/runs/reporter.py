"""What a person watching sees: headings, lines and moving bars, all on standard error.

On a terminal bars move; elsewhere (a file, a pipe, a notebook) a plain line says every ten seconds what is done, how fast,
how long it will take, and what is waited for.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TextIO, cast

from gossamer._text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "PlainBar", "Quiet", "Reporter", "RichReporter", "watched"]


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

    def bar(self, text: str, total: float | None) -> AbstractContextManager[Bar]:
        """A bar for as long as the context lasts.

        A whole `total` counts things, whose rate is shown; None means that nobody knows how much there is to do.
        """
        ...


class Quiet:
    """Says nothing: for the library's callers and tests."""

    def heading(self, text: str) -> None:
        return

    def line(self, text: str, *, style: str = "") -> None:
        return

    @contextmanager
    def bar(self, text: str, total: float | None) -> Iterator[Bar]:
        yield _NoBar()


class _NoBar:
    def update(self, done: float, *, text: str = "") -> None:
        return


EVERY = 10.0
"""Seconds between plain lines."""


class RichReporter:
    """Headings and bars by rich."""

    def __init__(self, *, every: float = EVERY) -> None:
        from rich.console import Console

        self._console = Console(file=cast(IO[str], _StandardError()), highlight=False)
        self._every = every
        self._progress: Progress | None = None
        self._open: list[PlainBar] = []

    def heading(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(f"\n{printable(text)}", style="bold"))

    def line(self, text: str, *, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text("  " + printable(text), style=style), soft_wrap=True)

    @contextmanager
    def bar(self, text: str, total: float | None, *, after: float | None = None) -> Iterator[Bar]:
        """As of every reporter; `after` so many seconds comes the first plain line."""
        if self._console.is_terminal:
            with self._moving() as progress:
                task = progress.add_task(printable(text), total=total, text="", rate="")
                try:
                    yield _RichBar(progress, task, counts=isinstance(total, int))
                finally:
                    progress.remove_task(task)
            return
        plain = PlainBar(text, total)
        self._open.append(plain)

        def tell() -> None:
            if self._open[-1:] == [plain]:  # of bars in bars the innermost says what is done
                self.line(plain.told())

        try:
            with _repeated(tell, after=self._every if after is None else after, every=self._every):
                yield plain
        finally:
            self._open.remove(plain)

    @contextmanager
    def _moving(self) -> Iterator[Progress]:
        """What bars move in: one on the whole terminal, bars in bars stand below one another."""
        if self._progress is not None:
            yield self._progress
            return
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rate]}", markup=False),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=4) as progress:
            self._progress = progress
            try:
                yield progress
            finally:
                self._progress = None


def watched(reporter: Reporter | None, *, quiet: bool | None) -> Reporter:
    """What a Python verb says its progress to: the reporter given, else a person at a terminal or a notebook.

    `quiet` False says it wherever it is, True nowhere.
    """
    if reporter is not None:
        return reporter
    if quiet is None:
        quiet = not (_StandardError().isatty() or _in_notebook())
    return Quiet() if quiet else RichReporter()


def _in_notebook() -> bool:
    """Whether cells are run here, whose output a person reads below them."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _repeated(tell: Callable[[], None], *, after: float, every: float) -> Iterator[None]:
    """Calls `tell` after so many seconds and then every so many, beside the work inside."""
    over = threading.Event()

    def beat() -> None:
        wait = after
        while not over.wait(wait):
            tell()
            wait = every

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class PlainBar:
    """How far work has come, for a line: `decoding train: 34 %, 120/s, 0:45 left, field/7.jpg`."""

    def __init__(
        self, text: str, total: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._text, self._total, self._clock = text, total, clock
        self._start, self._done, self._beside = clock(), 0.0, ""

    def update(self, done: float, *, text: str = "") -> None:
        self._done, self._beside = done, text

    def told(self) -> str:
        """The line as of now."""
        figures = ", ".join(filter(None, (*self._figures(), self._beside)))
        return f"{self._text}: {figures}" if figures else self._text

    def _figures(self) -> list[str]:
        seconds = self._clock() - self._start
        if not self._total or self._done <= 0:
            return [f"{_minutes(seconds)} so far"] if seconds >= 1 else []
        share = min(1.0, self._done / self._total)
        rate = f"{_rate(self._done / seconds)}" if isinstance(self._total, int) and seconds > 0 else ""
        return [f"{100 * share:.0f} %", rate, f"{_minutes(seconds * (1 / share - 1))} left"]


def _rate(a_second: float) -> str:
    return f"{a_second:,.0f}/s" if a_second >= 10 else f"{a_second:.1f}/s"


def _minutes(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


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
    def __init__(self, progress: Progress, task: TaskID, *, counts: bool) -> None:
        self._progress, self._task, self._counts = progress, task, counts
        self._start = time.monotonic()

    def update(self, done: float, *, text: str = "") -> None:
        seconds = time.monotonic() - self._start
        rate = _rate(done / seconds) if self._counts and done > 0 and seconds > 1 else ""
        self._progress.update(self._task, completed=done, text=printable(text), rate=rate)
