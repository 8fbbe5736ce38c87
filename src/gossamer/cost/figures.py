"""What a count consists of, whoever counted: a torch network or an exported file. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Cost", "LayerCost", "OperatorCost"]


def _intensity(macs: int, bytes_moved: int) -> float:
    return macs / bytes_moved if bytes_moved else 0.0


@dataclass(frozen=True)
class LayerCost:
    """One layer (a module without children): `output` is the shape it gives, batch first."""

    name: str
    kind: str
    output: tuple[int, ...]
    params: int
    param_bytes: int
    macs: int
    elementwise: int
    bytes_read: int
    bytes_written: int
    receptive_field: tuple[int, int] | None = None
    """(height, width) in input pixels that a number of the output sees; None after a global mean, or of a file."""

    @property
    def intensity(self) -> float:
        """Multiply-accumulates a byte moved, weights among them (Williams et al. 2009, in macs instead of FLOPs)."""
        return _intensity(self.macs, self.bytes_read + self.bytes_written + self.param_bytes)

    def to_json(self) -> dict[str, Any]:
        """The layer as a JSON object."""
        field = None if self.receptive_field is None else list(self.receptive_field)
        return {
            **asdict(self),
            "output": list(self.output),
            "receptive_field": field,
            "intensity": self.intensity,
        }


@dataclass(frozen=True)
class OperatorCost:
    """All runs of one sort of operator; views are none."""

    kind: str
    runs: int
    macs: int
    elementwise: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class Cost:
    """The whole network; `gossamer.cost.meter` says what each figure means."""

    input: tuple[int, ...]
    params: int
    macs: int
    elementwise: int
    param_bytes: int
    activation_bytes_read: int
    activation_bytes_written: int
    peak_bytes: int
    uncounted: tuple[str, ...]
    layers: tuple[LayerCost, ...]
    operators: tuple[OperatorCost, ...]
    receptive_field: tuple[int, int] | None = None
    """The largest of all layers; None of a file, and of a network without convolutions."""
    notes: tuple[str, ...] = ()
    """What to know before these figures are used; empty in the plain case."""

    @property
    def intensity(self) -> float:
        """Multiply-accumulates a byte moved, weights among them."""
        moved = self.activation_bytes_read + self.activation_bytes_written + self.param_bytes
        return _intensity(self.macs, moved)

    def to_json(self, *, layers: bool = False) -> dict[str, Any]:
        """The figures as a JSON object; the tables by layer and by operator only where asked for."""
        document = {k: v for k, v in asdict(self).items() if k not in ("layers", "operators")}
        for name in ("input", "uncounted", "notes"):
            document[name] = list(document[name])
        field = None if self.receptive_field is None else list(self.receptive_field)
        for name in ("elementwise", "receptive_field", "notes"):
            document[name] = document.pop(name)  # behind the keys that scripts have relied on
        document |= {"receptive_field": field, "intensity": self.intensity}
        if layers:
            document["layers"] = [layer.to_json() for layer in self.layers]
            document["operators"] = [asdict(operator) for operator in self.operators]
        return document
