"""The options that verbs share; each stands here once (no torch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_origin

from gossamer._text import whole_number
from gossamer.errors import GossamerError
from gossamer.runs.options import Config, config, option, options_of, parse_share, type_of
from gossamer.types import Size

__all__ = ["ONLINE", "DataConfig", "RunConfig", "RuntimeConfig", "TrainedConfig", "of_keywords", "parse_size"]

ONLINE = "Weights may be fetched from public hubs."
"""What --online says in every verb that has it; without it none asks a hub."""
_DATA, _FILE = "Data", "File"


@config
class DataConfig(Config):
    """How pictures are read."""

    on_bad: Literal["skip", "stop"] = option(
        "skip", "Bad pictures: skip or stop.", group=_DATA, choices=("skip", "stop")
    )
    groups: str | None = option(
        None, "Keep together: folder, or FILE.csv:COLUMN with a file column.", group=_DATA
    )
    bands: str = option("auto", "auto, rgb, all, or names and numbers such as B4,B3,B8.", group=_DATA)
    split_seed: int = option(
        0,
        "Seed of the split into train, val and test, where the data bring none.",
        group=_DATA,
        least=0,
        most=2**31,
    )


@config
class RunConfig(DataConfig):
    """What every run is asked for."""

    threads: int = option(1, "Threads of the deployed network.", group=_FILE, least=1, most=1024)
    view: Literal["auto", "aerial", "ground"] = option(
        "auto", "auto, aerial (no up) or ground.", group=_DATA, choices=("auto", "aerial", "ground")
    )
    seed: int = option(0, "Seed of whatever the verb draws.", least=0, most=2**31)


@config
class RuntimeConfig(RunConfig):
    """Of runs that end in one file of one runtime."""

    on: str = option("onnxruntime", "Runtime of the exported file.", group=_FILE)


@config
class TrainedConfig(RuntimeConfig):
    """Of runs that begin with networks by name."""

    online: bool = option(False, ONLINE, group="Network")


def parse_size(text: str, name: str = "--size") -> Size:
    """A side in pixels, `128`, or `HEIGHTxWIDTH`, each from 16 to 4,096.

    Raises:
        GossamerError: it reads otherwise.
    """
    sides = [whole_number(side) for side in text.lower().split("x")]
    if len(sides) > 2 or None in sides:
        raise GossamerError(
            f"{name} is a side in pixels or HEIGHTxWIDTH, got {text!r}; write e.g. 128 or 96x160"
        )
    size = Size(sides[0] or 0, sides[-1] or 0)
    if not all(16 <= side <= 4096 for side in size):
        raise GossamerError(f"size is between 16 and 4,096, got {text}; use e.g. {name} 128")
    return size


def of_keywords(cls: Any, values: dict[str, Any]) -> Any:
    """A config of Python keywords: paths as texts, one or several texts as tuples, shares as a person writes them.

    Raises:
        GossamerError: a value of another kind.
    """
    known = options_of(cls)
    made = {}
    for name, value in values.items():
        kind, _ = type_of(cls, name)
        if known[name].share and value is not None:
            value = parse_share(value, name)
        elif get_origin(kind) is tuple and value is not None:
            value = tuple(map(_text, [value] if isinstance(value, str | Path) else value))
        made[name] = _text(value)
    return cls(**made)


def _text(value: Any) -> Any:
    """A path as a text, anything else as it is."""
    return str(value) if isinstance(value, Path) else value
