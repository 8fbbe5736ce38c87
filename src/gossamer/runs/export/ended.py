"""Files that do in their graph what the task would do with their answers (`export --nms`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gossamer._files import write_bytes
from gossamer.tasks import Ending

__all__ = ["end_file"]


def end_file(path: Path, ending: Ending) -> dict[str, Any]:
    """Put the ending into the file at `path`; what its metadata tell of it."""
    import onnx

    from gossamer.files.onnx_endings import ENDINGS

    model = onnx.load(path)
    ENDINGS[ending.name](model, **ending.arguments)
    write_bytes(path, model.SerializeToString())
    return {ending.name: dict(ending.arguments)}
