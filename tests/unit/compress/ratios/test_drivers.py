"""What holds of every driver in the table."""

from __future__ import annotations

import pytest
import torch

from gossamer.compress.ratios import drivers
from gossamer.compress.ratios.drivers import DRIVERS, compare, driver_of
from gossamer.compress.ratios.latency_table import LayerTable
from gossamer.errors import GossamerError
from gossamer.timing.table.block_times import Timing

SPENT = 24


def _macs_as_time(jobs, _platform):
    return [Timing(1e-3 + 1e-6 * job.unit.macs, 0.0, 1) for job in jobs]


@pytest.fixture(autouse=True)
def no_timing(monkeypatch):
    """Latencies are those of macs: tests must not hang on how busy the machine is."""
    monkeypatch.setattr(
        drivers, "LayerTable", lambda environment: LayerTable(environment, timer=_macs_as_time)
    )


@pytest.mark.parametrize("name", DRIVERS)
class TestEveryDriver:
    def test_finds_the_useless_layer(self, name, make):
        environment = make(macs=0.6)
        layers = [layer.name for layer in environment.layers]
        found = DRIVERS[name](environment, evaluations=SPENT, seed=0)
        base = environment.evaluate_counts(environment.uniform())
        assert found.score >= base.score
        if name != "uniform":
            assert found.score > base.score + 0.05
            kept = dict(zip(layers, found.policy, strict=True))
            assert kept["useless"] < kept["useful"]

    def test_meets_the_budget(self, name, make):
        environment = make(macs=0.5)
        found = DRIVERS[name](environment, evaluations=SPENT, seed=1)
        share = environment.macs(found.counts) / environment.whole_macs
        assert 0.47 < share <= 0.5, "the cheapest channel here is 3 % of the macs"
        assert found.policy == environment.shares(found.counts)

    def test_spends_what_it_says(self, name, make):
        environment = make()
        found = DRIVERS[name](environment, evaluations=SPENT, seed=2)
        assert environment.evaluations == found.evaluations == len(found.history) <= SPENT
        assert found.score in found.history

    def test_repeats_itself_by_seed(self, name, make):
        runs = [DRIVERS[name](make(), evaluations=SPENT, seed=5) for _ in range(2)]
        assert runs[0] == runs[1]

    def test_tells_how_far_it_is(self, name, make):
        told = []
        DRIVERS[name](make(), evaluations=SPENT, seed=0, tick=lambda spent, best: told.append((spent, best)))
        assert [spent for spent, _ in told] == list(range(1, len(told) + 1))
        assert [best for _, best in told] == sorted(best for _, best in told)

    def test_ends_where_there_is_one_policy_only(self, name, make):
        environment = make(macs=1.0)
        found = DRIVERS[name](environment, evaluations=SPENT, seed=0)
        assert found.counts == environment.whole


@pytest.mark.parametrize("name", ["amc", "evolve"])
def test_seeds_differ(name, make):
    histories = [DRIVERS[name](make(), evaluations=SPENT, seed=seed).history for seed in (0, 1)]
    assert histories[0] != histories[1]


@pytest.mark.parametrize("name", ["integer", "netadapt"])
def test_too_few_evaluations_are_refused(name, make):
    with pytest.raises(GossamerError, match="needs at least 6 evaluations for 3 layers, got 5; give more"):
        DRIVERS[name](make(), evaluations=5, seed=0)


@pytest.mark.parametrize("name", sorted(set(DRIVERS) - {"uniform"}))
def test_a_search_starts_at_what_a_ranking_over_all_layers_gives(name, make):
    pictures = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    environment = make(macs=0.6, importance="reconstruction", batches=[(pictures, None)])
    ranked = environment.ranked()
    assert environment.macs(ranked) <= environment.limit
    plain = environment.evaluate_counts(ranked).score
    assert plain > environment.evaluate_counts(environment.uniform()).score
    assert DRIVERS[name](environment, evaluations=6, seed=0).score >= plain


def test_norms_of_weights_rank_no_layers_against_each_other(make):
    assert make(importance="l1").ranked() is None


def test_drivers_are_compared_side_by_side(make):
    environment = make()
    rows = compare(environment, ("uniform", "evolve"), evaluations=8, seeds=(0, 1))
    assert [(row.driver, row.seed) for row in rows] == [
        ("uniform", 0),
        ("uniform", 1),
        ("evolve", 0),
        ("evolve", 1),
    ]
    assert rows[0].gain == 0
    assert all(row.gain >= 0 and row.found.evaluations <= 8 for row in rows)


def test_an_unknown_driver_is_named():
    with pytest.raises(
        GossamerError, match=r"driver is one of amc, evolve, .*; got 'evolv', did you mean 'evolve'"
    ):
        driver_of("evolv")


def test_the_names_are_those_of_the_table():
    assert set(drivers.DriverName.__args__) == set(DRIVERS)
