"""The options of `gossamer check`."""

from __future__ import annotations

from gossamer.runs.config import DataConfig
from gossamer.runs.options import config, option

__all__ = ["CheckConfig"]


@config
class CheckConfig(DataConfig):
    """What the data doctor was asked for."""

    data: str = option(
        ..., "Folder of pictures, file of annotations, or demo:scenes, demo:boxes.", positional=True
    )
