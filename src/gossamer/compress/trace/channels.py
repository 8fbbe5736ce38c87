"""Which channels of a network belong together: found by running it once on the meta device with a label on each number.

Every channel that a layer makes gets a label, an integer. Whatever only moves numbers (views, permutations, splits,
concatenations, padding) is done to the labels as well, so that index maps need no rules of their own. Where two
channels meet (additions, gates, norms, depthwise kernels) their labels are joined. What is joined is one set: it is
kept or removed as a whole. The idea of coupled channels is DepGraph's (Fang et al., 2301.12900); labels instead of
rules make the maps exact.

A number that is no channel has label -1: pictures, constants, padding, and what came out of an operator that is not
known here. Sets that reach a network's outputs or such an operator are frozen, by name. Attention heads are sets too
where their module runs with one head fewer: that is tried on the meta device, once for each class.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gossamer.compress.trace.labels import Tracer
from gossamer.compress.trace.rules import RULES
from gossamer.compress.trace.trial import freeze_stubborn
from gossamer.compress.trace.values import Channels, Labels, Product, Slot
from gossamer.errors import ModelError
from gossamer.nn.edits.channels import forget_tables, keep_channels
from gossamer.nn.modes import taken_off
from gossamer.nn.standardised import plain_convolutions

__all__ = ["Channels", "Product", "Slot", "find_channels"]


def find_channels(network: nn.Module, example: Sequence[int] | Tensor) -> Channels:
    """Trace the network once at the shape (B, bands, H, W) of the example; a small picture is enough.

    Raises:
        ModelError: it does not run at that shape, or decides by values.
    """
    shape = tuple(int(side) for side in (example.shape if isinstance(example, Tensor) else example))
    try:
        twin = plain_convolutions(_on_meta(network))
        tracer = Tracer(twin, _shared(network), RULES)
        picture = torch.empty((1, *shape[1:]), device="meta")
        tracer.label(picture, np.full(picture.shape, -1, np.int64))
        with taken_off(list(tracer.listen(twin))), torch.no_grad(), tracer:
            result = twin(picture)
        tracer.freeze_outputs(result)
        _freeze_stiff_heads(twin, tracer, picture)
        freeze_stubborn(twin, tracer, picture)
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"cannot follow {type(network).__name__} at {shape}: {line}; give an example that it takes, and no values "
            "to decide by"
        ) from error
    return tracer.channels()


def _freeze_stiff_heads(twin: nn.Module, tracer: Tracer, picture: Tensor) -> None:
    """Keep the heads of classes that do not run with one head fewer: their forward has numbers of its own."""
    channels = tracer.channels()
    kinds: dict[type[nn.Module], dict[str, Labels]] = {}
    for name, labels in tracer.heads.items():
        kinds.setdefault(type(twin.get_submodule(name)), {})[name] = labels
    for kind, heads in kinds.items():
        kept = np.ones(channels.count, np.bool_)
        for labels in heads.values():
            sets = channels.set_of(labels)
            if (sets >= 0).any():
                kept[sets.max()] = False
        if not kept.all() and not _runs(twin, channels, kept, picture):
            for labels in heads.values():
                tracer.freeze(labels, f"heads of a {kind.__name__}, whose forward has numbers of its own")


def _runs(twin: nn.Module, channels: Channels, kept: NDArray[np.bool_], picture: Tensor) -> bool:
    """Whether the network runs without these sets."""
    try:
        with torch.no_grad():
            keep_channels(twin, channels.places(kept), channels.given(kept))(picture)
    except Exception:  # a stranger's forward may raise anything
        return False
    return True


def _shared(network: nn.Module) -> set[str]:
    every = list(network.named_parameters(remove_duplicate=False))
    counts = Counter(id(parameter) for _, parameter in every)
    return {name for name, parameter in every if counts[id(parameter)] > 1}


def _on_meta(network: nn.Module) -> nn.Module:
    """A copy without values.

    Raises:
        ModelError: hooks make its weights anew, as torch.nn.utils.weight_norm does.
    """
    forget_tables(network)
    try:
        return copy.deepcopy(network).to("meta").eval()
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise ModelError(
            f"{type(network).__name__} has weights that a hook makes anew and that cannot be copied; take the hook off first, "
            "e.g. torch.nn.utils.remove_weight_norm, or use torch.nn.utils.parametrizations"
        ) from error
