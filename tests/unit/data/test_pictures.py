"""One picture, however stored: what reads, how it becomes 8-bit RGB, and what is refused in one line."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from gossamer.data.geometry import fit_picture
from gossamer.data.pictures import MAX_PIXELS, is_picture, open_rgb, probe
from gossamer.errors import DataError
from gossamer.types import Size


def _png_with_header_only(width: int, height: int) -> bytes:
    """A valid PNG but for its pixels: the header claims `width` x `height`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _thirds(height: int = 20, width: int = 60) -> Image.Image:
    """Red, green, blue from left to right."""
    array = np.zeros((height, width, 3), np.uint8)
    for band in range(3):
        array[:, band * width // 3 : (band + 1) * width // 3, band] = 255
    return Image.fromarray(array)


def _refused(path, message):
    for reader in (probe, open_rgb):
        with pytest.raises(DataError, match=message) as caught:
            reader(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("A.JPEG", True),
        ("a.tif", True),
        ("a.txt", False),
        (".a.jpg", False),
        ("jpg", False),
        ("._x.png", False),
    ],
)
def test_pictures_are_told_by_name(tmp_path, name, expected):
    assert is_picture(tmp_path / name) is expected


def test_missing(tmp_path):
    _refused(tmp_path / "none.jpg", r"no such picture: .*none\.jpg; check the path")


def test_empty_file(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    _refused(path, r"^a picture must hold bytes, .*empty\.png is empty; replace or remove it$")


def test_text_named_as_a_picture(tmp_path):
    path = tmp_path / "note.jpg"
    path.write_text("this is no picture")
    _refused(path, r"named as a picture but is none that can be read; replace or remove it")


def test_a_folder_named_as_a_picture(tmp_path):
    path = tmp_path / "folder.jpg"
    path.mkdir()
    _refused(path, r"cannot open .*folder\.jpg: .*directory")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".bmp", ".tif", ".webp"])
def test_truncated(tmp_path, draw, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    draw(1, (64, 64)).save(whole)
    data = whole.read_bytes()
    assert open_rgb(whole).size == (64, 64)
    path.write_bytes(data[: int(0.6 * len(data))])
    with pytest.raises(DataError, match=rf"cut\{suffix}") as caught:
        open_rgb(path)
    assert "replace or remove it" in str(caught.value)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_header_too_large_to_be_honest(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_with_header_only(side, side))
    _refused(path, rf"may claim at most {MAX_PIXELS:,} pixels, .*bomb\.png claims more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _refused(path, r"claims more .*; cut it into tiles first")


def test_a_large_honest_header_is_read_without_its_pixels(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(_png_with_header_only(9_000, 9_000))
    assert probe(path).size == Size(9_000, 9_000)
    with pytest.raises(DataError, match="must decode whole"):
        open_rgb(path)


def test_probe_says_height_first(tmp_path):
    path = tmp_path / "wide.png"
    _thirds().save(path)
    found = probe(path)
    assert found == (Size(height=20, width=60), "RGB", 1, "PNG")
    assert (found.bands, found.wide) == (3, False)


def test_cmyk(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(path, quality=95)
    assert (probe(path).mode, probe(path).bands) == ("CMYK", 4)
    image = open_rgb(path)
    assert image.mode == "RGB"
    red, green, blue = np.asarray(image).mean((0, 1))
    assert red < 20
    assert min(green, blue) > 200


def test_alpha_is_dropped_and_colours_kept(tmp_path):
    path = tmp_path / "alpha.png"
    Image.new("RGBA", (8, 8), (10, 200, 30, 0)).save(path)
    assert probe(path).bands == 4
    assert open_rgb(path).getpixel((3, 3)) == (10, 200, 30)
    grey = tmp_path / "grey-alpha.png"
    Image.new("LA", (8, 8), (77, 128)).save(grey)
    assert probe(grey).bands == 2
    assert open_rgb(grey).getpixel((0, 0)) == (77, 77, 77)


def test_sixteen_bits_are_scaled_by_the_full_range(tmp_path):
    path = tmp_path / "wide.png"
    values = np.array([[0, 257, 32896, 65278, 65535]], np.uint16)
    Image.fromarray(values).save(path)
    assert probe(path).wide
    assert np.asarray(open_rgb(path))[0, :, 0].tolist() == [0, 1, 128, 254, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 500.0, 1000.0], [0, 128, 255]),
    ],
)
def test_floats_are_scaled_by_what_they_hold(tmp_path, values, expected):
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([values], np.float32)).save(path)
    assert probe(path).wide
    assert np.asarray(open_rgb(path))[0, :, 1].tolist() == expected


def test_floats_that_are_no_numbers_become_black(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([[np.nan, np.inf, 0.5, 1.0]], np.float32)).save(path)
    assert np.asarray(open_rgb(path))[0, :, 0].tolist() == [0, 0, 128, 255]


def test_palette(tmp_path):
    path = tmp_path / "palette.png"
    _thirds().quantize(8).save(path)
    assert probe(path).mode == "P"
    assert open_rgb(path).getpixel((30, 10)) == (0, 255, 0)


def test_one_bit(tmp_path):
    path = tmp_path / "ink.png"
    Image.fromarray(np.array([[True, False]])).save(path)
    assert probe(path).mode == "1"
    assert np.asarray(open_rgb(path)).tolist() == [[[255] * 3, [0] * 3]]


def test_an_animation_gives_its_first_frame(tmp_path):
    path = tmp_path / "moving.gif"
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert probe(path).frames == 3
    assert open_rgb(path).getpixel((5, 5)) == (255, 0, 0)


def test_exif_turns_the_picture_upright(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left side is the top
    _thirds().save(path, exif=exif)
    image = open_rgb(path)
    assert image.size == (20, 60)
    assert [image.getpixel((10, y)) for y in (5, 30, 55)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_damaged_frames_and_tags_are_data_errors(tmp_path):
    """Bytes changed at random: a picture either reads or is a DataError, whatever Pillow raises inside."""
    rng = np.random.default_rng(3)
    frames = [Image.fromarray(rng.integers(0, 256, (24, 30, 3), np.uint8)) for _ in range(3)]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a tag"
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.jpg", exif=exif)
    frames[0].save(tmp_path / "c.png", exif=exif)
    refused = 0
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(3):
                damaged[rng.integers(0, min(len(whole), 200))] = rng.integers(0, 256)
            path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    probe(path)
                    open_rgb(path)
                except DataError:
                    refused += 1
    assert refused > 100


@pytest.mark.parametrize("turned", [False, True])
def test_a_square_cuts_the_middle(turned):
    image = _thirds()
    image = image.transpose(Image.Transpose.ROTATE_90) if turned else image
    square = fit_picture(image, Size(20, 20))
    assert square.size == (20, 20)
    assert (np.asarray(square) == [0, 255, 0]).all()


@pytest.mark.parametrize(
    ("height", "width", "size"), [(7, 12, 5), (12, 7, 20), (33, 33, 16), (1, 50, 4), (400, 300, 10)]
)
def test_a_square_always_gives_the_size(height, width, size):
    shown = fit_picture(Image.new("RGB", (width, height), (9, 8, 7)), Size(size, size))
    assert shown.size == (size, size)
    assert (np.asarray(shown) == [9, 8, 7]).all()


def test_a_square_of_the_right_size_changes_nothing(draw):
    image = draw(5, (32, 32))
    assert np.array_equal(np.asarray(fit_picture(image, Size(32, 32))), np.asarray(image))
