"""The network that lies in a bundle (torch; reading the bundle needs none)."""

from __future__ import annotations

from torch import nn

from gossamer.deploy.bundle import Bundle
from gossamer.errors import BundleError
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint

__all__ = ["network_of"]


def network_of(bundle: Bundle) -> nn.Module:
    """The torch network of a bundle with its weights, in eval mode.

    Raises:
        BundleError: the weights are of another network than model.json says.
    """
    network = build(bundle.spec)
    try:
        network.load_state_dict(read_checkpoint(bundle.folder / "weights.safetensors"))
    except RuntimeError as error:
        raise BundleError(
            f"the weights in {bundle.folder} are of another network than model.json says; copy the bundle again"
        ) from error
    return network.eval()
