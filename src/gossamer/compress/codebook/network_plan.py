"""How a whole network is packed, as data, and the weights that its file gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.deploy.runtimes.packed.codecs import distinct_values
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack, unpack
from gossamer.errors import ModelError

__all__ = ["HALF", "NetworkPackPlan", "as_decoded", "file_plan", "plan_codebooks", "plan_products"]

Array = NDArray[Any]
HALF = TensorPlan("raw", {"dtype": "float16"})
LARGEST_HALF = 60_000.0
"""Tensors up to this may be kept as fp16."""
_FALLBACK_BITS = 8
_WEIGHTS_A_CODE = 4
"""Sub-vectors are shared where the tensor has at least so many for each shared one."""


@dataclass(frozen=True)
class NetworkPackPlan:
    """Codecs of a network's tensors (norms folded); what it does not name is kept exactly."""

    tensors: PackPlan = field(default_factory=PackPlan)
    values: Mapping[str, Array] = field(default_factory=dict, compare=False, repr=False)
    """What the file gives back, where it was decided by more than the codec (rounding with feedback); not in JSON."""

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {"edit": "pack", **self.tensors.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> NetworkPackPlan:
        """Read what `to_json` wrote; weights are then rounded to the nearest value.

        Raises:
            ModelError: a key is missing, unknown or of the wrong kind.
        """
        return cls(PackPlan.from_json(document))

    def only(self, parts: Sequence[str]) -> NetworkPackPlan:
        """The same plan for these layers: `NAME.weight` and `NAME.bias` belong to the part NAME."""
        names = [name for name in self.tensors.tensors if name.rpartition(".")[0] in parts]
        return NetworkPackPlan(
            replace(self.tensors, tensors={name: self.tensors.tensors[name] for name in names}),
            {name: self.values[name] for name in names if name in self.values},
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """The layers that lose something, in the order of the network."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.tensors.tensors))


def plan_codebooks(tensors: Mapping[str, Array], layers: Sequence[str], bits: int) -> dict[str, TensorPlan]:
    """2**bits shared values (fp16) for the weights of these layers, by k-means; their biases and small tensors in fp16."""
    codebook = TensorPlan("codebook", {"bits": bits, "dtype": "float16"})
    return _of_layers(tensors, layers, lambda tensor: codebook if tensor.size > 2 << bits else HALF)


def plan_products(
    tensors: Mapping[str, Array], layers: Sequence[str], width: int, codes: int
) -> dict[str, TensorPlan]:
    """Shared sub-vectors of `width` weights; 8-bit codebooks where a tensor has too few of them (Stock et al., 2020)."""
    product = TensorPlan("product", {"width": width, "codes": codes})
    codebook = TensorPlan("codebook", {"bits": _FALLBACK_BITS, "dtype": "float16"})

    def chosen(tensor: Array) -> TensorPlan:
        if tensor.size >= _WEIGHTS_A_CODE * width * codes:
            return product
        return codebook if tensor.size > 2 << _FALLBACK_BITS else HALF

    return _of_layers(tensors, layers, chosen)


def _of_layers(tensors: Mapping[str, Array], layers: Sequence[str], chosen: Any) -> dict[str, TensorPlan]:
    plans = {}
    for layer in layers:
        for name in (f"{layer}.weight", f"{layer}.bias"):
            tensor = tensors.get(name.lstrip("."))
            if tensor is None or tensor.dtype != np.float32 or np.abs(tensor).max(initial=0.0) > LARGEST_HALF:
                continue
            plans[name.lstrip(".")] = chosen(tensor) if tensor.ndim > 1 else HALF
    return {name: plan for name, plan in plans.items() if not _shared_already(tensors[name], plan)}


def _shared_already(tensor: Array, plan: TensorPlan) -> bool:
    """Whether a tensor has as few values as its codebook would: packing it again loses nothing."""
    return plan.codec == "codebook" and distinct_values(tensor, 1 << plan.settings["bits"]) is not None


def as_decoded(tensors: Mapping[str, Array], plan: NetworkPackPlan) -> dict[str, Array]:
    """The tensors as a file packed by this plan gives them back.

    Raises:
        ModelError: the plan names a tensor that is not there, or a codec refuses its tensor.
    """
    found = dict(tensors)
    for name, each in plan.tensors.tensors.items():
        if name not in tensors:
            raise ModelError(
                f"a packing plan names tensors of the network with its norms folded, {name!r} is none; plan anew"
            )
        if name in plan.values:
            found[name] = plan.values[name]
        else:
            found[name] = unpack(pack({name: tensors[name]}, PackPlan({name: each})))[name]
    return found


def file_plan(plan: PackPlan, names: Sequence[str]) -> PackPlan:
    """The plan that packs tensors which `as_decoded` gave, for those in the file, without losing any more.

    A codebook is taken as it is instead of found again; the other codecs give back what they gave before.
    """
    exact = {
        name: TensorPlan("codebook", {**_kept(each.settings), "exact": True})
        if each.codec == "codebook"
        else each
        for name, each in plan.tensors.items()
        if name in names
    }
    return replace(plan, tensors=exact)


def _kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key in ("dtype", "positions")}
