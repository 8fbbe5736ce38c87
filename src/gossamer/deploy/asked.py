"""What is asked of a predictor beside labels: tiles, regions, thresholds; and the answer to it for one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gossamer.deploy.predict import Prediction, Predictor
from gossamer.errors import BundleError, DataError
from gossamer.geo.regions import RULES, Region, Regions
from gossamer.geo.scene import georeference_of, open_scene
from gossamer.geo.windows import Tiling, count_of, windows_of
from gossamer.tasks import Answer
from gossamer.tasks.places import Part, Places

__all__ = ["Asked", "OnTile", "answered", "places_of", "restricted"]

OnTile = Callable[[Path, int, int], None]
"""A file, its tiles that are done, and how many it has."""


@dataclass(frozen=True)
class Asked:
    """Of every picture alike."""

    top: int = 5
    threshold: float | None = None
    tiling: Tiling | None = None
    """How a picture is cut that is larger than a tile; None for one look at all of it."""
    regions: Regions | None = None
    rule: str = RULES[0]
    """When a thing is in a region: one of `gossamer.geo.regions.RULES`."""

    def check(self, predictor: Predictor) -> None:
        """Raises BundleError: the model's answers lie nowhere in the picture, but tiles or regions are asked for."""
        predictor.check(self.threshold)
        if self.rule not in RULES:
            raise BundleError(f"a thing is in a region by its {' or by '.join(RULES)}, got {self.rule!r}")
        if self.tiling is not None:
            places_of(predictor, "--tile")
        if self.regions is not None:
            places_of(predictor, "--region")


def places_of(predictor: Predictor, option: str) -> Places:
    """What can be done with the answers of a model.

    Raises:
        BundleError: they are of the picture as a whole.
    """
    places = predictor.task.places
    if places is None:
        raise BundleError(
            f"{option} is for answers that lie somewhere in a picture, the model is for {predictor.task.name}; leave it out"
        )
    return places


def answered(
    predictor: Predictor, files: Iterable[Path], asked: Asked, *, on_tile: OnTile | None = None
) -> Iterator[Prediction]:
    """What is said of each file, in tiles and by regions where that is asked for; an error where one cannot be read."""
    if asked.tiling is None:
        for prediction in predictor.each(files, top=asked.top, threshold=asked.threshold):
            yield _counted(predictor, prediction, asked)
        return
    for file in files:
        yield _counted(predictor, _tiled(predictor, file, asked, asked.tiling, on_tile), asked)


def _counted(predictor: Predictor, prediction: Prediction, asked: Asked) -> Prediction:
    """By regions, where there are some."""
    if prediction.answer is None or asked.regions is None:
        return prediction
    try:
        regions = _on(prediction.file, asked.regions)
    except DataError as error:
        return _unread(predictor, prediction.file, asked, error)
    return replace(prediction, answer=restricted(predictor, prediction.answer, regions, asked.rule))


def _unread(predictor: Predictor, file: Path, asked: Asked, error: DataError) -> Prediction:
    return Prediction(file, None, str(error), predictor.nothing(asked.threshold))


def restricted(predictor: Predictor, answer: Answer, regions: tuple[Region, ...], rule: str) -> Answer:
    """Only what lies in the regions, which are in pixels."""
    places = places_of(predictor, "--region")
    return places.inside(answer, regions, crossing=rule == RULES[1])


def _on(file: Path, regions: Regions) -> tuple[Region, ...]:
    """Regions in pixels of a file: of a raster they are on the map, in degrees where nothing else is said."""
    ground = georeference_of(file)
    if ground is None:
        if regions.crs is not None:
            raise DataError(
                f"regions of a coordinate system are for rasters, {file} is on no map; give them in its pixels, without crs"
            )
        return regions.regions
    crs = regions.crs or ("EPSG:4326" if regions.degrees else None)
    return tuple(region.moved(lambda ring: ground.to_pixels(ring, crs)) for region in regions.regions)


def _tiled(
    predictor: Predictor, file: Path, asked: Asked, tiling: Tiling, on_tile: OnTile | None
) -> Prediction:
    """One tile after the other; of each only its answer stays."""
    contract, places = predictor.contract, places_of(predictor, "--tile")
    parts: list[Part] = []
    try:
        with open_scene(file, contract.bands, contract.value_range, contract.read) as scene:
            total = count_of(scene.size, tiling)
            for done, window in enumerate(windows_of(scene.size, tiling), 1):
                values = scene.read(window)
                if values is not None:
                    said = predictor.predict(values, top=asked.top, threshold=asked.threshold, name=file)
                    if said.answer is None:
                        return said
                    parts.append(Part(window, said.answer))
                if on_tile is not None:
                    on_tile(file, done, total)
            joined = places.joined(parts, scene.size, predictor.labels)
            return Prediction(file, joined, size=scene.size)
    except DataError as error:
        return _unread(predictor, file, asked, error)
