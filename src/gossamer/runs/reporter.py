"""What a person watching sees: headings, lines and one moving bar, all on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

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

        self._console = Console(stderr=True, highlight=False)

    def heading(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def line(self, text: str, *, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text("  " + text, style=style), soft_wrap=True)

    @contextmanager
    def bar(self, text: str, total: float) -> Iterator[Bar]:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
        )
        still = not self._console.is_terminal  # a bar in a file is a blank line
        with Progress(*columns, console=self._console, transient=True, disable=still) as progress:
            yield _RichBar(progress, progress.add_task(text, total=total, text=""))


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, done: float, *, text: str = "") -> None:
        self._progress.update(self._task, completed=done, text=text)
