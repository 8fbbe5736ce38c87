"""Mixed precision as an integer program: which layers go to int8 so that the file fits and the least is lost (no torch).

Noise of layers adds up where it is small and independent: sum over the int8 layers of 10^(-SQNR / 10), measured one
layer at a time, is made least under a limit of bytes (the formulation of HAWQ-V3, Yao et al., 2011.10680, section 3.4,
with measured noise in the place of a Hessian's trace). The result is a plan; the file it gives is to be measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gossamer.compress.quantize.sensitivity import Sensitivity
from gossamer.errors import BudgetError

__all__ = ["choose_fp32"]


def choose_fp32(layers: Sequence[Sensitivity], max_weight_bytes: int) -> list[Sensitivity]:
    """The layers that stay fp32 (4 bytes a weight, int8 one) under a limit of bytes for all weights, worst first.

    Raises:
        BudgetError: not even int8 everywhere fits.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    least = sum(layer.params for layer in layers)
    if max_weight_bytes < least:
        raise BudgetError(
            f"weights take at least {least} bytes in int8, got a limit of {max_weight_bytes}; prune first or allow more"
        )
    if not layers:
        return []
    noise = np.array([min(1e6, 10 ** (-layer.sqnr_db / 10)) for layer in layers])
    extra = np.array([3.0 * layer.params for layer in layers])
    found = milp(
        -noise,
        constraints=LinearConstraint(extra[None], ub=max_weight_bytes - least),
        integrality=np.ones(len(layers)),
        bounds=Bounds(0, 1),
    )
    stay = [layer for layer, keep in zip(layers, found.x, strict=True) if keep > 0.5]
    return sorted(stay, key=lambda layer: layer.sqnr_db)
