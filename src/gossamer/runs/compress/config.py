"""The options of `gossamer compress`."""

from __future__ import annotations

from gossamer.errors import GossamerError
from gossamer.runs.config import RuntimeConfig
from gossamer.runs.model_config import ModelConfig
from gossamer.runs.options import config, option

__all__ = ["CompressConfig"]


@config
class CompressConfig(ModelConfig, RuntimeConfig):
    """What a compression was asked for."""

    method: tuple[str, ...] = option(
        (),
        "E.g. prune:macs=50%, factorise:params=70%, pack:bits=6 or pack:size=0.4MB; may be given again, in order.",
        group="Method",
    )
    apply: tuple[str, ...] = option((), "Apply a plan file instead of choosing anew.", group="Method")
    minutes: float = option(
        0.0,
        "Of fine-tuning by distillation from the whole network.",
        group="Method",
        least=0,
        most=60 * 24 * 7,
        example="5",
    )

    def check(self) -> None:
        """As of every config; and the methods can be understood and stand in an order that works.

        Raises:
            GossamerError: one line for a person.
        """
        super().check()
        if bool(self.method) == bool(self.apply):
            raise GossamerError(
                f"give methods or plans to apply, got {len(self.method)} and {len(self.apply)}; e.g. --method prune:macs=50%"
            )
        if self.minutes and not self.data:
            raise GossamerError("fine-tuning needs labelled pictures, none were given; add --data FOLDER")
