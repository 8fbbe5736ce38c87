"""Folding what only training needs: norms into convolutions, several branches into one."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.blocks.reparameterised import RepConv, fold_norm
from gossamer.nn.edits.edit import Edit
from gossamer.nn.layers import MixedConv2d
from gossamer.nn.network import Architecture

__all__ = ["EDIT", "fuse"]


def fuse(network: nn.Module) -> nn.Module:
    """The deploy form: batch norms folded into the convolutions before them, multi-branch blocks into one convolution, what
    only training runs taken off.

    A new module in eval mode that gives the same outputs (to rounding, 1e-5); the network is left as it is. Works
    on the zoo's networks and on any network whose data flow torch.fx can follow; a network of the zoo keeps its
    stages, and its `spec` rebuilds the fused form.

    Raises:
        ModelError: the data flow of a foreign network cannot be followed.
    """
    fused = copy.deepcopy(network).eval()
    if isinstance(fused, Architecture):
        fused.drop_training_parts()
        fused = _fuse_ours(fused)
    else:
        _fuse_foreign(fused)
    spec: Any = getattr(network, "spec", None)
    if spec is not None:
        fused.spec = spec.with_edit({"edit": "fuse"})
    return fused


def _fuse_ours(module: nn.Module) -> nn.Module:
    """Blocks of the zoo put a norm directly behind its convolution in one Sequential: bottom up, in place."""
    if isinstance(module, RepConv):
        return module.fused()
    for name, child in list(module.named_children()):
        setattr(module, name, _fuse_ours(child))
    if isinstance(module, nn.Sequential):
        index = 0
        while index + 1 < len(module):
            if isinstance(module[index], nn.Conv2d | MixedConv2d):
                _fold_behind(module, index)
            index += 1
    return module


def _fold_behind(row: nn.Sequential, index: int) -> None:
    """Fold the norm that follows part `index`, whether it stands alone or opens a row of its own."""
    following = row[index + 1]
    if isinstance(following, nn.BatchNorm2d):
        _fold(row[index], following)
        del row[index + 1]
    elif isinstance(following, nn.Sequential) and len(following) and isinstance(following[0], nn.BatchNorm2d):
        _fold(row[index], following[0])
        del following[0]


def _fold(conv: nn.Module, norm: nn.BatchNorm2d) -> None:
    if isinstance(conv, nn.Conv2d):
        weight, bias = fold_norm(conv.weight, conv.bias, norm)
        conv.weight = nn.Parameter(weight.detach())
        conv.bias = nn.Parameter(bias.detach())
        return
    assert isinstance(conv, MixedConv2d)
    start = 0
    for branch, share in zip(conv.branches, conv.shares, strict=True):
        part = nn.BatchNorm2d(share, eps=norm.eps, device=norm.weight.device, dtype=norm.weight.dtype)
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(part, name).data = getattr(norm, name).data[start : start + share]
        _fold(branch, part)
        start += share


class _Tracer(torch.fx.Tracer):
    """Follows the data around convolutions and norms of any kind without looking into them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def _fuse_foreign(network: nn.Module) -> None:
    """Fold every norm that is all a convolution's output goes to: in place."""
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # tracing runs strangers' code
        raise ModelError(
            f"torch.fx cannot follow {type(network).__name__}: {' '.join(str(error).split())[:200]}; "
            "fold its norms before handing it over"
        ) from error
    modules = dict(network.named_modules())
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[str(node.target)], nn.BatchNorm2d):
            continue
        before = node.args[0]
        if not isinstance(before, torch.fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        shared = calls.count(str(before.target)) > 1 or calls.count(str(node.target)) > 1
        if not isinstance(conv, nn.Conv2d) or shared or norm.running_mean is None or not norm.affine:
            continue
        _fold(conv, norm)
        parent, _, leaf = str(node.target).rpartition(".")
        setattr(network.get_submodule(parent), leaf, _left_of(norm))


def _left_of(norm: nn.Module) -> nn.Module:
    """What remains of a folded norm: nothing, or the activation that timm's norms carry."""
    parts = [
        getattr(norm, name) for name in ("drop", "act") if isinstance(getattr(norm, name, None), nn.Module)
    ]
    kept = [part for part in parts if not isinstance(part, nn.Identity)]
    return nn.Sequential(*kept) if kept else nn.Identity()


EDIT = Edit(lambda _document: None, lambda network, _nothing: fuse(network))
