"""One step a layer, so that a file of the wanted size loses least: chosen by loss a byte, checked by measuring.

Lagrange: with one price for a byte in all layers, each takes the step (and the rounding, see `feedback`) whose
expected loss plus price times bytes is least; the price is bisected until the file has the wanted size. The expected
loss is that of second moments of the inputs and a sensitivity of the layer; both may be measured (`calibrate`), and
what the layer really loses corrects the sensitivity before the price is searched again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gossamer.compress.codebook.feedback import Rounded, round_with_feedback
from gossamer.deploy.runtimes.packed.settings import PackPlan, TensorPlan
from gossamer.deploy.runtimes.packed.tensors import pack
from gossamer.errors import GoalNotMetError, ModelError

__all__ = ["LayerMoments", "Loss", "StepChoice", "measured_sensitivities", "plan_steps", "quantize_at"]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Tensors = Mapping[str, Array]
Loss = Callable[[Tensors], float]
"""What a network with these tensors loses, 0 for the tensors as they were given; less is better."""
_NOTCH = 2**0.25
_FIRST_STEP = 0.2
"""Of the standard deviation of the weights that are not zero; where the search for a step starts."""
_PRICES = 12
_CLOSE = 0.995
"""A file of at least this share of the wanted size is near enough."""
_NEAR = 1.03
"""Prices this near each other are one: a layer jumps to another step between them."""
_STEEPNESS, _FARTHEST = 8.0, 64.0
"""Bytes fall as the eighth root of the price, about; a guess moves the price by at most this factor."""
_STRONGEST, _LEAST_CORRECTION = 4.0, 0.25
_PROBE = 0.05
"""Noise that measures a sensitivity, of the tensor's root mean square."""


@dataclass(frozen=True)
class LayerMoments:
    """What an error of a weight tensor does: with rows E (O, D), the loss rises by trace(E second E^T) / 2."""

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
) -> StepChoice:
    """Round the tensors that `moments` names (filters first, any shape) to steps so that the file meets the target.

    `biases` names the bias of each such tensor: it takes back the mean shift and is rounded too. Tensors in neither
    are kept exactly, and so is everything where that meets the target. With `loss`, each layer's own loss is measured `rounds` times to correct its moments.

    Raises:
        ModelError: moments of a tensor that is not there or of another size, or weights that are not finite.
        GoalNotMetError: the file is larger than the target even at the coarsest steps tried.
    """
    biases = biases or {}
    _check(tensors, moments, biases)
    exact = len(pack(tensors, metadata=metadata))
    if exact <= target_bytes:
        return StepChoice(dict(tensors), PackPlan(), exact, 0.0, 0.0, 0.0)
    search = _Search(tensors, dict(moments), biases, metadata)
    choice = search.meet(target_bytes)
    if loss is not None:
        for _ in range(rounds):
            search.moments = _corrected(tensors, choice, search.moments, biases, loss)
            choice = search.meet(target_bytes)
        choice = replace(choice, loss=loss(choice.tensors))
    return choice


def quantize_at(
    tensors: Tensors,
    price: float,
    moments: Mapping[str, LayerMoments],
    biases: Mapping[str, str] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> StepChoice:
    """Round every layer with its best step at this price (loss a bit), without a target."""
    _check(tensors, moments, biases or {})
    return _Search(tensors, moments, biases or {}, metadata).at(price)


class _Search:
    """Steps by price; each search starts from the steps of the one before."""

    def __init__(
        self,
        tensors: Tensors,
        moments: Mapping[str, LayerMoments],
        biases: Mapping[str, str],
        metadata: Mapping[str, Any] | None,
    ) -> None:
        self.tensors, self.moments, self.biases, self.metadata = tensors, moments, biases, metadata
        self._notches: dict[str, int] = {}
        self._price = 0.0

    def meet(self, target_bytes: int) -> StepChoice:
        """The choice of the lowest price found whose file is at most the target."""
        price = self._price or self._first_price()
        low, high, best = 0.0, math.inf, None
        aim = target_bytes * (1 + _CLOSE) / 2
        for _ in range(_PRICES):
            choice = self.at(price)
            if choice.size_bytes <= target_bytes:
                best, high = choice, price
                if choice.size_bytes >= _CLOSE * target_bytes:
                    break
            else:
                low = price
            if low and high < low * _NEAR:
                break
            price = self._next(low, price, high, choice.size_bytes / aim)
        if best is None:
            raise GoalNotMetError(
                f"a file of {target_bytes} bytes was not reached: {choice.size_bytes} bytes at the coarsest steps; "
                "ask for more bytes"
            )
        self._price = best.price
        return best

    @staticmethod
    def _next(low: float, price: float, high: float, ratio: float) -> float:
        """A price for a file that is `ratio` times too large, between the bounds where the guess leaves them."""
        guess = price * float(np.clip(ratio**_STEEPNESS, 1 / _FARTHEST, _FARTHEST))
        if low < guess < high:
            return guess
        return math.sqrt(low * high)

    def _first_price(self) -> float:
        """What plain rounding at the first steps would lose a bit (6 dB a bit)."""
        prices = []
        for name, layer in self.moments.items():
            weights = _rows(self.tensors[name])
            step = _FIRST_STEP * _spread(weights)
            lost = 0.5 * step**2 / 12 * len(weights) * float(np.trace(layer.second))
            prices.append(2 * math.log(2) * lost / max(1, int(np.count_nonzero(weights))))
        return max(float(np.median(prices)), 1e-30)

    def at(self, price: float) -> StepChoice:
        """Every layer with its best step at this price."""
        found = dict(self.tensors)
        plans: dict[str, TensorPlan] = {}
        expected = 0.0
        for name, layer in self.moments.items():
            weights = _rows(self.tensors[name])
            step, rounded = self._best(name, weights, layer.second, price)
            expected += rounded.loss
            found[name] = _values(rounded, step, self.tensors[name])
            plans[name] = TensorPlan("step", {"step": step})
            if (bias := self.biases.get(name)) is not None:
                shift = (weights - _rows(found[name])) @ layer.mean
                moved = (self.tensors[bias].astype(np.float64) + shift)[:, None]
                step, rounded = self._best(bias, moved, np.array([[layer.constant]]), price)
                expected += rounded.loss
                found[bias] = _values(rounded, step, self.tensors[bias])
                plans[bias] = TensorPlan("step", {"step": step})
        plan = PackPlan(plans)
        size = len(pack(found, plan, self.metadata))
        return StepChoice(found, plan, size, expected, math.nan, price)

    def _best(self, name: str, weights: Floats, second: Floats, price: float) -> tuple[float, Rounded]:
        """(step, rounded) by walking notches downhill from where the last search ended."""
        first = _FIRST_STEP * _spread(weights)
        tried: dict[int, tuple[float, float, Rounded]] = {}

        def cost(notch: int) -> float:
            if notch not in tried:
                step = float(np.float32(first * _NOTCH**notch))
                rounded = round_with_feedback(weights, second, step, price)
                tried[notch] = rounded.loss + price * rounded.bits, step, rounded
            return tried[notch][0]

        at = self._notches.get(name, 0)
        while (better := min((at, at + 1, at - 1), key=cost)) != at:
            at = better
        self._notches[name] = at
        return tried[at][1:]


def _corrected(
    tensors: Tensors,
    choice: StepChoice,
    moments: Mapping[str, LayerMoments],
    biases: Mapping[str, str],
    loss: Loss,
) -> dict[str, LayerMoments]:
    """Moments scaled by what each layer alone, rounded as chosen, loses over what was expected of it."""
    corrected = {}
    ratios: dict[str, float] = {}
    for name, layer in moments.items():
        error = _rows(choice.tensors[name]) - _rows(tensors[name])
        expected = float(np.sum((error @ layer.second) * error)) / 2
        own = {name: choice.tensors[name]}
        if name in biases:
            own[biases[name]] = choice.tensors[biases[name]]
        measured = loss({**tensors, **own})
        ratios[name] = measured / expected if expected > 0 and measured > 0 else 1.0
    middle = float(np.median(list(ratios.values())))
    for name, layer in moments.items():
        relative = float(np.clip(ratios[name] / middle, _LEAST_CORRECTION, _STRONGEST))
        corrected[name] = layer.scaled(relative)
    return corrected


def measured_sensitivities(
    tensors: Tensors, names: list[str], loss: Loss, *, seed: int = 0
) -> dict[str, LayerMoments]:
    """Moments without any inputs: the loss that noise of a twentieth of the weights makes, layer by layer."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in names:
        weights = _rows(tensors[name])
        scale = _PROBE * float(np.sqrt(np.mean(np.square(weights)))) or _PROBE
        noise = scale * rng.standard_normal(weights.shape)
        noisy = (weights + noise).reshape(tensors[name].shape).astype(tensors[name].dtype)
        lost = max(loss({**tensors, name: noisy}), 0.0)
        found[name] = LayerMoments.plain(
            weights.shape[1], max(2 * lost / float(np.square(noise).sum()), 1e-30)
        )
    return found


def _values(rounded: Rounded, step: float, like: Array) -> Array:
    """Codes as the file's reader turns them into weights."""
    return (rounded.codes.astype(np.float32) * np.float32(step)).reshape(like.shape).astype(like.dtype)


def _rows(tensor: Array) -> Floats:
    """Filters as rows, (O, D)."""
    return tensor.reshape(len(tensor), -1).astype(np.float64)


def _spread(weights: Floats) -> float:
    """The root mean square of what is not zero, 1 where nothing is."""
    some = weights[weights != 0]
    return float(np.sqrt(np.mean(np.square(some)))) if len(some) else 1.0


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
        columns = _rows(tensors[name]).shape[1]
        if layer.second.shape != (columns, columns) or layer.mean.shape != (columns,):
            raise ModelError(
                f"{name} has {columns} weights a filter, its moments are of {len(layer.mean)}; measure again"
            )
