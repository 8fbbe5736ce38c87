"""Attention heads as sets: which there are, what goes with them, what keeps them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.compress.prune.apply import apply_pruning, check_pruned
from gossamer.compress.prune.plan import PrunePlan
from gossamer.compress.prune.prunable import Prunable
from gossamer.compress.prune.targets import prune
from gossamer.compress.trace.channels import find_channels
from gossamer.cost.meter import measure
from gossamer.nn.attention import HeadsAttention

SHAPE = (1, 3, 4, 4)
HEADS, WIDTH = 3, 4


class _Attention(nn.Module):
    """Attention written out over the pixels of a map; subclasses change one line of it."""

    def __init__(self, channels: int = 8, heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, WIDTH
        self.qkv, self.proj = nn.Linear(channels, 3 * heads * WIDTH), nn.Linear(heads * WIDTH, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        y = self.mixed(*qkv.unbind(0))
        return self.proj(y.transpose(1, 2).reshape(batch, tokens, -1))

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.scores(q @ k.transpose(-2, -1) * self.head_dim**-0.5).softmax(-1) @ v

    def scores(self, scores: Tensor) -> Tensor:
        return scores


class _Fused(_Attention):
    def mixed(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


class _Linear(_Attention):
    """Without a softmax: the sum over tokens is made first."""

    def mixed(self, q, k, v):
        q, k, v = F.relu(q), F.relu(k), F.pad(v, (0, 1), value=1.0)
        y = q @ (k.transpose(-2, -1) @ v)
        return y[..., :-1] / (y[..., -1:] + 1e-5)


class _Normed(_Attention):
    """Queries and keys are normalised within each head."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)

    def mixed(self, q, k, v):
        return super().mixed(self.norm(q), self.norm(k), v)


class _Masked(_Attention):
    """What may not be looked at is the same for all heads."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(16, 16).triu(1) * -5.0)

    def scores(self, scores):
        return scores + self.mask


class _Table(_Attention):
    """LeViT's table (heads, distances) and a temperature for each head."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(HEADS, 16))
        self.warm = nn.Parameter(torch.rand(HEADS, 1, 1) + 0.5)
        self.register_buffer("places", (torch.arange(16)[:, None] - torch.arange(16)).abs())

    def scores(self, scores):
        return scores * self.warm + self.table[:, self.places]


class _Cached(_Table):
    """timm's LeViT keeps the table of places once it has made it."""

    def __init__(self):
        super().__init__()
        self.attention_bias_cache = {}

    def scores(self, scores):
        if "places" not in self.attention_bias_cache:
            self.attention_bias_cache["places"] = self.table[:, self.places]
        return scores + self.attention_bias_cache["places"]


class _Rows(_Attention):
    """Swin's table (distances, heads)."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(31, HEADS))
        self.register_buffer("places", torch.arange(16)[:, None] - torch.arange(16) + 15)

    def scores(self, scores):
        table = self.table[self.places.view(-1)].view(16, 16, -1).permute(2, 0, 1).contiguous()
        return scores + table.unsqueeze(0)


class _Slopes(_Attention):
    """A bias of each head that is no parameter."""

    def __init__(self):
        super().__init__()
        self.slopes = torch.randn(HEADS, 16, 16)

    def scores(self, scores):
        return scores + self.slopes.to(scores.device)


class _Mixing(_Attention):
    """Talking heads (2003.02436): scores of all heads are mixed."""

    def __init__(self):
        super().__init__()
        self.talk = nn.Linear(HEADS, HEADS)

    def scores(self, scores):
        return self.talk(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Fixed(_Attention):
    """The width of all heads stands in the code."""

    def forward(self, x):
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, HEADS, WIDTH).permute(2, 0, 3, 1, 4)
        return self.proj(self.mixed(*qkv.unbind(0)).transpose(1, 2).reshape(batch, tokens, HEADS * WIDTH))


class _MultiQuery(nn.Module):
    """One key and one value for all heads."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.q, self.k, self.v = (nn.Linear(channels, n * WIDTH) for n in (HEADS, 1, 1))
        self.proj = nn.Linear(HEADS * WIDTH, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q = self.q(x).reshape(batch, tokens, self.num_heads, WIDTH).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, self.k(x)[:, None], self.v(x)[:, None])
        return self.proj(y.transpose(1, 2).reshape(batch, tokens, -1))


class _Torch(nn.Module):
    def __init__(self, need_weights: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


class _Network(nn.Module):
    """A stem, attention over its pixels beside a shortcut, and a head."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.stem, self.attention, self.head = nn.Conv2d(3, 8, 1), attention, nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.head((x + self.attention(x)).mean(1))


def _network(attention, *args):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _Network(attention(*args)).eval()


def _sets(channels, name, axis):
    (slot,) = (slot for slot in channels.slots if (slot.name, slot.axis) == (name, axis))
    return channels.set_of(slot.labels).tolist()


FORMS = [_Attention, _Fused, _Linear, _Normed, _Masked, _Table, _Rows, _MultiQuery, _Torch]


@pytest.mark.parametrize("form", FORMS)
def test_heads_go_whole_and_nothing_else_of_attention(form):
    network = _network(form)
    channels = find_channels(network, SHAPE)
    count = 4 if form is _Torch else HEADS
    assert len(channels.heads) == count
    (heads,) = (labels for name, labels in channels.outputs.items() if name.endswith("num_heads"))
    sets = channels.set_of(heads).tolist()
    kept = np.ones(channels.count, np.bool_)
    kept[sets[1]] = False
    plan = Prunable(network, SHAPE).plan(kept)
    cut = apply_pruning(network, plan)
    check_pruned(network, cut, plan, SHAPE)
    cost = measure(cut, SHAPE)
    assert (cost.macs, cost.params) == (plan.macs, plan.params)
    assert cost.macs < plan.macs_before
    again = PrunePlan.from_json(json.loads(json.dumps(plan.to_json())))
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(apply_pruning(network, again)(picture), cut(picture))


def test_a_head_is_its_queries_keys_values_and_what_reads_it():
    channels = find_channels(_network(_Attention), SHAPE)
    rows = _sets(channels, "attention.qkv.weight", 0)
    assert rows == 3 * [which for which in rows[: HEADS * WIDTH : WIDTH] for _ in range(WIDTH)]
    assert rows[: HEADS * WIDTH] == _sets(channels, "attention.proj.weight", 1)
    assert len(set(rows)) == HEADS


@pytest.mark.parametrize(("form", "axis"), [(_Table, 0), (_Rows, 1)])
def test_tables_lose_the_axis_of_heads(form, axis):
    channels = find_channels(_network(form), SHAPE)
    assert _sets(channels, "attention.table", axis) == _sets(channels, "attention.proj.weight", 1)[::WIDTH]


def test_keys_and_values_of_all_heads_stay():
    channels = find_channels(_network(_MultiQuery), SHAPE)
    assert channels.frozen["keys and values that all heads share"] == 2 * WIDTH
    assert set(_sets(channels, "attention.k.weight", 0) + _sets(channels, "attention.v.weight", 0)) == {-1}


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (_network(_Slopes), "scores that meet numbers of each head which are no plain parameter"),
        (_network(_Mixing), "heads of a _Mixing that are mixed, or of two attentions"),
        (_network(_Fixed), "heads of a _Fixed, whose forward has numbers of its own"),
        (_network(_Attention, 8, 1), "into a product of activations that are no heads"),
        (_network(_Torch, True), "into a sum over channels"),
        (nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 5)), "into a layer norm over channels"),
    ],
)
def test_what_cannot_go_is_frozen_by_name(network, reason):
    channels = find_channels(network, SHAPE)
    assert channels.heads == frozenset()
    assert channels.frozen[reason] > 0
    assert channels.macs(np.ones(channels.count, np.bool_)) == measure(network, SHAPE).macs


def test_a_table_that_was_made_with_gradients_is_made_anew():
    network = _network(_Cached)
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    network(picture).sum().backward()
    pruned = prune(network, SHAPE, macs=0.8)
    with torch.no_grad():
        assert pruned(picture).shape == (1, 5)
    assert len(pruned.attention.attention_bias_cache["places"]) < HEADS


def test_heads_leave_one_by_one_whatever_the_multiple_of_channels():
    network = _network(_Attention)
    (heads,) = (
        layer for layer in Prunable(network, SHAPE, multiple=8).layers if layer.name == "attention.qkv"
    )
    assert heads.counts() == (3, 2, 1)
    assert Prunable(network, SHAPE).widest_multiple(8) == 2, "told from the stem's 8 channels alone"


def test_torchs_own_attention_is_replaced_where_heads_go():
    pruned = prune(_network(_Torch), SHAPE, macs=0.7)
    assert isinstance(pruned.attention.attention, HeadsAttention)
    twice = prune(pruned, SHAPE, macs=0.8)
    assert twice.attention.attention.num_heads < pruned.attention.attention.num_heads < 4
