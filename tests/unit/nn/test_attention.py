"""Attention with fewer heads than torch's own allows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.attention import HeadsAttention
from gossamer.nn.edits.channels import keep_channels, open_attention


def _whole(**options) -> nn.MultiheadAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = nn.MultiheadAttention(12, 3, **options)
        if whole.in_proj_bias is not None:
            nn.init.normal_(whole.in_proj_bias)
    return whole.eval()


@pytest.mark.parametrize("options", [{"batch_first": True}, {}, {"bias": False}])
@pytest.mark.parametrize("mask", [None, torch.ones(5, 5).triu(1) * -3.0, torch.ones(5, 5).triu(1).bool()])
def test_with_all_heads_it_is_torchs_own(options, mask):
    whole = _whole(**options)
    x = torch.randn(5, 5, 12, generator=torch.Generator().manual_seed(1))
    ours = HeadsAttention(whole, 3)
    wanted = whole(x, x, x, attn_mask=mask, need_weights=False)[0]
    found, weights = ours(x, x, x, attn_mask=mask, need_weights=False)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert weights is None
    assert {name: p.shape for name, p in ours.named_parameters()} == {
        name: p.shape for name, p in whole.named_parameters()
    }


def test_a_head_that_is_cut_gives_nothing():
    whole = _whole(batch_first=True)
    rows = [row for row in range(36) if row % 12 >= 4]  # without head 0 of queries, keys and values
    kept = {
        "0.in_proj_weight": {0: rows},
        "0.in_proj_bias": {0: rows},
        "0.out_proj.weight": {1: range(4, 12)},
    }
    cut = keep_channels(nn.ModuleList([whole]), kept, {"0.num_heads": 2})[0]
    with torch.no_grad():
        whole.out_proj.weight[:, :4] = 0
        x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
        wanted = whole(x, x, x, need_weights=False)[0]
        assert torch.allclose(cut(x, x, x, need_weights=False)[0], wanted, atol=1e-6)
    assert (cut.num_heads, cut.head_dim, cut.out_proj.in_features) == (2, 4, 8)


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 4, "vdim": 4}])
def test_what_has_more_than_one_projection_is_refused(options):
    with pytest.raises(ModelError, match=r"^heads can be cut from an attention with one in_proj_weight"):
        HeadsAttention(_whole(**options), 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m(x, x, x),
        lambda m, x: m(x, x.clone(), x, need_weights=False),
        lambda m, x: m(x, x, x, key_padding_mask=torch.zeros(5, 5, dtype=torch.bool), need_weights=False),
    ],
)
def test_what_it_cannot_do_is_said(call):
    with pytest.raises(ModelError, match=r"call it with need_weights=False$"):
        call(HeadsAttention(_whole(), 3), torch.randn(5, 5, 12))


def test_torchs_attention_is_written_out_only_where_heads_are_named():
    network = nn.ModuleList([_whole(), _whole()]).eval()
    assert open_attention(network, {}) is network
    opened = open_attention(network, {"1.num_heads": 3})
    assert [type(each) for each in opened] == [nn.MultiheadAttention, HeadsAttention]
    assert [type(each) for each in network] == [nn.MultiheadAttention, nn.MultiheadAttention]
    assert not opened.training


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(12, 3, 16, batch_first=True)

    def forward(self, x):
        return self.encoder(x)


def test_torchs_encoder_layer_takes_it():
    network = _Encoder().eval()
    opened = open_attention(network, {"encoder.self_attn.num_heads": 3})
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(opened(x), network(x), atol=1e-5)
