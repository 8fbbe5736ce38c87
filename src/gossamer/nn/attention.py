"""Self-attention with as many heads as it has weights for: what is left of torch's own when heads are cut out of it.

`torch.nn.MultiheadAttention` ties its heads to the width of what comes in: heads times their width is that width. Here
the projections may be narrower (Michel et al., 1905.10650, remove heads so); names of parameters stay torch's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import ModelError

__all__ = ["HeadsAttention"]


class HeadsAttention(nn.Module):
    """(B, N, E) -> (B, N, E), or (N, B, E) where the batch is not first; `in_proj_weight` is (3 heads width, E)."""

    _qkv_same_embed_dim = False  # torch's encoder layers ask, and then leave their fused path

    def __init__(self, whole: nn.MultiheadAttention, heads: int) -> None:
        """Takes over the parameters, cut to so many heads already.

        Raises:
            ModelError: keys and values have extra rows or weights of their own.
        """
        super().__init__()
        if whole.in_proj_weight is None or whole.bias_k is not None or whole.add_zero_attn:
            raise ModelError(
                "heads can be cut from an attention with one in_proj_weight, got one with bias_k, add_zero_attn, kdim or "
                "vdim; leave its layers whole with keep"
            )
        self.embed_dim, self.num_heads, self.head_dim = whole.embed_dim, heads, whole.head_dim
        self.batch_first, self.dropout = whole.batch_first, whole.dropout
        self.in_proj_weight, self.in_proj_bias = whole.in_proj_weight, whole.in_proj_bias
        self.out_proj = nn.Linear(1, 1, bias=False, device="meta")
        self.out_proj.weight, self.out_proj.bias = whole.out_proj.weight, whole.out_proj.bias
        self.out_proj.out_features, self.out_proj.in_features = whole.out_proj.weight.shape
        self.train(whole.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Attention of the query to itself; a mask that is not of numbers is true where nobody may look.

        Raises:
            ModelError: other keys or values than the query, padding, or weights are asked for.
        """
        if key is not query or value is not query or key_padding_mask is not None or need_weights:
            raise ModelError(
                "attention with fewer heads takes one tensor as query, key and value, no key_padding_mask, and gives no "
                "weights; call it with need_weights=False"
            )
        x = query if self.batch_first else query.transpose(0, 1)
        batch, tokens, _ = x.shape
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (
            packed.view(batch, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        )
        if attn_mask is not None and not attn_mask.is_floating_point():
            attn_mask = attn_mask.logical_not()
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask, dropout)
        y = self.out_proj(y.transpose(1, 2).reshape(batch, tokens, self.num_heads * self.head_dim))
        return (y if self.batch_first else y.transpose(0, 1)), None
