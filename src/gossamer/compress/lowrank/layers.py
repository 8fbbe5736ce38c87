"""Which layers can be factorised: found by one run that watches who is called and whose weights are read.

A layer is taken only where its module is called once a forward, by itself, and computes what `nn.Conv2d` or
`nn.Linear` computes. Every other convolution or linear layer is named with the reason.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gossamer.errors import ModelError
from gossamer.nn.blocks.reparameterised import RepConv
from gossamer.nn.edits.factorise import Layer

__all__ = ["Found", "find_layers"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """A layer that can be factorised, with the shapes of what it takes and gives."""

    name: str
    module: Layer
    input: Shape
    output: Shape


@dataclass
class _Watch(TorchFunctionMode):
    """Sees parameters that are used while another module runs than theirs."""

    owners: dict[int, str]
    running: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)
    calls: dict[str, list[tuple[Shape, Shape] | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            name = self.owners.get(id(value)) if isinstance(value, Tensor) else None
            if name is not None and self.running[-1:] != [name]:
                self.outside.add(name)
        return func(*args, **(kwargs or {}))


def find_layers(network: nn.Module, example: Sequence[int] | Tensor) -> tuple[list[Found], dict[str, str]]:
    """The layers that can be factorised, and the others: name -> why they stay dense.

    Raises:
        ModelError: the network does not run at the example's shape.
    """
    dense = {name: reason for name, _, reason in _seen(network) if reason}
    modules = {name: module for name, module, reason in _seen(network) if not reason}
    watch = _run(network, tuple(modules), example)
    found: list[Found] = []
    for name, module in modules.items():
        calls = watch.calls.get(name, [])
        if not calls:
            dense[name] = "it is not called as a module, its weights may be read elsewhere"
        elif len(calls) > 1:
            dense[name] = f"it runs {len(calls)} times in one forward"
        elif calls[0] is None:
            dense[name] = "it is not called with one tensor"
        elif name in watch.outside:
            dense[name] = "its parameters are read outside of it"
        else:
            found.append(Found(name, module, *calls[0]))
    return found, dense


def _seen(network: nn.Module) -> Iterator[tuple[str, Layer, str]]:
    """Convolutions and linear layers: name, module, and why not ("" where nothing speaks against it)."""
    places = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    owners = Counter(id(p) for _, p in network.named_parameters(remove_duplicate=False))
    branches = _inside(network, RepConv)
    read = _inside(network, nn.TransformerEncoderLayer)
    for name, module in network.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        reason = _why_not(module)
        if not name:
            reason = "it is the whole network; put it into nn.Sequential"
        elif places[id(module)] > 1:
            reason = "it stands in several places of the network"
        elif any(owners[id(p)] > 1 for p in module.parameters()) and not reason:
            reason = "it shares parameters with another layer"
        elif name.startswith(branches):
            reason = "it is a branch that `fuse` folds; fuse the network first"
        elif name.startswith(read):
            reason = "nn.TransformerEncoderLayer reads its weights itself in eval mode"
        yield name, module, reason


def _inside(network: nn.Module, kind: type[nn.Module]) -> tuple[str, ...]:
    """How names of what lies in modules of that kind begin."""
    return tuple(
        f"{name}." if name else "" for name, each in network.named_modules() if isinstance(each, kind)
    )


def _has_own_forward(module: Layer) -> bool:
    plain, kind = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear, type(module)
    names = ("forward", "_conv_forward", "__call__")
    return "forward" in vars(module) or any(getattr(kind, n, 0) != getattr(plain, n, 0) for n in names)


def _why_not(module: Layer) -> str:
    if parametrize.is_parametrized(module):
        return "its weight is parametrized"
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    if any(hooks):
        return "it has hooks (weight or spectral norm, or your own)"
    if not isinstance(module._parameters.get("weight"), nn.Parameter):
        return "its weight is not a parameter of its own"
    if _has_own_forward(module):
        return f"{type(module).__name__} has a forward of its own"
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return "depthwise" if module.groups == module.in_channels else f"it has {module.groups} groups"
    return ""


def _run(network: nn.Module, names: Sequence[str], example: Sequence[int] | Tensor) -> _Watch:
    """One run without values where the network allows it, else one on random numbers."""
    shape = tuple(example.shape if isinstance(example, Tensor) else example)
    kind = example.dtype if isinstance(example, Tensor) else torch.float32
    values = [t for t in [*network.parameters(), *network.buffers()] if not t.is_meta]
    problem: Exception | None = None
    for device in ("meta", "cpu") if values else ("meta",):
        picture = torch.empty(shape, device="meta", dtype=kind)
        if device == "cpu":
            picture = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(kind)
        try:
            return _watched(copy.deepcopy(network).to(device).eval(), names, picture)
        except Exception as error:  # a stranger's forward may raise anything
            problem = error
    line = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    raise ModelError(
        f"{type(network).__name__} does not run on an input of shape {shape}: {line}; give another example"
    ) from problem


def _watched(twin: nn.Module, names: Sequence[str], picture: Tensor) -> _Watch:
    watch = _Watch({id(p): name for name in names for p in twin.get_submodule(name).parameters()})
    for name in names:

        def enter(_module: nn.Module, _args: Any, _kwargs: Any, name: str = name) -> None:
            watch.running.append(name)

        def leave(_module: nn.Module, args: Any, kwargs: Any, output: Any, name: str = name) -> None:
            watch.running.pop()
            one = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
            shapes = (tuple(args[0].shape), tuple(output.shape)) if one else None
            watch.calls.setdefault(name, []).append(cast("tuple[Shape, Shape] | None", shapes))

        module = twin.get_submodule(name)
        module.register_forward_pre_hook(enter, with_kwargs=True)
        module.register_forward_hook(leave, with_kwargs=True)
    with torch.no_grad(), watch:
        twin(picture)
    return watch
