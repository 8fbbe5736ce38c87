"""How much each set of coupled channels matters: from weights alone, or from pictures.

Weights: norms summed over the slices of a set (DepGraph, 2301.12900), scales of batch norms (network slimming,
1708.06519), distance to the other filters (geometric median, 1811.00250). Pictures: the first-order change of the loss
(Taylor, 1906.10771, equation 8), how often a channel is active (APoZ, 1607.03250), and what the layers behind it would
miss (the diagonal of ThiNet's and He et al.'s reconstruction error, 1707.06168).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.compress.trace.channels import Channels
from gossamer.errors import GossamerError
from gossamer.nn.edits.channels import open_attention
from gossamer.nn.modes import in_eval, taken_off
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["COMPARABLE", "FROM_PICTURES", "Batches", "Importance", "scores_of"]

Importance = Literal[
    "l1", "l2", "norm-scale", "geometric-median", "random", "taylor", "activation", "apoz", "reconstruction"
]
FROM_PICTURES: frozenset[str] = frozenset({"taylor", "activation", "apoz", "reconstruction"})
"""Importances that need pictures."""

COMPARABLE: frozenset[str] = frozenset({"taylor", "reconstruction"})
"""Importances in one unit for all layers (the loss, the share of what a layer gets): not divided by their layer's mean."""

Batches = Sequence[tuple[Tensor, Tensor | None]]
"""Normalised pictures (B, bands, H, W) with targets (B, ...) as the objective takes them, or None where nobody knows them."""

Scores = NDArray[np.float64]


def _check(importance: str, batches: Batches) -> None:
    if importance not in get_args(Importance):
        raise GossamerError(
            f"importance is one of {', '.join(get_args(Importance))}; got {importance!r}, take l2 without pictures"
        )
    if importance in FROM_PICTURES and not batches:
        raise GossamerError(
            f"importance {importance!r} is told from pictures and none were given; give some with --data, or take l2"
        )


def scores_of(
    network: nn.Module,
    channels: Channels,
    importance: Importance,
    *,
    batches: Batches = (),
    objective: Objective = CLASS_SCORES,
    seed: int = 0,
) -> Scores:
    """One number from 0 a set; comparable within a layer, and between layers after dividing by the layer's mean.

    Those of `COMPARABLE` are comparable between layers as they are.

    Without targets `taylor` takes the network's own answers, as `objective` says what they stand for.

    Raises:
        GossamerError: an unknown importance, or one that needs pictures without any.
    """
    _check(importance, batches)
    if importance == "random":
        return np.random.default_rng(seed).random(channels.count) + 1e-9
    if importance in ("activation", "apoz"):
        return _activity(network, channels, batches, share=importance == "apoz")
    if importance == "reconstruction":
        return _missed(network, channels, batches)
    if importance == "taylor":
        return _changes(network, channels, batches, objective, seed)
    tensors = {name: parameter.detach() for name, parameter in network.named_parameters()}
    if importance == "norm-scale":
        found = _by_slices(channels, tensors, lambda scale, _: scale.abs(), axes="norms")
        return found if found.any() else _by_slices(channels, tensors, _norm(2), axes="weights")
    if importance == "geometric-median":
        return _by_slices(channels, tensors, _distances, axes="filters")
    return _by_slices(channels, tensors, _norm(1 if importance == "l1" else 2), axes="weights")


def _by_slices(
    channels: Channels,
    tensors: Mapping[str, Tensor],
    value: Callable[[Tensor, int], Tensor],
    *,
    axes: Literal["weights", "filters", "norms", "all"],
) -> Scores:
    """The sum over a set's slices of `value(tensor, axis)`, one number a place of the axis."""
    scores = np.zeros(channels.count)
    for slot in channels.slots:
        tensor = tensors.get(slot.name)
        if tensor is None or not _wanted(slot.name, slot.axis, tensor.dim(), axes):
            continue
        found = channels.set_of(slot.labels)
        np.add.at(scores, found[found >= 0], value(tensor, slot.axis).double().cpu().numpy()[found >= 0])
    return scores


def _wanted(name: str, axis: int, dims: int, axes: str) -> bool:
    if axes == "all":
        return True
    if axes == "norms":
        return dims == 1 and name.endswith("weight")
    return dims > 1 and (axes == "weights" or axis == 0)


def _norm(order: int) -> Callable[[Tensor, int], Tensor]:
    def norm(weight: Tensor, axis: int) -> Tensor:
        flat = weight.double().movedim(axis, 0).flatten(1)
        return flat.abs().sum(1) if order == 1 else flat.square().sum(1).sqrt()

    return norm


def _distances(weight: Tensor, axis: int) -> Tensor:
    """How far each filter is from all others: one that is near them can be spared, they do its work."""
    flat = weight.double().movedim(axis, 0).flatten(1)
    return torch.cdist(flat, flat).sum(1)


def _changes(
    network: nn.Module, channels: Channels, batches: Batches, objective: Objective, seed: int
) -> Scores:
    """The mean over batches of (sum over a set of weight times gradient)^2: what the loss would change by, first order.

    Unknown targets are drawn from the network's own answers, as for its Fisher information.
    """
    draws = torch.Generator().manual_seed(seed)
    parameters = dict(network.named_parameters())
    before = {name: (p.grad, p.requires_grad) for name, p in parameters.items()}
    scores = np.zeros(channels.count)
    try:
        for pictures, targets in batches:
            for parameter in parameters.values():
                parameter.grad = None
                parameter.requires_grad_(True)
            with in_eval(network), torch.enable_grad():
                answers = network(pictures)
                drawn = objective.drawn(answers, draws) if targets is None else targets
                torch.autograd.backward([objective.loss_sum(answers, drawn) / len(pictures)])
            scores += _by_slices(channels, parameters, _change, axes="all") ** 2 / len(batches)
    finally:
        for name, parameter in parameters.items():
            parameter.grad, wanted = before[name]
            parameter.requires_grad_(wanted)
    return scores


def _change(parameter: Tensor, axis: int) -> Tensor:
    """Sum of weight times gradient over a slice."""
    if parameter.grad is None:
        return torch.zeros(parameter.shape[axis])
    product = (parameter.detach() * parameter.grad).movedim(axis, 0)
    return product.reshape(product.shape[0], -1).sum(1)


def _activity(network: nn.Module, channels: Channels, batches: Batches, *, share: bool) -> Scores:
    """Mean absolute outputs of the activations, or the share of outputs above 0; a mean over a set's modules."""
    leaves = {name: m for name, m in network.named_modules() if not any(True for _ in m.children())}
    active = {name: m for name, m in leaves.items() if name in channels.outputs and not _is_linear(m)}
    watched = active or {name: m for name, m in leaves.items() if name in channels.outputs}
    totals: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
            value = (output > 0).double() if share else output.double().abs()
            totals[name] = totals.get(name, torch.zeros(())) + value.mean(dim=(0, 2, 3)) / len(batches)

        return hook

    _run(network, batches, [m.register_forward_hook(note(name)) for name, m in watched.items()])
    scores, counts = np.zeros(channels.count), np.zeros(channels.count)
    for name, total in totals.items():
        found = channels.set_of(channels.outputs[name])
        values = total.cpu().numpy()
        scale = 1.0 if share else float(values.mean()) or 1.0
        np.add.at(scores, found[found >= 0], values[found >= 0] / scale)
        np.add.at(counts, found[found >= 0], 1)
    return scores / np.maximum(counts, 1)


def _is_linear(module: nn.Module) -> bool:
    """Whether its outputs are no activations: a layer with weights of its own, a pool, nothing at all."""
    return next(module.parameters(recurse=False), None) is not None or isinstance(
        module, nn.Identity | nn.AvgPool2d | nn.AdaptiveAvgPool2d | nn.MaxPool2d | nn.Dropout
    )


def _missed(network: nn.Module, channels: Channels, batches: Batches) -> Scores:
    """Energy of what a channel gives to the layers behind it, as a share of what each of them gets in all."""
    network = open_attention(network, channels.head_counts)
    modules = dict(network.named_modules())
    readers = {
        each.layer: each
        for each in channels.products
        if each.groups == 1
        and (each.inputs >= 0).any()
        and isinstance(getattr(modules.get(each.layer), "weight", None), Tensor)
    }
    squares: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            axis = args[0].dim() - 1 if isinstance(module, nn.Linear) else 1
            energy = args[0].double().square().movedim(axis, 0).flatten(1).mean(1)
            squares[name] = squares.get(name, torch.zeros(())) + energy / len(batches)

        return hook

    _run(network, batches, [modules[name].register_forward_pre_hook(note(name)) for name in readers])
    scores = np.zeros(channels.count)
    for name, energy in squares.items():
        weight: Tensor = modules[name].weight
        given = (energy * weight.detach().double().movedim(1, 0).flatten(1).square().sum(1)).cpu().numpy()
        found = channels.set_of(readers[name].inputs)
        np.add.at(scores, found[found >= 0], given[found >= 0] / max(float(given.sum()), 1e-12))
    return scores


def _run(network: nn.Module, batches: Batches, handles: Sequence[Any]) -> None:
    with taken_off(handles), torch.no_grad(), in_eval(network):
        for pictures, _ in batches:
            network(pictures)
