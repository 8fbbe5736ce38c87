"""Which layers become factors, of which kind and rank: one budget for the whole network, met with the least energy lost.

The energy that a layer keeps is the share of |W|^2, with calibration pictures that of its outputs' variance, from which
the error |(W - W') C^(1/2)|^2 is taken (C the second moment of its input); what is made greatest is the product of the layers' energies (Zhang et al., 1505.06798,
section 2.4), which leaves no layer with almost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypedDict, cast

import torch
from torch import Tensor, nn

from gossamer.compress.lowrank.choose import Choice, choose
from gossamer.compress.lowrank.layers import Found, find_layers
from gossamer.compress.lowrank.moments import second_moments
from gossamer.compress.lowrank.options import Option, dense_costs, options_of
from gossamer.compress.lowrank.timing import LayerTimer
from gossamer.cost.meter import measure
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.edits.factorise import KINDS, Kind, make_factors, read_layers

__all__ = ["FactorChoices", "FactorPlan", "Factors", "plan_factors"]

_TOLERANCE = 1e-12
_COUNTS = ("macs", "macs_before", "params", "params_before")


@dataclass(frozen=True)
class Factors:
    """What takes a layer's place, and what that costs and loses."""

    kind: Kind
    ranks: tuple[int, ...]
    """(r,), of tucker2 (r_out, r_in)."""
    error: float
    """|W - W'| / |W|, or with pictures of the outputs; of tucker2 as HOSVD has it, HOOI does not do worse."""
    macs: int
    macs_before: int
    params: int
    params_before: int


@dataclass(frozen=True)
class FactorPlan:
    """Layer -> its factors, and why the other convolutions and linear layers stay dense."""

    layers: Mapping[str, Factors]
    dense: Mapping[str, str]
    macs: int
    macs_before: int
    params: int
    params_before: int
    calibrated: bool = False
    """Whether calibration pictures were looked at; applying the plan needs them again."""
    cp_error: float = 0.5
    seed: int = 0
    note: str = ""
    """What the network reaches where that is less than was asked for, and why."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object, which is also the structural edit of a `ModelSpec`."""
        document = asdict(self)
        document["layers"] = {
            name: {**asdict(each), "ranks": list(each.ranks)} for name, each in self.layers.items()
        }
        return {"edit": "factorise", **document, "dense": dict(self.dense)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FactorPlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        ranks = read_layers(document)
        try:
            layers = {
                name: Factors(
                    kind=cast(Kind, kind),
                    ranks=found,
                    error=float(document["layers"][name]["error"]),
                    **{key: int(document["layers"][name][key]) for key in _COUNTS},
                )
                for name, (kind, found) in ranks.items()
            }
            return cls(
                layers,
                {str(name): str(reason) for name, reason in document["dense"].items()},
                **{key: int(document[key]) for key in _COUNTS},
                calibrated=bool(document["calibrated"]),
                cp_error=float(document["cp_error"]),
                seed=int(document["seed"]),
                note=str(document["note"]),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                "a factor plan needs layers, dense, macs, params, calibrated, cp_error, seed and note "
                f"({type(error).__name__}: {error}); write it with to_json"
            ) from error


class FactorChoices(TypedDict, total=False):
    """How factors are chosen; the defaults stand at `plan_factors`."""

    kinds: Sequence[Kind]
    multiple: int
    timer: LayerTimer | None
    cp_error: float
    seed: int


def plan_factors(
    network: nn.Module,
    example: Sequence[int] | Tensor,
    *,
    macs: float | None = None,
    params: float | None = None,
    kinds: Sequence[Kind] = ("svd", "spatial-svd", "tucker2"),
    calibration: Tensor | None = None,
    multiple: int = 8,
    timer: LayerTimer | None = None,
    cp_error: float = 0.5,
    seed: int = 0,
) -> FactorPlan:
    """Choose layers, kinds and ranks so that macs, or params, are at most this share of what they were.

    `calibration` are prepared pictures (N, C, H, W): with them the outputs' error on these counts instead of the
    weights'. Ranks are multiples of `multiple`, which fill a processor's vectors. `timer` (`timing.runtime_timer`)
    compares each layer with its factors; where those are not faster it stays dense, the budget may then be missed,
    and `note` says so. CP, unstable by its nature, is used only where `kinds` names it, and at relative errors of at
    most `cp_error`.

    Raises:
        GossamerError: not exactly one target, or a number outside its range.
        ModelError: the network does not run, has no weights, or cannot be made so small.
    """
    _check(macs, params, kinds, multiple, cp_error)
    if any(tensor.is_meta for tensor in network.parameters()):
        raise ModelError(
            "factors are made of weights, got a network on the meta device; give one with values"
        )
    what: Literal["macs", "params"] = "macs" if macs is not None else "params"
    target = (macs if macs is not None else params) or 0.0
    layers, dense = find_layers(network, example)
    moments = {} if calibration is None else second_moments(network, calibration, [e.name for e in layers])
    menus: dict[str, list[Option]] = {}
    for layer in layers:
        moment = moments.get(layer.name)
        found, reason = options_of(layer, kinds, moment, multiple=multiple, cp_error=cp_error, seed=seed)
        menus[layer.name] = [each for each in found if _saving(layer, each, what) > 0]
        if not menus[layer.name]:
            dense[layer.name] = reason or f"no rank saves {what}"
    whole = measure(network, example)
    taken = _taken(layers, menus, what, whole.macs if what == "macs" else whole.params, target)
    dense = {**{name: "the budget is met without it" for name in menus if name not in taken}, **dense}
    slow = {} if timer is None else _slow(layers, taken, timer)
    factors = {
        each.name: _factors(each, taken[each.name]) for each in layers if each.name in {*taken} - {*slow}
    }
    plan = FactorPlan(
        factors,
        {**dense, **slow},
        whole.macs + sum(each.macs - each.macs_before for each in factors.values()),
        whole.macs,
        whole.params + sum(each.params - each.params_before for each in factors.values()),
        whole.params,
        calibration is not None,
        cp_error,
        seed,
    )
    return replace(plan, note=_note(plan, what, target, len(slow)))


def _note(plan: FactorPlan, what: str, target: float, slow: int) -> str:
    """The truth where slow factors cost the target."""
    after, before = (plan.macs, plan.macs_before) if what == "macs" else (plan.params, plan.params_before)
    if after <= before * target * (1 + _TOLERANCE):
        return ""
    return f"{what} come to {after / before:.1%}, not {target:.1%}: factors of {slow} layers are not faster"


def _check(
    macs: float | None, params: float | None, kinds: Sequence[str], multiple: int, cp_error: float
) -> None:
    given = [value for value in (macs, params) if value is not None]
    if len(given) != 1:
        raise GossamerError(f"a plan has one target, macs or params, got {len(given)}; give e.g. macs=0.5")
    if not 0 < given[0] <= 1:
        raise GossamerError(
            f"a target is a share above 0 and at most 1 of what stays, got {given[0]:g}; give e.g. 0.5"
        )
    _check_settings(kinds, multiple, cp_error)


def _check_settings(kinds: Sequence[str], multiple: int, cp_error: float) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise GossamerError(
            f"kinds are some of {', '.join(KINDS)}, got {', '.join(unknown) or 'none'}; name one"
        )
    if multiple < 1 or not 0 < cp_error < 1:
        raise GossamerError(
            f"multiple is at least 1 and cp_error between 0 and 1, got {multiple} and {cp_error:g}; give e.g. 8 and 0.5"
        )


def _saving(layer: Found, option: Option, what: str) -> int:
    macs, params = dense_costs(layer)
    return macs - option.macs if what == "macs" else params - option.params


def _taken(
    layers: Sequence[Found], menus: Mapping[str, Sequence[Option]], what: str, before: int, target: float
) -> dict[str, Option]:
    """The options chosen, by layer."""
    needed = before - int(before * target * (1 + _TOLERANCE))
    choices = [
        [Choice(_saving(layer, option, what), option.loss) for option in menus[layer.name]]
        for layer in layers
    ]
    most = sum(max((choice.saved for choice in menu), default=0) for menu in choices)
    if most < needed:
        raise ModelError(
            f"{target:.1%} of the {what} cannot be reached by these factors: {1 - most / before:.1%} stays with every layer "
            "at its lowest rank; ask for more, or prune first"
        )
    places = choose(choices, needed)
    return {
        layer.name: menus[layer.name][place]
        for layer, place in zip(layers, places, strict=True)
        if place is not None
    }


def _factors(layer: Found, option: Option) -> Factors:
    macs, params = dense_costs(layer)
    return Factors(option.kind, option.ranks, option.error, option.macs, macs, option.params, params)


def _slow(layers: Sequence[Found], taken: Mapping[str, Option], timer: LayerTimer) -> dict[str, str]:
    """Layers whose factors take as long or longer: name -> both times."""
    found: dict[str, str] = {}
    for layer in layers:
        option = taken.get(layer.name)
        if option is None:
            continue
        with torch.random.fork_rng(devices=[]):
            row = make_factors(layer.module, option.kind, option.ranks)
        dense_ms, factors_ms = timer(layer.module, row, layer.input)
        if factors_ms >= dense_ms:
            found[layer.name] = f"its factors are not faster ({factors_ms:.3f} ms, dense {dense_ms:.3f} ms)"
    return found
