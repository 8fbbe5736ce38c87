"""What a person sees of a training while it runs, and what metrics.csv and events.jsonl keep of it."""

from __future__ import annotations

from typing import Any

from gossamer.runs.folder import RunFolder
from gossamer.runs.reporter import Bar, Reporter
from gossamer.train.pace import Listener
from gossamer.train.training import Point, Pulse, Seconds, Training
from gossamer.train.watch import Problem

__all__ = ["Watcher", "metrics_row"]


def metrics_row(network: str, point: Point) -> dict[str, Any]:
    """A row of metrics.csv."""
    return {
        "network": network,
        "seconds": round(point.seconds, 2),
        "passes": round(point.passes, 3),
        "train_loss": round(point.train_loss, 5),
        "val_loss": round(point.val_loss, 5),
        **{f"val_{name}": round(value, 5) for name, value in point.figures.items()},
    }


class Watcher(Listener):
    """Moves the bar, keeps the metrics, says what goes wrong and when it will be done."""

    def __init__(self, model: str, training: Training, run: RunFolder, reporter: Reporter, bar: Bar) -> None:
        self.model, self.training, self.run, self.reporter, self.bar = model, training, run, reporter, bar
        self.speed = 0.0
        """Pictures a second, of all processes together."""
        self.problems: list[str] = []

    def pulse(self, now: Pulse) -> None:
        self.speed = now.pictures_per_second
        shown = self.training.task.headline.shown
        score = "" if now.val_score is None else f"  val {shown(now.val_score)}"
        done = now.seconds if isinstance(self.training.length, Seconds) else now.steps
        self.bar.update(
            done,
            text=f"pass {now.passes:.1f}  loss {now.loss:.3f}{score}  {now.pictures_per_second:.0f} pictures/s",
        )

    def point(self, point: Point) -> None:
        self.run.metric(**metrics_row(self.model, point))
        self.reporter.line(
            f"pass {point.passes:.1f}: loss {point.train_loss:.3f}, validation {point.val_loss:.3f}, "
            f"{self.training.task.headline.shown(point.val_score)}",
            style="dim",
        )

    def problem(self, problem: Problem) -> None:
        self.problems.append(problem.message)
        self.run.event("problem", code=problem.code, message=problem.message)
        self.reporter.line(problem.message, style="yellow")
