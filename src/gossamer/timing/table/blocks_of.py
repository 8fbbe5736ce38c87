"""A network as the pieces that are timed one by one: stem, every block of every stage, head.

The network is fused first, as export does; every piece is exported alone, and once more together with the next, so
that what a runtime does across their border (operators merged, layouts not changed back and forth) is known too.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gossamer import __version__
from gossamer.cost.meter import measure
from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.modes import taken_off
from gossamer.nn.network import Network
from gossamer.timing.table.latency_table import block_key
from gossamer.types import Size

__all__ = ["Cut", "Outline", "Unit", "cut", "outline", "units_of", "whole"]


@dataclass(frozen=True)
class Unit:
    """A piece of a network, exported: the graph with its key, and what the table says beside a time."""

    name: str
    """`stem`, `stages.I.J` or `head`; the network's own name where it is whole."""
    kind: str
    key: str
    model: bytes
    """The ONNX file."""
    shape: tuple[int, ...]
    """Of the input: (1, C, H, W)."""
    macs: int
    bytes_moved: int
    out_channels: int
    kernel: int
    stride: int
    form: str = ""
    """Digest of the module's structure and its input's shape, which is known without an export; see `Outline`."""


class Cut(NamedTuple):
    """The pieces of a network in the order they run, and each piece exported together with the next (kind `pair`)."""

    units: list[Unit]
    pairs: list[Unit]


class Outline(NamedTuple):
    """The forms of a network's pieces and of its pairs in the order they run, and the pieces' input shapes."""

    units: list[str]
    pairs: list[str]
    shapes: list[tuple[int, ...]]


_Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def units_of(network: nn.Module, shape: Sequence[int]) -> list[Unit]:
    """The pieces of a network, without the pairs; see `cut`."""
    return cut(network, shape, pairs=False).units


def cut(network: nn.Module, shape: Sequence[int], *, pairs: bool = True) -> Cut:
    """A network of the zoo in pieces for an input (1, bands, H, W); without `pairs` the list of pairs is empty.

    Raises:
        ModelError: the network is not the zoo's, does not run at the shape, cannot be exported, or its blocks take
            more than the map before them (ESPNetv2 looks at the picture again): measure such a network whole.
    """
    pieces, shapes = _in_pieces(network, shape)
    done: dict[str, Unit] = {}

    def export(name: str, piece: nn.Module, first: str, last: str, kind: str | None = None) -> Unit:
        form = _form(piece, shapes[first][0])
        if form not in done:
            unit = _export(name, piece, shapes[first][0], shapes[last][1], kind)
            done[form] = replace(unit, form=form)
        return replace(done[form], name=name)

    units = [export(name, piece, name, name) for name, piece in pieces.items()]
    if not pairs:
        return Cut(units, [])
    both = [
        export(f"{one} + {two}", _joined(pieces, one, two), one, two, "pair") for one, two in pairwise(pieces)
    ]
    return Cut(units, both)


def outline(network: nn.Module, shape: Sequence[int]) -> Outline:
    """What `cut` would export, named by its forms: nothing is exported, weights are not looked at.

    Raises:
        ModelError: as of `cut`, but what cannot be exported is not noticed.
    """
    pieces, shapes = _in_pieces(network, shape)
    return Outline(
        [_form(piece, shapes[name][0]) for name, piece in pieces.items()],
        [_form(_joined(pieces, one, two), shapes[one][0]) for one, two in pairwise(pieces)],
        [shapes[name][0] for name in pieces],
    )


def _joined(pieces: Mapping[str, nn.Module], one: str, two: str) -> nn.Module:
    return nn.Sequential(pieces[one], pieces[two]).eval()


def _in_pieces(network: nn.Module, shape: Sequence[int]) -> tuple[dict[str, nn.Module], _Shapes]:
    """(piece by name, (input shape, output shape) by name) of the fused network."""
    if not isinstance(network, Network):
        raise ModelError(
            f"only networks of the zoo fall into blocks, got {type(network).__name__}; measure it whole"
        )
    if type(network).run_stage is not Network.run_stage:
        raise ModelError(
            f"blocks of {type(network).__name__} take the input picture beside the map before them; measure it whole"
        )
    fused = fuse(network)
    assert isinstance(fused, Network)
    pieces = dict(_pieces(fused))
    return pieces, _shapes(fused, shape, pieces)


def whole(network: nn.Module, shape: Sequence[int], name: str) -> Unit:
    """The whole network as one piece with the kind `network`.

    Raises:
        ModelError: it does not run at the shape or cannot be exported.
    """
    twin = copy.deepcopy(network).eval().to("meta")
    out = _run(twin, shape)
    return _export(name, network, tuple(shape), tuple(out.shape), kind="network")


def _run(twin: nn.Module, shape: Sequence[int]) -> Tensor:
    """The output of a network on the meta device."""
    try:
        with torch.no_grad():
            out: Tensor = twin(torch.empty(tuple(shape), device="meta"))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{type(twin).__name__} does not run on an input of shape {tuple(shape)}: {error}; give another shape"
        ) from error
    return out


def _pieces(network: Network) -> Iterator[tuple[str, nn.Module]]:
    yield "stem", network.stem
    for index, stage in enumerate(network.stages):
        for name, block in stage.named_children():
            yield f"stages.{index}.{name}", block
    yield "head", network.head


def _shapes(network: Network, shape: Sequence[int], pieces: Iterable[str]) -> _Shapes:
    """Name -> (input shape, output shape), by a run on the meta device."""
    twin = copy.deepcopy(network).to("meta")
    found: _Shapes = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, arguments: Any, output: Any) -> None:
            if len(arguments) != 1 or not isinstance(arguments[0], Tensor) or not isinstance(output, Tensor):
                raise ModelError(f"{name} must turn one map into one map to be timed alone; measure it whole")
            found[name] = tuple(arguments[0].shape), tuple(output.shape)

        return hook

    handles = [twin.get_submodule(name).register_forward_hook(note(name)) for name in pieces]
    with taken_off(handles):
        _run(twin, shape)
    return found


def _form(piece: nn.Module, shape: tuple[int, ...]) -> str:
    """32 hexadecimal digits that tell a graph from others of this version, as its key does, without an export."""
    return hashlib.sha256(
        f"{__version__} {torch.__version__} {shape} {_structure(piece)}".encode()
    ).hexdigest()[:32]


def _structure(piece: nn.Module) -> str:
    """Everything about a piece but the values of its weights: equal texts give equal graphs, so one export will do."""
    own = {"training", "_forward_hooks", "_modules", "_parameters", "_buffers"}
    parts: list[str] = []
    for name, module in piece.named_modules():
        settings = {k: v for k, v in vars(module).items() if k not in own}
        sizes = [(k, tuple(t.shape)) for k, t in [*module.named_parameters(), *module.named_buffers()]]
        parts.append(f"{name} {type(module)} {settings} {sizes}")
    return "\n".join(parts)


def _export(
    name: str, piece: nn.Module, shape: tuple[int, ...], out: tuple[int, ...], kind: str | None = None
) -> Unit:
    """A piece with its graph; weights of the meta device become small random ones."""
    if any(tensor.is_meta for tensor in [*piece.parameters(), *piece.buffers()]):
        piece = _with_values(piece)
    bands = shape[1]
    contract = InputContract(
        Size(shape[2], shape[3]), ("map",) * bands, mean=(0.0,) * bands, std=(1.0,) * bands
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "unit.onnx")
        get_runtime("onnxruntime").export(piece, contract, file)
        model = file.read_bytes()
    cost = measure(piece, shape)
    kernels = [max(m.kernel_size) for m in piece.modules() if isinstance(m, nn.Conv2d)]
    moved = cost.activation_bytes_read + cost.activation_bytes_written + cost.param_bytes
    stride = max(1, round(shape[2] / out[2])) if len(out) == 4 else shape[2]
    return Unit(
        name=name,
        kind=kind or type(piece).__name__,
        key=block_key(model),
        model=model,
        shape=shape,
        macs=cost.macs,
        bytes_moved=moved,
        out_channels=out[1],
        kernel=max((int(k) for k in kernels), default=1),
        stride=stride,
    )


def _with_values(piece: nn.Module) -> nn.Module:
    filled = copy.deepcopy(piece).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*filled.parameters(), *filled.buffers()]:
            if tensor.is_floating_point():
                tensor.normal_(0, 0.05, generator=generator).abs_()
            else:
                tensor.zero_()
    return filled
