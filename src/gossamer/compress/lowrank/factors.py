"""Factors of weights, as functions on tensors: truncated SVD, Tucker-2 by HOOI, CP by alternating least squares.

A weight is (out, in, kh, kw). Where the second moment C = E[x x^T] of the layer's input is given, the error that is
made least is E|(W - W')x|^2 = |(W - W') C^(1/2)|^2, that of the layer's output, instead of |W - W'|^2. Sources:
Zhang et al. (1505.06798, section 2), Kim et al. (1511.06530, section 3), Lebedev et al. (1412.6553, section 3).

Second moments are exact for 1x1 and linear layers. For larger kernels they are those of a column of kh pixels in
spatial-svd and those of one pixel in tucker2 and cp: what neighbouring columns or pixels have in common is left out
(`refit` puts it back into the last factor where the moment of whole patches is at hand).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gossamer.errors import ModelError

__all__ = [
    "columns_of",
    "composed",
    "cp",
    "low_rank",
    "moment_root",
    "refit",
    "spatial_svd",
    "spectrum",
    "tucker2",
    "tucker2_core",
]

_CP_ROUNDS = 100
_CP_STILL = 1e-5
_CP_RIDGE = 1e-9
_HOOI_ROUNDS = 10
_HOOI_STILL = 1e-7


def moment_root(moment: Tensor) -> tuple[Tensor, Tensor]:
    """C^(1/2) and C^(-1/2) of a symmetric positive (n, n)."""
    values, vectors = torch.linalg.eigh(moment)
    roots = values.clamp_min(0).sqrt().clamp_min(1e-150)
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _leading(gram: Tensor) -> Tensor:
    """Eigenvectors of a symmetric (n, n) in columns, the largest eigenvalue first."""
    vectors: Tensor = torch.linalg.eigh(gram).eigenvectors
    return vectors.flip(1)


def spectrum(matrix: Tensor, moment: Tensor | None = None) -> Tensor:
    """Squared singular values of (o, i) behind C^(1/2), falling: what rank r loses is the sum from r on."""
    out, into = matrix.shape
    if moment is None:
        gram = matrix @ matrix.T if out <= into else matrix.T @ matrix
    elif out <= into:
        gram = matrix @ moment @ matrix.T
    else:
        root, _ = moment_root(moment)
        gram = root @ matrix.T @ matrix @ root
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.flip(0).clamp_min(0)


def low_rank(matrix: Tensor, rank: int, moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(o, i) as last (o, r) @ first (r, i), the best at this rank; rows of `first` are as long as columns of `last`."""
    out, into = matrix.shape
    if out <= into:  # the outputs' own principal axes: no root, no inverse
        gram = matrix @ matrix.T if moment is None else matrix @ moment @ matrix.T
        last = _leading(gram)[:, :rank]
        first = last.T @ matrix
    elif moment is None:
        first = _leading(matrix.T @ matrix)[:, :rank].T
        last = matrix @ first.T
    else:
        root, inverse = moment_root(moment)
        axes = _leading(root @ matrix.T @ matrix @ root)[:, :rank]
        last, first = matrix @ root @ axes, axes.T @ inverse
    scale = _balance(last.norm(dim=0), first.norm(dim=1))
    return last * scale, first / scale[:, None]


def _balance(left: Tensor, right: Tensor) -> Tensor:
    """What left is multiplied with, and right divided by, to be of one length; 1 where either is zero."""
    both = (left > 0) & (right > 0)
    return torch.where(both, right / left.where(both, torch.ones_like(left)), torch.ones_like(left)).sqrt()


def columns_of(weight: Tensor) -> Tensor:
    """(o, i, kh, kw) as the matrix (o kw, i kh) from columns of the input to their shares in outputs."""
    return weight.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)


def spatial_svd(weight: Tensor, rank: int, moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(o, i, kh, kw) as (r, i, kh, 1), then (o, r, 1, kw); the moment is that of columns, (i kh, i kh)."""
    out, into, high, wide = weight.shape
    last, first = low_rank(columns_of(weight), rank, moment)
    return first.reshape(rank, into, high, 1), last.reshape(out, wide, 1, rank).permute(0, 3, 2, 1)


def tucker2_core(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """HOSVD of channels: core (o, i, kh, kw), U_out (o, o), U_in (i, i); leading parts of the core are truncations."""
    outer = _leading(_gram(weight, 0))
    inner = _leading(_gram(weight, 1))
    return torch.einsum("oihw,oa,ib->abhw", weight, outer, inner), outer, inner


def _gram(tensor: Tensor, axis: int) -> Tensor:
    flat = tensor.movedim(axis, 0).flatten(1)
    return flat @ flat.T


def tucker2(
    weight: Tensor, ranks: Sequence[int], moment: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(o, i, kh, kw) as (r_in, i, 1, 1), core (r_out, r_in, kh, kw), (o, r_out, 1, 1), by HOOI from HOSVD."""
    rank_out, rank_in = ranks
    root, inverse = (None, None) if moment is None else moment_root(moment)
    target = weight if root is None else torch.einsum("oihw,ij->ojhw", weight, root)
    outer, inner = _leading(_gram(target, 0))[:, :rank_out], _leading(_gram(target, 1))[:, :rank_in]
    kept = -1.0
    for _ in range(_HOOI_ROUNDS):
        outer = _leading(_gram(torch.einsum("oihw,ib->obhw", target, inner), 0))[:, :rank_out]
        inner = _leading(_gram(torch.einsum("oihw,oa->aihw", target, outer), 1))[:, :rank_in]
        core = torch.einsum("oihw,oa,ib->abhw", target, outer, inner)
        before, kept = kept, float(core.square().sum())
        if kept - before <= _HOOI_STILL * kept:
            break
    first = inner.T if inverse is None else inner.T @ inverse
    return first[:, :, None, None], core, outer[:, :, None, None]


def cp(
    weight: Tensor, rank: int, moment: Tensor | None = None, *, limit: float, seed: int = 0
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], float]:
    """(o, i, kh, kw) as (r, i, 1, 1), (r, 1, kh, 1), (r, 1, 1, kw), (o, r, 1, 1), and the relative error.

    Alternating least squares from seeded normal factors: 100 rounds at most, fewer where it stands still.

    Raises:
        ModelError: the relative error stays above `limit`.
    """
    root, inverse = (None, None) if moment is None else moment_root(moment)
    target = weight if root is None else torch.einsum("oihw,ij->ojhw", weight, root)
    drawn = torch.Generator().manual_seed(seed)
    factors = [
        torch.randn(size, rank, generator=drawn, dtype=torch.float64).to(weight) for size in weight.shape
    ]
    whole = float(target.norm()) or 1.0
    error = 1.0
    for _ in range(_CP_ROUNDS):
        for axis in range(4):
            _least_squares(target, factors, axis)
        made = torch.einsum("or,ir,hr,wr->oihw", *factors)
        before, error = error, float((target - made).norm()) / whole
        if abs(before - error) <= _CP_STILL * error:
            break
    if not error <= limit:
        raise ModelError(
            f"CP at rank {rank} came to a relative error of {error:.3f}, more than {limit:g}; take a higher rank or another kind"
        )
    out, into, high, wide = factors
    first = into.T if inverse is None else into.T @ inverse
    return (
        first[:, :, None, None],
        high.T[:, None, :, None],
        wide.T[:, None, None, :],
        out[:, :, None, None],
    ), error


def _least_squares(target: Tensor, factors: list[Tensor], axis: int) -> None:
    """The factor of one axis given the others, in place; all but the first are brought to columns of length 1."""
    letters = "oihw"
    others = [place for place in range(4) if place != axis]
    names = ",".join(f"{letters[place]}r" for place in others)
    rank = factors[0].shape[1]
    gram = torch.ones(rank, rank).to(target)
    for place in others:
        gram = gram * (factors[place].T @ factors[place])
    right = torch.einsum(f"oihw,{names}->{letters[axis]}r", target, *[factors[place] for place in others])
    ridge = _CP_RIDGE * gram.diagonal().mean() * torch.eye(rank).to(gram)
    found = torch.linalg.solve(gram + ridge, right.T).T
    if axis != 3:
        found = found / found.norm(dim=0).clamp_min(1e-150)
    factors[axis] = found


def composed(weights: Sequence[Tensor]) -> Tensor:
    """The kernel (o, i, kh, kw) that a row of factors is, whatever its kind."""
    row = [weight if weight.dim() == 4 else weight[:, :, None, None] for weight in weights]
    made = row[0]
    for weight in row[1:]:
        depthwise = weight.shape[1] != made.shape[0]
        made = made * weight if depthwise else torch.einsum("orhw,rihw->oihw", *_spread(weight, made))
    return made


def _spread(last: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Two kernels of a row on one grid: of each side only one of them has more than one pixel."""
    high, wide = max(last.shape[2], before.shape[2]), max(last.shape[3], before.shape[3])
    return last.expand(-1, -1, high, wide), before.expand(-1, -1, high, wide)


def refit(weight: Tensor, weights: Sequence[Tensor], patch: Tensor) -> tuple[Tensor, ...]:
    """The same factors with the last one by least squares on the outputs; `patch` is (i kh kw, i kh kw).

    With features z = T x the last factor is W C T^T (T C T^T)^+.
    """
    before, last = composed([*weights[:-1]]), weights[-1]
    rank, into, high, wide = before.shape
    taps = last.shape[3]
    full = weight.shape[3]
    features = before.new_zeros(rank, taps, into, high, full)
    for tap in range(taps):
        features[:, tap, :, :, tap : tap + wide] = before
    rows = features.reshape(rank * taps, into * high * full)
    gram = rows @ patch @ rows.T
    right = weight.flatten(1) @ patch @ rows.T
    found = torch.linalg.lstsq(gram, right.T, driver="gelsd").solution.T
    return (*weights[:-1], found.reshape(weight.shape[0], rank, 1, taps))
