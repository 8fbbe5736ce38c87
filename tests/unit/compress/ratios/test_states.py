"""What the agent sees."""

from __future__ import annotations

import numpy as np
import pytest

from gossamer.compress.ratios.environment import Environment
from gossamer.compress.ratios.states import FEATURES, States
from gossamer.testing.networks import enliven
from gossamer.zoo.build import build


def test_states_tell_the_layer_and_what_was_done_before():
    network = enliven(build("mobilenet_v2_0.5"), (3, 64, 64))
    environment = Environment(network, (1, 3, 64, 64), metric=lambda _: 0.0, repair="none")
    states = States(environment)
    seen = np.stack([states.at(environment.least[:number]) for number in range(len(environment.layers))])
    assert seen.shape == (len(environment.layers), len(FEATURES))
    assert 0 <= seen.min() <= seen.max() <= 1
    column = dict(zip(FEATURES, seen.T, strict=True))
    assert column["index"] == pytest.approx(np.linspace(0, 1, len(seen)))
    assert (np.diff(column["reduced"]) > 0).all()
    assert (np.diff(column["rest"]) < 0).all()
    assert column["rest"][-1] == 0
    assert column["last"][1:] == pytest.approx(environment.shares(environment.least)[:-1])
    assert (column["h"][0], column["stride"][0]) == (1, 1), "the stem sees the largest side and halves it"


def test_an_untouched_network_has_lost_nothing(make):
    environment = make()
    state = dict(zip(FEATURES, States(environment).at(environment.whole[:2]), strict=True))
    assert (state["reduced"], state["last"]) == (0, 1)
