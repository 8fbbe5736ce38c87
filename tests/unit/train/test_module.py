"""The module's own arithmetic: how fast the moving average of the weights follows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.tasks import get_task
from gossamer.tasks.classify.objective import OBJECTIVE
from gossamer.train.module import TrainingModule
from gossamer.train.recipe import Recipe


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_the_average_follows_fast_at_first_and_slowly_later(decay):
    """After n updates it keeps min(decay, (1 + n) / (10 + n)) of what it was."""
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module = TrainingModule(
        network,
        InputContract.of("imagenet", 8),
        Recipe("test", learning_rate=0.1, ema_decay=decay),
        task=get_task("classify"),
        objective=OBJECTIVE,
        labels=("a", "b"),
    )
    expected = {name: tensor.clone() for name, tensor in module.average.state_dict().items()}
    for update in range(1, 120):
        with torch.no_grad():
            module.network[0].weight.add_(1.0)
            module.network[1].num_batches_tracked.add_(1)
        module.on_train_batch_end(None, None, 0)
        kept = min(decay, (1 + update) / (10 + update))
        weight = module.network.state_dict()["0.weight"]
        expected["0.weight"] = kept * expected["0.weight"] + (1 - kept) * weight
        assert torch.allclose(module.average.state_dict()["0.weight"], expected["0.weight"], rtol=1e-4)
    assert int(module.average[1].num_batches_tracked) == 119, "counts are copied"
