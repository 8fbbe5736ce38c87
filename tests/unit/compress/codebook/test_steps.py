"""Steps by loss a byte: the target is met, sensitive layers get finer steps, measuring corrects what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.codebook.steps import LayerMoments, measured_sensitivities, plan_steps, quantize_at
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


def test_a_target_out_of_reach(tensors):
    with pytest.raises(GoalNotMetError, match="a file of 60 bytes was not reached"):
        plan_steps(tensors, 60, MOMENTS)


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
