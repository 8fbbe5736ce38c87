"""How many weights of which layer become zero.

Between layers weights are compared by their size as it is: on ResNet-20 and 56 that is better than LAMP's share of the
layer (2010.07611) from 70 % zeros on. Within a layer a weight may count as much as what it gives, its size times the root mean square
of its input (Wanda, Sun et al., 2306.11695, equation 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer._text import whole_number
from gossamer.compress.prune.scores import Batches
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.modes import in_eval, taken_off
from gossamer.nn.network import Architecture, last_layer

__all__ = ["LayerZeros", "SparsePlan", "parse_pattern", "plan_zeros", "weight_scores", "zero_mask"]

Layer = nn.Conv2d | nn.Linear
_LEAST = 0.02
"""Share of its weights that every layer keeps."""


@dataclass(frozen=True)
class LayerZeros:
    """Weights of one layer that are zero afterwards, of how many; `pattern` (n, m): n stay of every m inputs."""

    zeros: int
    weights: int
    pattern: tuple[int, int] | None = None


@dataclass(frozen=True)
class SparsePlan:
    """Zeros by layer, and why other layers are left as they are."""

    layers: Mapping[str, LayerZeros]
    left: Mapping[str, str]

    @property
    def zeros(self) -> int:
        """Of all layers together."""
        return sum(each.zeros for each in self.layers.values())

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        layers = {
            name: {
                "zeros": each.zeros,
                "weights": each.weights,
                "pattern": each.pattern and list(each.pattern),
            }
            for name, each in self.layers.items()
        }
        return {"edit": "sparsify", "layers": layers, "left": dict(self.left)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SparsePlan:
        """Read what `to_json` wrote.

        Raises:
            ModelError: a key is missing or of the wrong kind.
        """
        try:
            layers = {
                str(name): LayerZeros(
                    int(each["zeros"]),
                    int(each["weights"]),
                    None if each["pattern"] is None else (int(each["pattern"][0]), int(each["pattern"][1])),
                )
                for name, each in document["layers"].items()
            }
            return cls(layers, {str(k): str(v) for k, v in document["left"].items()})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"a plan of zeros needs layers with zeros, weights and pattern, and left ({type(error).__name__}: {error}); "
                "write it with to_json"
            ) from error


def parse_pattern(text: str) -> tuple[int, int]:
    """`2:4` as (2, 4): two of every four neighbouring inputs stay.

    Raises:
        GossamerError: it is not N:M with N from 1 and below M.
    """
    n, colon, m = text.partition(":")
    if not colon or not 0 < (whole_number(n) or 0) < (whole_number(m) or 0) <= 1024:
        raise GossamerError(f"a pattern is N:M with N from 1 and below M, got {text!r}; write e.g. 2:4")
    return int(n), int(m)


def plan_zeros(
    network: nn.Module,
    *,
    share: float | None = None,
    pattern: tuple[int, int] | None = None,
    everywhere: bool = False,
) -> SparsePlan:
    """Zeros for a `share` of the weights of all layers together (a layer keeps 2 % of its own), or for N:M of each.

    Left as they are: depthwise layers, those that take the picture, and the last (`everywhere` takes them too), and
    with a pattern those whose inputs do not come in groups of M.

    Raises:
        GossamerError: not exactly one of share and pattern, or a share that is none.
        ModelError: the network has no layer that weights could leave.
    """
    layers, left = _layers(network, pattern, everywhere=everywhere)
    if not layers:
        raise ModelError(
            f"{type(network).__name__} has no layer whose weights could be zero ({len(left)} were left: "
            f"{next(iter(left.values()), 'it has no convolutions')}); with everywhere=yes the first and last count too"
        )
    if pattern is not None and share is None:
        return SparsePlan({name: _patterned(layer, pattern) for name, layer in layers.items()}, left)
    if share is None or pattern is not None:
        raise GossamerError(
            "zeros are a share or a pattern of the weights, got both or none; give e.g. share=80%"
        )
    if not 0 < share < 1:
        raise GossamerError(f"a share of zeros is above 0 and below 1, got {share:g}; give e.g. 0.8")
    sizes = {name: _with_the_largest_kept(layer.weight.detach().abs()) for name, layer in layers.items()}
    every = torch.cat([each.flatten() for each in sizes.values()])
    zeros, most = round(share * len(every)), int(every.isfinite().sum())
    if not 0 < zeros <= most:
        raise GossamerError(
            f"{share:g} of {len(every)} weights would be {zeros} zeros, 1 to {most} are possible; give another share"
        )
    counts = _shared_out(sizes, zeros, every.kthvalue(zeros).values)
    return SparsePlan({k: LayerZeros(counts[k], v.numel()) for k, v in sizes.items()}, left)


def _shared_out(sizes: Mapping[str, Tensor], zeros: int, limit: Tensor) -> dict[str, int]:
    """How many zeros each layer gets: all below the limit; of those at it (shared weights are many) its part of the rest."""
    counts = {name: int((each < limit).sum()) for name, each in sizes.items()}
    ties = {name: int((each == limit).sum()) for name, each in sizes.items()}
    rest, seen, given = zeros - sum(counts.values()), 0, 0
    for name, count in ties.items():
        seen += count
        due = rest * seen // sum(ties.values())
        counts[name] += due - given
        given = due
    return counts


def _with_the_largest_kept(sizes: Tensor) -> Tensor:
    kept = sizes.flatten().clone()
    kept[kept.topk(max(1, round(_LEAST * len(kept)))).indices] = torch.inf
    return kept


def _patterned(layer: Layer, pattern: tuple[int, int]) -> LayerZeros:
    (n, m), weights = pattern, layer.weight.numel()
    return LayerZeros(weights * (m - n) // m, weights, pattern)


def weight_scores(network: nn.Module, layers: Mapping[str, Layer], batches: Batches) -> dict[str, Tensor]:
    """Size of each weight, with pictures times the root mean square of its input; shaped as the weights."""
    scores = {name: layer.weight.detach().abs() for name, layer in layers.items()}
    if not batches:
        return scores
    for name, square in _mean_squares(network, layers, batches).items():
        layer = layers[name]
        inputs = layer.weight.shape[1]
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        rows = square.sqrt().view(groups, 1, inputs).expand(-1, layer.weight.shape[0] // groups, -1)
        scores[name] = scores[name] * rows.reshape(-1, inputs, *[1] * (layer.weight.dim() - 2))
    return scores


def zero_mask(scores: Tensor, zeros: int, pattern: tuple[int, int] | None, *, done: float = 1.0) -> Tensor:
    """Of weights with these scores, True where they stay; `done` is the share of the zeros that are due.

    With a pattern the smallest of every m inputs go, in the order of the inputs, at each place of the kernel.
    """
    if pattern is None:
        keep = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
        due = int(done * zeros)
        if due:
            keep[scores.flatten().topk(due, largest=False).indices] = False
        return keep.view(scores.shape)
    n, m = pattern
    due = min(m - n, int(done * (m - n) + 0.999))
    groups = scores.transpose(0, 1).reshape(scores.shape[1] // m, m, -1)
    keep = torch.ones_like(groups, dtype=torch.bool)
    if due:
        keep.scatter_(1, groups.topk(due, dim=1, largest=False).indices, value=False)
    turned = scores.transpose(0, 1)
    return keep.reshape(turned.shape).transpose(0, 1)


def _layers(
    network: nn.Module, pattern: tuple[int, int] | None, *, everywhere: bool
) -> tuple[dict[str, Layer], dict[str, str]]:
    found: dict[str, Layer] = {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }
    if not found:
        return {}, {}
    first = network.image_layers() if isinstance(network, Architecture) else [next(iter(found))]
    left: dict[str, str] = {}
    for name, layer in found.items():
        inputs = layer.weight.shape[1]
        if inputs == 1 and isinstance(layer, nn.Conv2d) and layer.groups > 1 and not everywhere:
            left[name] = "depthwise: each filter has few weights"
        elif name in first and not everywhere:
            left[name] = "it takes the picture"
        elif name == last_layer(network)[0] and not everywhere:
            left[name] = "it gives the scores"
        elif pattern is not None and inputs % pattern[1]:
            left[name] = f"its {inputs} inputs are no multiple of {pattern[1]}"
    return {name: layer for name, layer in found.items() if name not in left}, left


def _mean_squares(network: nn.Module, layers: Mapping[str, Layer], batches: Batches) -> dict[str, Tensor]:
    """Layer -> mean square of each input channel, over all places and pictures."""
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            axis = 1 if isinstance(module, nn.Conv2d) else args[0].dim() - 1
            mean = args[0].movedim(axis, 0).flatten(1).square().mean(1) / len(batches)
            found[name] = found[name] + mean if name in found else mean

        return hook

    handles = [layer.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
    with taken_off(handles), torch.no_grad(), in_eval(network):
        for pictures, _ in batches:
            network(pictures)
    return found
