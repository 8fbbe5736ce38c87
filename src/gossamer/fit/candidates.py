"""Which networks are worth measuring: the catalogue times resolutions, cuts of pretrained networks, static limits."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel

from gossamer.cost.meter import measure
from gossamer.data.bands import Bands
from gossamer.data.ranges import ValueRange
from gossamer.deploy.contract import InputContract
from gossamer.nn.modes import taken_off
from gossamer.nn.network import Network
from gossamer.runs.resolutions import resolutions_for
from gossamer.runs.trained import NetworkValue, key_of
from gossamer.tasks import get_task, offers_of
from gossamer.types import Budget, Size
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CLASSIFIERS
from gossamer.zoo.composed import trunk_of
from gossamer.zoo.counted import counted
from gossamer.zoo.offer import Offer
from gossamer.zoo.spec import ModelSpec, parse_model
from gossamer.zoo.weights import available_sources

__all__ = ["Candidate", "candidates", "static_excess"]

_TRANSFER_PICTURES = 50_000
_TRANSFER_BONUS = 1.0
_CUT_LOSS = 0.1
"""Top-1 that cutting a network costs per factor of ten in params, beside its macs: a judgement of ours."""
_MIN_CUT_MACS = 1e6


class Candidate(BaseModel):
    """A network at a resolution, before anything is trained."""

    name: str
    """Catalogue name, with `[:k]` where it is cut."""
    size: int
    weights: str | None
    preprocessing: str
    arguments: dict[str, Any] = {}
    """Builder arguments that the weights need beside the catalogue's."""
    edits: list[dict[str, Any]] | None = None
    """Structural edits where the name does not tell them all, of a pruned network."""
    fitting: list[dict[str, Any]] = []
    """The task's edits of the last layer, after all others."""
    contract: dict[str, Any] | None = None
    """Input contract where it is not that of `preprocessing`."""
    value_range: ValueRange | None = None
    """Black and white of pictures of more than 8 bits."""
    resize: str | None = None
    """The resize rule, where it is not the contract's own."""
    params: int
    macs: int
    variant: str = ""
    """What sets it apart from the network of this name: `pruned`."""
    start: str | None = None
    """Weights of the edited network that training starts from, below the run folder."""
    promise: float
    """Order in which candidates are tried: ImageNet top-1 expected from cost, plus 1 where weights are published."""

    @property
    def label(self) -> str:
        """Name and variant, for a person."""
        return f"{self.name}{'-' * bool(self.variant)}{self.variant}"

    @property
    def base(self) -> str:
        """The catalogue's name of the network, whole, cut, or what others are built on."""
        return trunk_of(self.name) or self.name.partition("[")[0]

    @property
    def key(self) -> str:
        return key_of(self.label, Size(self.size, self.size))

    def spec(self, width: int) -> ModelSpec:
        """The network as a value, for so many numbers."""
        spec = parse_model(self.name, **self.arguments, num_classes=width)[0]
        edits = spec.edits if self.edits is None else tuple(self.edits)
        return ModelSpec(spec.name, spec.arguments, (*edits, *self.fitting))

    def value(self, width: int) -> NetworkValue:
        """What goes on to a bundle."""
        return NetworkValue(
            label=self.label,
            spec=self.spec(width).to_json(),
            contract=self.input_contract().to_json(),
            weights=self.weights,
            params=self.params,
            macs=self.macs,
        )

    def with_bands(self, bands: Bands | None) -> Candidate:
        """The same for pictures of named bands. `macs` and `params` are those with three until the file is counted."""
        if bands is None:
            return self
        contract = InputContract.of_bands(bands, self.size).to_json()
        arguments = {**self.arguments, "in_channels": len(bands.names)}
        return self.model_copy(update={"arguments": arguments, "contract": contract})

    def with_range(self, value_range: ValueRange | None) -> Candidate:
        """The same for pictures of more than 8 bits with this black and white."""
        return self.model_copy(update={"value_range": value_range})

    def fitted(self, edits: Sequence[Mapping[str, Any]]) -> Candidate:
        """The same with the task's edits of the last layer."""
        return self.model_copy(update={"fitting": [dict(edit) for edit in edits]})

    def input_contract(self) -> InputContract:
        """What the network is given."""
        if self.contract is not None:
            contract = InputContract.from_json(self.contract)
        else:
            contract = replace(InputContract.of(self.preprocessing, self.size), value_range=self.value_range)
        return contract if self.resize is None else replace(contract, resize=self.resize)


class _Line(NamedTuple):
    """ImageNet top-1 against log10 of macs."""

    intercept: float
    slope: float


def candidates(
    *,
    short_side: int,
    width: int,
    pictures: int,
    online: bool,
    families: Collection[str] | None = None,
    sizes: Sequence[int] | None = None,
    task: str = "classify",
) -> list[Candidate]:
    """Every candidate, most promising first; of some `families` and at some `sizes` where these are given."""
    if (offers := offers_of(task)) is not None:
        offered = offers(
            short_side=short_side,
            width=width,
            pictures=pictures,
            online=online,
            families=families,
            sizes=sizes,
        )
        rule = get_task(task).resize
        return sorted((_offered(offer, rule) for offer in offered), key=lambda c: (-c.promise, c.key))
    line = _published_line()
    found: list[Candidate] = []
    for name, entry in CLASSIFIERS.items():
        if entry.baseline or entry.arguments.get("deploy") or (families and entry.family not in families):
            continue  # what ships of a network with branches is its deploy form, by itself
        sources = available_sources(name, online=online)
        weights = sources[0] if sources else None
        preprocessing = entry.weights[weights].preprocessing if weights else "imagenet"
        arguments = dict(entry.weights[weights].arguments) if weights else {}
        bonus = _TRANSFER_BONUS if weights is not None and pictures < _TRANSFER_PICTURES else 0.0
        sides = sizes or resolutions_for(short_side)
        for label, size, cost, loss in [
            *_whole(name, width, sides),
            *(_cuts(name, width, sides) if weights is not None else ()),
        ]:
            promise = _expected_top1(name, cost.macs, line) + bonus - loss
            found.append(
                Candidate(
                    name=label,
                    size=size,
                    weights=weights,
                    preprocessing=preprocessing,
                    arguments=arguments,
                    params=cost.params,
                    macs=cost.macs,
                    promise=round(promise, 4),
                )
            )
    return sorted(found, key=lambda c: (-c.promise, c.key))


def _offered(offer: Offer, rule: str) -> Candidate:
    """What a task thinks worth trying."""
    return Candidate(
        name=offer.name,
        size=offer.size.height,
        weights=offer.weights,
        preprocessing=offer.preprocessing,
        arguments=dict(offer.arguments),
        resize=rule,
        params=offer.params,
        macs=offer.macs,
        promise=offer.promise,
    )


class _Costs(NamedTuple):
    """What ships of a candidate, or of a part of one."""

    params: int
    macs: int


_Variant = tuple[str, int, _Costs, float]
"""Label, size, cost, and the promise that cutting costs."""


def _whole(name: str, width: int, sizes: Iterable[int]) -> Iterable[_Variant]:
    """The network as it is, at every size it takes: from the shipped table, nothing is built."""
    for size in sizes:
        count = counted(_shipped(name), size)
        if count is not None:
            exact = count.with_classes(width - CLASSIFIERS[name].num_classes)
            yield name, size, _Costs(exact.params, exact.macs), 0.0


def _shipped(name: str) -> str:
    """The entry of what an exported network is: its deploy form where it has one."""
    return f"{name}_deploy" if f"{name}_deploy" in CLASSIFIERS else name


def _cuts(name: str, width: int, sizes: Sequence[int]) -> Iterable[_Variant]:
    """The first blocks of a pretrained network, counted from those of the whole.

    The last two stages that are kept may be kept in part: at an equal size a few blocks of a later stage are worth more
    than all of an earlier one (docs/results.md).
    """
    whole = _shape_of(name, width)
    params = sum(p.numel() for p in whole.parameters())
    parts = {size: _parts_of(whole, size) for size in sizes}
    for kept in _kept_blocks(parts[max(sizes)].outputs):
        counts = [len(stage) for stage in whole.stages][: len(kept)]  # type: ignore[arg-type]
        text = str(len(kept)) if kept == counts else ",".join(map(str, kept))
        for size in sizes:
            cost = parts[size].of(kept, width)
            if parts[max(sizes)].of(kept, width).macs >= _MIN_CUT_MACS:
                yield f"{name}[:{text}]", size, cost, _CUT_LOSS * math.log10(params / cost.params)


class _Parts(NamedTuple):
    """What stem and blocks of a network cost at a size, by stage, and what each gives out."""

    stem: _Costs
    blocks: list[list[_Costs]]
    outputs: list[list[tuple[int, ...]]]

    def of(self, kept: Sequence[int], width: int) -> _Costs:
        """What the first blocks of the first stages cost with a plain classifier of `width` numbers on top."""
        blocks = [cost for stage, count in zip(self.blocks, kept, strict=False) for cost in stage[:count]]
        channels = self.outputs[len(kept) - 1][kept[-1] - 1][1]
        return _Costs(
            self.stem.params + sum(cost.params for cost in blocks) + (channels + 1) * width,
            self.stem.macs + sum(cost.macs for cost in blocks) + channels * width,
        )


def _parts_of(network: Network, size: int) -> _Parts:
    layers = {layer.name: layer for layer in measure(network, (1, 3, size, size)).layers}
    names = [[f"stages.{i}.{k}" for k in range(len(stage))] for i, stage in enumerate(network.stages)]  # type: ignore[arg-type]

    def cost(part: str) -> _Costs:
        macs = sum(each.macs for name, each in layers.items() if name == part or name.startswith(f"{part}."))
        return _Costs(sum(p.numel() for p in network.get_submodule(part).parameters()), macs)

    return _Parts(
        cost("stem"),
        [[cost(name) for name in stage] for stage in names],
        _outputs(network, size),
    )


def _outputs(network: Network, size: int) -> list[list[tuple[int, ...]]]:
    """Shapes that the blocks of each stage give out for a square picture."""
    shapes: list[list[tuple[int, ...]]] = [[] for _ in network.stages]
    hooks = [
        block.register_forward_hook(lambda *call, row=row: row.append(tuple(call[-1].shape)))
        for stage, row in zip(network.stages, shapes, strict=True)
        for block in stage  # type: ignore[attr-defined]
    ]
    with taken_off(hooks), torch.no_grad():
        network(torch.zeros(1, 3, size, size, device="meta"))
    return shapes


def _kept_blocks(outputs: Sequence[Sequence[tuple[int, ...]]]) -> Iterable[list[int]]:
    """Blocks of the first stages, three stages or more; a stage before the last is whole but for the one before it.

    A block that gives out something else than its stage does is no place to cut: what follows would not fit.
    """
    allowed = [[k for k, out in enumerate(stage, 1) if out == stage[-1]] for stage in outputs]
    full = [len(stage) for stage in outputs]
    for stages in range(len(full), 2, -1):
        for before in allowed[stages - 2]:
            for last in allowed[stages - 1]:
                kept = [*full[: stages - 2], before, last]
                if kept != full:
                    yield kept


def _shape_of(name: str, width: int) -> Network:
    """The network without weights: made on the meta device, so that nothing is drawn or stored."""
    with torch.device("meta"):
        network = build(name, num_classes=width).eval()
    assert isinstance(network, Network)
    return network


def _published_line() -> _Line:
    """Least squares of published ImageNet top-1 on log10 of published macs; SqueezeNet and baselines are off the line."""
    rows = [
        (math.log10(p.macs), p.top1)
        for e in CLASSIFIERS.values()
        if e.family != "SqueezeNet"
        and not e.baseline
        and (p := e.published) is not None
        and p.macs
        and p.top1
    ]
    slope, intercept = np.polyfit([macs for macs, _ in rows], [top1 for _, top1 in rows], 1)
    return _Line(float(intercept), float(slope))


def _expected_top1(name: str, macs: int, line: _Line) -> float:
    """Published top-1 moved along the line to these macs; the line itself where nothing is published."""
    shipped = CLASSIFIERS[_shipped(name)]
    published = shipped.published or CLASSIFIERS[name].published
    count = counted(_shipped(name), shipped.input)
    if published is None or published.top1 is None or count is None:
        return line.intercept + line.slope * math.log10(macs)
    return published.top1 + line.slope * math.log10(macs / count.macs)


def static_excess(candidate: Candidate, budget: Budget) -> dict[str, float]:
    """What the candidate needs of each limit that can be judged without running it, as a multiple of the limit.

    Size is judged at one byte a parameter, which no precision here undercuts.
    """
    needs = {
        "params": float(candidate.params),
        "macs": float(candidate.macs),
        "size": float(candidate.params),
    }
    return {
        limit.metric: needs[limit.metric] / limit.value
        for limit in budget.limits
        if limit.metric in needs and not limit.holds(needs[limit.metric])
    }
