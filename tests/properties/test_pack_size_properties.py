"""Whatever the weights, what they are said to cost and how noisily it is measured: a size above the floor is met."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.compress.codebook.steps import LayerMoments, coarsest, plan_steps
from gossamer.deploy.runtimes.packed.tensors import pack

SENSITIVITIES = st.sampled_from([0.0, 1e-300, 1e-30, 1e-9, 1.0, 1e20]) | st.floats(1e-12, 1e6)
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 9))


@st.composite
def networks(draw):
    """(tensors, moments, biases, a loss measured with noise or none)."""
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    tensors, moments, biases = {}, {}, {}
    for number, shape in enumerate(draw(st.lists(SHAPES, min_size=1, max_size=3))):
        kind = draw(st.sampled_from(["normal", "two values", "sparse", "constant"]))
        weights = rng.standard_normal(shape) * 10.0 ** draw(st.integers(-6, 6))
        if kind == "two values":
            weights = np.where(weights > 0, 1.3, -0.7)
        elif kind == "sparse":
            weights *= rng.random(shape) < 0.2
        elif kind == "constant":
            weights[:] = 0.3
        name = f"{number}.weight"
        tensors[name] = weights.astype(np.float32)
        inputs = rng.standard_normal((shape[1], 2 * shape[1]))
        sensitivity = draw(SENSITIVITIES)
        moments[name] = LayerMoments(sensitivity * inputs @ inputs.T, inputs.mean(1), sensitivity)
        if draw(st.booleans()):
            biases[name] = f"{number}.bias"
            tensors[f"{number}.bias"] = rng.standard_normal(shape[0]).astype(np.float32)
    measured = draw(st.none() | st.sampled_from([0.0, -1e-9, 1e20]) | st.just("noise"))

    def loss(choice):
        if measured != "noise":
            return measured
        lost = sum(float(np.square(choice[name] - tensors[name]).sum()) for name in moments)
        return lost * (1 + 1e-6 * rng.standard_normal()) + 1e-8 * rng.standard_normal()

    return tensors, moments, biases, None if measured is None else loss


@settings(max_examples=25)
@given(networks(), st.floats(0, 1))
def test_every_size_from_the_floor_on_is_met(network, share):
    tensors, moments, biases, loss = network
    floor = coarsest(tensors, moments, biases).size_bytes
    exact = len(pack(tensors))
    target = floor + round(share * max(0, exact - floor))
    choice = plan_steps(tensors, target, moments, biases=biases, loss=loss)
    assert len(pack(choice.tensors, choice.plan)) == choice.size_bytes <= target
    assert all(np.isfinite(choice.tensors[name]).all() for name in tensors)
