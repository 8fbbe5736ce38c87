"""Optimisers by name, over groups of parameters that know their depth: rates by layer, thawing, decay of weights only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.nn.network import Architecture, Network, last_layer
from gossamer.train.recipe import Recipe

__all__ = ["Lamb", "make_optimiser", "set_rates"]


class Lamb(torch.optim.Optimizer):
    """Adam whose step is as long as the weights are large, layer by layer (You et al., 1904.00962, algorithm 2)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        steps, (beta1, beta2) = int(state["step"]), group["betas"]
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        mean = state["mean"] / (1 - beta1**steps)
        update = mean / ((state["square"] / (1 - beta2**steps)).sqrt() + group["eps"])
        update += group["weight_decay"] * parameter
        weight_norm, update_norm = parameter.norm(), update.norm()
        trust = torch.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)
        parameter -= group["lr"] * trust * update


def make_optimiser(
    network: nn.Module, recipe: Recipe, *, extra: nn.Module | None = None
) -> torch.optim.Optimizer:
    """The recipe's optimiser over `network`, and over `extra` (adaptors of distillation) as if part of its last layer.

    Every group has `base_lr`, its rate at a schedule of 1, and `depth`: 0 for the last layer, 1 for what is next to
    it, up to `deepest` for the stem. Norms and biases are not decayed.
    """
    depths = _depths(network)
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((depths[name], parameter.ndim > 1), []).append(parameter)
    for parameter in () if extra is None else extra.parameters():
        groups.setdefault((0, parameter.ndim > 1), []).append(parameter)
    rows: list[dict[str, Any]] = []
    for (depth, decays), parameters in sorted(groups.items(), key=lambda pair: pair[0]):
        share = 1.0 if depth == 0 else recipe.body_rate * recipe.layer_decay ** (depth - 1)
        rate = recipe.learning_rate * share
        decay = recipe.weight_decay if decays else 0.0
        rows.append(
            {
                "params": parameters,
                "lr": rate,
                "base_lr": rate,
                "weight_decay": decay,
                "depth": depth,
                "deepest": deepest,
            }
        )
    rate, momentum = recipe.learning_rate, recipe.momentum
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(rows, rate, momentum=momentum, nesterov=recipe.nesterov and momentum > 0)
    if recipe.optimiser == "rmsprop":  # decay 0.9 and epsilon 0.001 as in TensorFlow's recipes for MobileNets
        return torch.optim.RMSprop(rows, rate, alpha=0.9, eps=1e-3, momentum=momentum)
    if recipe.optimiser == "lamb":
        return Lamb(rows, rate)
    return torch.optim.AdamW(
        rows, rate, fused=recipe.precision == "32"
    )  # mixed precision clips no fused one's gradients


def set_rates(optimiser: torch.optim.Optimizer, recipe: Recipe, progress: float, decay_from: float) -> None:
    """Set every group's rate for a progress of 0 to 1; a stage that has not thawed has a rate of 0."""
    share, momentum = recipe.rate(progress, decay_from=decay_from), recipe.momentum_at(progress)
    for group in optimiser.param_groups:
        thaw = recipe.unfreeze * group["depth"] / max(1, group["deepest"])
        group["lr"] = group["base_lr"] * share if progress >= thaw else 0.0
        if "momentum" in group:
            group["momentum"] = momentum


def _depths(network: nn.Module) -> dict[str, int]:
    """Name of every parameter -> 0 for the new parts, then 1 for the rest of the head, and so on to the stem."""
    parts = network.new_parts() if isinstance(network, Architecture) else [last_layer(network)[1]]
    last = {id(p) for part in parts for p in part.parameters()}
    stages = len(network.stages) if isinstance(network, Network) else 0

    def depth(name: str, parameter: nn.Parameter) -> int:
        if id(parameter) in last:
            return 0
        path = name.split(".")
        if path[0] == "stages" and stages:
            return 1 + stages - int(path[1])
        return 2 + stages if path[0] == "stem" and stages else 1

    return {name: depth(name, parameter) for name, parameter in network.named_parameters()}
