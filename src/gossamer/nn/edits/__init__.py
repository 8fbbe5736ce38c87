"""Structural edits: THE table of what a spec may list, each with what reads it and what applies it.

A spec keeps an edit as JSON, `{"edit": name, ...}`. `build` replays it on a network that was just made; its weights are
then loaded or trained. Nothing here needs torch until an edit is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gossamer._table import Table
from gossamer.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from gossamer.nn.edits.edit import Edit

__all__ = ["EDITS", "replay"]

EDITS = Table(
    "structural edit",
    {
        "truncate": "gossamer.nn.edits.truncate:EDIT",
        "fuse": "gossamer.nn.edits.fuse:EDIT",
        "prune": "gossamer.nn.edits.channels:EDIT",
        "factorise": "gossamer.nn.edits.factorise:EDIT",
        "quantize": "gossamer.nn.edits.quantize:EDIT",
        "rescale": "gossamer.nn.edits.rescale:EDIT",
    },
    error=ModelError,
)


def replay(network: nn.Module, document: Mapping[str, Any]) -> nn.Module:
    """A network with one structural edit more; the one given is left as it is.

    Raises:
        ModelError: the edit is unknown, damaged, or of another network.
    """
    name = document.get("edit")
    if not isinstance(name, str) or name not in EDITS:
        raise ModelError(f"unknown structural edit {name!r:.40}; this version knows: {', '.join(EDITS)}")
    edit: Edit[Any] = EDITS.load(name)
    try:
        return edit.apply(network, edit.read(document))
    except ModelError:
        raise
    except Exception as error:  # whatever torch raises where an edit is not of this network
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"the structural edit {name} does not fit {type(network).__name__} ({type(error).__name__}: {reason}); "
            "copy the file again, or build the network anew"
        ) from error
