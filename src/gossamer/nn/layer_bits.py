"""What a layer is rounded to, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gossamer.errors import ModelError, nearest

__all__ = ["KINDS", "Kind", "LayerBits"]

Kind = Literal["uniform", "pot", "apot", "ternary", "binary"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_BITS = {
    "uniform": range(2, 9),
    "pot": range(2, 7),
    "apot": range(4, 9),
    "ternary": range(2, 3),
    "binary": range(1, 2),
}
_INPUT_BITS = range(1, 9)
_LEARNED: tuple[Kind, ...] = ("uniform", "apot")
_EVEN: tuple[Kind, ...] = ("uniform", "ternary", "binary")


@dataclass(frozen=True)
class LayerBits:
    """What a layer is rounded to.

    Raises:
        ModelError: an unknown kind, bits that it does not have, or a shortcut around inputs that are not binary.
    """

    weights: Kind = "uniform"
    bits: int = 8
    """uniform 2 to 8, pot 2 to 6, apot 4 to 8, ternary 2, binary 1."""
    per_channel: bool = True
    """One scale for each output channel, not for the whole weight."""
    activation_bits: int | None = None
    """Of what comes in: 1 to 8, None leaves it in float."""
    shortcut: bool = False
    """Of binary inputs: whether what comes in is added behind the norm, see `nn.shortcut`."""

    def __post_init__(self) -> None:
        if self.weights not in KINDS:
            raise ModelError(
                f"weights are {', '.join(KINDS)}, got {self.weights!r}; {nearest(str(self.weights), KINDS)}"
            )
        allowed = _BITS[self.weights]
        if self.bits not in allowed:
            told = f"{allowed[0]} to {allowed[-1]} bits" if len(allowed) > 1 else f"{allowed[0]} bits"
            raise ModelError(f"{self.weights} weights have {told}, got {self.bits}; give {allowed[-1]}")
        if self.activation_bits is not None and self.activation_bits not in _INPUT_BITS:
            raise ModelError(
                f"activations have 1 to 8 bits or stay in float, got {self.activation_bits}; give 8 or none"
            )
        if self.shortcut and self.activation_bits != 1:
            raise ModelError(
                f"shortcuts go around binary inputs, got activations of {self.activation_bits or 32} bits; "
                "give activation_bits=1 or leave out shortcut"
            )

    @property
    def learns_scale(self) -> bool:
        """Whether the scale of the weights is trained; that of the others follows from the weights."""
        return self.weights in _LEARNED

    @property
    def even(self) -> bool:
        """Whether a weight is its code times the scale, which runtimes have an operator for."""
        return self.weights in _EVEN
