"""The guard keeps what is harmless, names what is not, and never returns a network that was not measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.compress.guard import guarded
from gossamer.errors import GossamerError

LOSSES = {"a": 0.001, "b": 0.3, "c": 0.002, "d": 0.004}


class _Lossy(nn.Module):
    def __init__(self, parts=()):
        super().__init__()
        self.parts = tuple(parts)


class _Metric:
    """Right on 90 % less what the applied parts lose; remembers what it saw."""

    def __init__(self, losses=LOSSES):
        self.losses, self.seen = losses, []

    def __call__(self, network):
        self.seen.append(network.parts)
        return 0.9 - sum(self.losses[part] for part in network.parts)


def _run(max_drop, losses=LOSSES, **more):
    metric, whole = _Metric(losses), _Lossy()
    found = guarded(whole, tuple(losses), _Lossy, metric, max_drop=max_drop, **more)
    return found, metric, whole


def test_a_part_that_breaks_the_network_is_caught_there():
    found, metric, _ = _run(0.01)
    assert found.parts == ("a", "c", "d")
    assert [each.part for each in found.refused] == ["b"]
    assert found.refused[0].reason == "alone loses 30.0 points"
    assert (found.network.parts in metric.seen, found.met) == (True, False)
    assert found.drop == pytest.approx(0.007)


def test_everything_is_kept_where_it_may_be():
    found, metric, _ = _run(0.5)
    assert (found.parts, found.refused, found.met) == (("a", "b", "c", "d"), (), True)
    assert len(metric.seen) == 2, "the whole network and the whole step"


def test_with_no_drop_allowed_the_network_comes_back_as_it_was():
    found, _, whole = _run(0.0)
    assert found.network is whole
    assert found.parts == ()
    assert len(found.refused) == 4


def test_parts_that_only_together_lose_too_much():
    found, _, _ = _run(0.005, {"a": 0.002, "b": 0.003, "c": 0.004})
    assert found.parts == ("a", "b")
    assert found.refused[0].reason == "loses too much together with the parts that were kept"


@pytest.mark.parametrize("allowed", range(1, 9))
def test_as_many_as_fit_are_kept_whichever_number_that_is(allowed):
    """Nine parts that lose alike: the bisection ends at every number, from above and from below."""
    losses = {f"layer{i}": 0.001 for i in range(9)}
    found, metric, _ = _run(0.001 * allowed + 0.0005, losses)
    assert len(found.parts) == allowed
    assert len(metric.seen) <= 2 + 9 + 4, "each alone, and four of a bisection"


def test_few_evaluations_try_parts_in_groups():
    losses = {f"layer{i}": 0.5 if i == 7 else 0.0 for i in range(40)}
    found, metric, _ = _run(0.01, losses, evaluations=18)
    assert len(metric.seen) <= 19
    assert "layer7" not in found.parts
    assert len(found.parts) >= 30
    assert "neighbours" in next(each.reason for each in found.refused if each.part == "layer7")


def test_gains_are_kept_too():
    found, _, _ = _run(0.0, {"a": -0.01, "b": 0.2})
    assert found.parts == ("a",)
    assert found.score == pytest.approx(0.91)


def test_bad_input():
    with pytest.raises(GossamerError, match=r"^max_drop is a share from 0 to below 1, got 1.5"):
        guarded(_Lossy(), ("a",), _Lossy, _Metric(), max_drop=1.5)
    with pytest.raises(GossamerError, match=r"^a metric is a finite number, the network gave nan"):
        guarded(_Lossy(), ("a",), _Lossy, lambda _: float(torch.tensor(float("nan"))), max_drop=0.1)


def test_what_was_refused_is_scored_as_it_is_and_not_as_what_it_is_held_against():
    """The second step of a chain: the network has lost something before, and nothing more is let through."""
    found = guarded(
        nn.Identity(),
        ("a",),
        lambda _parts: nn.Tanh(),
        lambda n: 0.5 if isinstance(n, nn.Tanh) else 0.88,
        max_drop=0.05,
        base=0.9,
    )
    assert (found.score, found.base, found.parts) == (0.88, 0.9, ())
    nothing = guarded(nn.Identity(), (), lambda _parts: nn.Tanh(), lambda _n: 0.88, max_drop=0.05, base=0.9)
    assert (nothing.score, nothing.met) == (0.88, True)
