"""What `gossamer compress` was asked for."""

from __future__ import annotations

from pathlib import Path

from gossamer.compress.methods import parse_method
from gossamer.compress.order import check_order
from gossamer.deploy.runtimes.packed.run import suffix as packed_suffix
from gossamer.errors import GossamerError
from gossamer.fit.config import RunConfig

__all__ = ["CompressConfig", "SubjectConfig"]

_EXPORTED = (".onnx", ".tflite")


class SubjectConfig(RunConfig):
    """What runs share that make something of a network that is there; `data` is empty where there are no pictures."""

    model: str
    max_drop: float = 0.01
    input: tuple[int, int, int] | None = None
    """(bands, H, W) where the network's own is not wanted."""

    def check_subject(self) -> None:
        """An error where a value makes no sense.

        Raises:
            GossamerError: one line for a person.
        """
        self.check_common()
        if self.model.endswith(packed_suffix):
            raise GossamerError(
                f"a packed file is the end of a chain, got {self.model}; give the bundle that it lies in, or the network's name"
            )
        if Path(self.model).suffix in _EXPORTED and "@" not in self.model:
            raise GossamerError(
                f"an exported file has no layers left to work on, got {self.model}; give the bundle that it lies in, or the network's name"
            )
        if not 0 <= self.max_drop < 1:
            raise GossamerError(f"max_drop is from 0 to below 1, got {self.max_drop:g}; write e.g. 1%")


class CompressConfig(SubjectConfig):
    """The arguments of `gossamer compress`."""

    methods: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    """Plan files to apply as they are, instead of methods."""
    minutes: float = 0.0
    """Of fine-tuning, shared by the methods."""

    def checked(self) -> CompressConfig:
        """The same, or an error where a value makes no sense.

        Raises:
            GossamerError: one line for a person.
        """
        self.check_subject()
        if bool(self.methods) == bool(self.plans):
            raise GossamerError(
                f"give methods or plans to apply, got {len(self.methods)} and {len(self.plans)}; e.g. --method prune:macs=50%"
            )
        check_order([parse_method(text).name for text in self.methods])
        if not 0 <= self.minutes <= 60 * 24 * 7:
            raise GossamerError(
                f"minutes is between 0 and 10,080 (a week), got {self.minutes:g}; use e.g. --minutes 5"
            )
        if self.minutes and not self.data:
            raise GossamerError("fine-tuning needs labelled pictures, none were given; add --data FOLDER")
        return self
