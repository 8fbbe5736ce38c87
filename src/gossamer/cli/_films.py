"""`gossamer predict` on a film: a bar of frames, one line at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gossamer.cli._common import print_json, print_lines, say

if TYPE_CHECKING:
    from gossamer.deploy.predict import Predictor
    from gossamer.deploy.watch import Watched, Watching

__all__ = ["films_among", "watch_films"]


def films_among(inputs: list[str], *, animated: bool) -> list[Path]:
    """Inputs that are films; where it is asked for, pictures of several frames too.

    Raises:
        DataError: films and pictures at once, several films, or no film where one is asked for.
    """
    from gossamer.deploy.films import is_animated, is_film
    from gossamer.errors import DataError

    paths = [Path(text) for text in inputs]
    films = [path for path in paths if is_film(path) or (animated and path.is_file() and is_animated(path))]
    if animated and not films:
        raise DataError(
            f"--every, --track and a film of --draw are for films and animated pictures, got {', '.join(inputs)}; leave them out"
        )
    if films and len(paths) > 1:
        raise DataError(f"one film is looked at at a time, got {len(paths)} inputs; call predict for each")
    return films


def watch_films(predictor: Predictor, film: Path, watching: Watching, *, json: bool) -> int:
    """Look at a film, and say how fast that was; exit code 2 where it ended early."""
    from gossamer.deploy.watch import watch
    from gossamer.runs.reporter import RichReporter

    with RichReporter().bar(f"frames of {film.name}", None) as bar:

        def on_frame(done: int, total: int | None, rate: float) -> None:
            bar.update(
                done, text=f"{done}{'' if total is None else f' of {total}'} frames, {rate:.1f} a second"
            )

        watched = watch(predictor, film, watching, on_frame=on_frame)
    _say(watched, json=json)
    return 0 if watched.error is None else 2


def _say(watched: Watched, *, json: bool) -> None:
    if json:
        print_json(watched.to_json())
    else:
        print_lines([f"{watched.file}  {watched}"])
    if watched.error is not None:
        say(f"error: {watched.error}; what was seen before is kept")
