"""Pruning to a target: a share or a number of macs, params or bytes; a share of the measured latency stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from torch import Tensor, nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Prunable, Scope, quantity_of
from gossamer.compress.prune.repair import repair
from gossamer.compress.prune.scores import Batches, Importance
from gossamer.errors import GossamerError
from gossamer.nn.objective import CLASS_SCORES, Objective

__all__ = ["Choices", "one_target", "plan_pruning", "prune"]


class Choices(TypedDict, total=False):
    """How channels are chosen; the defaults stand at `plan_pruning`."""

    importance: Importance
    scope: Scope
    multiple: int
    floor: float
    keep: Sequence[str]
    batches: Batches
    seed: int


def plan_pruning(
    network: nn.Module,
    example: Sequence[int] | Tensor,
    *,
    macs: float | None = None,
    params: float | None = None,
    bytes: float | None = None,
    importance: Importance = "l2",
    scope: Scope = "auto",
    multiple: int = 1,
    floor: float = 0.1,
    keep: Sequence[str] = (),
    batches: Batches = (),
    objective: Objective = CLASS_SCORES,
    seed: int = 0,
) -> PrunePlan:
    """Choose channels to keep so that macs, params or bytes of weights are at most the target, and close to it.

    A target up to 1 is a share of what there was, from 1000 on a number. `scope` "global" compares all layers' channels,
    "layer" takes the same share of each, "auto" does what the importance is fit for. Layers keep a `multiple` of channels (where they have that many), and a share
    of at least `floor`; `keep` names layers (or patterns of names) to leave whole. `batches` are pictures for the
    importances that need them, `objective` says what outputs stand for.

    Raises:
        GossamerError: not exactly one target, or a value out of its range.
        ModelError: the network cannot be followed, has nothing to prune, or not enough for the target.
    """
    given = {"macs": macs, "params": params, "bytes": bytes}
    what, value = one_target(given)
    prunable = Prunable(
        network,
        example,
        importance=importance,
        batches=batches,
        multiple=multiple,
        floor=floor,
        keep=keep,
        objective=objective,
        seed=seed,
    )
    share = prunable.share_of(what, value, network)
    return prunable.plan(prunable.choose(share, what=quantity_of(what), scope=scope))


def one_target(given: Mapping[str, float | None], *, least_number: float = 1000.0) -> tuple[str, float]:
    """The one that is given: a share up to 1, or a number from `least_number` on; between them it is a mistake.

    Raises:
        GossamerError: none, several, or a value that is neither.
    """
    known = {name: value for name, value in given.items() if value is not None}
    if len(known) != 1:
        raise GossamerError(
            f"a plan has one target of {', '.join(given)}, got {len(known)}; give e.g. macs=0.5"
        )
    ((what, value),) = known.items()
    if not (0 < value <= 1 or least_number <= value < float("inf")):
        raise GossamerError(
            f"a target is a share above 0 and at most 1 of what stays, or a number from {least_number:g}, got {value:g}; "
            "give e.g. 0.5"
        )
    return what, value


def prune(
    network: nn.Module,
    example: Sequence[int] | Tensor,
    *,
    macs: float | None = None,
    params: float | None = None,
    bytes: float | None = None,
    **choices: Unpack[Choices],
) -> nn.Module:
    """A smaller network with at most this share of the macs, params or bytes, checked against the masked one.

    See `plan_pruning` for the arguments; the network given is left as it is. What the removed channels gave on the
    average is put into biases and norms, and with `batches` the layers behind them are fitted to what they gave before
    (`repair`). Weights are not trained.

    Raises:
        GossamerError, ModelError: as `plan_pruning`, and where the pruned network does not give the masked one's scores.
    """
    plan = plan_pruning(network, example, macs=macs, params=params, bytes=bytes, **choices)
    pruned = apply_pruning(network, plan)
    if any(tensor.is_meta for tensor in network.parameters()):
        return pruned
    shape = tuple(example.shape) if isinstance(example, Tensor) else tuple(example)
    check_pruned(network, pruned, plan, shape)
    return repair(network, pruned, plan, shape, batches=choices.get("batches", ()))
