"""What pruning takes away, as data: it can be printed, edited, saved and applied again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gossamer.errors import ModelError
from gossamer.nn.edits.channels import read_kept, written_kept

__all__ = ["PrunePlan"]


@dataclass(frozen=True)
class PrunePlan:
    """What stays of every parameter: name -> axis -> places kept; and of every module's output channels."""

    kept: Mapping[str, Mapping[int, tuple[int, ...]]]
    outputs: Mapping[str, int]
    macs: int
    macs_before: int
    params: int
    params_before: int
    removed: Mapping[str, tuple[int, int]]
    """Layer -> (channels it gives after, before), of layers that lose some."""
    frozen: Mapping[str, int]
    """Why channels were not touched -> how many."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "edit": "prune",
            "kept": written_kept(self.kept),
            "outputs": dict(self.outputs),
            "macs": self.macs,
            "macs_before": self.macs_before,
            "params": self.params,
            "params_before": self.params_before,
            "removed": {name: list(pair) for name, pair in self.removed.items()},
            "frozen": dict(self.frozen),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PrunePlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        try:
            kept = read_kept(document["kept"])
            removed = {str(k): (int(v[0]), int(v[1])) for k, v in document["removed"].items()}
            outputs = {str(k): int(v) for k, v in document["outputs"].items()}
            return cls(
                kept,
                outputs,
                int(document["macs"]),
                int(document["macs_before"]),
                int(document["params"]),
                int(document["params_before"]),
                removed,
                dict(document["frozen"]),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"a pruning plan needs kept, outputs, macs, params, removed and frozen ({type(error).__name__}: {str(error)[:200]}); "
                "write it with to_json"
            ) from error
