"""The network that lies in a bundle (torch; reading the bundle needs none)."""

from __future__ import annotations

import torch
from torch import nn

from gossamer.deploy.bundle import WEIGHTS, Bundle
from gossamer.errors import BundleError
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.spec import ModelSpec

__all__ = ["network_of"]

_MOST_PARAMS = 1 << 28


def network_of(bundle: Bundle) -> nn.Module:
    """The torch network of a bundle with its weights, in eval mode.

    Raises:
        BundleError: the weights are missing, not those that were shipped, or of another network than model.json says.
        ModelError: the network cannot be built.
    """
    path = bundle.checked(WEIGHTS)
    _check_size(bundle)
    network = build(bundle.spec)
    try:
        network.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        raise BundleError(
            f"the weights in {bundle.folder} are of another network than model.json says; copy the bundle again"
        ) from error
    return network.eval()


def _check_size(bundle: Bundle) -> None:
    """A network of the zoo is counted without memory for its weights before it gets some."""
    if ":" in bundle.spec.name:
        return
    with torch.device("meta"):
        twin = build(ModelSpec(bundle.spec.name, bundle.spec.arguments))
    params = sum(parameter.numel() for parameter in twin.parameters())
    if params > _MOST_PARAMS:
        raise BundleError(
            f"a network of the zoo has at most {_MOST_PARAMS} params, {bundle.folder} claims one of {params}; "
            "copy the bundle again"
        )
