"""Counting what a network costs on the meta device: no weights, no memory, any torch module.

Definitions (one inference at the given input, fp32, eager, batch norm not folded):
macs            multiply-accumulates of convolutions and matrix products
params          learnable numbers; param_bytes their bytes
bytes_read      operands each operator reads, activations only; bytes_written what it writes
peak_bytes      the largest sum of activations alive at once
uncounted       operators that compute but have no formula here: their macs are missing from the sum
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gossamer.cost.figures import Cost, LayerCost
from gossamer.cost.formulas import convolution_macs, matmul_macs
from gossamer.errors import ModelError

__all__ = ["Cost", "LayerCost", "measure"]

_aten = torch.ops.aten


def _conv(arguments: Sequence[Any], output: Any) -> int:
    weight = arguments[1].shape
    if len(arguments) > 6 and arguments[6]:  # transposed: every input pixel meets the whole kernel
        return convolution_macs(weight, arguments[0].shape)
    return convolution_macs(weight, output.shape)


_MACS: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    _aten.convolution: _conv,
    _aten.mm: lambda a, _: matmul_macs(a[0].shape, a[1].shape),
    _aten.bmm: lambda a, _: matmul_macs(a[0].shape, a[1].shape),
    _aten.addmm: lambda a, _: matmul_macs(a[1].shape, a[2].shape),
    _aten.baddbmm: lambda a, _: matmul_macs(a[1].shape, a[2].shape),
}
_ELEMENTWISE = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "pow",
        "sqrt",
        "rsqrt",
        "exp",
        "log",
        "sigmoid",
        "tanh",
        "relu",
        "relu_",
        "hardtanh",
        "hardtanh_",
        "hardswish",
        "hardswish_",
        "hardsigmoid",
        "hardsigmoid_",
        "silu",
        "silu_",
        "gelu",
        "leaky_relu",
        "leaky_relu_",
        "elu",
        "mish",
        "clamp",
        "clamp_min",
        "clamp_max",
        "add_",
        "mul_",
        "sub_",
        "div_",
        "maximum",
        "minimum",
        "where",
        "abs",
        "erf",
        "native_batch_norm",
        "_native_batch_norm_legit_no_training",
        "native_layer_norm",
        "native_group_norm",
        "_softmax",
        "_log_softmax",
        "mean",
        "sum",
        "amax",
        "max_pool2d_with_indices",
        "avg_pool2d",
        "_adaptive_avg_pool2d",
        "cat",
        "constant_pad_nd",
        "reflection_pad2d",
        "upsample_nearest2d",
        "upsample_bilinear2d",
        "pixel_shuffle",
        "clone",
        "copy_",
        "_to_copy",
        "fill_",
        "zeros_like",
        "ones_like",
        "empty",
        "empty_like",
        "zeros",
        "ones",
        "full",
        "native_dropout",
        "index_select",
        "gather",
        "stack",
        "prelu",
        "_prelu_kernel",
    }
)
_VIEWS = frozenset(
    {
        "view",
        "_unsafe_view",
        "reshape",
        "permute",
        "transpose",
        "t",
        "expand",
        "squeeze",
        "unsqueeze",
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "detach",
        "alias",
        "unbind",
        "as_strided",
        "lift_fresh",
    }
)
_SIDE_RESULTS = frozenset(
    {
        "native_batch_norm",
        "native_layer_norm",
        "native_group_norm",
        "max_pool2d_with_indices",
        "native_dropout",
    }
)
"""Operators whose results after the first (saved statistics, indices) an inference does not keep."""


_UNARY = frozenset(
    {
        "relu",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "silu",
        "sigmoid",
        "tanh",
        "gelu",
        "leaky_relu",
        "elu",
        "mish",
    }
)
"""Operators whose result is as their first operand: torch's own shape rules for them take a millisecond each."""
_INFERENCE_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training"})


class _Counter(TorchDispatchMode):
    """Sees every operator, knows which layer runs, and which storages are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [""]
        self.macs: dict[str, int] = {}
        self.read: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.uncounted: set[str] = set()
        self.parameters: set[int] = set()
        self.alive = 0
        self.peak = 0
        self._seen: set[int] = set()

    def hold(self, tensor: Tensor) -> None:
        """Count a storage as alive until nobody refers to it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen or key in self.parameters:
            return
        self._seen.add(key)
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.alive -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, name = func.overloadpacket, func.overloadpacket.__name__
        output = _shaped(name, args)
        if output is None:
            output = func(*args, **(kwargs or {}))
        if name in _VIEWS:
            return output
        layer = self.names[-1]
        if packet in _MACS:
            self.macs[layer] = self.macs.get(layer, 0) + _MACS[packet](args, output)
        elif name not in _ELEMENTWISE:
            self.uncounted.add(name)
        operands = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        first = output[0] if name in _SIDE_RESULTS else output
        results = [t for t in tree_leaves(first) if isinstance(t, Tensor)]
        activations = [t for t in operands if t.untyped_storage()._cdata not in self.parameters]
        self.read[layer] = self.read.get(layer, 0) + sum(_bytes(t) for t in activations)
        self.written[layer] = self.written.get(layer, 0) + sum(_bytes(t) for t in results)
        for tensor in results:
            self.hold(tensor)
        return output


def _shaped(name: str, operands: Sequence[Any]) -> Any:
    """The result of an operator whose shape is plain to see, None for the others."""
    if name in _UNARY and operands[0].is_floating_point():
        return torch.empty_like(operands[0])
    if name.endswith("_") and name[:-1] in _UNARY:
        return operands[0]
    if name in _INFERENCE_NORMS:
        return torch.empty_like(operands[0]), operands[0].new_empty(0), operands[0].new_empty(0)
    return None


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def measure(network: nn.Module, input: Sequence[int] | Tensor) -> Cost:
    """Count one inference of `network` at an input shape (B, bands, H, W), or of the shape of a tensor.

    Raises:
        ModelError: the network does not run at that shape.
    """
    shape = tuple(int(s) for s in (input.shape if isinstance(input, Tensor) else input))
    twin = _on_meta(network)
    counter = _Counter()
    tensors = [*twin.parameters(), *twin.buffers()]
    counter.parameters = {t.untyped_storage()._cdata for t in tensors}
    outputs: dict[str, tuple[int, ...]] = {}
    handles = list(_follow(twin, counter, outputs))
    try:
        example = torch.empty(shape, device="meta")
        with torch.no_grad(), counter:
            counter.hold(example)
            twin(example)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{type(network).__name__} does not run on an input of shape {shape}: {error}; give another --input"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    modules = dict(twin.named_modules())
    names = [
        name for name in modules if name in outputs and (counter.written.get(name) or counter.macs.get(name))
    ]
    layers = tuple(
        LayerCost(
            name,
            type(modules[name]).__name__,
            outputs[name],
            sum(p.numel() for p in modules[name].parameters(recurse=False)),
            counter.macs.get(name, 0),
            counter.read.get(name, 0),
            counter.written.get(name, 0),
        )
        for name in names
    )
    params = list(twin.parameters())
    return Cost(
        shape,
        sum(p.numel() for p in params),
        sum(counter.macs.values()),
        sum(_bytes(p) for p in params),
        sum(counter.read.values()),
        sum(counter.written.values()),
        counter.peak,
        tuple(sorted(counter.uncounted)),
        layers,
    )


def _on_meta(network: nn.Module) -> nn.Module:
    tensors = [*network.parameters(), *network.buffers()]
    if all(t.is_meta for t in tensors) and not any(m.training for m in network.modules()):
        return network
    try:
        twin = copy.deepcopy(network)
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"cannot copy {type(network).__name__} for counting: {error}; remove what cannot be copied"
        ) from error
    return twin.to("meta").eval()


def _follow(twin: nn.Module, counter: _Counter, outputs: dict[str, tuple[int, ...]]) -> Iterator[Any]:
    """Hooks that tell the counter which module runs; operators between children belong to the parent."""
    for name, module in twin.named_modules():

        def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
            counter.names.append(name)

        def leave(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
            counter.names.pop()
            if isinstance(output, Tensor):
                outputs[name] = tuple(output.shape)

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)
