"""What calibration needs of its pictures and of the network: checked once, before any work."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gossamer.errors import DataError, ModelError
from gossamer.nn.modes import in_eval

__all__ = ["check_network", "check_pictures", "run_on"]


def check_pictures(pictures: Tensor) -> None:
    """Refuse what is no batch of prepared pictures.

    Raises:
        DataError: not (N, C, H, W), none of them, or numbers that are not finite.
    """
    if pictures.dim() != 4 or not pictures.numel():
        raise DataError(
            f"calibration needs prepared pictures (N, C, H, W) with N from 1, got shape {tuple(pictures.shape)}; "
            "give e.g. 32 of the kind the network will see"
        )
    if not bool(torch.isfinite(pictures).all()):
        raise DataError("calibration pictures are finite numbers, got NaN or infinity; read them again")


def check_network(network: nn.Module) -> None:
    """Refuse weights that no range can be set for.

    Raises:
        ModelError: a parameter or buffer is not finite; it is named.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"weights to be quantized are finite, got NaN or infinity in {name}; train or load them again"
            )


def run_on(network: nn.Module, pictures: Tensor) -> Tensor:
    """The network's scores in eval mode, without gradients.

    Raises:
        ModelError: it does not run on pictures of this size.
    """
    run: Callable[[Tensor], Tensor] = network
    try:
        with torch.no_grad(), in_eval(network):
            return run(pictures)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{type(network).__name__} does not run on calibration pictures of shape {tuple(pictures.shape)}: {line}; "
            "give pictures of the size it was made for"
        ) from error
