"""A network on its way to a bundle: as a value at a size, then trained, with the curve of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.train.training import Point
from gossamer.types import Size
from gossamer.zoo.build import build
from gossamer.zoo.checkpoints import read_checkpoint
from gossamer.zoo.spec import ModelSpec

__all__ = ["CurvePoint", "NetworkValue", "Trained", "TrainedNetwork", "key_of"]


def key_of(label: str, size: Size) -> str:
    """What a network at a size is called: `NAME@96`, `NAME@96x128`."""
    return f"{label}@{size.height}" if size.height == size.width else f"{label}@{size}"


class NetworkValue(BaseModel):
    """What rebuilds a network, and what it takes."""

    label: str
    """Name and variant, for a person."""
    spec: dict[str, Any]
    contract: dict[str, Any]
    weights: str | None
    """Where it started from; None where from nothing."""
    params: int
    macs: int

    @property
    def model_spec(self) -> ModelSpec:
        return ModelSpec.from_json(self.spec)

    @property
    def input_contract(self) -> InputContract:
        return InputContract.from_json(self.contract)

    @property
    def size(self) -> Size:
        return self.input_contract.size

    @property
    def key(self) -> str:
        return key_of(self.label, self.size)


class CurvePoint(BaseModel):
    """One validation during training."""

    seconds: float
    passes: float
    train_loss: float
    val_loss: float
    val_score: float

    @classmethod
    def of(cls, point: Point) -> CurvePoint:
        """What a report shows of a validation."""
        return cls(**{name: getattr(point, name) for name in cls.model_fields})


class TrainedNetwork(BaseModel):
    """One network and how far it was trained."""

    network: NetworkValue
    folder: str
    """Below the run folder; holds best.safetensors."""
    score: float
    """Best headline figure on the validation split."""
    seconds: float
    rungs: int
    points: list[CurvePoint]
    recipe: dict[str, object]
    wanted: float | None = None
    """Passes that the recipe wants, where the clock bounded the training."""

    def load(self, run: Path) -> nn.Module:
        """The network with its best weights, in eval mode."""
        network = build(self.network.model_spec)
        network.load_state_dict(read_checkpoint(run / self.folder / "best.safetensors"))
        return network.eval()


class Trained(BaseModel):
    """All networks that were trained, best first; the first went through every rung."""

    networks: list[TrainedNetwork]
    teacher: TrainedNetwork | None = None
    teacher_used: bool = False
    notes: list[str]
    lost: list[str]
    """Pictures that could no longer be read when training began, left out."""
    view: str
    pictures_per_second: float
    probe: float | None = None
    """What the linear probe reached on validation as a network; None without weights."""
