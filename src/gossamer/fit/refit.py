"""The chosen network trained once more, on all pictures but those that test: its file takes the place of the first."""

from __future__ import annotations

from pydantic import BaseModel

from gossamer.fit.candidates import Candidate
from gossamer.fit.compression import Compressed, made_again
from gossamer.fit.endings import Endings
from gossamer.runs.trained import TrainedNetwork

__all__ = ["Refit", "refit"]


class Refit(BaseModel):
    """The network and its file, or nothing."""

    network: TrainedNetwork | None = None
    compressed: Compressed | None = None


def refit(
    trainer: Endings, candidate: Candidate, network: TrainedNetwork, compressed: Compressed, seconds: float
) -> Refit:
    """Nothing where there was no time, or where its file does not keep what the first one kept."""
    again = trainer.refit(candidate, network, seconds)
    if again is None:
        return Refit()
    files = made_again(trainer.config, trainer.report, again, compressed, trainer.run, trainer.reporter)
    if files is None:
        return Refit()
    pictures = sum(len(part) for part in (trainer.report.split.train, trainer.report.split.val))
    note = (
        f"{network.network.key} was trained again on all {pictures} pictures that do not test; figures on validation are "
        "those of the first training, which had not seen them"
    )
    kept = network.model_copy(update={"folder": again.folder, "seconds": network.seconds + again.seconds})
    return Refit(network=kept, compressed=files.model_copy(update={"notes": [*files.notes, note]}))
