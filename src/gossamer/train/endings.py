"""The end of a pretrained network, trained on maps that its beginning made once of every picture.

Early layers transfer as they are (Yosinski et al., 1411.1792): they are run once for each of some views of every
picture, and only what lies behind them is trained, at a fraction of the processor time of a step through all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer._files import atomic_path
from gossamer.data.augment import Augmentation, Greys, augment_raw
from gossamer.data.bands import Bands
from gossamer.data.cache import Pixels
from gossamer.data.draws import Draws
from gossamer.deploy.contract import InputContract
from gossamer.errors import ModelError
from gossamer.nn.edits.fuse import fuse
from gossamer.nn.network import Network
from gossamer.types import Size

__all__ = [
    "Beginning",
    "JoinedMaps",
    "Maps",
    "Source",
    "contract_of_maps",
    "ending_of",
    "frozen_stages",
    "make_maps",
    "view_count",
]

_REDUCTION = 8
"""Stages up to this reduction are run once: what they see is edges and textures, whatever the classes are."""
_BATCH = 32
_AT_ONCE = 4
"""Pictures whose maps fit into the processor's cache: 1.5 times as fast as 32 at once."""
_MOST_BYTES = 3 << 30
"""Of maps on disk; where fewer views fit, fewer are made."""

Maps = NDArray[np.float16]
"""(V, N, H, W, C): the maps of V views of N pictures, view 0 the picture as it is."""


def frozen_stages(network: nn.Module) -> int:
    """How many stages are run once; 0 where the network cannot be parted there.

    It cannot where it is no `Network` of one path: one that looks at the picture again has no beginning of its own.
    """
    if not isinstance(network, Network) or type(network).run_stage is not Network.run_stage:
        return 0
    early = [index for index, stage in enumerate(network.stages, 1) if stage.reduction <= _REDUCTION]  # type: ignore[operator]
    return min(len(early), len(network.stages) - 1)


class Beginning:
    """The stem and the first stages of a network, norms folded: pictures to maps."""

    def __init__(self, network: Network, stages: int, contract: InputContract) -> None:
        fused = fuse(network).to(memory_format=torch.channels_last)
        assert isinstance(fused, Network)
        self._parts = nn.Sequential(fused.stem, *list(fused.stages)[:stages]).eval()
        self.contract = contract

    def maps(self, pictures: Tensor) -> Tensor:
        """(B, bands, H, W) of raw values -> (B, H, W, C) float16, few at a time: their maps stay in the cache.

        Raises:
            ModelError: values beyond what 16 bits hold.
        """
        inputs = torch.from_numpy(self.contract.normalise(pictures.permute(0, 2, 3, 1).numpy()))
        with torch.no_grad():
            rows = [
                self._parts(few.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1).half()
                for few in inputs.split(_AT_ONCE)
            ]
        halves = torch.cat(rows)
        if not bool(halves.isfinite().all()):
            raise ModelError(
                "the network's maps are beyond 16 bits; its weights are damaged or of another input"
            )
        return halves

    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a map."""
        bands, height, width = self.contract.shape[1:]
        return tuple(self.maps(torch.zeros(1, bands, height, width)).shape[1:])  # type: ignore[return-value]

    def digest(self) -> str:
        """What the maps depend on beside the pictures."""
        told = hashlib.sha256(str(self.contract.to_json()).encode())
        for name, tensor in self._parts.state_dict().items():
            told.update(name.encode())
            told.update(np.ascontiguousarray(tensor.numpy()).tobytes())
        return told.hexdigest()[:20]


def ending_of(network: Network, stages: int) -> Network:
    """What lies behind the first stages, as a network of maps (B, C, H, W): it shares its layers with the whole."""
    rest = list(network.stages)[stages:]
    return type(network)(nn.Identity(), rest, network.head, min_input=1)  # type: ignore[arg-type]


def view_count(shape: Sequence[int], pictures: int, most: int) -> int:
    """How many views of so many pictures fit on disk, `most` at best."""
    each = 2 * int(np.prod(shape)) * max(1, pictures)
    return int(min(most, _MOST_BYTES // each))


class JoinedMaps:
    """Maps of several splits one behind the other, (V, N, H, W, C): read where they lie, never copied as a whole."""

    def __init__(self, parts: Sequence[Maps]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(part.shape[1] for part in parts)])
        views = min(len(part) for part in parts)
        self.shape = (views, int(self._starts[-1]), *parts[0].shape[2:])

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Maps:
        """(B, H, W, C): one view of each of the pictures."""
        views, chosen = places
        taken = np.empty((len(chosen), *self.shape[2:]), np.float16)
        for part, start in zip(self._parts, self._starts, strict=False):
            own = (chosen >= start) & (chosen < start + part.shape[1])
            taken[own] = part[views[own], chosen[own] - start]
        return taken


def contract_of_maps(shape: tuple[int, int, int]) -> InputContract:
    """What an ending is given: maps (H, W, C) as they are."""
    height, width, channels = shape
    return InputContract(
        Size(height, width),
        bands=tuple(str(number) for number in range(channels)),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


class Source(NamedTuple):
    """Pictures (N, H, W, bands), what their values mean, and what they are called in a cache."""

    pixels: Pixels
    bands: Bands | None
    key: str


def make_maps(
    beginning: Beginning,
    source: Source,
    views: int,
    folder: Path,
    *,
    augmentation: Augmentation,
    seed: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Maps:
    """The maps of `views` views of the pictures, mapped from a file in `folder`; made where it is not there.

    View 0 is the picture as it is. Pictures from above have the eight turns and mirrors; others their mirror, and
    moved and recoloured ones as `augmentation` says. `tick` is told how many views of pictures are done.

    Raises:
        ModelError: values beyond what 16 bits hold.
        RunFolderError: the file cannot be written.
    """
    told = f"{source.key} {views} {seed} {augmentation} {beginning.digest()}"
    target = folder / f"maps-{hashlib.sha256(told.encode()).hexdigest()[:20]}.npy"
    if not target.is_file():
        shape = (views, len(source.pixels), *beginning.shape())
        with atomic_path(target) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            _fill(array, beginning, source, augmentation, seed, tick)
            array.flush()
    maps: Maps = np.load(target, mmap_mode="r")
    return maps


def _fill(
    array: Maps,
    beginning: Beginning,
    source: Source,
    augmentation: Augmentation,
    seed: int,
    tick: Callable[[int], None] | None,
) -> None:
    views, count = array.shape[:2]
    greys = Greys.of(source.bands)
    for start in range(0, count, _BATCH):
        part = slice(start, min(start + _BATCH, count))
        pictures = torch.from_numpy(np.array(source.pixels[part])).permute(0, 3, 1, 2)
        for view in range(views):
            draws = Draws.whole_batch(
                torch.Generator().manual_seed((seed * 1_000_003 + start) * 64 + view), len(pictures)
            )
            array[view, part] = beginning.maps(_view(pictures, view, augmentation, draws, greys)).numpy()
            if tick is not None:
                tick(start * views + (view + 1) * len(pictures))


def _view(
    pictures: Tensor, view: int, augmentation: Augmentation, draws: Draws, greys: Greys | None
) -> Tensor:
    """The pictures (B, bands, H, W) as one of their views shows them."""
    if augmentation.view == "aerial" and pictures.shape[2] == pictures.shape[3] and view < 8:
        turned = torch.rot90(pictures, view % 4, (2, 3))
        return turned.flip(3) if view >= 4 else turned
    if view < 2:
        return pictures.flip(3) if view else pictures
    moved = replace(augmentation, move=1.0)
    return augment_raw(pictures.float(), moved, draws, greys=greys).pictures
