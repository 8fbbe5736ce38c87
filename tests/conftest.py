"""What every test gets: a home of its own, tiny pictures made in code, the shared data where present."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tests share two cores

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

pytest.register_assert_rewrite("gossamer.testing")
settings.register_profile("gossamer", deadline=None, database=None, derandomize=True, max_examples=40)
settings.load_profile("gossamer")

PictureFolder = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Home, cache and hub folders of a session: no test reads or writes the person's own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "USERPROFILE"):
            patch.setenv(name, str(home))
        for name, folder in (
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".data"),
        ):
            patch.setenv(name, str(home / folder))
        for name, folder in (
            ("HF_HOME", "huggingface"),
            ("TORCH_HOME", "torch"),
            ("MPLCONFIGDIR", "matplotlib"),
        ):
            patch.setenv(name, str(home / ".cache" / folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def picture(seed: int, size: tuple[int, int] = (40, 40), tint: float = 0.0) -> Image.Image:
    """A patchwork unlike any other seed's, (height, width); `tint` in 0..1 shifts it from blue to red."""
    rng = np.random.default_rng([seed, 7])
    patches = rng.integers(0, 200, (16, 16, 3)).astype(np.float64)
    patches += np.array([55 * tint, 0, 55 * (1 - tint)])
    small = Image.fromarray(patches.astype(np.uint8))
    return small.resize((size[1], size[0]), Image.Resampling.NEAREST)


def write_class_folders(
    root: Path,
    classes: Mapping[str, int],
    *,
    size: tuple[int, int] = (40, 40),
    suffix: str = ".png",
    seed: int = 0,
) -> Path:
    """ROOT/CLASS/000.png ...: `classes` says how many pictures each class gets; all pictures differ."""
    number = 1000 * seed
    for index, (label, count) in enumerate(classes.items()):
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(number, size, index / max(1, len(classes) - 1)).save(folder / f"{i:03d}{suffix}")
            number += 1
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> PictureFolder:
    """`pictures({"field": 5, "river": 5}, size=(40, 40), suffix=".jpg", name="data", seed=0)` -> root."""

    def make(classes: Mapping[str, int], *, name: str = "data", **options: object) -> Path:
        return write_class_folders(tmp_path / name, classes, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    """One picture: `draw(seed, (height, width), tint)`."""
    return picture


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GOSSAMER_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"shared data is not at {folder}; set GOSSAMER_SHARED to its folder to run this test")
    return folder
