"""What each rank of each kind would cost a layer, and what it would lose of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor, nn

from gossamer.compress.lowrank.factors import columns_of, cp, moment_root, spectrum, tucker2_core
from gossamer.compress.lowrank.layers import Found
from gossamer.compress.lowrank.moments import Moment
from gossamer.errors import ModelError
from gossamer.nn.edits.factorise import Kind, full_ranks, suits

__all__ = ["Option", "dense_costs", "factor_costs", "options_of"]

_GRID = 32
"""Ranks looked at along each side of tucker2."""
_CP_RANKS = 6
_LEAST_TELLING = 1e-6


@dataclass(frozen=True)
class Option:
    """One way to factorise a layer.

    `error` is |W - W'| / |W|; where the input's moment C is known |(W - W') C^(1/2)| over the deviation of the outputs.
    """

    kind: Kind
    ranks: tuple[int, ...]
    error: float
    macs: int
    params: int

    @property
    def loss(self) -> float:
        """-log of the energy kept: the sum over layers is to be small (Zhang et al., 1505.06798, equation 13)."""
        return -log(max(1 - self.error**2, 1e-300))


def dense_costs(layer: Found) -> tuple[int, int]:
    """(macs, params) of the layer as it is."""
    weight = layer.module.weight
    bias = 0 if layer.module.bias is None else len(layer.module.bias)
    return prod(layer.output) * weight[0].numel(), weight.numel() + bias


def factor_costs(layer: Found, kind: Kind, ranks: Sequence[int]) -> tuple[int, int]:
    """(macs, params) of the layer's factors, exactly."""
    module = layer.module
    out, into = module.weight.shape[:2]
    bias = 0 if module.bias is None else out
    after = prod(layer.output) // out
    rank = ranks[0]
    if isinstance(module, nn.Linear) or kind == "svd":
        return after * rank * (into + out), rank * (into + out) + bias
    high, wide = module.kernel_size
    before = prod(layer.input) // into
    half = before // layer.input[-2] * layer.output[-2]  # rows are convolved, columns not yet
    if kind == "spatial-svd":
        first, last = rank * into * high, rank * out * wide
        return half * first + after * last, first + last + bias
    if kind == "tucker2":
        first, core, last = into * ranks[1], ranks[1] * rank * high * wide, rank * out
        return before * first + after * (core + last), first + core + last + bias
    macs = before * into * rank + half * rank * high + after * rank * (wide + out)
    return macs, rank * (into + high + wide + out) + bias


def options_of(
    layer: Found,
    kinds: Sequence[Kind],
    moment: Moment | None = None,
    *,
    multiple: int = 1,
    cp_error: float = 0.5,
    seed: int = 0,
) -> tuple[list[Option], str]:
    """The ways that save macs or params and cost more of neither; where there are none, why."""
    fitting = [kind for kind in kinds if suits(layer.module, kind)]
    if not fitting:
        return [], f"none of {', '.join(kinds)} is for its kernel"
    whole = dense_costs(layer)
    found: list[Option] = []
    tried = False
    for kind in fitting:
        saving = [
            ranks
            for ranks in _ranks(layer, kind, multiple)
            if _saves(factor_costs(layer, kind, ranks), whole)
        ]
        tried = tried or bool(saving)
        if saving:
            found += _measured(layer, kind, saving, moment, cp_error, seed)
    if found:
        return found, ""
    if tried:
        return [], f"its factors come to no relative error below {cp_error:g}"
    return [], "no rank saves anything"


def _saves(costs: tuple[int, int], whole: tuple[int, int]) -> bool:
    return costs[0] <= whole[0] and costs[1] <= whole[1] and costs != whole


def _ranks(layer: Found, kind: Kind, multiple: int) -> Iterator[tuple[int, ...]]:
    full = full_ranks(layer.module, kind)
    if kind == "tucker2":
        steps = [multiple * max(1, round(most / (_GRID * multiple))) for most in full]
        for outer in range(steps[0], full[0] + 1, steps[0]):
            for inner in range(steps[1], full[1] + 1, steps[1]):
                yield outer, inner
    else:
        yield from ((rank,) for rank in range(multiple, full[0] + 1, multiple))


def _measured(
    layer: Found,
    kind: Kind,
    ranks: Sequence[tuple[int, ...]],
    moment: Moment | None,
    cp_error: float,
    seed: int,
) -> Iterator[Option]:
    """The options with their errors; those that keep nothing, or CP that does not converge, are left out."""
    weight = layer.module.weight.detach().double()
    if kind == "cp":
        ranks = _spread(ranks, _CP_RANKS)
    errors = _errors(weight, kind, ranks, moment, cp_error, seed)
    for each, error in zip(ranks, errors, strict=True):
        if error < 1:
            yield Option(kind, each, error, *factor_costs(layer, kind, each))


def _spread(ranks: Sequence[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    """So many of them, evenly, the last among them."""
    step = -(-len(ranks) // count)
    return list(ranks[::-1][::step])[::-1]


def _errors(
    weight: Tensor,
    kind: Kind,
    ranks: Sequence[tuple[int, ...]],
    moment: Moment | None,
    cp_error: float,
    seed: int,
) -> list[float]:
    """Square roots of the shares lost: of the energy, or of the outputs' variance where the moment is known.

    The mean of the inputs makes most of their energy, and none of what tells pictures apart.
    """
    pixel = None if moment is None else moment.pixel
    telling = 1.0 if moment is None else _telling(weight, kind, moment)
    if kind == "cp":
        found = [_cp_error(weight, rank, pixel, cp_error, seed) for (rank,) in ranks]
        return [error / telling**0.5 for error in found]
    if kind == "tucker2":
        target = weight if pixel is None else torch.einsum("oihw,ij->ojhw", weight, moment_root(pixel)[0])
        energy = tucker2_core(target)[0].square().sum((2, 3)).cumsum(0).cumsum(1)
        kept = torch.stack([energy[outer - 1, inner - 1] for outer, inner in ranks])
        total = energy[-1, -1]
    else:
        sums = _spectrum(weight, kind, moment).cumsum(0)
        kept, total = torch.stack([sums[rank - 1] for (rank,) in ranks]), sums[-1]
    if float(total) == 0:
        return [0.0] * len(ranks)
    return [float(share) for share in ((1 - kept / total).clamp(0, 1) / telling).sqrt()]


def _telling(weight: Tensor, kind: Kind, moment: Moment) -> float:
    """The share of the outputs' energy that is variance, as the kind's moment sees them."""
    matrix, square, mean = columns_of(weight) if weight.dim() == 4 else weight, moment.column, moment.mean
    if kind in ("tucker2", "cp"):
        matrix = weight.permute(0, 2, 3, 1).flatten(0, 2)
        square, mean = moment.pixel, moment.mean.reshape(weight.shape[1], -1).mean(1)
    energy = float(((matrix @ square) * matrix).sum())
    return max(_LEAST_TELLING, 1 - float((matrix @ mean).square().sum()) / energy) if energy else 1.0


def _spectrum(weight: Tensor, kind: Kind, moment: Moment | None) -> Tensor:
    if kind == "svd":
        return spectrum(weight.flatten(1), None if moment is None else moment.pixel)
    return spectrum(columns_of(weight), None if moment is None else moment.column)


def _cp_error(weight: Tensor, rank: int, pixel: Tensor | None, limit: float, seed: int) -> float:
    """The relative error, 1 where it is above the limit."""
    try:
        return cp(weight, rank, pixel, limit=limit, seed=seed)[1]
    except ModelError:
        return 1.0
