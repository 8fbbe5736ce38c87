"""What a count consists of, whoever counted: a torch network or an exported file. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Cost", "LayerCost"]


@dataclass(frozen=True)
class LayerCost:
    """One layer (a module without children): `output` is the shape it gives, batch first."""

    name: str
    kind: str
    output: tuple[int, ...]
    params: int
    macs: int
    bytes_read: int
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """The layer as a JSON object."""
        return {**asdict(self), "output": list(self.output)}


@dataclass(frozen=True)
class Cost:
    """The whole network; see the module's docstring for what each figure means."""

    input: tuple[int, ...]
    params: int
    macs: int
    param_bytes: int
    activation_bytes_read: int
    activation_bytes_written: int
    peak_bytes: int
    uncounted: tuple[str, ...]
    layers: tuple[LayerCost, ...]

    def to_json(self, *, layers: bool = False) -> dict[str, Any]:
        """The figures as a JSON object; the table by layer only where asked for."""
        document = {k: v for k, v in asdict(self).items() if k != "layers"}
        document["input"], document["uncounted"] = list(self.input), list(self.uncounted)
        if layers:
            document["layers"] = [layer.to_json() for layer in self.layers]
        return document
