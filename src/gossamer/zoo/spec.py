"""A network as a value: builder, arguments, structural edits. All JSON; weights lie beside it in safetensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gossamer.errors import ModelError
from gossamer.zoo.catalogue import find_entry

__all__ = ["ModelSpec", "parse_model"]

MOST_EDITS = 64
"""A run adds one a step; each one copies the network when it is replayed."""
_MOST_ARGUMENTS = 64
_MOST: Mapping[str, int] = {"num_classes": 100_000, "width": 64}
"""Of the arguments of a spec in a file; of all others:"""
_MOST_NUMBER = 1024
_NAME = re.compile(r"^(?P<name>[^\[\]@]+?)(?:\[:(?P<kept>\d{1,4}(?:,\d{1,4})*)\])?(?:@(?P<weights>.+))?$")


@dataclass(frozen=True)
class ModelSpec:
    """What rebuilds a network exactly: `name` is a catalogue name, `timm:NAME` or `torchvision:NAME`."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Builder arguments, those of the catalogue entry overridden by the caller's."""
    edits: tuple[Mapping[str, Any], ...] = ()
    """Structural edits in order, each `{"edit": name, ...}`."""

    def __post_init__(self) -> None:
        if len(self.edits) > MOST_EDITS:
            raise ModelError(
                f"a network has at most {MOST_EDITS} structural edits, got {len(self.edits)} of {self.name}; "
                "train or compress it from its name anew"
            )

    @property
    def label(self) -> str:
        """The name a person types: `efficientnet_lite0[:5]` is the first five stages, `[:1,2,1]` the first blocks of three."""
        return self.name + "".join(_cut_text(edit) for edit in self.edits if edit["edit"] == "truncate")

    def with_edit(self, edit: Mapping[str, Any]) -> ModelSpec:
        """The same network with one more structural edit."""
        return ModelSpec(self.name, self.arguments, (*self.edits, edit))

    def to_json(self) -> dict[str, Any]:
        """The spec as a JSON object."""
        return {
            "name": self.name,
            "arguments": dict(self.arguments),
            "edits": [dict(edit) for edit in self.edits],
        }

    def summary(self) -> dict[str, Any]:
        """As `to_json`, edits without what they list place by place: what an exported file says of its network."""
        edits = [{k: v for k, v in edit.items() if isinstance(v, str | int | float)} for edit in self.edits]
        return {**self.to_json(), "edits": edits}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ModelSpec:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        try:
            if not isinstance(document["name"], str):
                raise TypeError("a name is a text")
            edits = tuple(dict(edit) for edit in document["edits"])
            arguments = dict(document["arguments"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"a model spec needs name, arguments and edits, got {document!r:.200}; write it with to_json"
            ) from error
        _check_arguments(document["name"], arguments)
        return cls(document["name"], arguments, edits)


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Held against bounds before a network of any size is built."""
    for argument, value in arguments.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        most = _MOST.get(argument, _MOST_NUMBER)
        if number and not abs(value) <= most:
            raise ModelError(
                f"{argument} of a network is at most {most}, got {value!r} for {name}; copy the file again"
            )
    if len(arguments) > _MOST_ARGUMENTS:
        raise ModelError(
            f"a network has at most {_MOST_ARGUMENTS} arguments, got {len(arguments)} for {name}; copy the file again"
        )


def parse_model(text: str, **arguments: Any) -> tuple[ModelSpec, str | None]:
    """Read `NAME`, `NAME[:k]` (first k stages), `NAME[:a,b,c]` (first a blocks of the first stage, b of the second ...)
    or any of them `@WEIGHTS`: the spec and the weights' source.

    Raises:
        ModelError: the text or the name is not understood.
    """
    match = _NAME.match(text.strip())
    if match is None:
        raise ModelError(
            f"a model reads NAME, NAME[:stages], NAME[:blocks,blocks,...] or NAME@WEIGHTS, got {text!r}; `gossamer zoo` lists names"
        )
    name, kept, weights = match["name"], match["kept"], match["weights"]
    base = {} if ":" in name else dict(find_entry(name).arguments)
    edits: tuple[Mapping[str, Any], ...] = (
        () if kept is None else (_cut([int(count) for count in kept.split(",")]),)
    )
    return ModelSpec(name, {**base, **arguments}, edits), weights


def _cut(counts: list[int]) -> Mapping[str, Any]:
    """One number counts stages, several the blocks of each."""
    if len(counts) == 1:
        return {"edit": "truncate", "stages": counts[0]}
    return {"edit": "truncate", "blocks": counts}


def _cut_text(edit: Mapping[str, Any]) -> str:
    kept = edit.get("blocks") or [edit["stages"]]
    return f"[:{','.join(str(count) for count in kept)}]"
