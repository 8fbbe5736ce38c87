"""Augmentation: shapes and range kept, drawn from the generator alone, nothing done where nothing is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gossamer.data.augment import Augmentation, augment

STILL = Augmentation(degrees=0, scale=(1.0, 1.0), shift=0, brightness=0, contrast=0, saturation=0, erase=0)


def _pictures(count=4, height=24, width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator) * 255


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("view", ["ground", "aerial"])
@pytest.mark.parametrize("shape", [(1, 24, 24), (5, 24, 40)])
def test_shape_and_range_are_kept(view, shape):
    pictures = _pictures(*shape)
    before = pictures.clone()
    moved = augment(pictures, Augmentation(view=view), _generator())
    assert moved.shape == pictures.shape
    assert moved.dtype == torch.float32
    assert 0 <= float(moved.min()) < float(moved.max()) <= 255
    assert torch.equal(pictures, before), "the pictures given stay as they are"


@pytest.mark.parametrize("view", ["ground", "aerial"])
def test_the_generator_decides(view):
    how = Augmentation(view=view)
    first, again, other = (augment(_pictures(), how, _generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    augment(_pictures(), Augmentation(), _generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_with_all_amounts_at_zero_a_ground_picture_is_itself_or_its_mirror():
    pictures = _pictures(64)
    moved = augment(pictures, STILL, _generator())
    same = [torch.allclose(m, p, atol=1e-2) for m, p in zip(moved, pictures, strict=True)]
    mirrored = [torch.allclose(m, p.flip(2), atol=1e-2) for m, p in zip(moved, pictures, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 15 < sum(same) < 49, "about half are mirrored"


def test_an_aerial_picture_takes_all_eight_positions():
    picture = _pictures(1)
    many = picture.expand(200, -1, -1, -1)
    moved = augment(many, Augmentation(**{**vars(STILL), "view": "aerial"}), _generator())
    positions = [torch.rot90(p, k, (1, 2)) for p in (picture[0], picture[0].flip(2)) for k in range(4)]
    counts = [sum(torch.allclose(m, p, atol=1e-1) for m in moved) for p in positions]
    assert sum(counts) == 200
    assert min(counts) >= 10


def test_a_ground_picture_keeps_its_up():
    picture = torch.zeros(1, 3, 24, 24)
    picture[:, :, :12] = 200
    moved = augment(picture.expand(50, -1, -1, -1), Augmentation(), _generator())
    assert bool((moved[:, :, :6].mean((1, 2, 3)) > moved[:, :, -6:].mean((1, 2, 3)) + 50).all())


def test_brightness_scales():
    how = Augmentation(**{**vars(STILL), "brightness": 0.5})
    grey = torch.full((100, 3, 8, 8), 100.0)
    levels = augment(grey, how, _generator()).mean((1, 2, 3))
    assert 49 <= float(levels.min()) < 65
    assert 135 < float(levels.max()) <= 151


def test_contrast_and_saturation_keep_the_mean_of_a_picture():
    how = Augmentation(**{**vars(STILL), "contrast": 0.3, "saturation": 0.3})
    pictures = 100 + 0.1 * _pictures(16)
    moved = augment(pictures, how, _generator())
    assert torch.allclose(moved.mean((1, 2, 3)), pictures.mean((1, 2, 3)), atol=0.5)
    assert not torch.allclose(moved, pictures, atol=1.0)


def test_saturation_leaves_grey_grey():
    how = Augmentation(**{**vars(STILL), "saturation": 0.9})
    grey = _pictures(8)[:, :1].expand(-1, 3, -1, -1)
    moved = augment(grey, how, _generator())
    assert float((moved - moved[:, :1]).abs().max()) < 1e-2


def test_erasing_blanks_a_rectangle_with_the_mean_of_some_pictures():
    how = Augmentation(**{**vars(STILL), "erase": 0.5})
    pictures = _pictures(60)
    moved = augment(pictures, how, _generator())
    erased = 0
    for picture in moved:
        colours, counts = picture.flatten(1).T.round(decimals=2).unique(dim=0, return_counts=True)
        most = int(counts.max())
        if most > 4:
            erased += 1
            assert most <= 0.25 * 24 * 24
            assert torch.allclose(colours[counts.argmax()], torch.full((3,), 127.0), atol=12)
    assert 15 < erased < 45


def test_zooming_in_shows_a_part():
    how = Augmentation(**{**vars(STILL), "scale": (0.5, 0.5)})
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, :, 8:24, 8:24] = 200
    assert torch.allclose(augment(picture, how, _generator())[:, :, 1:-1, 1:-1], torch.tensor(200.0))


def test_pictures_that_do_not_move_are_only_turned_and_mirrored():
    pictures = _pictures()
    turned = augment(
        pictures, replace(STILL, view="aerial", move=0.0, degrees=30, scale=(0.5, 0.6)), _generator(3)
    )
    for before, after in zip(pictures, turned, strict=True):
        ways = [torch.rot90(side, k, (1, 2)) for side in (before, before.flip(2)) for k in range(4)]
        assert min(float((way - after).abs().max()) for way in ways) < 0.05


def test_size_resamples_in_the_same_step():
    pictures = _pictures(3, 32, 32)
    small = augment(pictures, Augmentation(view="aerial"), _generator(), size=16)
    assert small.shape == (3, 3, 16, 16)
    still = augment(torch.full((2, 3, 32, 32), 77.0), STILL, _generator(), size=20)
    assert torch.allclose(still, torch.full((2, 3, 20, 20), 77.0))
