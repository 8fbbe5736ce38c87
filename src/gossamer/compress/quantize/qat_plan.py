"""Which layer gets how many bits, as data, and what that costs: bytes, and operations by their kind.

A layer's products are multiply-accumulates of small integers (`macs`), shifts where its weights are powers of two, a
shift a term and the additions between them where they are sums of such, additions where they are ternary or binary, and XNORs where its input is binary too. `bops` are bit operations: the sum
of products times weight bits times activation bits, 32 of what stays in float (UNIQ, Baskin et al., 1804.10969).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from gossamer.compress.quantize.pictures import check_network
from gossamer.compress.quantize.qat_layers import Layers, LayerSize, find_quantizable
from gossamer.errors import ModelError, nearest
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.edits.quantize import read_bits, written_bits
from gossamer.nn.layer_bits import Kind, LayerBits
from gossamer.nn.quantizers import apot_terms
from gossamer.nn.shortcut import why_no_shortcut

__all__ = ["USUAL_BITS", "BitCosts", "BitPlan", "plan_bits"]

USUAL_BITS: Mapping[str, int] = {"uniform": 4, "pot": 5, "apot": 4, "ternary": 2, "binary": 1}
"""Of weights, where nobody says."""
_FLOAT_BITS = 32
_LEAST_FAN_IN = 32
"""Below this a sum of signs tells too few values apart."""


@dataclass(frozen=True)
class BitCosts:
    """Of one picture through all convolutions and linear layers."""

    weight_bytes: int
    """Codes and the scales beside them (4 bytes each, those of shortcuts too), 4 bytes a weight that stays in float."""
    weight_bytes_before: int
    macs: int
    adds: int
    """Products of ternary or binary weights, between the terms of apot, and one an output where a shortcut is added."""
    shifts: int
    xnors: int
    bops: int
    bops_before: int


@dataclass(frozen=True)
class BitPlan:
    """Layer -> its bits, and why others stay in float or get other bits than were asked for."""

    layers: Mapping[str, LayerBits]
    sizes: Mapping[str, LayerSize]
    """Of every convolution and linear layer."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Layers in float -> why."""
    spared: Mapping[str, str] = field(default_factory=dict)
    """Layers with more bits than the others -> why."""
    folded: bool = False
    """Whether norms are folded into the layers before they are quantized."""

    def only(self, names: Sequence[str]) -> BitPlan:
        """The same for these layers only."""
        return replace(self, layers={n: b for n, b in self.layers.items() if n in names})

    def costs(self) -> BitCosts:
        """What the planned network costs, and did before."""
        operations = dict.fromkeys(("macs", "adds", "shifts", "xnors"), 0)
        weight_bytes = bops = 0
        for name, size in self.sizes.items():
            bits = self.layers.get(name)
            for kind, count in _operations(bits).items():
                operations[kind] += count * size.macs
            operations["adds"] += size.outputs if bits is not None and bits.shortcut else 0
            weight_bytes += _bytes(bits, size)
            bops += size.macs * _product_bits(bits)
        whole = sum(size.macs for size in self.sizes.values())
        before = 4 * sum(size.weights for size in self.sizes.values())
        return BitCosts(
            weight_bytes=weight_bytes,
            weight_bytes_before=before,
            bops=bops,
            bops_before=whole * _FLOAT_BITS**2,
            **operations,
        )

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object, which is also the structural edit of a `ModelSpec`."""
        return {
            "edit": "quantize",
            "layers": written_bits(self.layers),
            "sizes": {name: asdict(size) for name, size in self.sizes.items()},
            "left": dict(self.left),
            "spared": dict(self.spared),
            "folded": self.folded,
            "costs": asdict(self.costs()),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BitPlan:
        """Read what `to_json` wrote; costs are counted anew.

        Raises:
            ModelError: a key is missing or of the wrong kind, or bits that a kind does not have.
        """
        layers = read_bits(document)
        try:
            sizes = {
                str(name): LayerSize(int(size["weights"]), int(size["out_channels"]), int(size["macs"]))
                for name, size in document["sizes"].items()
            }
            folded = bool(document["folded"])
            left, spared = (
                {str(n): str(why) for n, why in document[key].items()} for key in ("left", "spared")
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"a plan of bits needs layers, sizes, left, spared and folded ({type(error).__name__}: {error}); write it with to_json"
            ) from error
        return cls(layers, sizes, left, spared, folded)


def _operations(bits: LayerBits | None) -> dict[str, int]:
    """What a product of this layer is."""
    if bits is None or bits.weights == "uniform":
        return {"macs": 1}
    if bits.weights == "pot":
        return {"shifts": 1}
    if bits.weights == "apot":
        terms = apot_terms(bits.bits)
        return {"shifts": terms, "adds": terms - 1}
    return {"xnors" if (bits.weights, bits.activation_bits) == ("binary", 1) else "adds": 1}


def _bytes(bits: LayerBits | None, size: LayerSize) -> int:
    if bits is None:
        return 4 * size.weights
    scales = (size.out_channels if bits.per_channel else 1) + (size.out_channels if bits.shortcut else 0)
    return -(-size.weights * bits.bits // 8) + 4 * scales


def _product_bits(bits: LayerBits | None) -> int:
    if bits is None:
        return _FLOAT_BITS**2
    return bits.bits * (bits.activation_bits or _FLOAT_BITS)


def plan_bits(
    network: nn.Module,
    shape: Sequence[int],
    *,
    weights: Kind = "uniform",
    bits: int | None = None,
    activation_bits: int | None = 8,
    first_last: int | None = 8,
    depthwise: int | None = 8,
    per_channel: bool = True,
    fold: bool = False,
    shortcut: bool = True,
    layers: Mapping[str, LayerBits | None] | None = None,
) -> BitPlan:
    """Bits for every layer of a network that takes `shape` (1, bands, H, W).

    `bits` are of weights (4, of pot 5, of apot 4, of ternary 2, of binary 1 without), `activation_bits` of what comes into a
    layer, None for float. The first and last layers get uniform weights and inputs of `first_last` bits, depthwise
    ones of `depthwise`: None leaves them in float. Ternary and binary weights, and binary inputs, are refused to layers
    whose sums have fewer than 32 products, which get 8 bits. `layers` says otherwise for single ones, None is float.

    With `shortcut` what comes into a convolution of binary inputs is added behind its norm, wherever shapes allow.

    With `fold` norms are folded into the layers first: of use at 8 bits, where a runtime then computes in int8 from layer
    to layer; fewer bits train better with their norms.

    Raises:
        ModelError: bits or a kind that there are not, a layer of `layers` that cannot be quantized, weights that are
            not finite, a network that does not run at that shape or is quantized already.
    """
    wanted = LayerBits(
        weights, USUAL_BITS.get(weights, 8) if bits is None else bits, per_channel, activation_bits
    )
    check_network(network)
    network = fuse(network) if fold else network
    found = find_quantizable(network, shape)
    for name in layers or {}:
        if name not in found.sizes:
            raise ModelError(f"the network has no layer {name!r}; {nearest(name, found.sizes)}")
        if name in found.why_not:
            raise ModelError(f"{name!r} cannot be quantized: {found.why_not[name]}; leave it out of layers")
    planned: dict[str, LayerBits] = {}
    left, spared = dict(found.why_not), {}
    for name in found.sizes:
        if name in left:
            continue
        given, why = _bits_of(name, found, wanted, first_last, depthwise)
        if layers is not None and name in layers:
            given, why = layers[name], "as asked"
        if given is None:
            left[name] = why
            continue
        if given != wanted:
            spared[name] = why
        elif shortcut and activation_bits == 1 and not why_no_shortcut(network, name):
            given = replace(given, shortcut=True)
        planned[name] = given
    if not planned:
        raise ModelError("every layer would stay in float; give first_last=8 or depthwise=8")
    return BitPlan(planned, found.sizes, left, spared, fold)


def _bits_of(
    name: str, found: Layers, wanted: LayerBits, first_last: int | None, depthwise: int | None
) -> tuple[LayerBits | None, str]:
    """A layer's bits, and why these where they are not those wanted."""
    if name in found.ends:
        return _uniform(first_last, wanted), "it takes the picture or gives the scores"
    if name in found.depthwise:
        return _uniform(depthwise, wanted), "it is depthwise: few products in a sum"
    coarse = wanted.weights in ("ternary", "binary") or wanted.activation_bits == 1
    fan_in = found.sizes[name].fan_in
    if coarse and fan_in < _LEAST_FAN_IN:
        return _uniform(8, wanted), f"{fan_in} products in a sum are too few for signs"
    return wanted, ""


def _uniform(bits: int | None, wanted: LayerBits) -> LayerBits | None:
    """Even steps of so many bits, for the inputs too where others' are quantized."""
    if bits is None:
        return None
    of_input = None if wanted.activation_bits is None else max(bits, wanted.activation_bits)
    return LayerBits("uniform", bits, wanted.per_channel, of_input)
