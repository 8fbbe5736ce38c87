"""Roundings: the values, and the gradients that the papers give them."""

from __future__ import annotations

import math

import pytest
import torch

from gossamer.nn.quantizers import (
    binary_input,
    binary_weight,
    pot_codes,
    pot_count,
    pot_top,
    pot_values,
    round_uniform,
    ternary_codes,
    through,
)


def test_uniform_steps_and_lsqs_gradients():
    values = torch.tensor([-1.0, -0.26, 0.1, 0.4, 3.0], requires_grad=True)
    step = torch.tensor(0.25, requires_grad=True)
    rounded = round_uniform(values, step, torch.tensor(0.0), -2, 1)
    assert rounded.tolist() == [-0.5, -0.25, 0.0, 0.25, 0.25]
    rounded.sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 0, 0]  # 1.6 steps are above the highest code, 1
    inside = (-1 + 1.04) + (0 - 0.4)
    assert float(step.grad) == pytest.approx((-2 + inside + 1 + 1) / math.sqrt(5 * 1), rel=1e-5)


def test_a_zero_point_keeps_zero_and_moves_the_range():
    x = torch.tensor([-1.0, 0.0, 0.3, 9.0])
    assert round_uniform(x, torch.tensor(0.5), torch.tensor(1.0), 0, 3).tolist() == [-0.5, 0.0, 0.5, 1.0]


def test_steps_by_channel_get_gradients_of_their_own():
    values = torch.tensor([[0.3, 0.3], [3.0, 3.0]])
    step = torch.ones(2, 1, requires_grad=True)
    round_uniform(values, step, torch.zeros(2, 1), -2, 1).sum().backward()
    assert step.grad.flatten().tolist() == pytest.approx([-0.6 / math.sqrt(2), 2 / math.sqrt(2)])


@pytest.mark.parametrize(("largest", "top"), [(1.0, 1.0), (0.74, 0.5), (0.76, 1.0), (1.49, 1.0), (1.51, 2.0)])
def test_the_largest_power_is_inqs(largest, top):
    weight = torch.tensor([[largest, -0.1], [0.0, 0.0]])
    assert pot_top(weight, per_channel=True).tolist() == [top, 1.0]
    assert float(pot_top(weight, per_channel=False)) == top


def test_powers_of_two_are_the_nearest_ones():
    weight = torch.tensor([1.6, -0.74, 0.76, 0.2, 0.06, -0.07, 0.0])
    codes = pot_codes(weight, torch.tensor(1.0), 4)
    count = pot_count(4)
    assert count == 7
    assert codes.tolist() == [7, -6, 7, 5, 3, -3, 0]
    assert pot_values(codes, torch.tensor(1.0), 4).tolist() == [1, -0.5, 1, 0.25, 0.0625, -0.0625, 0]


def test_below_half_the_smallest_power_is_zero():
    smallest = 2.0 ** (1 - pot_count(3))
    weight = torch.tensor([0.49, 0.51, 0.99]) * smallest
    assert pot_codes(weight, torch.tensor(1.0), 3).tolist() == [0, 1, 1]


def test_ternary_weights_are_twns():
    weight = torch.tensor([[0.1, -0.8, 1.0, 0.1], [0.0, 0.0, 0.0, 0.0]])
    codes, scale = ternary_codes(weight, per_channel=True)
    assert codes.tolist() == [[0, -1, 1, 0], [0, 0, 0, 0]]
    assert scale.tolist() == pytest.approx([0.9, 0.0])
    _, whole = ternary_codes(weight, per_channel=False)
    assert whole.shape == ()


def test_binary_weights_are_signs_and_the_mean_size():
    codes, scale = binary_weight(torch.tensor([[0.5, -1.5], [0.0, -2.0]]), per_channel=True)
    assert codes.tolist() == [[1, -1], [1, -1]]
    assert scale.tolist() == [1.0, 1.0]


def test_binary_inputs_are_shifted_signs_with_the_slope_of_a_parabola():
    x = torch.tensor([[[[0.5, 1.5]], [[-3.0, 2.0]]]], requires_grad=True)
    shift = torch.tensor([1.0, 0.0], requires_grad=True)
    step = torch.tensor(2.0, requires_grad=True)
    y = binary_input(x, shift[:, None, None], step)
    assert y.flatten().tolist() == [-2, 2, -2, 2]
    y.sum().backward()
    assert x.grad.flatten().tolist() == [1.5, 1.5, 0.0, 0.0]  # 2 - 2 |u| of u = -0.25, 0.25, -1.5, 1
    assert shift.grad.tolist() == [-3.0, 0.0]
    assert float(step.grad) == 0.0  # -1 + 1 - 1 + 1


def test_straight_through_gives_the_rounded_numbers_exactly():
    values = torch.tensor([0.1, 1e8], requires_grad=True)
    result = through(torch.tensor([0.3, -0.3]), values)
    assert result.tolist() == torch.tensor([0.3, -0.3]).tolist()
    result.sum().backward()
    assert values.grad.tolist() == [1, 1]
