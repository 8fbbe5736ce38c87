"""One picture, however stored: what reads, how it becomes 8-bit RGB, and what is refused in one line."""

from __future__ import annotations

import os
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from gossamer.data.geometry import fit_picture
from gossamer.data.pictures import (
    FORMATS,
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    is_picture,
    open_rgb,
    probe,
    read_picture,
    shown_size,
)
from gossamer.data.ranges import ValueRange
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
    assert found == (Size(height=20, width=60), "RGB", 1, "PNG", False)
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


def test_what_is_transparent_shows_white_paper(tmp_path):
    path = tmp_path / "alpha.png"
    image = Image.new("RGBA", (8, 8), (10, 200, 30, 255))
    image.paste((90, 0, 0, 0), (0, 0, 8, 2))
    image.save(path)
    assert probe(path).bands == 4
    assert read_picture(path).hidden == 0.25
    assert open_rgb(path).getpixel((3, 3)) == (10, 200, 30)
    assert open_rgb(path).getpixel((3, 1)) == (255, 255, 255)
    grey = tmp_path / "grey-alpha.png"
    Image.new("LA", (8, 8), (77, 128)).save(grey)
    assert probe(grey).bands == 2
    assert open_rgb(grey).getpixel((0, 0)) == pytest.approx((166, 166, 166), abs=1)


def test_a_transparent_colour_of_a_palette_shows_white_paper(tmp_path):
    path = tmp_path / "palette.png"
    image = Image.new("P", (8, 8), 0)
    image.putpalette([5, 5, 5, 0, 200, 0])
    image.paste(1, (0, 0, 8, 4))
    image.save(path, transparency=0)
    assert read_picture(path).hidden == 0.5
    assert open_rgb(path).getpixel((0, 0)) == (0, 200, 0)
    assert open_rgb(path).getpixel((0, 7)) == (255, 255, 255)


@pytest.mark.parametrize("hidden", [0, 255])
def test_colours_under_a_transparent_place_reach_nobody(tmp_path, draw, hidden):
    values = np.asarray(draw(1, (16, 16)).convert("RGBA")).copy()
    values[:8] = (hidden, hidden, hidden, 0)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.asarray(open_rgb(tmp_path / "x.png"))[:8].min() == 255


def _png16(path, values, colour=2):
    """A PNG of 16 bits a band, (H, W, bands), which Pillow does not write."""
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    height, width = values.shape[:2]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )


def test_colours_of_sixteen_bits_keep_their_low_bytes(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (24, 30, 3))
    _png16(tmp_path / "x.png", values)
    assert probe(tmp_path / "x.png").wide
    shown = np.asarray(open_rgb(tmp_path / "x.png")).astype(int)
    assert np.abs(shown - values * 255 / 4095).max() <= 0.51
    half = np.asarray(open_rgb(tmp_path / "x.png", ValueRange(0.0, 8190.0))).astype(int)
    assert np.abs(half - values * 255 / 8190).max() <= 0.51


def test_colours_of_sixteen_bits_under_alpha_are_laid_over_paper(tmp_path):
    values = np.full((8, 8, 4), 65535)
    values[:, :, :3] = 30_000
    values[:4, :, 3] = 0
    _png16(tmp_path / "x.png", values, colour=6)
    assert open_rgb(tmp_path / "x.png").getpixel((0, 0)) == (255, 255, 255)
    assert open_rgb(tmp_path / "x.png").getpixel((0, 7)) == (117, 117, 117)


def test_one_value_above_one_does_not_make_the_rest_black(tmp_path):
    grey = np.random.default_rng(4).random((32, 32)).astype(np.float32)
    Image.fromarray(grey).save(tmp_path / "a.tif")
    grey[0, 0] = 1.05
    Image.fromarray(grey).save(tmp_path / "b.tif")
    first, second = (np.asarray(open_rgb(tmp_path / name)).astype(int) for name in ("a.tif", "b.tif"))
    assert np.abs(first - second)[1:].max() == 0


def test_a_large_picture_of_sixteen_bits_is_read_in_strips(tmp_path):
    """Its values are never there as a whole: at most some ten bytes a pixel, where arithmetic in doubles took thirty."""
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((3000, 3000), np.uint16) + np.arange(3000, dtype=np.uint16)).save(path)
    tracemalloc.start()
    shown = open_rgb(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert shown.size == (3000, 3000)
    assert peak < 6 * 9_000_000


def test_only_the_formats_of_the_list_are_opened(tmp_path, monkeypatch):
    """A PostScript file named as a picture starts no Ghostscript."""
    Image.init()
    monkeypatch.setitem(Image.OPEN, "EPS", (lambda *_: pytest.fail("opened as EPS"), None))
    path = tmp_path / "x.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    _refused(path, r"named as a picture but is none that can be read")


def test_suffixes_are_those_of_the_formats():
    Image.init()
    theirs = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert PICTURE_SUFFIXES - {".npy"} == theirs


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif", ".dib", ".pnm"])
def test_rarer_suffixes_are_pictures_that_open(tmp_path, draw, suffix):
    path = tmp_path / f"x{suffix}"
    draw(1, (32, 32)).save(path)
    assert is_picture(path)
    assert open_rgb(path).size == (32, 32)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    _refused(
        tmp_path / "x.png", r"cannot open .*x\.png: a picture is a file, this is a pipe, socket or device"
    )


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_that_is_shown_is_told_by_the_header(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (20, 10)).save(tmp_path / "x.jpg", exif=exif)
    shown = open_rgb(tmp_path / "x.jpg")
    assert shown_size(tmp_path / "x.jpg") == Size(shown.height, shown.width)
    Image.new("RGB", (20, 10)).save(tmp_path / "y.png")
    assert shown_size(tmp_path / "y.png") == Size(10, 20)


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
