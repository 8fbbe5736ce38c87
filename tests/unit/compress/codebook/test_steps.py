"""Steps by loss a byte: the target is met, sensitive layers get finer steps, measuring corrects what was expected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gossamer.compress.codebook.steps import (
    LayerMoments,
    coarsest,
    measured_sensitivities,
    plan_steps,
    quantize_at,
)
from gossamer.deploy.runtimes.packed.tensors import pack, unpack
from gossamer.errors import GoalNotMetError, ModelError


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    names = ("a.weight", "b.weight")
    found = {name: rng.standard_normal((32, 24)).astype(np.float32) for name in names}
    return {**found, "a.bias": rng.standard_normal(32).astype(np.float32), "kept": np.arange(5)}


MOMENTS = {"a.weight": LayerMoments.plain(24, 100.0), "b.weight": LayerMoments.plain(24, 1.0)}


def _loss(tensors, scale_a=100.0, scale_b=1.0):
    def loss(found):
        errors = {name: np.square(found[name] - tensors[name]).sum() / 2 for name in ("a.weight", "b.weight")}
        return float(scale_a * errors["a.weight"] + scale_b * errors["b.weight"])

    return loss


@pytest.mark.parametrize("target", [900, 1200, 1800])
def test_the_file_has_nearly_the_size_asked_for_and_holds_the_rounded_tensors(tensors, target):
    choice = plan_steps(tensors, target, MOMENTS, biases={"a.weight": "a.bias"})
    data = pack(choice.tensors, choice.plan)
    assert 0.96 * target <= len(data) == choice.size_bytes <= target
    again = unpack(data)
    assert all((again[name] == choice.tensors[name]).all() for name in tensors)
    assert (again["kept"] == tensors["kept"]).all()


def test_sensitive_layers_get_finer_steps_and_bytes_buy_loss(tensors):
    small, large = (
        plan_steps(tensors, target, MOMENTS, loss=_loss(tensors), rounds=0) for target in (900, 1800)
    )
    for choice in (small, large):
        steps = {name: choice.plan.tensors[name].settings["step"] for name in MOMENTS}
        assert steps["b.weight"] / steps["a.weight"] > 3
        assert choice.loss == pytest.approx(choice.expected_loss, rel=1e-3)
    assert large.loss < 0.5 * small.loss


def test_one_price_is_better_than_one_step(tensors):
    """At equal bytes, the rounding of a common step for both layers loses more."""
    choice = plan_steps(tensors, 1200, MOMENTS, loss=_loss(tensors), rounds=0)
    even = {name: LayerMoments.plain(24) for name in MOMENTS}
    common = plan_steps(tensors, 1200, even, loss=_loss(tensors), rounds=0)
    assert choice.loss < 0.5 * common.loss


def test_measuring_corrects_wrong_moments(tensors):
    wrong = {name: LayerMoments.plain(24, 10.0) for name in MOMENTS}
    blind = plan_steps(tensors, 1200, wrong, loss=_loss(tensors, 40.0, 4.0), rounds=0)
    seeing = plan_steps(tensors, 1200, wrong, loss=_loss(tensors, 40.0, 4.0), rounds=1)
    assert seeing.loss < 0.8 * blind.loss


def test_sensitivities_are_measured_by_noise(tensors):
    found = measured_sensitivities(tensors, list(MOMENTS), _loss(tensors))
    assert found["a.weight"].second[0, 0] == pytest.approx(100.0, rel=1e-3)
    assert found["b.weight"].second[3, 3] == pytest.approx(1.0, rel=1e-3)


def test_the_bias_takes_back_the_mean_shift(tensors):
    mean = np.full(24, 3.0)
    moments = {"a.weight": LayerMoments(np.eye(24), mean, 1000.0)}
    choice = quantize_at(tensors, 0.05, moments, {"a.weight": "a.bias"})
    shift = (choice.tensors["a.weight"] - tensors["a.weight"]) @ mean
    left = shift + choice.tensors["a.bias"] - tensors["a.bias"]
    assert np.abs(left).max() < 0.1 * np.abs(shift).max()


def test_a_target_that_exact_weights_meet_changes_nothing(tensors):
    choice = plan_steps(tensors, 10**6, MOMENTS)
    assert all(choice.tensors[name] is tensors[name] for name in tensors)
    assert choice.size_bytes == len(pack(tensors))


def test_only_a_target_below_the_file_of_zeros_is_out_of_reach(tensors):
    least = coarsest(tensors, MOMENTS)
    assert not any(least.tensors[name].any() for name in MOMENTS)
    assert least.size_bytes == len(pack(least.tensors, least.plan))
    assert plan_steps(tensors, least.size_bytes, MOMENTS).size_bytes == least.size_bytes
    message = f"cannot be reached: it has {least.size_bytes} bytes with every rounded weight zero"
    with pytest.raises(GoalNotMetError, match=message):
        plan_steps(tensors, least.size_bytes - 1, MOMENTS)


SENSITIVITIES = {
    "tiny": (1e-30, 1e-30),
    "none": (0.0, 0.0),
    "one alone": (1.0, 0.0),
    "far apart": (1e20, 1e-30),
    "huge": (1e20, 1e20),
    "subnormal": (1e-310, 1.0),
}


@pytest.mark.parametrize("coder", ["rans", "huffman"])
@pytest.mark.parametrize("name", SENSITIVITIES)
def test_a_target_is_met_whatever_the_sensitivities(tensors, name, coder):
    sensitivities = zip(MOMENTS, SENSITIVITIES[name], strict=True)
    moments = {layer: LayerMoments.plain(24, value) for layer, value in sensitivities}
    for target in (400, 700, 1500, 3000):
        choice = plan_steps(tensors, target, moments, biases={"a.weight": "a.bias"}, coder=coder)
        assert len(pack(choice.tensors, choice.plan)) == choice.size_bytes <= target


@pytest.mark.parametrize("measured", [1e-30, 0.0, -1e-7, 1e20, math.inf, math.nan])
def test_a_target_is_met_whatever_is_measured(tensors, measured):
    """Of one layer; its moments are finite, and the choice that measures a number is kept."""

    def loss(found):
        return measured if (found["a.weight"] != tensors["a.weight"]).any() else _loss(tensors)(found)

    moments = measured_sensitivities(tensors, list(MOMENTS), loss)
    assert all(0 < layer.second[0, 0] < math.inf for layer in moments.values())
    choice = plan_steps(tensors, 1200, moments, loss=loss, rounds=2)
    assert 0.9 * 1200 < choice.size_bytes <= 1200
    assert np.isfinite(choice.expected_loss)


@pytest.mark.isa
def test_noise_of_rounding_in_what_is_measured_moves_no_size_past_its_target(tensors):
    """Another instruction set adds in another order: the choice may differ, the promise may not."""
    for seed in range(6):
        rng = np.random.default_rng(seed)

        def loss(found, rng=rng):
            return _loss(tensors)(found) * (1 + 1e-6 * rng.standard_normal()) + 1e-7 * rng.standard_normal()

        moments = measured_sensitivities(tensors, list(MOMENTS), loss, seed=seed)
        choice = plan_steps(tensors, 900, moments, biases={"a.weight": "a.bias"}, loss=loss)
        assert 0.96 * 900 < len(pack(choice.tensors, choice.plan)) <= 900


def test_what_is_measured_decides_between_the_choices_before_and_after_correcting(tensors):
    """A loss that misleads: single layers seem to lose what they do not, the corrected choice loses more."""
    losses = []

    def loss(found):
        changed = [name for name in MOMENTS if (found[name] != tensors[name]).any()]
        value = _loss(tensors)(found)
        if changed == ["a.weight"]:
            return value / 100
        losses.append(value) if len(changed) > 1 else None
        return value

    choice = plan_steps(tensors, 1200, MOMENTS, loss=loss)
    assert len(losses) == 2
    assert losses[1] > 1.2 * losses[0]
    assert choice.loss == losses[0]


def test_a_price_alone_decides_the_steps(tensors):
    """The price that a search ended with gives its choice again, whatever was tried before."""
    choice = plan_steps(tensors, 1200, MOMENTS, biases={"a.weight": "a.bias"})
    again = quantize_at(tensors, choice.price, MOMENTS, {"a.weight": "a.bias"})
    assert (again.plan, again.size_bytes) == (choice.plan, choice.size_bytes)


def test_bad_input(tensors):
    with pytest.raises(ModelError, match="got no layers"):
        plan_steps(tensors, 1000, {})
    with pytest.raises(ModelError, match=r"'c\.weight' is none"):
        plan_steps(tensors, 1000, {"c.weight": LayerMoments.plain(24)})
    with pytest.raises(ModelError, match="24 weights a filter, its moments are of 23"):
        plan_steps(tensors, 1000, {"a.weight": LayerMoments.plain(23)})
    broken = {**tensors, "a.weight": np.full((32, 24), np.nan, np.float32)}
    with pytest.raises(ModelError, match=r"a\.weight holds NaN"):
        plan_steps(broken, 1000, MOMENTS)


def test_a_layer_of_zeros_and_a_dead_input(tensors):
    dead = {**tensors, "a.weight": np.zeros((32, 24), np.float32)}
    silent = {**MOMENTS, "b.weight": LayerMoments(np.zeros((24, 24)), np.zeros(24), 0.0)}
    choice = plan_steps(dead, 1200, silent)
    assert not choice.tensors["a.weight"].any()
    assert np.isfinite(choice.tensors["b.weight"]).all()
