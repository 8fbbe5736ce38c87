"""Attention of any heads, widths and tokens: any choice of heads gives the masked network, silent heads go unnoticed."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.prunable import Prunable
from gossamer.cost.meter import measure


class Attention(nn.Module):
    """(B, N, C) -> (B, N, C), with a bias (heads, N, N) and torch's product or one written out."""

    def __init__(self, channels: int, heads: int, width: int, tokens: int, *, fused: bool) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.fused = heads, width, fused
        self.qkv, self.proj = nn.Linear(channels, 3 * heads * width), nn.Linear(heads * width, channels)
        self.bias = nn.Parameter(torch.randn(heads, tokens, tokens))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, self.bias)
        else:
            scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5 + self.bias
            y = scores.softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(batch, tokens, self.num_heads * self.head_dim))


class Network(nn.Module):
    def __init__(self, heads: int, width: int, side: int, *, fused: bool, layers: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1)
        self.layers = nn.ModuleList(
            Attention(6, heads, width, side * side, fused=fused) for _ in range(layers)
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x.mean(1))


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, tuple[int, ...]]:
    side = draw(st.integers(1, 4))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 3)))
        network = Network(
            draw(st.integers(2, 5)),
            draw(st.integers(1, 5)),
            side,
            fused=draw(st.booleans()),
            layers=draw(st.integers(1, 2)),
        )
    return network.eval(), (1, 3, side, side)


def _without(network: Network, shape: tuple[int, ...], seed: int) -> tuple[Prunable, np.ndarray, dict]:
    """Some heads of each attention chosen to go, not all: sets that stay, and the heads gone by module."""
    prunable = Prunable(network, shape, floor=0.0)
    kept, gone, draws = prunable.whole, {}, np.random.default_rng(seed)
    for name, labels in prunable.channels.outputs.items():
        if name.endswith("num_heads"):
            count = int(draws.integers(1, len(labels)))
            gone[name.removesuffix(".num_heads")] = draws.permutation(len(labels))[:count]
            kept[prunable.channels.set_of(labels)[gone[name.removesuffix(".num_heads")]]] = False
    return prunable, kept, gone


@settings(max_examples=25)
@given(networks(), st.integers(0, 100))
def test_any_choice_of_heads_gives_the_masked_network_at_the_cost_that_was_told(made, seed):
    network, shape = made
    prunable, kept, gone = _without(network, shape, seed)
    assert len(gone) == len(network.layers)
    plan = prunable.plan(kept)
    cut = apply_pruning(network, plan)
    check_pruned(network, cut, plan, shape)
    cost = measure(cut, shape)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    assert cost.macs < plan.macs_before
    for name, heads in gone.items():
        attention = cut.get_submodule(name)
        assert attention.num_heads == network.get_submodule(name).num_heads - len(heads)
        assert len(attention.bias) == attention.num_heads


@settings(max_examples=25)
@given(networks(), st.integers(0, 100))
def test_heads_whose_values_are_zero_go_unnoticed(made, seed):
    network, shape = made
    prunable, kept, gone = _without(network, shape, seed)
    with torch.no_grad():
        for name, heads in gone.items():
            attention = network.get_submodule(name)
            values = 2 * attention.num_heads + torch.from_numpy(heads)  # after all queries and all keys
            for tensor in (attention.qkv.weight, attention.qkv.bias):
                tensor.view(3 * attention.num_heads, attention.head_dim, -1)[values] = 0
        cut = apply_pruning(network, prunable.plan(kept))
        picture = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        assert torch.allclose(cut(picture), network(picture), atol=1e-5)
