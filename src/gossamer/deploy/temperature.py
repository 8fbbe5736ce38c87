"""The temperature of a file's scores: what they are divided by before shares are told from them."""

from __future__ import annotations

import math

import numpy as np

from gossamer.errors import BundleError
from gossamer.tasks import Outputs

__all__ = ["cooled", "read_temperature"]

_LEAST, _MOST = 1e-3, 1e3


def read_temperature(value: object, where: object) -> float:
    """A temperature as a bundle or a file tells it.

    Raises:
        BundleError: it is no number, or far from what scores are ever divided by.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not _LEAST <= value <= _MOST:  # type: ignore[operator]
        raise BundleError(
            f"a temperature is a number from {_LEAST:g} to {_MOST:g}, {where} has {value!r:.40}; export it again"
        )
    return float(value)  # type: ignore[arg-type]


def cooled(outputs: Outputs, temperature: float) -> Outputs:
    """Outputs divided by a temperature; which of them is largest stays."""
    if temperature == 1:
        return outputs
    return tuple(np.asarray(output / np.float32(temperature), np.float32) for output in outputs)
