"""The options of verbs that make something of a network that is there."""

from __future__ import annotations

from pathlib import Path

from gossamer._text import whole_number
from gossamer.errors import GossamerError
from gossamer.runs.config import ONLINE, RunConfig
from gossamer.runs.options import config, option

__all__ = ["ModelConfig", "parse_input"]

_MOST_PIXELS = 16_384


@config
class ModelConfig(RunConfig):
    """What runs share that make something of a network; `data` is empty where there are no pictures."""

    model: str = option(
        ..., "Bundle, catalogue name, NAME@WEIGHTS, timm:NAME or torchvision:NAME.", positional=True
    )
    data: str = option("", "Pictures to calibrate on and to judge by.", group="Data")
    online: bool = option(False, ONLINE, group="Network")
    input: str | None = option(
        None, "BANDSxHEIGHTxWIDTH, where the network's own is not wanted.", group="Network"
    )
    max_drop: float = option(
        0.01, "Accuracy a lossy step may cost, e.g. 1%.", group="Goal", share=True, least=0
    )

    def check(self) -> None:
        """As of every config; and the model has layers to work on.

        Raises:
            GossamerError: one line for a person.
        """
        from gossamer.deploy.runtimes import RUNTIMES, Runtime

        super().check()
        suffix = Path(self.model).suffix
        if suffix == Runtime("packed").suffix:
            raise GossamerError(
                f"a packed file is the end of a chain, got {self.model}; give the bundle that it lies in, or the network's name"
            )
        if suffix in {Runtime(name).suffix for name in RUNTIMES} and "@" not in self.model:
            raise GossamerError(
                f"an exported file has no layers left to work on, got {self.model}; give the bundle that it lies in, or the network's name"
            )
        if not 0 <= self.max_drop < 1:
            raise GossamerError(f"max_drop is from 0 to below 1, got {self.max_drop:g}; write e.g. 1%")
        if self.input is not None:
            parse_input(self.input)


def parse_input(text: str) -> tuple[int, int, int]:
    """(bands, H, W) of `3x224x224`.

    Raises:
        GossamerError: it reads otherwise.
    """
    sides = [whole_number(part) or 0 for part in text.lower().split("x")]
    if len(sides) != 3 or not all(1 <= side <= _MOST_PIXELS for side in sides):
        raise GossamerError(f"--input is BANDSxHEIGHTxWIDTH, got {text!r}; write e.g. 3x224x224")
    bands, height, width = sides
    return bands, height, width
