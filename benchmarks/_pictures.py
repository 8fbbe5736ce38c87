"""The shared pictures as arrays: 500 ImageNet samples, and CIFAR-10 as JPEG; and what a network names right of them."""

from __future__ import annotations

import io
import tarfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.zoo.build import build
from gossamer.zoo.weights import find_source

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MOBILENET = SHARED / "weights/mobilenet-v1-0.75-224-tfjs/model.json"
SQUEEZENET = SHARED / "weights/squeezenet-v1.0-deep-compression/compressed_SqueezeNet.net"

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def cifar_weights(depth: int) -> Path:
    """The file of ResNet-20 or ResNet-56."""
    return next((SHARED / "weights/resnet-cifar10/pretrained_models").glob(f"*{depth}*"))


@lru_cache
def imagenet(size: int, share: float = 0.875) -> tuple[Pixels, Numbers]:
    """(500, size, size, 3) middle squares of `share` of the short side, and class numbers, in the order of file names."""
    folder = SHARED / "imagenet-sample"
    classes = [line.split()[0] for line in (folder / "synset_words.txt").read_text().splitlines()]
    files = sorted((folder / "images").glob("*.jpg"))
    pixels = np.stack([_square(file, size, share) for file in files])
    return pixels, np.array([classes.index(file.name.partition("_")[0]) for file in files])


def _square(file: Path, size: int, share: float) -> Pixels:
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    side = share * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


@lru_cache
def cifar(split: str, each: int = 100_000) -> tuple[Pixels, Numbers]:
    """(N, 32, 32, 3) of the train or test split, the first `each` of every class; classes in the order of their names."""
    found: dict[str, list[Pixels]] = {}
    with tarfile.open(SHARED / f"cifar10-jpeg/cifar10-{split}.tar.xz") as archive:
        for member in archive:
            if not member.name.endswith(".jpg"):
                continue
            of_class = found.setdefault(member.name.split("/")[1], [])
            content = archive.extractfile(member)
            if len(of_class) < each and content is not None:
                with Image.open(io.BytesIO(content.read())) as opened:
                    of_class.append(np.asarray(opened.convert("RGB")))
    names = sorted(found)
    pixels = np.concatenate([np.stack(found[name]) for name in names])
    return pixels, np.repeat(np.arange(len(names)), [len(found[name]) for name in names])


def trained(name: str, weights: Path | str) -> tuple[nn.Module, str]:
    """A network with these weights in eval mode, and the name of its preprocessing."""
    network = build(name, weights=str(weights)).eval()
    _, known = find_source(name, str(weights))
    return network, known.preprocessing


def tensors(pixels: Pixels, preprocessing: str) -> torch.Tensor:
    """(N, 3, H, W) as the network takes them."""
    return torch.from_numpy(InputContract.of(preprocessing, pixels.shape[1]).normalise(pixels))


def answers(network: nn.Module, pictures: torch.Tensor, batch: int = 50) -> Numbers:
    """The class that a network names for each picture."""
    with torch.no_grad():
        found = [network(part).argmax(1) for part in pictures.split(batch)]
    return torch.cat(found).numpy()
