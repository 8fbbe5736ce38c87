"""Pictures of other bands: read by name, filled where they hold no data, measured on training, refused by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from gossamer.data.bands import find_bands, measure_bands, open_values, open_view
from gossamer.data.check import check
from gossamer.data.geometry import fit_picture, fit_values
from gossamer.deploy.contract import InputContract
from gossamer.errors import DataError
from gossamer.types import Size

rasterio = pytest.importorskip("rasterio")
NAMES = ("B2", "B3", "B4", "B8", "B11")


def _tiff(path, values, names=NAMES, nodata=None, dtype="uint16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, bands = values.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=dtype, nodata=nodata
        ) as raster:
            raster.write(values.astype(dtype).transpose(2, 0, 1))
            if names:
                raster.descriptions = names
    return path


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(1, 10_000, (40, 48, 5)).astype(np.float32)


class TestReading:
    def test_gives_the_values_of_a_tiff_by_name_in_the_order_asked_for(self, tmp_path, values):
        path = _tiff(tmp_path / "a.tif", values)
        assert np.array_equal(open_values(path, ("B8", "B2")), values[:, :, [3, 0]])

    def test_gives_the_values_of_an_array(self, tmp_path, values):
        np.save(tmp_path / "a.npy", values.astype(np.float64))
        assert np.array_equal(open_values(tmp_path / "a.npy", find_bands([tmp_path / "a.npy"])), values)

    def test_fills_places_without_data_with_the_mean_of_their_band(self, tmp_path, values):
        values[:10, :, 1] = 0
        found = open_values(_tiff(tmp_path / "a.tif", values, nodata=0), NAMES)
        assert np.allclose(found[:10, :, 1], values[10:, :, 1].mean(), rtol=1e-6)
        assert np.array_equal(found[10:], values[10:])

    def test_fills_numbers_that_are_none(self, tmp_path, values):
        values[3, 4, 2] = np.nan
        values[3, 5, 2] = np.inf
        np.save(tmp_path / "a.npy", values)
        found = open_values(tmp_path / "a.npy", find_bands([tmp_path / "a.npy"]))
        assert np.isfinite(found).all()
        assert found[3, 4, 2] == pytest.approx(values[:, :, 2][np.isfinite(values[:, :, 2])].mean(), rel=1e-6)

    @pytest.mark.parametrize(
        ("name", "write", "message"),
        [
            ("empty.tif", lambda p: p.write_bytes(b""), "empty"),
            ("text.tif", lambda p: p.write_text("no raster"), "does not"),
            ("text.npy", lambda p: p.write_text("no array"), "numpy.save"),
            ("first.npy", lambda p: np.save(p, np.zeros((5, 40, 48))), "transpose"),
            ("words.npy", lambda p: np.save(p, np.array([["a"]])), "numbers"),
            ("flat.npy", lambda p: np.save(p, np.zeros(7)), "picture"),
            ("objects.npy", lambda p: np.save(p, np.array([[{}]]), allow_pickle=True), "numpy.save"),
            ("hollow.npy", lambda p: np.save(p, np.full((9, 9, 5), np.nan)), "holds none"),
        ],
    )
    def test_refuses_what_it_cannot_read_in_one_line(self, tmp_path, name, write, message):
        write(tmp_path / name)
        with pytest.raises(DataError, match=message) as caught:
            open_values(tmp_path / name, ("band1", "band2", "band3", "band4", "band5"))
        assert "\n" not in str(caught.value)

    def test_refuses_other_bands_by_name(self, tmp_path, values):
        path = _tiff(tmp_path / "a.tif", values, names=None)
        with pytest.raises(DataError, match=r"B2.*has band1, band2"):
            open_values(path, NAMES)


class TestFinding:
    def test_takes_ordinary_pictures_as_they_are(self, tmp_path):
        Image.new("RGB", (8, 8)).save(tmp_path / "a.tif")
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        assert find_bands([tmp_path / "a.tif"]) is None
        assert find_bands([tmp_path / "a.png"]) is None

    def test_keeps_a_fourth_band_where_it_is_asked_for(self, tmp_path, values):
        path = _tiff(tmp_path / "a.tif", values[:, :, :4] % 256, ("r", "g", "b", "nir"), dtype="uint8")
        assert find_bands([path], "all") == ("r", "g", "b", "nir")
        assert find_bands([path], "rgb") is None

    def test_takes_names_and_numbers(self, tmp_path, values):
        path = _tiff(tmp_path / "a.tif", values)
        assert find_bands([path], "auto") == NAMES
        assert find_bands([path], "3,B8") == ("B4", "B8")

    def test_passes_over_files_that_cannot_be_read(self, tmp_path, values):
        (tmp_path / "a.tif").touch()
        (tmp_path / "b.npy").write_text("no array")
        good = _tiff(tmp_path / "c.tif", values)
        Image.new("RGB", (8, 8)).save(tmp_path / "d.tif")
        bad = [tmp_path / "a.tif", tmp_path / "b.npy"]
        assert find_bands([*bad, good]) == NAMES
        assert find_bands([*bad, tmp_path / "d.tif"]) is None
        assert find_bands(bad) is None

    @pytest.mark.parametrize("asked", ["B9", "6", "0", "B2,B2", "B2,"])
    def test_refuses_bands_that_are_not_there(self, tmp_path, values, asked):
        path = _tiff(tmp_path / "a.tif", values)
        with pytest.raises(DataError, match="--bands"):
            find_bands([path], asked)


class TestMeasuring:
    def test_gives_mean_and_deviation_of_every_pixel(self, tmp_path, values):
        paths = [_tiff(tmp_path / f"{i}.tif", values * (i + 1) / 2) for i in range(2)]
        pixels = np.concatenate([open_values(path, NAMES).reshape(-1, 5) for path in paths])
        found = measure_bands(paths, NAMES)
        assert np.allclose(found.mean, pixels.mean(0), rtol=1e-6)
        assert np.allclose(found.std, pixels.std(0), rtol=1e-5)
        assert (np.array(found.low) >= pixels.min(0)).all()
        assert (np.array(found.high) <= pixels.max(0)).all()

    def test_gives_a_flat_band_a_deviation_to_divide_by(self, tmp_path, values):
        values[:, :, 2] = 7
        found = measure_bands([_tiff(tmp_path / "a.tif", values)], NAMES)
        contract = InputContract.of_bands(found, 32)
        assert found.high[2] > found.low[2]
        assert np.abs(contract.open(tmp_path / "a.tif")[0, 2]).max() < 1e-5


class TestView:
    def test_shows_the_colours_by_name(self, tmp_path, values):
        values[:, :, 2] = np.linspace(0, 5000, 48)  # B4 is red
        values[:, :, :2] = values[:, :, :2].mean()
        red, green, blue = np.moveaxis(np.asarray(open_view(_tiff(tmp_path / "a.tif", values), NAMES)), 2, 0)
        assert (np.diff(red[0].astype(int)) >= 0).all()
        assert red.max() == 255
        assert green.max() == blue.max() == 0


def test_squares_are_cut_as_those_of_pictures_are(values):
    picture = (values[:, :, :3] % 128 + 64).astype(np.uint8)
    ours = fit_values(picture.astype(np.float32), Size(24, 24))
    theirs = np.asarray(fit_picture(Image.fromarray(picture), Size(24, 24)), np.float32)
    assert np.abs(ours - theirs).max() <= 1.5  # Pillow rounds bytes after each of its two passes


def test_the_doctor_names_the_file_with_other_bands(tmp_path, values):
    rng = np.random.default_rng(1)
    for label in ("crop", "water"):
        for i in range(6):
            _tiff(tmp_path / label / f"{i}.tif", rng.integers(1, 10_000, (40, 48, 5)))
    holes = rng.integers(1, 10_000, (40, 48, 5))
    holes[:20] = 0
    _tiff(tmp_path / "water" / "holes.tif", holes, nodata=0)
    _tiff(tmp_path / "water" / "odd.tif", values[:, :, :3], NAMES[:3])
    report = check(tmp_path)
    assert report.bands is not None
    assert report.bands.names == NAMES
    assert report.skipped == ("water/odd.tif",)
    assert report.to_json()["bands"]["names"] == NAMES
    (hollow,) = [finding for finding in report.findings if finding.code == "no-data"]
    assert hollow.files == ("water/holes.tif",)
    assert "50%" in hollow.message
