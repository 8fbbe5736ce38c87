"""Putting factors in the place of layers as a plan says: a new module, run once to see that it works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gossamer.compress.lowrank.factors import composed, cp, low_rank, refit, spatial_svd, tucker2
from gossamer.compress.lowrank.moments import Moment, second_moments
from gossamer.compress.lowrank.plan import FactorChoices, FactorPlan, Factors, plan_factors
from gossamer.errors import ModelError
from gossamer.nn.edits.factorise import Layer, factor_layers
from gossamer.nn.modes import in_eval

__all__ = ["apply_factors", "check_factorised", "factorise"]


def factorise(
    network: nn.Module,
    example: Sequence[int] | Tensor,
    *,
    macs: float | None = None,
    params: float | None = None,
    calibration: Tensor | None = None,
    **choices: Unpack[FactorChoices],
) -> nn.Module:
    """A network with at most this share of the macs or params, its larger layers in factors, checked to run.

    See `plan_factors` for the arguments; the network given is left as it is. Weights are not trained further.

    Raises:
        GossamerError, ModelError: as `plan_factors`, and where the factorised network does not run.
    """
    plan = plan_factors(network, example, macs=macs, params=params, calibration=calibration, **choices)
    factored = apply_factors(network, plan, calibration=calibration)
    check_factorised(network, factored, example.shape if isinstance(example, Tensor) else example)
    return factored


def apply_factors(network: nn.Module, plan: FactorPlan, *, calibration: Tensor | None = None) -> nn.Module:
    """The network with the plan's factors in place of its layers; the one given is left as it is.

    Its `spec`, where it has one, tells the edit, so that `build` makes the same network again.

    Raises:
        ModelError: the plan is of another network, or was made with calibration pictures and none are given.
    """
    if plan.calibrated and calibration is None:
        raise ModelError("this plan was made with calibration pictures; give calibration= to apply it")
    ranks = {name: (each.kind, each.ranks) for name, each in plan.layers.items()}
    moments = {} if calibration is None else second_moments(network, calibration, ranks)

    def weights(name: str, layer: Layer) -> tuple[Tensor, ...]:
        return _weights(layer, plan.layers[name], moments.get(name), plan)

    factored = factor_layers(network, ranks, weights)
    spec: Any = getattr(network, "spec", None)
    if spec is not None:
        factored.spec = spec.with_edit(plan.to_json())
    return factored


def _weights(layer: Layer, chosen: Factors, moment: Moment | None, plan: FactorPlan) -> tuple[Tensor, ...]:
    """The factors' weights; where whole patches are known, of several ways the one with the least error of the outputs."""
    weight = layer.weight.detach().double()
    made = _decomposed(weight, chosen, moment, plan)
    if moment is None or moment.patch is None or moment.seen is None:
        return made
    seen = moment.seen
    ways = [made] if chosen.kind == "cp" else [made, _decomposed(weight, chosen, None, plan)]
    if chosen.kind != "svd":
        ways += [refit(weight, way, moment.patch) for way in ways]

    def lost(way: tuple[Tensor, ...]) -> float:
        rest = weight.flatten(1) - composed(way).flatten(1)
        return float(((rest @ seen) * rest).sum())

    return min(ways, key=lost)


def _decomposed(
    weight: Tensor, chosen: Factors, moment: Moment | None, plan: FactorPlan
) -> tuple[Tensor, ...]:
    """First to last factor, in the shapes that their layers have."""
    rank = chosen.ranks[0]
    if chosen.kind == "spatial-svd":
        return spatial_svd(weight, rank, None if moment is None else moment.column)
    pixel = None if moment is None else moment.pixel
    if chosen.kind == "tucker2":
        return tucker2(weight, chosen.ranks, pixel)
    if chosen.kind == "cp":
        return cp(weight, rank, pixel, limit=plan.cp_error, seed=plan.seed)[0]
    last, first = low_rank(weight.flatten(1), rank, pixel)
    ends = (...,) if weight.dim() == 2 else (..., None, None)
    return first[ends], last[ends]


def _tensors(answer: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(answer) if isinstance(leaf, Tensor)]


def check_factorised(network: nn.Module, factored: nn.Module, shape: Sequence[int]) -> None:
    """Run both on the same random numbers.

    Raises:
        ModelError: the factorised network does not run, or gives outputs of other shapes or that are not finite.
    """
    device = next(network.parameters()).device
    picture = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0)).to(device)
    try:
        with torch.no_grad(), in_eval(factored), in_eval(network):
            ours, theirs = _tensors(factored(picture)), _tensors(network(picture))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{type(network).__name__} does not run with factors: its forward asks of a layer what they do not have ({line}); "
            "factorise a network of the zoo"
        ) from error
    fits = [t.shape for t in ours] == [t.shape for t in theirs]
    if not fits or not all(bool(torch.isfinite(t).all()) for t in ours if t.is_floating_point()):
        raise ModelError(
            f"{type(network).__name__} gives other shapes, or numbers that are not finite, with its layers in factors; "
            "factorise a network of the zoo"
        )
