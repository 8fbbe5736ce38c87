"""Augmentation: shapes and range kept, drawn from the draws alone, nothing done where nothing is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as oracle

from gossamer.data.augment import COLOURS, Augmentation, augment
from gossamer.data.draws import Draws
from gossamer.errors import GossamerError
from gossamer.types import Size

STILL = Augmentation(degrees=0, scale=(1.0, 1.0), shift=0, brightness=0, contrast=0, saturation=0, erase=0)


def _pictures(count=4, height=24, width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator) * 255


def _augment(pictures, how, *, seed=0, draws=Draws, **options):
    generator = torch.Generator().manual_seed(seed)
    return augment(pictures, how, draws.whole_batch(generator, len(pictures)), **options).pictures


def _always(name):
    """Draws under which every picture gets this operation."""

    class Chosen(Draws):
        def integers(self, n, like):
            assert n == 4 * 14 + 1, "fourteen operations as in the paper, and a quarter's chance for the last"
            return torch.full((len(self),), 4 * OPERATIONS.index(name))

    return Chosen


OPERATIONS = ["identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", *COLOURS]


@pytest.mark.parametrize("view", ["ground", "aerial"])
@pytest.mark.parametrize("shape", [(1, 24, 24), (5, 24, 40)])
def test_shape_and_range_are_kept(view, shape):
    pictures = _pictures(*shape)
    before = pictures.clone()
    moved = _augment(pictures, Augmentation(view=view))
    assert moved.shape == pictures.shape
    assert moved.dtype == torch.float32
    assert 0 <= float(moved.min()) < float(moved.max()) <= 255
    assert torch.equal(pictures, before), "the pictures given stay as they are"


@pytest.mark.parametrize("view", ["ground", "aerial"])
def test_the_generator_decides(view):
    how = Augmentation(view=view)
    first, again, other = (_augment(_pictures(), how, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _augment(_pictures(), Augmentation())
    assert torch.equal(torch.get_rng_state(), before)


def test_with_all_amounts_at_zero_a_ground_picture_is_itself_or_its_mirror():
    pictures = _pictures(64)
    moved = _augment(pictures, STILL)
    same = [torch.allclose(m, p, atol=1e-2) for m, p in zip(moved, pictures, strict=True)]
    mirrored = [torch.allclose(m, p.flip(2), atol=1e-2) for m, p in zip(moved, pictures, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 15 < sum(same) < 49, "about half are mirrored"


def test_an_aerial_picture_takes_all_eight_positions():
    picture = _pictures(1)
    many = picture.expand(200, -1, -1, -1)
    moved = _augment(many, Augmentation(**{**vars(STILL), "view": "aerial"}))
    positions = [torch.rot90(p, k, (1, 2)) for p in (picture[0], picture[0].flip(2)) for k in range(4)]
    counts = [sum(torch.allclose(m, p, atol=1e-1) for m in moved) for p in positions]
    assert sum(counts) == 200
    assert min(counts) >= 10


def test_a_ground_picture_keeps_its_up():
    picture = torch.zeros(1, 3, 24, 24)
    picture[:, :, :12] = 200
    moved = _augment(picture.expand(50, -1, -1, -1), Augmentation())
    assert bool((moved[:, :, :6].mean((1, 2, 3)) > moved[:, :, -6:].mean((1, 2, 3)) + 50).all())


def test_brightness_scales():
    how = Augmentation(**{**vars(STILL), "brightness": 0.5})
    grey = torch.full((100, 3, 8, 8), 100.0)
    levels = _augment(grey, how).mean((1, 2, 3))
    assert 49 <= float(levels.min()) < 65
    assert 135 < float(levels.max()) <= 151


def test_contrast_and_saturation_keep_the_mean_of_a_picture():
    how = Augmentation(**{**vars(STILL), "contrast": 0.3, "saturation": 0.3})
    pictures = 100 + 0.1 * _pictures(16)
    moved = _augment(pictures, how)
    assert torch.allclose(moved.mean((1, 2, 3)), pictures.mean((1, 2, 3)), atol=0.5)
    assert not torch.allclose(moved, pictures, atol=1.0)


def test_saturation_leaves_grey_grey():
    how = Augmentation(**{**vars(STILL), "saturation": 0.9})
    grey = _pictures(8)[:, :1].expand(-1, 3, -1, -1)
    moved = _augment(grey, how)
    assert float((moved - moved[:, :1]).abs().max()) < 1e-2


def test_erasing_blanks_a_rectangle_with_the_mean_of_some_pictures():
    how = Augmentation(**{**vars(STILL), "erase": 0.5})
    pictures = _pictures(60)
    moved = _augment(pictures, how)
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
    assert torch.allclose(_augment(picture, how)[:, :, 1:-1, 1:-1], torch.tensor(200.0))


def test_pictures_that_do_not_move_are_only_turned_and_mirrored():
    pictures = _pictures()
    turned = _augment(pictures, replace(STILL, view="aerial", move=0.0, degrees=30, scale=(0.5, 0.6)), seed=3)
    for before, after in zip(pictures, turned, strict=True):
        ways = [torch.rot90(side, k, (1, 2)) for side in (before, before.flip(2)) for k in range(4)]
        assert min(float((way - after).abs().max()) for way in ways) < 0.05


def test_size_resamples_in_the_same_step():
    pictures = _pictures(3, 32, 32)
    small = _augment(pictures, Augmentation(view="aerial"), size=Size(16, 16))
    assert small.shape == (3, 3, 16, 16)
    still = _augment(torch.full((2, 3, 32, 32), 77.0), STILL, size=Size(20, 20))
    assert torch.allclose(still, torch.full((2, 3, 20, 20), 77.0))


@pytest.mark.parametrize("view", ["ground", "aerial"])
@pytest.mark.parametrize("bands", [1, 3, 4])
@given(cut=st.integers(0, 9), seed=st.integers(0, 100))
def test_parts_put_together_are_the_whole_bit_for_bit(view, bands, cut, seed):
    pictures = _pictures(9, 16, 16)[:, [0, 1, 2, 0][:bands]]
    how = Augmentation(view=view, randaugment=2)
    parts = [
        augment(pictures[part], how, Draws(torch.Generator().manual_seed(seed), 9, part)).pictures
        for part in (slice(0, cut), slice(cut, 9))
        if part.start < part.stop
    ]
    assert torch.equal(torch.cat(parts), _augment(pictures, how, seed=seed))


@pytest.mark.parametrize("bands", [1, 2, 4, 13])
def test_any_number_of_bands(bands):
    pictures = torch.rand(40, bands, 20, 20) * 255
    moved = _augment(pictures, Augmentation(randaugment=3), size=Size(16, 16))
    assert moved.shape == (40, bands, 16, 16)
    assert 0 <= float(moved.min()) < float(moved.max()) <= 255
    how = replace(STILL, saturation=1.0)
    assert torch.equal(_augment(pictures, how), _augment(pictures, STILL)), "no colours to saturate"


def test_randaugment_does_many_things():
    pictures = _pictures(1).expand(300, -1, -1, -1)
    moved = _augment(pictures, replace(STILL, randaugment=1))
    plain = _augment(pictures, STILL)
    same = sum(torch.allclose(a, b, atol=0.1) for a, b in zip(moved, plain, strict=True))
    assert same < 300 * 0.8
    assert len({round(float(picture.mean()), 2) for picture in moved}) > 15


def _integers(count=6, bands=3):
    """Pictures of whole numbers, among them flat and dim ones."""
    generator = torch.Generator().manual_seed(5)
    pictures = torch.randint(0, 256, (count, bands, 24, 24), generator=generator).float()
    pictures[0] = 90
    pictures[1] = pictures[1] // 3 + 40
    pictures[2, 0, :12] = 7
    return pictures


@pytest.mark.parametrize("amount", [-1.0, -0.5, 0.0, 0.3, 1.0])
def test_brightness_and_sharpness_are_torchvisions(amount):
    pictures = _integers()
    amounts = torch.full((6,), amount)
    factor = 1 + 0.9 * amount
    bright = oracle.adjust_brightness(pictures / 255, factor) * 255
    assert torch.allclose(COLOURS["brightness"](pictures, amounts).clamp(0, 255), bright, atol=1e-3)
    sharp = oracle.adjust_sharpness(pictures / 255, factor) * 255
    assert torch.allclose(COLOURS["sharpness"](pictures, amounts).clamp(0, 255), sharp, atol=1e-3)


@pytest.mark.parametrize(("amount", "bits"), [(0.0, 8), (0.25, 7), (-0.5, 6), (1.0, 4)])
def test_posterize_is_torchvisions(amount, bits):
    pictures = _integers()
    expected = oracle.posterize(pictures.to(torch.uint8), bits).float()
    assert torch.equal(COLOURS["posterize"](pictures, torch.full((6,), amount)), expected)


@pytest.mark.parametrize("amount", [-0.8, 0.2, 1.0])
def test_solarize_is_torchvisions(amount):
    expected = oracle.solarize(_integers() / 255, 1 - abs(amount)) * 255
    assert torch.allclose(COLOURS["solarize"](_integers(), torch.full((6,), amount)), expected, atol=1e-3)


@pytest.mark.parametrize(("name", "of"), [("equalize", oracle.equalize), ("invert", oracle.invert)])
def test_equalize_and_invert_are_torchvisions(name, of):
    pictures = _integers()
    assert torch.equal(COLOURS[name](pictures, torch.ones(6)), of(pictures.to(torch.uint8)).float())


def test_autocontrast_is_torchvisions():
    expected = oracle.autocontrast(_integers() / 255) * 255
    assert torch.allclose(COLOURS["autocontrast"](_integers(), torch.ones(6)), expected, atol=1e-3)


def test_contrast_and_saturation_by_hand():
    picture = torch.tensor(
        [[[[30.0, 60.0]], [[60.0, 60.0]], [[90.0, 180.0]]]]
    )  # pixels 30, 60, 90 and 60, 60, 180
    half = torch.tensor([-0.5 / 0.9])
    contrasted = COLOURS["contrast"](picture, half)
    assert contrasted.flatten().tolist() == pytest.approx([55, 70, 70, 70, 85, 130])
    saturated = COLOURS["saturation"](picture, half)
    assert saturated.flatten().tolist() == pytest.approx([45, 80, 60, 80, 75, 140])


@pytest.mark.parametrize("name", COLOURS)
def test_a_drawn_colour_operation_is_done_either_way_and_within_the_range(name):
    pictures = _integers(40)
    moved = _augment(pictures, replace(STILL, randaugment=1, magnitude=5), draws=_always(name))
    plain = _augment(pictures, replace(STILL, randaugment=1), draws=_always("identity"))
    ways = [COLOURS[name](plain, torch.full((40,), amount)).clamp(0, 255) for amount in (-0.5, 0.5)]
    same = [(moved == way).flatten(1).all(1) for way in ways]
    assert bool((same[0] | same[1]).all())
    assert all(int(found.sum()) > 10 for found in same)


@pytest.mark.parametrize(
    ("name", "columns", "rows"), [("translate_x", 150 / 331 * 64, 0), ("translate_y", 0, 150 / 331 * 64)]
)
def test_translations_move_by_a_share_of_the_side(name, columns, rows):
    pictures = torch.zeros(20, 1, 64, 64)
    pictures[:, :, 30:34, 30:34] = 200
    moved = _augment(pictures, replace(STILL, randaugment=1, magnitude=5), draws=_always(name))[:, 0]
    along = torch.arange(64.0) - 31.5
    mass = moved.sum((1, 2))
    x, y = (moved.sum(1) * along).sum(1) / mass, (moved.sum(2) * along).sum(1) / mass
    assert x.abs().tolist() == pytest.approx([columns / 2] * 20, abs=0.01)
    assert y.abs().tolist() == pytest.approx([rows / 2] * 20, abs=0.01)
    assert min(float((x + y).min()), float(-(x + y).max())) < 0, "both ways"


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y"])
def test_turns_and_shears_are_torchvisions(name):
    pictures = torch.zeros(20, 1, 65, 65)
    pictures[:, :, 28:37, 20:45] = 200
    moved = _augment(pictures, replace(STILL, randaugment=1, magnitude=10), draws=_always(name))
    ways = []
    for sign in (-1, 1):
        angle = 30.0 * sign if name == "rotate" else 0.0
        shear = [math.degrees(math.atan(0.3 * sign)) * (name == axis) for axis in ("shear_x", "shear_y")]
        ways.append(
            oracle.affine(
                pictures[:1], angle, [0, 0], 1.0, shear, interpolation=oracle.InterpolationMode.BILINEAR
            )[0]
        )
    for picture in moved:
        distances = [float((picture - way).abs().mean()) for way in ways]
        assert min(distances) < 0.02
        assert max(distances) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"magnitude": 11},
            r"^augmentation.magnitude is 0 to 10, got 11; e.g. --set augmentation.magnitude=9$",
        ),
        (
            {"randaugment": -1},
            r"^augmentation.randaugment is 0 to 14, got -1; e.g. --set augmentation.randaugment=0$",
        ),
        ({"erase": 1.5}, r"^augmentation.erase is 0 to 1, got 1.5; "),
        ({"degrees": float("nan")}, r"^augmentation.degrees is 0 to 180, got nan; "),
        (
            {"scale": (1.1, 0.7)},
            r"^augmentation.scale is a lower and an upper share .*, got 1.1,0.7; e.g. --set",
        ),
        ({"scale": (0.5,)}, r"^augmentation.scale is a lower and an upper share .*, got 0.5; "),
    ],
)
def test_a_value_out_of_its_range(change, message):
    with pytest.raises(GossamerError, match=message):
        Augmentation(**change)


def test_hue_turns_colours_about_grey():
    grey = torch.full((4, 3, 8, 8), 90.0)
    red = torch.zeros(4, 3, 8, 8)
    red[:, 0] = 90.0
    still = {"move": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "erase": 0.0}
    how = Augmentation(hue=0.5, **still)
    turned = augment(
        torch.cat([grey, red]), how, Draws.whole_batch(torch.Generator().manual_seed(3), 8)
    ).pictures
    assert turned[:4].flatten().tolist() == pytest.approx([90.0] * 768, abs=1e-3)
    assert float(turned[4:, 1:].amax()) > 20
    plain = augment(
        red, Augmentation(**still), Draws.whole_batch(torch.Generator().manual_seed(3), 4)
    ).pictures
    assert plain[:, 1:].abs().max() < 1e-3
