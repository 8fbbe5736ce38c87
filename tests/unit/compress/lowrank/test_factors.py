"""The maths: best approximations, errors as foretold, CP that converges or is refused."""

from __future__ import annotations

import pytest
import torch

from gossamer.compress.lowrank.factors import (
    columns_of,
    composed,
    cp,
    low_rank,
    moment_root,
    refit,
    spatial_svd,
    spectrum,
    tucker2,
    tucker2_core,
)
from gossamer.errors import ModelError


def _drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _moment(size, seed=1):
    mixing = _drawn(size, 2 * size, seed=seed)
    return mixing @ mixing.T / size


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (7, 7)])
@pytest.mark.parametrize("aware", [False, True])
def test_low_rank_loses_what_the_spectrum_says_and_nothing_loses_less(shape, aware):
    matrix = _drawn(*shape)
    moment = _moment(shape[1]) if aware else torch.eye(shape[1], dtype=torch.float64)
    last, first = low_rank(matrix, 3, moment if aware else None)

    def lost(made):
        rest = matrix - made
        return float((rest @ moment * rest).sum())

    singular = torch.linalg.svdvals(matrix @ moment_root(moment)[0])
    assert lost(last @ first) == pytest.approx(float(singular[3:].square().sum()), rel=1e-8)
    assert float(spectrum(matrix, moment if aware else None)[3:].sum()) == pytest.approx(
        lost(last @ first), rel=1e-8
    )
    assert torch.allclose(last.norm(dim=0), first.norm(dim=1))


def test_plain_svd_is_worse_behind_a_moment():
    matrix, moment = _drawn(6, 10), _moment(10)
    rests = [matrix - last @ first for last, first in (low_rank(matrix, 2), low_rank(matrix, 2, moment))]
    plain, aware = (float((rest @ moment * rest).sum()) for rest in rests)
    assert aware < 0.99 * plain


def test_a_root_times_itself_is_the_moment():
    moment = _moment(5)
    root, inverse = moment_root(moment)
    assert torch.allclose(root @ root, moment)
    assert torch.allclose(root @ inverse, torch.eye(5, dtype=torch.float64))


def test_spatial_svd_is_the_svd_of_columns():
    weight = _drawn(5, 4, 3, 2)
    made = composed(spatial_svd(weight, 4))
    left, values, right = torch.linalg.svd(columns_of(weight), full_matrices=False)
    assert torch.allclose(columns_of(made), left[:, :4] * values[:4] @ right[:4])


def test_a_weight_of_low_tucker_rank_comes_back():
    weight = torch.einsum("abhw,oa,ib->oihw", _drawn(2, 3, 3, 3), _drawn(8, 2, seed=1), _drawn(7, 3, seed=2))
    assert torch.allclose(composed(tucker2(weight, (2, 3))), weight)
    assert torch.allclose(composed(tucker2(weight, (2, 3), _moment(7))), weight)


def test_hooi_does_not_lose_more_than_hosvd():
    weight = _drawn(9, 8, 3, 3)
    core, _, _ = tucker2_core(weight)
    hosvd = float(weight.square().sum() - core[:3, :2].square().sum())
    assert float((weight - composed(tucker2(weight, (3, 2)))).square().sum()) < hosvd


def test_cp_finds_a_sum_of_products_again_and_the_same_from_the_same_seed():
    weight = torch.einsum("or,ir,hr,wr->oihw", *(_drawn(size, 2, seed=size) for size in (8, 6, 5, 7)))
    factors, error = cp(weight, 3, limit=0.1)
    assert error < 0.02
    assert float((composed(factors) - weight).norm() / weight.norm()) == pytest.approx(error, abs=1e-6)
    again, _ = cp(weight, 3, limit=0.1)
    assert all(torch.equal(one, other) for one, other in zip(factors, again, strict=True))
    assert not torch.equal(cp(weight, 3, limit=0.1, seed=1)[0][0], factors[0])


def test_cp_that_does_not_converge_is_refused():
    with pytest.raises(
        ModelError, match=r"CP at rank 2 came to a relative error of 0\.\d+, more than 0\.3; take"
    ):
        cp(_drawn(8, 6, 5, 5), 2, limit=0.3)


@pytest.mark.parametrize("kind", ["spatial-svd", "tucker2", "cp"])
def test_refit_loses_less_on_patches(kind):
    weight, patch = _drawn(6, 4, 5, 5), _moment(100)
    factors = {
        "spatial-svd": lambda: spatial_svd(weight, 4),
        "tucker2": lambda: tucker2(weight, (3, 2)),
        "cp": lambda: cp(weight, 8, limit=0.99)[0],
    }[kind]()

    def lost(way):
        rest = (weight - composed(way)).flatten(1)
        return float((rest @ patch * rest).sum())

    better = refit(weight, factors, patch)
    assert [part.shape for part in better] == [part.shape for part in factors]
    assert lost(better) < 0.995 * lost(factors)


def test_nothing_at_all_has_factors_too():
    last, first = low_rank(torch.zeros(4, 3), 2)
    assert float((last @ first).abs().max()) == 0
    assert bool(torch.isfinite(last).all() and torch.isfinite(first).all())
