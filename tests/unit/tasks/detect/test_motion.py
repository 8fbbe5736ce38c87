"""Boxes move with their pictures."""

from __future__ import annotations

import pytest
import torch

from gossamer.data.augment import Augmentation, augment
from gossamer.data.draws import Draws
from gossamer.tasks.detect.motion import mosaic, moved


def _draws(count, seed=0):
    return Draws.whole_batch(torch.Generator().manual_seed(seed), count)


def _squares(count, side=64):
    """Dark pictures with one bright square each, and its box."""
    pictures, targets = torch.zeros(count, 3, side, side), torch.zeros(count, 1, 7)
    generator = torch.Generator().manual_seed(1)
    for i in range(count):
        x, y = torch.randint(16, 36, (2,), generator=generator).tolist()
        pictures[i, :, y : y + 12, x : x + 10] = 200
        targets[i, 0] = torch.tensor([1, x, y, x + 10, y + 12, 120, 0])
    return pictures, targets


def _bright(picture):
    """The box around what is bright."""
    ys, xs = torch.nonzero(picture[0] > 150, as_tuple=True)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


QUIET = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "erase": 0.0}


@pytest.mark.parametrize("view", ["ground", "aerial"])
@pytest.mark.parametrize("out", [(64, 64), (96, 48)])
def test_the_box_stays_around_its_thing(view, out):
    pictures, targets = _squares(12)
    how = Augmentation(view=view, move=1.0, degrees=0.0, scale=(0.8, 1.3), shift=0.05, beyond="grey", **QUIET)
    pixels, places = augment(pictures + 0.0, how, _draws(12), size=out)
    rows = moved(targets, places, (64, 64), out)
    seen = 0
    for picture, row in zip(pixels, rows[:, 0], strict=True):
        if row[0] >= 0 and (picture > 150).any():
            assert row[1:5].tolist() == pytest.approx(_bright(picture), abs=1.6)
            seen += 1
    assert seen >= 10


def test_a_turned_box_is_the_upright_one_around_it():
    pictures, targets = _squares(8)
    how = Augmentation(move=1.0, degrees=20.0, scale=(1.0, 1.0), shift=0.0, beyond="grey", **QUIET)
    pixels, places = augment(pictures + 0.0, how, _draws(8))
    rows = moved(targets, places, (64, 64), (64, 64))
    for picture, row in zip(pixels, rows[:, 0], strict=True):
        low, high = torch.tensor(_bright(picture)).split(2)
        assert (row[1:3] <= low + 1).all()
        assert (row[3:5] >= high - 1).all()


def test_what_leaves_the_picture_is_gone():
    targets = torch.tensor([[[0, 0, 0, 10, 10, 100, 0], [0, 40, 40, 60, 60, 400, 0.0]]])
    shift = torch.eye(3)[None].clone()
    shift[0, :2, 2] = 0.5  # the new picture shows what lay a quarter of the side to the right and below
    rows = moved(targets, shift, (64, 64), (64, 64))
    assert rows[0, :, 0].tolist() == [-1, 0]
    assert rows[0, 1, 1:5].tolist() == pytest.approx([24, 24, 44, 44])


def test_grey_stands_beyond_the_border():
    pictures = torch.full((4, 3, 32, 32), 250.0)
    how = Augmentation(move=1.0, degrees=0.0, scale=(1.5, 1.5), shift=0.0, beyond="grey", **QUIET)
    pixels, _ = augment(pictures, how, _draws(4))
    assert pixels[:, :, 0, 0].flatten().tolist() == pytest.approx([114.0] * 12)
    assert pixels[:, :, 16, 16].flatten().tolist() == pytest.approx([250.0] * 12)


def test_a_mosaic_is_made_of_four_pictures_with_their_boxes():
    pictures, targets = _squares(6)
    made, rows = mosaic(pictures, targets, 1.0, torch.full((1, 3, 1, 1), 114.0), _draws(6))
    assert made.shape == pictures.shape
    counts = (rows[..., 0] >= 0).sum(1)
    assert counts.max() >= 2
    for picture, boxes in zip(made, rows, strict=True):
        for row in boxes[boxes[:, 0] >= 0]:
            x1, y1, x2, y2 = row[1:5].round().int().tolist()
            assert picture[0, y1:y2, x1:x2].float().mean() > 150  # the square fills its box
            assert 0 <= x1 < x2 <= 64
            assert 0 <= y1 < y2 <= 64


def test_no_mosaic_leaves_all_as_it_is():
    pictures, targets = _squares(3)
    made, rows = mosaic(pictures, targets, 0.0, torch.zeros(1, 3, 1, 1), _draws(3))
    assert made is pictures
    assert rows is targets
