"""Channels of random graphs of residuals, concatenations, splits, shuffles and gates: any choice gives a network that runs."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.trace.channels import find_channels
from gossamer.cost.meter import measure

SHAPE = (1, 3, 12, 12)


def _conv(into: int, out: int, side: int = 3, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, side, padding=side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(width, 2 * width, 1),
            _conv(2 * width, 2 * width, groups=2 * width),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Concat(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.left, self.right = _conv(width, width // 2, 1), _conv(width, width // 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], 1)


class Split(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _conv(width // 2, width // 2)

    def forward(self, x: Tensor) -> Tensor:
        kept, moved = x.chunk(2, 1)
        return torch.cat([kept, self.body(moved)], 1)


class Shuffle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _conv(width, width, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        batch, width, height, side = y.shape
        return y.view(batch, 2, width // 2, height, side).transpose(1, 2).reshape(batch, -1, height, side)


class Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.less, self.more = nn.Conv2d(width, 4, 1), nn.Conv2d(4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.more(torch.relu(self.less(x.mean((2, 3), keepdim=True)))))


BLOCKS = (Residual, Concat, Split, Shuffle, Gate, lambda width: _conv(width, width))


def _network(choices: list[int], width: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            _conv(3, width),
            *(BLOCKS[choice](width) for choice in choices),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 5),
        )
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 1.5)
                nn.init.normal_(part.bias, 0, 0.3)
    return network.eval()


GRAPHS = st.builds(
    _network,
    st.lists(st.integers(0, len(BLOCKS) - 1), min_size=1, max_size=5),
    st.sampled_from([8, 12]),
    st.integers(0, 3),
)


@settings(max_examples=40)
@given(GRAPHS, st.floats(0.0, 1.0), st.integers(0, 100))
def test_any_choice_of_sets_gives_a_network_that_runs_as_the_masked_one(network, share, seed):
    prunable = Prunable(network, SHAPE, floor=0.0)
    gone = np.random.default_rng(seed).random(prunable.channels.count) < share
    kept = ~gone
    for layer in prunable.layers:
        kept[layer.sets[-1]] = True  # no layer is emptied
    plan = prunable.plan(kept)
    cut = apply_pruning(network, plan)
    check_pruned(network, cut, plan, SHAPE)
    cost = measure(cut, SHAPE)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    cut.train()(torch.randn(2, *SHAPE[1:])).sum().backward()


@settings(max_examples=15)
@given(GRAPHS)
def test_keeping_everything_changes_nothing(network):
    prunable = Prunable(network, SHAPE)
    plan = prunable.plan(prunable.whole)
    assert not plan.kept
    assert not plan.removed
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(apply_pruning(network, plan)(picture), network(picture))


@settings(max_examples=15)
@given(GRAPHS, st.integers(0, 100))
def test_channels_whose_weights_are_zero_may_go_unnoticed(network, seed):
    channels = find_channels(network, SHAPE)
    prunable = Prunable(network, SHAPE, floor=0.0)
    chosen = np.random.default_rng(seed).random(channels.count) < 0.4
    for layer in prunable.layers:
        chosen[layer.sets[-1]] = False
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    with torch.no_grad():
        for slot in channels.slots:
            sets = channels.set_of(slot.labels)
            gone = torch.from_numpy(np.flatnonzero((sets >= 0) & chosen[np.maximum(sets, 0)]))
            if not slot.name.endswith("running_var"):
                tensors[slot.name].index_fill_(slot.axis, gone, 0.0)
    cut = apply_pruning(network, prunable.plan(~chosen))
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(cut(picture), network(picture), atol=1e-5)
