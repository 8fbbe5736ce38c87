"""Pictures with what is said drawn into them, one file a picture."""

from __future__ import annotations

from pathlib import Path

from gossamer._files import atomic_path
from gossamer.data.bands import RGB, open_view
from gossamer.deploy.asked import places_of
from gossamer.deploy.predict import Prediction, Predictor

__all__ = ["Drawings"]


class Drawings:
    """A folder that drawn pictures go into: PNG files named as the pictures are, numbered where names meet."""

    def __init__(self, folder: Path, predictor: Predictor) -> None:
        """Raises BundleError: there is nothing to draw, since answers are of the whole picture."""
        self._folder, self._predictor = folder, predictor
        self._places = places_of(predictor, "--draw")
        self._taken: set[str] = set()

    def add(self, prediction: Prediction) -> Path | None:
        """Draw a picture that was read.

        Raises:
            DataError: it is too large to be shown as a whole.
            RunFolderError: the folder cannot be written.
        """
        if prediction.answer is None:
            return None
        contract = self._predictor.contract
        bands = None if contract.bands == RGB else contract.bands
        image = open_view(prediction.file, bands, contract.value_range)
        path = self._folder / f"{self._name(prediction.file.stem)}.png"
        with atomic_path(path) as temporary:
            self._places.drawn(image, prediction.answer, self._predictor.labels).save(temporary)
        return path

    def _name(self, stem: str) -> str:
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name)
        return name
