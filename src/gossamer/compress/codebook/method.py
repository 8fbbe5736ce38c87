"""Packing as a method, the last of a chain: `pack`, `pack:bits=6`, `pack:pq=4`, `pack:size=0.4MB`.

The network that comes out has the weights that its file gives back, so that whoever judges it judges the file. See
`network_file` for the file itself.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gossamer.compress.codebook.calibrate import network_tensors
from gossamer.compress.codebook.network_file import contract_of, folded, network_file, split_network
from gossamer.compress.codebook.network_plan import (
    HALF,
    LARGEST_HALF,
    NetworkPackPlan,
    as_decoded,
    plan_codebooks,
    plan_products,
)
from gossamer.compress.codebook.sized import calibrated, choose_steps, coarsest_steps
from gossamer.compress.codebook.steps import StepChoice
from gossamer.compress.method import Plan, Proposal, Work
from gossamer.deploy.runtimes.packed.integers import Coder
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.errors import GossamerError

__all__ = ["Pack", "PackWork"]

Array = NDArray[Any]
LEAST_BYTES = 1000
_SIZE_TRIES = 4
_SLACK_BYTES = 16


@dataclass(frozen=True)
class PackWork(Work):
    """Work that also knows what the file will carry beside the network: it counts for the file's size."""

    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pack:
    """A packed file: `bits` of k-means codebooks, `pq` weights a shared sub-vector, `size` in bytes, or without loss."""

    bits: int | None = None
    size: float | None = None
    pq: int | None = None
    codes: int = 256
    coder: Coder = "rans"
    name: str = "pack"
    place: ClassVar[int] = 4
    spoils: ClassVar[str] = (
        "a packed network's weights are those of its file, which the next method would change again"
    )

    def propose(self, network: nn.Module, work: Work) -> Proposal:
        """Parts are the layers that lose something: none where nothing is asked for."""
        self.check_settings()
        whole = folded(network)
        tensors = network_tensors(whole)
        layers = _layers(whole, tensors)
        if self.size is not None:
            plan, notes = self._sized(whole, tensors, layers, work, int(self.size))
        else:
            plans: dict[str, TensorPlan] = {}
            if self.bits is not None:
                plans = plan_codebooks(tensors, layers, self.bits)
            elif self.pq is not None:
                plans = plan_products(tensors, layers, self.pq, self.codes)
            plan = self._with_values(tensors, plans)
            notes = []
        size = len(network_file(_filled(whole, tensors, plan), contract_of(work.shape), plan.tensors, {}))
        weights = sum(tensor.nbytes for tensor in tensors.values())
        notes.append(
            f"{len(plan.parts)} of {len(layers)} layers lose something; {size:,} bytes and what the file tells of itself, of "
            f"{weights:,} bytes of weights"
        )
        return Proposal(plan.parts, plan.only, tuple(notes))

    def check_settings(self) -> None:
        """Raises GossamerError for settings that exclude one another or cannot be."""
        given = [name for name in ("bits", "size", "pq") if getattr(self, name) is not None]
        if len(given) > 1:
            raise GossamerError(
                f"pack takes one of bits, size and pq, got {' and '.join(given)}; leave one out"
            )
        self._check_values()

    def _check_values(self) -> None:
        if self.bits is not None and not 1 <= self.bits <= 16:
            raise GossamerError(f"pack: bits is from 1 to 16, got {self.bits}; write e.g. pack:bits=6")
        if self.size is not None and self.size < LEAST_BYTES:
            raise GossamerError(
                f"pack: size is in bytes, at least {LEAST_BYTES}, got {self.size:g}; write e.g. pack:size=0.4MB"
            )
        if self.pq is not None and not 2 <= self.pq <= 64:
            raise GossamerError(
                f"pack: pq is from 2 to 64 weights a sub-vector, got {self.pq}; write e.g. pack:pq=4"
            )
        if not 2 <= self.codes <= 65_536:
            raise GossamerError(
                f"pack: codes is from 2 to 65536, got {self.codes}; write e.g. pack:pq=4,codes=256"
            )

    def _with_values(self, tensors: Mapping[str, Array], plans: Mapping[str, TensorPlan]) -> NetworkPackPlan:
        """The plan with what it makes of the weights, found once."""
        plan = NetworkPackPlan(PackPlan(plans, self.coder))
        decoded = as_decoded(tensors, plan)
        return replace(plan, values={name: decoded[name] for name in plans})

    def _sized(
        self,
        whole: nn.Module,
        tensors: dict[str, Array],
        layers: list[str],
        work: Work,
        target: int,
    ) -> tuple[NetworkPackPlan, list[str]]:
        """Steps by price until the real file, graph and metadata included, has the size."""
        metadata = dict(work.metadata) if isinstance(work, PackWork) else {}
        if (spec := getattr(whole, "spec", None)) is not None and "model" in metadata:
            metadata["model"] = spec.summary()
        contract = contract_of(work.shape)
        split = split_network(whole, contract)
        stored = {tensor.tobytes() for tensor in split.tensors.values()}
        used = {name: tensor for name, tensor in tensors.items() if tensor.tobytes() in stored}
        weights = {name: used[name] for layer in layers if (name := f"{layer}.weight") in used}
        known = calibrated(
            whole, weights, [pictures for pictures, _ in work.batches], work.seed, work.objective
        )
        halves = _halved(used, layers, known.biases.values())
        aim = target - (
            len(network_file(whole, contract, PackPlan(), metadata)) - _packed_bytes(used, metadata)
        )
        halved = {**used, **halves}

        def file_of(choice: StepChoice) -> tuple[NetworkPackPlan, int]:
            plan = self._of_steps(used, choice, halves)
            return plan, len(network_file(_filled(whole, tensors, plan), contract, plan.tensors, metadata))

        for _ in range(_SIZE_TRIES):
            choice, reached = choose_steps(halved, aim, known, metadata, self.coder)
            plan, size = file_of(choice)
            if size <= target or not reached:
                break
            aim -= size - target + _SLACK_BYTES
        if size > target:
            coarse, least = file_of(coarsest_steps(halved, known, metadata, self.coder))
            if least <= target:  # what was reckoned is a few bytes from what the file has
                plan, size = coarse, least
        told = "" if size <= target else f", {target:,} were asked for and cannot be reached"
        heard = (
            "" if work.batches else "; without pictures every layer's relative error counts alike (--data)"
        )
        return plan, [f"{size:,} bytes{told}{heard}"]

    def _of_steps(
        self, used: Mapping[str, Array], choice: StepChoice, halves: Mapping[str, Array]
    ) -> NetworkPackPlan:
        plans = dict(choice.plan.tensors)
        if plans:  # else all is kept exactly
            plans |= dict.fromkeys(halves, HALF)
        values = {**choice.tensors, **halves}
        return NetworkPackPlan(
            PackPlan({name: plans[name] for name in used if name in plans}, self.coder),
            {name: values[name] for name in plans},
        )

    def apply(self, network: nn.Module, plan: Plan, work: Work) -> nn.Module:
        """Norms folded, and the weights as the file gives them back.

        Raises:
            GossamerError: the plan is of another method.
        """
        if not isinstance(plan, NetworkPackPlan):
            raise GossamerError(f"pack applies plans of its own, got a {type(plan).__name__}")
        whole = folded(network)
        return _filled(whole, network_tensors(whole), plan)

    def read(self, document: Mapping[str, Any]) -> Plan:
        """See `NetworkPackPlan`."""
        return NetworkPackPlan.from_json(document)

    def milder(self, share: float) -> Pack:
        """The same: nothing is trained after packing, so the guard backs off layer by layer."""
        return self


def _layers(network: nn.Module, tensors: Mapping[str, Array]) -> list[str]:
    """Names of the modules whose `weight` is a matrix or a stack of filters."""
    names = [name for name, _ in network.named_modules()]
    return [
        name for name in names if (weight := tensors.get(f"{name}.weight")) is not None and weight.ndim > 1
    ]


def _filled(whole: nn.Module, tensors: Mapping[str, Array], plan: NetworkPackPlan) -> nn.Module:
    """A copy of the folded network with the weights of the file."""
    decoded = as_decoded(tensors, plan)
    made = copy.deepcopy(whole)
    made.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in decoded.items()})
    return made.eval()


def _halved(used: Mapping[str, Array], layers: list[str], rounded: Any) -> dict[str, Array]:
    """Biases that no step is chosen for, as fp16 holds them."""
    names = {f"{layer}.bias" for layer in layers} - set(rounded)
    return {
        name: used[name].astype(np.float16).astype(np.float32)
        for name in used
        if name in names and np.abs(used[name]).max(initial=0.0) <= LARGEST_HALF
    }


def _packed_bytes(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> int:
    return len(pack(tensors, metadata=metadata))
