"""Second moments of layers' inputs on calibration pictures: what makes a factorisation know the outputs' error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import GossamerError, ModelError
from gossamer.nn.edits.factorise import Layer
from gossamer.nn.modes import in_eval, taken_off

__all__ = ["EXACT_UP_TO", "LARGEST", "Moment", "second_moments"]

EXACT_UP_TO = 1152
"""Numbers a patch has (in_channels kh kw) up to which the moment of whole patches is taken: 128 channels at 3 x 3."""
LARGEST = 4096
"""Inputs up to which a layer has a moment at all: that of 4096 takes 134 MB. Larger layers are factorised by weight."""
_BATCH = 8


@dataclass(frozen=True)
class Moment:
    """E[x x^T] of a layer's input: of one pixel, of a column of kh pixels, and of a whole patch where it is small.

    Moments of d numbers from n samples are shrunk towards white noise as if d samples of that had been seen too: a
    classifier behind a global mean sees one sample a picture, and would else be fitted to these pictures alone.
    Where the patch is too large pixels count as alike, and their deviations from the mean as uncorrelated.
    """

    pixel: Tensor
    """(i, i)"""
    column: Tensor
    """(i kh, i kh), the order of a flattened (i, kh)"""
    mean: Tensor
    """E[x] of a column, (i kh,)"""
    patch: Tensor | None
    """(i kh kw, i kh kw), the order of a flattened (i, kh, kw)"""
    seen: Tensor | None
    """`patch` as the pictures have it, not shrunk."""


class _Sum:
    """Adds up x x^T of the columns of (n, P)."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.sum: Tensor | None = None
        self.count = 0

    def add(self, columns: Tensor) -> None:
        found = (columns @ columns.T).double()
        alone = columns.double().sum(1)
        self.total = found if self.total is None else self.total + found
        self.sum = alone if self.sum is None else self.sum + alone
        self.count += columns.shape[1]

    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[x x^T], the same shrunk, and E[x] shrunk with it."""
        if self.total is None or self.sum is None:
            raise ModelError(
                "a layer to be factorised saw no calibration picture; give a network that calls it"
            )
        seen, size = self.total / self.count, len(self.total)
        share = size / (size + self.count)
        white = torch.eye(size).to(seen) * (float(seen.diagonal().mean()) or 1.0)
        return seen, (1 - share) * seen + share * white, self.sum / self.count * (1 - share) ** 0.5


def second_moments(network: nn.Module, pictures: Tensor, names: Iterable[str]) -> dict[str, Moment]:
    """Run pictures (N, C, H, W) through the network and sum up what goes into these layers.

    Layers of more than `LARGEST` inputs are left out.

    Raises:
        GossamerError: the pictures are not four axes of finite numbers, or none.
        ModelError: the network does not run on them.
    """
    if pictures.dim() != 4 or len(pictures) == 0 or not bool(torch.isfinite(pictures).all()):
        raise GossamerError(
            f"calibration pictures are finite numbers (N, C, H, W) with N from 1, got shape {tuple(pictures.shape)}; "
            "give e.g. 16 prepared pictures"
        )
    layers: dict[str, Layer] = {
        name: layer
        for name in names
        if isinstance(layer := network.get_submodule(name), nn.Conv2d | nn.Linear)
        and layer.weight.shape[1] <= LARGEST
    }
    sums = {name: _Sum() for name in layers}

    def note(layer: nn.Module, args: tuple[Tensor, ...], name: str) -> None:
        for one in args[0]:
            sums[name].add(_columns(layers[name], one))

    handles = [
        layer.register_forward_pre_hook(lambda module, args, name=name: note(module, args, name))
        for name, layer in layers.items()
    ]
    try:
        with taken_off(handles), torch.no_grad(), in_eval(network):
            for batch in pictures.split(_BATCH):
                network(batch)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{type(network).__name__} does not run on calibration pictures of shape {tuple(pictures.shape)}: {line}; "
            "give pictures prepared for it"
        ) from error
    return _moments(layers, sums)


def _moments(layers: Mapping[str, Layer], sums: Mapping[str, _Sum]) -> dict[str, Moment]:
    found = {}
    for name, layer in layers.items():
        seen, square, mean = sums[name].means()
        size = tuple(layer.kernel_size) if isinstance(layer, nn.Conv2d) else (1, 1)
        found[name] = _of_patch(seen, square, mean, size) if _exact(layer) else _of_pixel(square, mean, size)
    return found


def _exact(layer: Layer) -> bool:
    return layer.weight[0].numel() <= EXACT_UP_TO or layer.weight[0, 0].numel() == 1


def _of_patch(seen: Tensor, patch: Tensor, mean: Tensor, size: tuple[int, ...]) -> Moment:
    """Columns and pixels of a patch are averaged over where in it they lie."""
    high, wide = size
    into = len(patch) // (high * wide)
    column = patch.reshape(into * high, wide, into * high, wide).diagonal(dim1=1, dim2=3).mean(-1)
    pixel = column.reshape(into, high, into, high).diagonal(dim1=1, dim2=3).mean(-1)
    return Moment(pixel, column, mean.reshape(into * high, wide).mean(1), patch, seen)


def _of_pixel(pixel: Tensor, mean: Tensor, size: tuple[int, ...]) -> Moment:
    along = mean.repeat_interleave(size[0])
    apart = torch.kron(pixel - torch.outer(mean, mean), torch.eye(size[0]).to(pixel))
    return Moment(pixel, apart + torch.outer(along, along), along, None, None)


def _columns(layer: Layer, one: Tensor) -> Tensor:
    """What the kernel meets of one picture (C, H, W), or of vectors (..., C): patches, or pixels, in columns."""
    if isinstance(layer, nn.Linear):
        return one.reshape(-1, layer.in_features).T
    if not _exact(layer):
        return one.flatten(1)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(one[None], layer._reversed_padding_repeated_twice, mode=mode)
    patches: Tensor = F.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
    return patches[0]
