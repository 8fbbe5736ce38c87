"""Maps made once: what they are, that an ending on them is the network, and that a training on them goes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.data.augment import Augmentation
from gossamer.deploy.contract import InputContract
from gossamer.train import endings
from gossamer.train.endings import (
    Beginning,
    JoinedMaps,
    Source,
    contract_of_maps,
    ending_of,
    frozen_stages,
    make_maps,
    view_count,
)
from gossamer.train.loop import train_until
from gossamer.train.recipes import ending_recipe
from gossamer.train.training import Pictures, Steps, Training
from gossamer.zoo.build import build

CONTRACT = InputContract.of("imagenet", 64)
AERIAL, GROUND = Augmentation(view="aerial"), Augmentation(view="ground")


@pytest.fixture(scope="module")
def network():
    return build("efficientnet_lite0[:5]", num_classes=3, seed=0).eval()


def _pixels(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)


def _maps(network, folder, views, how=AERIAL, pixels=None, **more):
    beginning = Beginning(network, frozen_stages(network), CONTRACT)
    source = Source(_pixels() if pixels is None else pixels, None, "some pictures")
    return make_maps(beginning, source, views, folder, augmentation=how, **more)


def test_stages_up_to_an_eighth_are_run_once(network):
    assert frozen_stages(network) == 3
    assert frozen_stages(build("mobilenet_v2_0.25")) == 3
    assert frozen_stages(build("espnet_v2_0.5")) == 0, "it looks at the picture again"
    assert frozen_stages(torch.nn.Linear(2, 2)) == 0


def test_an_ending_on_maps_says_what_the_network_says(network, tmp_path):
    maps = _maps(network, tmp_path, 1)
    ending = ending_of(network, 3)
    with torch.no_grad():
        expected = network(torch.from_numpy(CONTRACT.normalise(_pixels())))
        found = ending(torch.from_numpy(np.array(maps[0])).permute(0, 3, 1, 2).float())
    assert maps.dtype == np.float16
    assert torch.allclose(found, expected, atol=5e-3 * float(expected.abs().max()))
    assert next(ending.parameters()).data_ptr() == next(network.stages[3].parameters()).data_ptr()


def test_pictures_from_above_are_seen_in_eight_ways_and_others_in_their_mirror(network, tmp_path):
    pixels = _pixels(2)
    maps = _maps(network, tmp_path, 8, pixels=pixels)
    turned = _maps(network, tmp_path / "turned", 1, pixels=np.rot90(pixels, 1, (1, 2)).copy())
    assert np.allclose(maps[1], turned[0], atol=1e-2)
    assert len({maps[view, 0].tobytes() for view in range(8)}) == 8
    ground = _maps(network, tmp_path / "ground", 4, how=GROUND, pixels=pixels)
    mirrored = _maps(network, tmp_path / "mirror", 1, how=GROUND, pixels=pixels[:, :, ::-1].copy())
    assert np.allclose(ground[1], mirrored[0], atol=1e-2)
    assert len({ground[view, 0].tobytes() for view in range(4)}) == 4


def test_maps_are_made_once_and_whole(network, tmp_path, monkeypatch):
    ticks = []
    first = _maps(network, tmp_path, 2, tick=ticks.append)
    assert ticks[-1] == 12
    assert [file.suffix for file in tmp_path.iterdir()] == [".npy"]
    monkeypatch.setattr(endings, "_fill", None)
    assert np.array_equal(_maps(network, tmp_path, 2), first)
    with pytest.raises(TypeError):
        _maps(network, tmp_path, 3)


def test_other_weights_are_other_maps(network, tmp_path):
    other = build("efficientnet_lite0[:5]", num_classes=3, seed=1).eval()
    assert not np.array_equal(_maps(network, tmp_path, 1), _maps(other, tmp_path, 1))
    assert len(list(tmp_path.iterdir())) == 2


def test_maps_of_two_splits_are_read_as_one():
    first, second = np.arange(24).reshape(2, 3, 2, 2, 1), 100 + np.arange(32).reshape(2, 4, 2, 2, 1)
    joined = JoinedMaps([first.astype(np.float16), second.astype(np.float16)])
    whole = np.concatenate([first, second], 1)
    views, chosen = np.array([0, 1, 1, 0, 1]), np.array([2, 3, 6, 0, 2])
    assert joined.shape == whole.shape
    assert len(joined) == 2
    assert np.array_equal(joined[views, chosen], whole[views, chosen])


@pytest.mark.parametrize(
    ("shape", "pictures", "count"),
    [((8, 8, 40), 1000, 8), ((28, 28, 40), 12_000, 4), ((56, 56, 64), 10_000, 0), ((56, 56, 64), 5_000, 1)],
)
def test_fewer_views_where_the_disk_would_fill(shape, pictures, count):
    assert view_count(shape, pictures, 8) == count


def test_a_training_on_maps_learns_and_keeps_the_best(network, tmp_path):
    pixels = np.zeros((24, 64, 64, 3), np.uint8)
    targets = np.arange(24) % 3
    for index, target in enumerate(targets):
        pixels[index, :, :, target] = 180 + index
    maps = _maps(network, tmp_path, 2, pixels=pixels)
    ending = ending_of(build("efficientnet_lite0[:5]", num_classes=3, seed=0), 3)
    training = Training(
        network=ending,
        contract=contract_of_maps(maps.shape[2:]),
        recipe=ending_recipe(view="aerial"),
        pictures=Pictures(maps, targets, maps[0], targets),
        folder=tmp_path / "ending",
        length=Steps(30),
        labels=("r", "g", "b"),
        prepared=True,
    )
    result = train_until(training, 30)
    assert result.points[-1].train_loss < 0.7 * result.points[0].train_loss
    assert (tmp_path / "ending" / "best.safetensors").is_file()
    assert result.points[-1].passes > 1
