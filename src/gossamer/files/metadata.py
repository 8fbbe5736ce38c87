"""The contract inside an exported file, as its metadata carries it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gossamer._documents import parse_json
from gossamer.errors import BundleError

__all__ = ["METADATA_KEY", "MOST_METADATA_BYTES", "PICTURES", "read_metadata"]

METADATA_KEY = "gossamer"
PICTURES = "uint8 NHWC"
"""Under `takes` of a file whose graph begins with bytes (1, H, W, 3) and ends in shares."""
MOST_METADATA_BYTES = 1 << 22
"""Of what a file carries beside its network."""


def read_metadata(properties: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The document that `write_metadata` of a format wrote, from a session's or a file's properties.

    Packed files of earlier versions name the network `spec`; it comes as `model` here.

    Raises:
        BundleError: the file carries none, or it is damaged.
    """
    if METADATA_KEY not in properties:
        raise BundleError(
            f"{path} carries no input contract (metadata key {METADATA_KEY!r}); export it with gossamer, or predict from its bundle"
        )
    try:
        document = parse_json(properties[METADATA_KEY], most_bytes=MOST_METADATA_BYTES)
        if not isinstance(document["labels"], list) or not isinstance(document["input"], dict):
            raise TypeError("labels must be a list and input an object")
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"the input contract in {path} is damaged ({error}); export the file again"
        ) from error
    if "model" not in document and "spec" in document:
        document["model"] = document.pop("spec")
    return dict(document)
