"""Convolutions that standardise their weights at every step, as the plain ones that they are once trained.

Weight standardisation (Qiao et al., 1903.10520) and its scaled form (Brock et al., 2101.08692, equation 3): each kernel
has its mean taken away and is divided by its deviation, over all it reads. Without one of the channels that it reads a
kernel would be standardised anew, so that nothing can be cut before this is folded in.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["plain_convolutions"]

_STANDARDISED = frozenset({"StdConv2d", "ScaledStdConv2d"})
"""timm's classes; those that pad by the size of the picture as well are left as they are."""


def plain_convolutions(network: nn.Module) -> nn.Module:
    """The network, or a copy whose standardised convolutions are plain ones with the weights that these compute."""
    names = [name for name, module in network.named_modules() if type(module).__name__ in _STANDARDISED]
    if not names:
        return network
    plain = copy.deepcopy(network)
    for name in names:
        module: Any = plain.get_submodule(name)
        plain.set_submodule(name, _plain(module))
    return plain


def _plain(module: Any) -> nn.Conv2d:
    with torch.device("meta"):  # nothing is drawn from the caller's generator
        plain = nn.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            bias=module.bias is not None,
            padding_mode=module.padding_mode,
        )
    plain.weight = nn.Parameter(_weight(module).clone(), requires_grad=module.weight.requires_grad)
    if module.bias is not None:
        plain.bias = module.bias
    return plain.train(module.training)


def _weight(module: Any) -> Tensor:
    weight: Tensor = module.weight.detach()
    mean = weight.mean((1, 2, 3), keepdim=True)
    spread = weight.var((1, 2, 3), correction=0, keepdim=True)
    standard = (weight - mean) / torch.sqrt(spread + module.eps)
    gain = getattr(module, "gain", None)
    return standard if gain is None else standard * gain.detach().reshape(-1, 1, 1, 1) * module.scale
