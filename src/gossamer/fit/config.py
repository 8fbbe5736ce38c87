"""The options of `gossamer fit`."""

from __future__ import annotations

from typing import Literal

from gossamer._text import whole_number
from gossamer.errors import GossamerError, nearest
from gossamer.runs.config import TrainedConfig
from gossamer.runs.options import config, option
from gossamer.runs.resolutions import RESOLUTIONS
from gossamer.types import PRECISIONS, Budget
from gossamer.zoo.catalogue import CLASSIFIERS

__all__ = ["FitConfig"]

WEEK_MINUTES = 60 * 24 * 7


@config
class FitConfig(TrainedConfig):
    """What the main job was asked for."""

    data: str = option(
        ...,
        "Folder of pictures, file of annotations, or demo:scenes, demo:boxes: made in code.",
        positional=True,
    )
    within: str = option(..., 'Budget, e.g. "latency<=5ms, size<=1MB".', group="Goal")
    minutes: float = option(
        20.0, "Time for the whole run.", group="Goal", least=0.05, most=WEEK_MINUTES, example="20"
    )
    max_drop: float = option(
        0.01, "Accuracy a lossy step may cost, e.g. 1%.", group="Goal", share=True, least=0, most=1
    )
    families: str | None = option(
        None, "Only networks of these families, e.g. MobileNetV3,EfficientNet-Lite.", group="Network"
    )
    sizes: str | None = option(
        None,
        f"Only inputs of these sides, of {', '.join(map(str, RESOLUTIONS))}; by the pictures without.",
        group="Network",
    )
    precision: Literal["auto", "fp32", "fp16", "int8"] = option(
        "auto", "What ships: auto, fp32, fp16 or int8.", group="Goal", choices=("auto", *PRECISIONS)
    )
    teacher: Literal["auto", "none"] = option(
        "auto", "auto, or none.", group="Training", choices=("auto", "none")
    )

    @property
    def budget(self) -> Budget:
        return Budget.parse(self.within)

    @property
    def chosen_families(self) -> frozenset[str]:
        """As the catalogue spells them; all of them without a choice.

        Raises:
            GossamerError: there is none of a name.
        """
        known = {entry.family.lower(): entry.family for entry in CLASSIFIERS.values() if not entry.baseline}
        if self.families is None:
            return frozenset(known.values())
        names = [name.strip() for name in self.families.split(",")]
        for name in names:
            if name.lower() not in known:
                raise GossamerError(
                    f"--families are some of the catalogue's, got {name!r}; {nearest(name, known.values())}"
                )
        return frozenset(known[name.lower()] for name in names)

    @property
    def chosen_sizes(self) -> tuple[int, ...] | None:
        """Sides in pixels; None without a choice.

        Raises:
            GossamerError: one that networks are not counted at.
        """
        if self.sizes is None:
            return None
        sides = [whole_number(side) for side in self.sizes.split(",")]
        if not set(sides) <= set(RESOLUTIONS):
            raise GossamerError(
                f"--sizes are some of {', '.join(map(str, RESOLUTIONS))}, got {self.sizes!r}; write e.g. --sizes 128,160"
            )
        return tuple(sorted({side for side in sides if side}))

    def ships(self, precision: str) -> bool:
        """Whether a file of this precision is what was asked for."""
        return self.precision in ("auto", precision)

    def check(self) -> None:
        """As of every config; and budget, families and sizes can be understood.

        Raises:
            BudgetError, GossamerError: one line for a person.
        """
        super().check()
        Budget.parse(self.within)
        _ = self.chosen_families, self.chosen_sizes
