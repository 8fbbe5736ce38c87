"""Every number of a training run in one value: printed as YAML, changed one key at a time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gossamer._documents import parse_yaml
from gossamer.data.augment import Augmentation
from gossamer.errors import GossamerError, nearest

__all__ = ["Distillation", "Optimiser", "Recipe", "Schedule", "changed"]

Optimiser = Literal["adamw", "sgd", "rmsprop", "lamb"]
Schedule = Literal["cosine", "linear", "one-cycle", "step", "exponential", "constant"]


@dataclass(frozen=True)
class Distillation:
    """Weights of the losses that follow a teacher; `labels` is that of the labels beside them. 0 leaves a loss out.

    The losses are those of `gossamer.train.distill`, which says where each is from.
    """

    labels: float = 0.3
    logits: float = 0.7
    """Softened scores (Hinton et al., 1503.02531)."""
    temperature: float = 2.0
    dkd: float = 0.0
    """Target and other classes apart (Zhao et al., 2203.08679)."""
    dkd_beta: float = 8.0
    """Weight of the other classes against the target's 1."""
    dist: float = 0.0
    """Correlation instead of equality (Huang et al., 2205.10536)."""
    hints: float = 0.0
    """Features of the last stage through a 1x1 adaptor (Romero et al., 1412.6550)."""
    attention: float = 0.0
    """Maps of activation by stage (Zagoruyko and Komodakis, 1612.03928)."""
    relational: float = 0.0
    """Distances and angles between the pictures of a batch (Park et al., 1904.05068)."""
    channel: float = 0.0
    """Channels as distributions over places (Shu et al., 2011.13256): for dense prediction."""


_OF_PICTURES = frozenset(
    [
        "accumulate",
        "augmentation",
        "balance",
        "batch",
        "cutmix",
        "mixup",
        "mosaic_until",
        "multi_scale",
        "precision",
        "start_resolution",
    ]
)


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule, regularisation, augmentation and distillation.

    The moving average of the weights is what is validated and kept, unless `ema_decay` is 0.
    """

    name: str
    learning_rate: float
    optimiser: Optimiser = "adamw"
    momentum: float = 0.9
    """Of SGD and RMSprop."""
    nesterov: bool = True
    """Of SGD."""
    body_rate: float = 1.0
    """Learning rate of pretrained layers as a share of `learning_rate`; the new last layer takes the whole."""
    layer_decay: float = 1.0
    """Learning rate of a stage as a share of that of the stage behind it."""
    weight_decay: float = 0.05
    """Not on norms and biases."""
    batch: int = 32
    accumulate: int = 1
    """Batches whose gradients make one step."""
    epochs: float = 30.0
    """Passes over the training split, where the run is not bounded by minutes."""
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    """Share of the whole run; of one-cycle the rise."""
    gamma: float = 0.1
    """What the step schedule multiplies the rate by at each of `milestones`, and the exponential one over the run."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Shares of the run, of the step schedule."""
    norm_momentum: float = 0.1
    """Of batch norm's running statistics while training: TensorFlow-born networks keep theirs for hundreds of steps
    (0.01), longer than a short run is."""
    freeze_norm: bool = False
    """Keep the pretrained statistics and scales of batch norm."""
    hold: int = 0
    """Stages that reduce the picture by so much or less are not trained, nor run backwards: what many have learnt there serves
    few pictures well, at half of the time."""
    unfreeze: float = 0.0
    """Share of the run over which the stages thaw, from the last to the first; 0 trains all from the start."""
    label_smoothing: float = 0.1
    mixup: float = 0.0
    """Parameter of the Beta distribution that mixes pairs of pictures (Zhang et al., 1710.09412)."""
    cutmix: float = 0.0
    """The same for pasted rectangles (Yun et al., 1905.04899); with both, each batch takes either."""
    balance: Literal["none", "loss", "sampling"] = "none"
    """Classes with few pictures weigh more in the loss, or are drawn more often."""
    ema_decay: float = 0.998
    clip_norm: float = 5.0
    """Largest norm of a gradient; 0 leaves it alone."""
    patience: int = 15
    """Validations without a better metric after which the schedule skips to its last fifth."""
    start_resolution: float = 0.67
    """Share of the full resolution at which training begins: early passes are cheap (EfficientNetV2, 2104.00298)."""
    multi_scale: float = 0.0
    """Each step's side is drawn within this share below and above the resolution."""
    mosaic_until: float = 0.85
    """Share of the run after which pictures are whole again (`augmentation.mosaic`)."""
    precision: Literal["32", "bf16"] = "32"
    channels_last: bool = True
    compile: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation = field(default_factory=Distillation)

    def rate(self, progress: float, *, decay_from: float = 0.0) -> float:
        """Learning rate as a share of the full one at a progress of 0 to 1; it decays after `decay_from`."""
        if progress < self.warmup:
            return (progress + 0.1 * self.warmup) / (1.1 * self.warmup)
        start = max(decay_from, self.warmup)
        if self.schedule == "constant" or progress <= start:
            return 1.0
        if self.schedule == "step":
            return float(self.gamma ** sum(progress >= at for at in self.milestones))
        share = min(1.0, (progress - start) / max(1e-9, 1 - start))
        if self.schedule == "exponential":
            return float(self.gamma**share)
        return 1 - share if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))

    def momentum_at(self, progress: float) -> float:
        """Momentum: of one-cycle it falls to 0.85 as the rate rises, and comes back (Smith, 1803.09820)."""
        if self.schedule != "one-cycle":
            return self.momentum
        return self.momentum - (self.momentum - 0.85) * self.rate(progress)

    def resolution(self, progress: float, full: int) -> int:
        """Side in pixels to train at: the start's up to a progress of 0.3, the full side from 0.75 on, 16s between."""
        share = self.start_resolution + (1 - self.start_resolution) * min(
            1.0, max(0.0, (progress - 0.3) / 0.45)
        )
        return full if share >= 1 else min(full, max(32, round(full * share / 16) * 16))

    def of_pictures(self) -> dict[str, Any]:
        """What decides the pictures of every step, for the same data, seed and number of steps: a JSON object."""
        return {name: value for name, value in asdict(self).items() if name in _OF_PICTURES}

    def to_json(self) -> dict[str, Any]:
        """The recipe as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            GossamerError: an unknown key, or a value that cannot be.
        """
        recipe = cls("recipe", 1e-3)
        for key, value in _flat(document):
            recipe = _with(recipe, key, value)
        return recipe

    @classmethod
    def from_yaml(cls, path: Path) -> Recipe:
        """Read what `to_yaml` wrote.

        Raises:
            GossamerError: there is no such file, or it holds no recipe.
        """
        try:
            document = parse_yaml(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise GossamerError(
                f"{path} is no recipe ({reason}); write one with gossamer train DATA --model NAME --print-recipe"
            ) from error
        if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
            raise GossamerError(
                f"a recipe is keys with values, {path} is none; write one with --print-recipe"
            )
        return cls.from_json(document)

    def to_yaml(self) -> str:
        """Every number, as YAML."""
        import yaml

        return str(yaml.safe_dump(_plain(self.to_json()), sort_keys=False))


def changed(recipe: Recipe, assignments: list[str]) -> Recipe:
    """The recipe with `key=value` set, `augmentation.degrees=5` for a part of a part.

    Raises:
        GossamerError: no such key, or a value that cannot be.
    """
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise GossamerError(f"--set is key=value, got {text!r}; write e.g. learning_rate=0.001")
        recipe = _with(recipe, key.strip(), value.strip())
    return recipe


def _with(recipe: Recipe, key: str, value: Any) -> Recipe:
    head, _, rest = key.partition(".")
    if rest:
        part = getattr(recipe, head, None)
        if is_dataclass(part) and not isinstance(part, type):
            known = get_type_hints(type(part))
            if rest in known:
                inner = _read(key, value, known[rest])
                _check_value(key, inner, _AT_LEAST.get(key, -_AT_MOST if head == "augmentation" else 0.0))
                changed_part: Recipe = _replaced(recipe, head, _replaced(part, rest, inner))
                return changed_part
    known = get_type_hints(Recipe)
    if rest or head not in known or is_dataclass(known[head]):
        raise GossamerError(f"a recipe has no {key!r}; {nearest(key, _keys())}")
    found: Recipe = _replaced(recipe, head, _read(key, value, known[head]))
    _check(found, key)
    return found


def _replaced(whole: Any, key: str, value: Any) -> Any:
    return replace(whole, **{key: value})


def _keys() -> list[str]:
    hints = get_type_hints(Recipe)
    keys: list[str] = []
    for each in fields(Recipe):
        kind = hints[each.name]
        keys += [f"{each.name}.{part.name}" for part in fields(kind)] if is_dataclass(kind) else [each.name]
    return keys


def _read(key: str, value: Any, kind: Any) -> Any:
    """A value of the type that the key has, from text or from what YAML gave."""
    try:
        if get_origin(kind) is Literal:
            if str(value) not in get_args(kind):
                raise ValueError(f"one of {', '.join(get_args(kind))}")
            return str(value)
        if kind is bool:
            if str(value).lower() not in ("true", "false"):
                raise ValueError("true or false")
            return str(value).lower() == "true"
        if get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            numbers = tuple(float(part) for part in parts)
            if not all(map(math.isfinite, numbers)):
                raise ValueError("a list of numbers")
            return numbers
        if kind is str:
            return str(value)
        if isinstance(value, bool):
            raise ValueError("a number")
        number = float(value)
        if not math.isfinite(number) or (kind is int and number != int(number)):
            raise ValueError("a whole number" if kind is int else "a number")
        return int(number) if kind is int else number
    except (OverflowError, TypeError, ValueError) as error:
        wanted = str(error) if str(error).startswith(("one of", "true", "a ")) else "a number"
        raise GossamerError(f"{key} is {wanted}, got {value!r}; e.g. --set {key}=...") from error


_AT_LEAST = {
    "batch": 1,
    "accumulate": 1,
    "epochs": 0.001,
    "learning_rate": 1e-12,
    "patience": 1,
    "distillation.temperature": 0.01,
}
_AT_MOST = 1e6
_MOST = {"batch": 65_536, "accumulate": 65_536, "epochs": 1e5, "learning_rate": 1e3, "multi_scale": 0.9}
"""Of numbers that are no shares; of all others `_AT_MOST`."""
_SHARES = (
    "momentum",
    "warmup",
    "unfreeze",
    "label_smoothing",
    "ema_decay",
    "start_resolution",
    "multi_scale",
    "norm_momentum",
)


def _check(recipe: Recipe, key: str) -> None:
    value = getattr(recipe, key)
    if key in _SHARES and not value <= 1:
        raise GossamerError(f"{key} is a share of at most 1, got {value:g}; e.g. --set {key}=0.1")
    if key == "milestones" and not all(0 <= share <= 1 for share in value):
        raise GossamerError(f"milestones are shares of the run, got {value}; e.g. --set milestones=0.5,0.75")
    _check_value(key, value, _AT_LEAST.get(key, 0))


def _check_value(key: str, value: Any, least: float) -> None:
    """Raises GossamerError for a number out of its bounds; whatever is none passes."""
    most = _MOST.get(key, _AT_MOST)
    if not isinstance(value, int | float) or least <= value <= most:
        return
    rule = f"at least {least:g}" if value < least else f"at most {most:g}"
    raise GossamerError(f"{key} is {rule}, got {value:g}; e.g. --set {key}={max(least, min(most, 1)):g}")


def _flat(document: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, dict):
            pairs += [(f"{key}.{inner}", each) for inner, each in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def _plain(value: Any) -> Any:
    """Tuples as lists: YAML has no other."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
