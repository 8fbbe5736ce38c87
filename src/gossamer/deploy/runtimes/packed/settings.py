"""How each tensor is packed, as data: codec and its settings by name, written to and read from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from gossamer.deploy.runtimes.packed.integers import Coder, Positions
from gossamer.deploy.runtimes.packed.kmeans import Initial
from gossamer.errors import ModelError, nearest

__all__ = ["CODEC_SETTINGS", "KINDS", "MOST_CODES", "MOST_WIDTH", "PackPlan", "TensorPlan"]

MOST_CODES = 65_536
"""Shared values that a codebook may hold."""
MOST_WIDTH = 4096
"""Weights that a shared sub-vector may have."""
KINDS = ("f4", "f2", "f8", "i8", "i4", "i2", "u1", "i1")
"""Types of tensors; their place is their number in the file."""
_FLOATS = ("float32", "float16")
_RAW_FLOATS = ("own", "float16")
_POSITIONS = ("auto", *get_args(Positions))

Default = Any
CODEC_SETTINGS: Mapping[str, Mapping[str, tuple[Default, str]]] = {
    "raw": {
        "dtype": ("own", "own keeps every number as it is, float16 halves floats"),
        "planes": (True, "entropy-code byte planes where that is smaller"),
    },
    "codebook": {
        "exact": (False, "the distinct values themselves, nothing is lost"),
        "bits": (8, "2**bits shared values at most"),
        "initial": ("linear", "linear, density or uniform"),
        "dtype": ("float32", "how shared values are kept"),
        "positions": ("auto", "auto, dense, bitmask or gaps"),
        "seed": (0, "of the uniform start"),
    },
    "step": {
        "step": (None, "the distance of two values; always given"),
        "deadzone": (0.0, "values below this many steps become 0; 0.5 is plain rounding"),
        "positions": ("auto", "auto, dense, bitmask or gaps"),
    },
    "product": {
        "width": (8, "weights of a sub-vector"),
        "codes": (256, "shared sub-vectors at most"),
        "dtype": ("float16", "how shared sub-vectors are kept"),
        "seed": (0, "of the first sub-vectors"),
    },
}
"""Codec -> setting -> (default, meaning)."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "dtype": _FLOATS,
    "initial": get_args(Initial),
    "positions": _POSITIONS,
}
_RANGES: Mapping[str, tuple[int, int]] = {
    "bits": (1, 16),
    "width": (1, MOST_WIDTH),
    "codes": (1, MOST_CODES),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class TensorPlan:
    """One tensor's codec and the settings that differ from their defaults (`CODEC_SETTINGS`)."""

    codec: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codec not in CODEC_SETTINGS:
            raise ModelError(
                f"tensors are packed {', '.join(CODEC_SETTINGS)}, got {self.codec!r}; "
                f"{nearest(self.codec, CODEC_SETTINGS)}"
            )
        known = CODEC_SETTINGS[self.codec]
        for name, value in self.settings.items():
            if name not in known:
                raise ModelError(f"{self.codec} has no setting {name!r}; {nearest(name, known)}")
            _check(self.codec, name, value)
        if self.codec == "step" and self.settings.get("step") is None:
            raise ModelError("the codec step needs its step, got none; give one or let plan_steps choose it")

    @property
    def complete(self) -> dict[str, Any]:
        """Every setting of the codec."""
        return {name: default for name, (default, _) in CODEC_SETTINGS[self.codec].items()} | dict(
            self.settings
        )

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {"codec": self.codec, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TensorPlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing, unknown or of the wrong kind.
        """
        try:
            return cls(str(document["codec"]), dict(document["settings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"a tensor's plan needs codec and settings, got {document!r}; write it with to_json"
            ) from error


@dataclass(frozen=True)
class PackPlan:
    """Tensor name -> plan; what it does not name is packed without loss. One entropy coder for the file."""

    tensors: Mapping[str, TensorPlan] = field(default_factory=dict)
    coder: Coder = "rans"

    def __post_init__(self) -> None:
        if self.coder not in get_args(Coder):
            raise ModelError(f"the entropy coder is rans or huffman, got {self.coder!r}; choose one of them")

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {"coder": self.coder, "tensors": {name: plan.to_json() for name, plan in self.tensors.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PackPlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing, unknown or of the wrong kind.
        """
        try:
            tensors = {str(name): TensorPlan.from_json(plan) for name, plan in document["tensors"].items()}
            return cls(tensors, cast(Coder, document["coder"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"a packing plan needs coder and tensors, got {document!r}; write it with to_json"
            ) from error


def _check(codec: str, name: str, value: Any) -> None:
    default = CODEC_SETTINGS[codec][name][0]
    if name in _CHOICES:
        choices = _RAW_FLOATS if (codec, name) == ("raw", "dtype") else _CHOICES[name]
        if value not in choices:
            raise ModelError(f"{name} of {codec} is one of {', '.join(choices)}, got {value!r}; choose one")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise ModelError(f"{name} of {codec} is true or false, got {value!r}")
    else:
        _check_number(codec, name, value)


def _check_number(codec: str, name: str, value: Any) -> None:
    if name in _RANGES:
        low, high = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ModelError(f"{name} of {codec} is a whole number from {low} to {high}, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ModelError(f"{name} of {codec} is a number >= 0, got {value!r}")
