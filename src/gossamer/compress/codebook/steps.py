"""One step a layer, so that a file of the wanted size loses least: chosen by loss a byte, checked by measuring.

Lagrange: with one price for a byte in all layers, each takes the step (and the rounding, see `feedback`) whose
expected loss plus price times bytes is least (`best_step`). All layers at zero are the smallest file there is: where
that meets the size, so does the choice, and the price is bisected between one that is known to meet it and one that is
not until the file has nearly the wanted size. The expected loss is that of second moments of the inputs and a sensitivity of the layer; both may be measured (`calibrate`), and
what the layer really loses corrects the sensitivity before the price is searched again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.codebook.best_step import BestStep
from gossamer.compress.codebook.feedback import Rounded, expected_loss
from gossamer.deploy.runtimes.packed.integers import Coder
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.errors import GoalNotMetError, ModelError

__all__ = [
    "LayerMoments",
    "Loss",
    "StepChoice",
    "coarsest",
    "measured_sensitivities",
    "plan_steps",
    "quantize_at",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Tensors = Mapping[str, Array]
Loss = Callable[[Tensors], float]
"""What a network with these tensors loses, 0 for the tensors as they were given; less is better."""
_PRICES, _HALVINGS = 16, 40
"""Prices that are tried at most for one size, and that theory is asked for before the first."""
_CLOSE = 0.995
"""A file of at least this share of the wanted size is near enough."""
_NEAR = 1.03
"""Prices this near each other are one: a layer jumps to another step between them."""
_ASIDE = 0.2
"""A guess leaves out at least this share of the octaves between two prices."""
_FARTHEST = 8.0
"""Bits a weight by which a guess moves the size at most."""
_STRONGEST, _LEAST_CORRECTION = 4.0, 0.25
_PROBE = 0.05
"""Noise that measures a sensitivity, of the tensor's root mean square."""
_LEAST, _MOST = 1e-9, 1e9
"""Losses (nats) that are told apart: less is what rounding makes of none, more or no number is a broken network."""
_SHORT = 64
"""Weights a row at most, of moments that tell no inputs apart."""
_NOTHING = 1e-100
"""An expected loss that no measured one is held against."""


@dataclass(frozen=True)
class LayerMoments:
    """What an error of a weight tensor does: with rows E (O, D), the loss rises by trace(E second E^T) / 2.

    Rows are filters; where the weights see no common inputs, any D that divides their number.
    """

    second: Floats
    """Second moments (D, D) of the inputs about their mean, in units of loss."""
    mean: Floats
    """Means (D,) of the inputs: an error E shifts the output by E @ mean, which the bias takes back."""
    constant: float
    """What the square of an error of the bias costs, times two."""

    def scaled(self, factor: float) -> LayerMoments:
        """The same layer, more or less sensitive."""
        return LayerMoments(self.second * factor, self.mean, self.constant * factor)

    @classmethod
    def plain(cls, columns: int, sensitivity: float = 1.0) -> LayerMoments:
        """Nothing known of the inputs: all errors alike."""
        return cls(sensitivity * np.eye(columns), np.zeros(columns), sensitivity)

    @classmethod
    def alike(cls, count: int, sensitivity: float = 1.0) -> LayerMoments:
        """The same for `count` weights in rows that are short however wide the layer is."""
        columns = next(size for size in range(min(_SHORT, count), 0, -1) if count % size == 0)
        return cls.plain(columns, sensitivity)


@dataclass(frozen=True)
class StepChoice:
    """A network rounded to steps, how to pack it, and what it costs."""

    tensors: dict[str, Array]
    plan: PackPlan
    size_bytes: int
    expected_loss: float
    loss: float
    """Measured; NaN where no loss was given."""
    price: float
    """Loss a bit."""


def plan_steps(
    tensors: Tensors,
    target_bytes: int,
    moments: Mapping[str, LayerMoments],
    *,
    biases: Mapping[str, str] | None = None,
    loss: Loss | None = None,
    metadata: Mapping[str, Any] | None = None,
    rounds: int = 1,
    coder: Coder = "rans",
) -> StepChoice:
    """Round the tensors that `moments` names (filters first, any shape) to steps so that the file meets the target.

    `biases` names the bias of each such tensor: it takes back the mean shift and is rounded too. Tensors in neither
    are kept exactly, and so is everything where that meets the target. With `loss`, each layer's own loss is measured
    `rounds` times to correct its moments; of the choices before and after, the one that loses least is taken.

    Raises:
        ModelError: moments of a tensor that is not there or of another size, or weights that are not finite.
        GoalNotMetError: the file is larger than the target even with every rounded tensor zero (`coarsest`).
    """
    biases = biases or {}
    _check(tensors, moments, biases)
    exact = len(pack(tensors, PackPlan(coder=coder), metadata))
    if exact <= target_bytes:
        return StepChoice(dict(tensors), PackPlan(coder=coder), exact, 0.0, 0.0, 0.0)
    choice = _Search(tensors, moments, biases, metadata, coder).meet(target_bytes)
    if loss is None:
        return choice
    choice = replace(choice, loss=loss(choice.tensors))
    for _ in range(rounds):
        moments = _corrected(tensors, choice, moments, biases, loss)
        other = _Search(tensors, moments, biases, metadata, coder).meet(target_bytes)
        other = replace(other, loss=loss(other.tensors))
        choice = min(other, choice, key=lambda each: _resolved(each.loss))
    return choice


def coarsest(
    tensors: Tensors,
    moments: Mapping[str, LayerMoments],
    biases: Mapping[str, str] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    coder: Coder = "rans",
) -> StepChoice:
    """Every tensor that is rounded is zero: the smallest file that `plan_steps` can choose."""
    _check(tensors, moments, biases or {})
    return _Search(tensors, moments, biases or {}, metadata, coder).coarsest()


def quantize_at(
    tensors: Tensors,
    price: float,
    moments: Mapping[str, LayerMoments],
    biases: Mapping[str, str] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    coder: Coder = "rans",
) -> StepChoice:
    """Round every layer with its best step at this price (loss a bit), without a target."""
    _check(tensors, moments, biases or {})
    return _Search(tensors, moments, biases or {}, metadata, coder).at(price)


@dataclass
class _Bracket:
    """Two prices: at the lower one a file is too large, at the higher one it is not, as far as they were tried."""

    low: float
    high: float
    low_bytes: int | None = None
    high_bytes: int | None = None

    def inside(self, price: float) -> float:
        """The nearest price from the lower to the higher one; nearer the middle where the higher one is known."""
        if price >= self.high or (price <= self.low and self.low_bytes is not None):
            return math.sqrt(self.low) * math.sqrt(self.high)
        return max(price, self.low)

    def narrow(self, choice: StepChoice, fits: bool) -> None:
        """One of the prices becomes that of the choice."""
        if fits:
            self.high, self.high_bytes = choice.price, choice.size_bytes
        else:
            self.low, self.low_bytes = choice.price, choice.size_bytes

    def between(self, bytes_: float) -> float | None:
        """Where a straight line from one size to the other has so many bytes, by octaves; None where one is not known."""
        if self.low_bytes is None or self.high_bytes is None:
            return None
        share = (self.low_bytes - bytes_) / (self.low_bytes - self.high_bytes)
        octaves = math.log2(self.high / self.low) * min(max(share, _ASIDE), 1 - _ASIDE)
        return self.low * math.exp2(octaves)


class _Search:
    """Steps by price; the same price gives the same steps."""

    def __init__(
        self,
        tensors: Tensors,
        moments: Mapping[str, LayerMoments],
        biases: Mapping[str, str],
        metadata: Mapping[str, Any] | None,
        coder: Coder,
    ) -> None:
        self._tensors, self._moments, self._biases = tensors, moments, biases
        self._metadata, self._coder = metadata, coder
        self._layers = {
            name: BestStep(_rows(tensors[name], layer), layer.second) for name, layer in moments.items()
        }
        self._live = [layer for layer in self._layers.values() if layer.worth > 0]

    def meet(self, target_bytes: int) -> StepChoice:
        """Of the prices tried, that whose file is at most the target and is expected to lose least."""
        best = coarse = self.coarsest()
        if coarse.size_bytes > target_bytes:
            raise GoalNotMetError(
                f"a file of {target_bytes} bytes cannot be reached: it has {coarse.size_bytes} bytes with every rounded "
                "weight zero; ask for more bytes"
            )
        finest = min((layer.finest_price for layer in self._live), default=0.0)
        bracket = _Bracket(min(finest, coarse.price), coarse.price)
        price = self._first_price(8 * (target_bytes - coarse.size_bytes))
        aim = target_bytes * (1 + _CLOSE) / 2
        for _ in range(_PRICES if bracket.low > 0 else 0):
            choice = self.at(bracket.inside(price))
            fits = choice.size_bytes <= target_bytes
            if fits and choice.expected_loss <= best.expected_loss:
                best = choice
            if fits and (choice.size_bytes >= _CLOSE * target_bytes or choice.price == bracket.low):
                break
            bracket.narrow(choice, fits)
            if bracket.high <= bracket.low * _NEAR:
                break
            price = bracket.between(aim) or self._moved(choice.price, 8 * (choice.size_bytes - aim))
        return best

    def _moved(self, price: float, bits: float) -> float:
        """A price for so many bits less than at this one, shared by all weights that are worth bits here."""
        count = sum(layer.count for layer in self._live if layer.worth > price)
        octaves = min(max(bits / max(1, count), -_FARTHEST), _FARTHEST)
        return price * math.exp2(2 * octaves)

    def _first_price(self, bits: int) -> float:
        """Where theory expects so many bits: one halves a weight's error (6 dB); beyond its own energy it takes none."""
        if not self._live:
            return 0.0
        counts = np.array([layer.count for layer in self._live])
        worth = np.log2([layer.worth for layer in self._live])
        low, high = float(worth.min()) - 2 * bits / counts.sum(), float(worth.max())
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            expected = float(counts @ np.maximum(0.0, (worth - middle) / 2))
            low, high = (middle, high) if expected > bits else (low, middle)
        return float(2.0**high)

    def coarsest(self) -> StepChoice:
        """Every layer zero; at its price, all that is lost for one bit, so is the best choice."""
        choice = self._chosen(lambda step: step.zeros)
        return replace(choice, price=choice.expected_loss)

    def at(self, price: float) -> StepChoice:
        """Every layer with its best step at this price."""
        return replace(self._chosen(lambda step: step.at(price)), price=price)

    def _chosen(self, best: Callable[[BestStep], tuple[float, Rounded]]) -> StepChoice:
        """Every layer as `best` rounds it, then its bias, which takes the shift of the mean."""
        chosen = dict(self._tensors)
        plans: dict[str, TensorPlan] = {}
        expected = 0.0
        for name, layer in self._moments.items():
            step, rounded = best(self._layers[name])
            expected += rounded.loss
            chosen[name] = _values(rounded, step, self._tensors[name])
            plans[name] = TensorPlan("step", {"step": step})
            if (bias := self._biases.get(name)) is not None:
                moved = self._tensors[bias].astype(np.float64)[:, None]
                if layer.mean.any():
                    error = _rows(chosen[name], layer) - _rows(self._tensors[name], layer)
                    moved = moved - error @ layer.mean[:, None]
                step, rounded = best(BestStep(moved, np.array([[layer.constant]])))
                expected += rounded.loss
                chosen[bias] = _values(rounded, step, self._tensors[bias])
                plans[bias] = TensorPlan("step", {"step": step})
        plan = PackPlan(plans, self._coder)
        size = len(pack(chosen, plan, self._metadata))
        return StepChoice(chosen, plan, size, expected, math.nan, math.inf)


def _corrected(
    tensors: Tensors,
    choice: StepChoice,
    moments: Mapping[str, LayerMoments],
    biases: Mapping[str, str],
    loss: Loss,
) -> dict[str, LayerMoments]:
    """Moments scaled by what each layer alone, rounded as chosen, loses over what was expected of it."""
    ratios: dict[str, float] = {}
    for name, layer in moments.items():
        error = _rows(choice.tensors[name], layer) - _rows(tensors[name], layer)
        expected = expected_loss(error, layer.second)
        own = {name: choice.tensors[name]}
        if name in biases:
            own[biases[name]] = choice.tensors[biases[name]]
        if expected > _NOTHING:
            ratios[name] = _resolved(loss({**tensors, **own})) / expected
    middle = float(np.median(list(ratios.values()))) if ratios else 1.0
    return {
        name: layer.scaled(float(np.clip(ratios.get(name, middle) / middle, _LEAST_CORRECTION, _STRONGEST)))
        for name, layer in moments.items()
    }


def measured_sensitivities(
    tensors: Tensors, names: list[str], loss: Loss, *, seed: int = 0
) -> dict[str, LayerMoments]:
    """Moments without any inputs: the loss that noise of a twentieth of the weights makes, layer by layer."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in names:
        weights = tensors[name].astype(np.float64)
        scale = _PROBE * float(np.sqrt(np.mean(np.square(weights)))) or _PROBE
        noise = scale * rng.standard_normal(weights.shape)
        noisy = (weights + noise).astype(tensors[name].dtype)
        lost = _resolved(loss({**tensors, name: noisy}))
        found[name] = LayerMoments.alike(weights.size, 2 * lost / float(np.square(noise).sum()))
    return found


def _resolved(loss: float) -> float:
    """A measured loss as far as it can be told from others, a finite number above 0 whatever became of the network."""
    return max(loss, _LEAST) if loss < _MOST else _MOST


def _values(rounded: Rounded, step: float, like: Array) -> Array:
    """Codes as the file's reader turns them into weights."""
    return (rounded.codes.astype(np.float32) * np.float32(step)).reshape(like.shape).astype(like.dtype)


def _rows(tensor: Array, layer: LayerMoments) -> Floats:
    """Weights in the rows of their moments, (O, D)."""
    return tensor.reshape(-1, len(layer.mean)).astype(np.float64)


def _check(tensors: Tensors, moments: Mapping[str, LayerMoments], biases: Mapping[str, str]) -> None:
    if not moments:
        raise ModelError(
            "steps are chosen by what calibration measured, got no layers; measure moments first"
        )
    for name in [*moments, *biases.values()]:
        if name not in tensors:
            raise ModelError(
                f"moments and biases name tensors of the network, {name!r} is none; measure again"
            )
        if not np.isfinite(tensors[name]).all():
            raise ModelError(
                f"{name} holds NaN or infinite weights; mend the network before choosing its steps"
            )
    for name, layer in moments.items():
        columns, weights = len(layer.mean), tensors[name].size
        shifts = name in biases and layer.mean.any()
        fits = weights == columns * len(tensors[name]) if shifts else weights % columns == 0
        if not fits or layer.second.shape != (columns, columns):
            raise ModelError(
                f"{name} has {weights // len(tensors[name])} weights a filter, its moments are of {columns}; measure again"
            )
