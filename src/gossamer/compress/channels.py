"""Which channels of a network belong together: found by running it once on the meta device with a label on each number.

Every channel that a layer makes gets a label, an integer. Whatever only moves numbers (views, permutations, splits,
concatenations, padding) is done to the labels as well, so that index maps need no rules of their own. Where two
channels meet (additions, gates, norms, depthwise kernels) their labels are joined. What is joined is one set: it is
kept or removed as a whole. The idea of coupled channels is DepGraph's (Fang et al., 2301.12900); labels instead of
rules make the maps exact.

A number that is no channel has label -1: pictures, constants, padding, and what came out of an operator that is not
known here. Sets that reach a network's outputs or such an operator are frozen, by name.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gossamer.compress.channel_labels import Tracer
from gossamer.compress.channel_rules import RULES
from gossamer.compress.channel_values import Channels, Product, Slot
from gossamer.errors import ModelError

__all__ = ["Channels", "Product", "Slot", "find_channels"]


def find_channels(network: nn.Module, example: Sequence[int] | Tensor) -> Channels:
    """Trace the network once at the shape (B, bands, H, W) of the example; a small picture is enough.

    Raises:
        ModelError: it does not run at that shape, or decides by values.
    """
    shape = tuple(int(side) for side in (example.shape if isinstance(example, Tensor) else example))
    handles: list[Any] = []
    try:
        twin = _on_meta(network)
        tracer = Tracer(twin, _shared(network), RULES)
        picture = torch.empty((1, *shape[1:]), device="meta")
        tracer.label(picture, np.full(picture.shape, -1, np.int64))
        handles += list(tracer.listen(twin))
        with torch.no_grad(), tracer:
            result = twin(picture)
        tracer.freeze_outputs(result)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"cannot follow {type(network).__name__} at {shape}: {line}; give an example that it takes, and no values "
            "to decide by"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return tracer.channels()


def _shared(network: nn.Module) -> set[str]:
    every = list(network.named_parameters(remove_duplicate=False))
    counts = Counter(id(parameter) for _, parameter in every)
    return {name for name, parameter in every if counts[id(parameter)] > 1}


def _on_meta(network: nn.Module) -> nn.Module:
    """A copy without values.

    Raises:
        ModelError: hooks make its weights anew, as torch.nn.utils.weight_norm does.
    """
    try:
        return copy.deepcopy(network).to("meta").eval()
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise ModelError(
            f"{type(network).__name__} has weights that a hook makes anew and that cannot be copied; take the hook off first, "
            "e.g. torch.nn.utils.remove_weight_norm, or use torch.nn.utils.parametrizations"
        ) from error
