"""Rows of factors: the structural edit, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.edits.factorise import factor_layers, full_ranks, make_factors, read_layers, suits


def _network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2), bias=False),
        nn.Conv2d(8, 12, 1),
        nn.Conv2d(12, 12, 3, groups=12),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


def test_what_a_row_looks_like():
    conv = _network()[0]
    first, last = make_factors(conv, "spatial-svd", (6,))
    assert (first.kernel_size, first.stride, first.padding) == ((3, 1), (2, 1), (1, 0))
    assert (last.kernel_size, last.stride, last.padding) == ((1, 5), (1, 1), (0, 2))
    assert first.bias is None
    assert last.bias is None
    row = make_factors(nn.Conv2d(4, 6, 5, padding=2), "cp", (7,))
    assert [(part.groups, part.kernel_size) for part in row] == [
        (1, (1, 1)),
        (7, (5, 1)),
        (7, (1, 5)),
        (1, (1, 1)),
    ]
    assert [part.bias is not None for part in row] == [False, False, False, True]
    shapes = [tuple(part.weight.shape) for part in make_factors(nn.Conv2d(4, 6, 3), "tucker2", (5, 2))]
    assert shapes == [(2, 4, 1, 1), (5, 2, 3, 3), (6, 5, 1, 1)]


def test_mode_type_and_gradients_are_the_layers():
    layer = nn.Linear(6, 5).double().eval().requires_grad_(False)
    row = make_factors(layer, "svd", (2,))
    assert not row.training
    assert [(p.dtype, p.requires_grad) for p in row.parameters()] == [(torch.float64, False)] * 3


def test_the_network_given_is_left_as_it_is_and_nothing_is_drawn_for_given_weights():
    network = _network()
    state = torch.get_rng_state()
    weights = [torch.ones(2, 12), torch.full((4, 2), 0.5)]
    changed = factor_layers(network, {"4": ("svd", (2,))}, lambda name, layer: weights)
    assert isinstance(network[4], nn.Linear)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(changed[4][0].weight, weights[0])
    assert torch.equal(changed[4][1].bias, network[4].bias)


def test_without_weights_factors_are_drawn_and_finite():
    changed = factor_layers(_network(), {"1": ("svd", [3]), "0": ("tucker2", [4, 2])})
    assert all(bool(torch.isfinite(p).all()) and p.std() > 0 for p in changed.parameters() if p.dim() > 1)
    assert changed(torch.zeros(1, 3, 5, 3)).shape == (1, 4)


@pytest.mark.parametrize(
    ("layer", "kind", "fits"),
    [
        (nn.Linear(3, 4), "svd", True),
        (nn.Linear(3, 4), "tucker2", False),
        (nn.Conv2d(3, 4, 1), "svd", True),
        (nn.Conv2d(3, 4, 1), "spatial-svd", False),
        (nn.Conv2d(3, 4, (1, 3)), "spatial-svd", True),
        (nn.Conv2d(3, 4, 3), "svd", False),
        (nn.Conv2d(3, 4, 3), "cp", False),
        (nn.Conv2d(3, 4, 5), "cp", True),
        (nn.Conv2d(4, 4, 3, groups=2), "tucker2", False),
    ],
)
def test_which_kind_is_for_which_kernel(layer, kind, fits):
    assert suits(layer, kind) is fits


def test_full_ranks():
    conv = nn.Conv2d(3, 8, (3, 5))
    assert full_ranks(conv, "spatial-svd") == (9,)
    assert full_ranks(conv, "tucker2") == (8, 3)
    assert full_ranks(nn.Conv2d(2, 40, (1, 3)), "tucker2") == (6, 2)
    assert full_ranks(nn.Linear(7, 5), "svd") == (5,)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"9": ("svd", (2,))}, "'9' is to be factorised, which Sequential does not have"),
        ({"0": ("svd", (2,))}, "'svd' is not for the Conv2d '0'"),
        ({"2": ("tucker2", (2, 2))}, "all without groups"),
        ({"3": ("svd", (2,))}, "is not for the Flatten '3'"),
        ({"1": ("qr", (2,))}, "'qr' is not for the Conv2d"),
        ({"": ("svd", (2,))}, "is not for the Sequential ''"),
        ({"1": ("svd", (9,))}, r"from 1 to 8 for '1', got \[9\]"),
        ({"1": ("svd", (0,))}, r"got \[0\]"),
        ({"0": ("tucker2", (2,))}, r"from 1 to 8 and 3 for '0', got \[2\]"),
    ],
)
def test_what_is_refused(layers, message):
    with pytest.raises(ModelError, match=message):
        factor_layers(_network(), layers)


@pytest.mark.parametrize("document", [{}, {"layers": 3}, {"layers": {"a": {"kind": "svd"}}}])
def test_an_edit_that_tells_nothing(document):
    with pytest.raises(ModelError, match="a factorise edit tells layers with kind and ranks"):
        read_layers(document)
