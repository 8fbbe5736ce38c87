"""Zeros are as many as planned, where they are least missed, and never in layers that are left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.method import Work
from gossamer.compress.methods import parse_method
from gossamer.compress.sparse.plan import SparsePlan, parse_pattern, plan_zeros, weight_scores, zero_mask
from gossamer.errors import GossamerError, ModelError
from gossamer.zoo.build import build


@pytest.fixture(scope="module")
def network():
    return build("mobilenet_v2_0.35", num_classes=5, seed=0).eval()


def _pictures(seed=0):
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def work():
    return Work(shape=(1, 3, 64, 64), batches=[(_pictures(), None)])


def _zeros(network):
    return sum(
        int((p == 0).sum()) for n, p in network.named_parameters() if n.endswith("weight") and p.dim() > 1
    )


class TestPlanZeros:
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_takes_the_share_of_all_layers_together(self, network, share):
        plan = plan_zeros(network, share=share)
        weights = sum(each.weights for each in plan.layers.values())
        assert plan.zeros == round(share * weights)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_takes_the_share_where_many_weights_are_of_one_size(self, share):
        """Weights of few bits tie: all ties going would be nearly all weights, none of them none."""
        network = nn.Sequential(*(nn.Conv2d(16, 16, 1, bias=False) for _ in range(3)))
        with torch.no_grad():
            for layer, sizes in zip(network, ([1.0, 1.0], [1.0, 2.0], [2.0, 3.0]), strict=True):
                layer.weight.copy_(torch.tensor(sizes).repeat(128).view(16, 16, 1, 1))
        plan = plan_zeros(network, share=share, everywhere=True)
        assert plan.zeros == round(share * 768)
        zeros = [each.zeros for each in plan.layers.values()]
        if share == 0.1:
            assert zeros[2] == 0
            assert zeros[0] == pytest.approx(2 * zeros[1], abs=4), "ties are shared by how many a layer has"

    def test_leaves_depthwise_first_and_last(self, network):
        plan = plan_zeros(network, share=0.5)
        reasons = set(plan.left.values())
        assert reasons == {
            "depthwise: each filter has few weights",
            "it takes the picture",
            "it gives the scores",
        }
        assert not set(plan.layers) & set(plan.left)
        assert not plan_zeros(network, share=0.5, everywhere=True).left

    def test_empties_no_layer(self, network):
        plan = plan_zeros(network, share=0.9)
        assert all(each.zeros < each.weights for each in plan.layers.values())

    def test_gives_a_pattern_to_every_layer_that_it_divides(self, network):
        plan = plan_zeros(network, pattern=(2, 4))
        assert all(2 * each.zeros == each.weights for each in plan.layers.values())
        odd = plan_zeros(network, pattern=(1, 16))
        assert any("multiple of 16" in reason for reason in odd.left.values())

    @pytest.mark.parametrize(
        "wrong", [{}, {"share": 0.5, "pattern": (2, 4)}, {"share": 1.0}, {"share": 0.0}, {"share": 1e-9}]
    )
    def test_refuses_what_is_no_target(self, network, wrong):
        with pytest.raises(GossamerError, match="share"):
            plan_zeros(network, **wrong)

    def test_refuses_a_network_without_weights_that_could_go(self):
        with pytest.raises(ModelError, match="everywhere"):
            plan_zeros(nn.Sequential(nn.Conv2d(3, 4, 3)), share=0.5)
        with pytest.raises(ModelError, match="no convolutions"):
            plan_zeros(nn.Sequential(nn.ReLU()), share=0.5)

    def test_is_the_same_after_json(self, network):
        plan = plan_zeros(network, pattern=(2, 4))
        assert SparsePlan.from_json(plan.to_json()) == plan
        with pytest.raises(ModelError, match="zeros"):
            SparsePlan.from_json({"layers": {"a": {}}, "left": {}})


class TestZeroMask:
    def test_takes_the_smallest(self):
        scores = torch.tensor([[3.0, 1.0], [2.0, 4.0]])
        assert zero_mask(scores, 2, None).tolist() == [[True, False], [False, True]]
        assert zero_mask(scores, 2, None, done=0.5).tolist() == [[True, False], [True, True]]
        assert zero_mask(scores, 2, None, done=0.0).all()

    @pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2)])
    def test_leaves_n_of_every_m_inputs_at_each_place(self, n, m):
        scores = torch.rand(6, 8, 3, 3, generator=torch.Generator().manual_seed(0))
        keep = zero_mask(scores, 0, (n, m))
        groups = keep.view(6, 8 // m, m, 9)
        assert (groups.sum(2) == n).all()
        kept = torch.where(keep, scores, 0.0).view(6, 8 // m, m, 9).sum(2)
        assert torch.allclose(kept, scores.view(6, 8 // m, m, 9).topk(n, dim=2).values.sum(2))

    @pytest.mark.parametrize(("done", "due"), [(0.0, 0), (0.01, 1), (0.34, 2), (0.5, 2), (0.9, 3), (1.0, 3)])
    def test_a_pattern_begins_with_its_first_zero(self, done, due):
        """Of three zeros in four, any progress asks for one, a third and more for two."""
        keep = zero_mask(torch.rand(6, 8, 1, 1), 0, (1, 4), done=done)
        assert (keep.view(6, 2, 4).sum(2) == 4 - due).all()

    @pytest.mark.parametrize("text", ["4", "4:2", "2:2", "0:4", "a:b", "-1:4"])
    def test_refuses_what_is_no_pattern(self, text):
        with pytest.raises(GossamerError, match="N:M"):
            parse_pattern(text)


def test_scores_with_pictures_count_what_a_weight_gives():
    layer = nn.Conv2d(4, 2, 1, groups=2, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    pictures = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1).expand(2, 4, 5, 5)
    found = weight_scores(nn.Sequential(layer), {"0": layer}, [(pictures, None)])["0"]
    assert torch.allclose(found.flatten(), torch.tensor([1.0, 2.0, 3.0, 4.0]))


def test_scores_are_of_the_mean_over_pictures_however_many_there_are():
    layer = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    batches = [(torch.full((1, 2, 3, 3), value), None) for value in (1.0, 7.0)]
    one = weight_scores(nn.Sequential(layer), {"0": layer}, batches[1:])["0"]
    both = weight_scores(nn.Sequential(layer), {"0": layer}, batches)["0"]
    assert torch.allclose(one, torch.full_like(one, 7.0))
    assert torch.allclose(both, torch.full_like(both, 5.0)), "the root of the mean of 1 and 49"


class TestSparsify:
    @pytest.mark.parametrize("text", ["sparsify:share=60%", "sparsify:pattern=2:4"])
    def test_makes_as_many_zeros_as_its_plan_says(self, network, work, text):
        method = parse_method(text)
        proposal = method.propose(network, work)
        plan = proposal.plan(proposal.parts)
        sparse = method.apply(network, plan, work)
        assert _zeros(sparse) - _zeros(network) == plan.zeros
        assert sparse(_pictures(1)).isfinite().all()

    def test_leaves_layers_out_that_the_guard_refuses(self, network, work):
        method = parse_method("sparsify:share=60%")
        proposal = method.propose(network, work)
        plan = proposal.plan(proposal.parts[:3])
        assert tuple(plan.layers) == proposal.parts[:3]
        assert _zeros(method.apply(network, plan, work)) == plan.zeros

    def test_keeps_the_best_of_what_the_metric_sees(self, network, work):
        method = parse_method("sparsify:share=60%")
        proposal = method.propose(network, work)
        plan = proposal.plan(proposal.parts)
        for best in range(4):
            seen = []

            def metric(each, seen=seen, best=best):
                seen.append(each)
                return float(len(seen) - 1 == best)

            kept = method.apply(network, plan, Work(work.shape, work.batches, metric))
            assert len(seen) == 4
            assert kept is seen[best]
            assert _zeros(kept) == plan.zeros

    def test_refuses_a_plan_of_another_network(self, network, work):
        method = parse_method("sparsify:share=60%")
        plan = plan_zeros(build("mobilenet_v2_0.5", num_classes=5), share=0.6)
        with pytest.raises(ModelError, match="made for"):
            method.apply(network, plan, work)

    def test_milder_is_fewer_zeros(self):
        assert parse_method("sparsify:share=80%").milder(0.5).share == pytest.approx(0.4)
        assert parse_method("sparsify:pattern=2:4").milder(0.5) == parse_method("sparsify:pattern=2:4")


def test_slim_needs_training(network, work):
    with pytest.raises(GossamerError, match="--minutes"):
        parse_method("slim").propose(network, work)
