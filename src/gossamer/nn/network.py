"""A network: stem, stages, head. Every architecture of the zoo is one of these."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.layers import Act, ConvNormAct, Norm

__all__ = ["Network", "Stage", "classifier", "replace_classifier", "truncate"]


class Stage(nn.Sequential):
    """Blocks in a row; `channels` and `reduction` describe what comes out."""

    def __init__(self, blocks: Sequence[nn.Module], *, channels: int, reduction: int) -> None:
        super().__init__(*blocks)
        self.channels = channels
        self.reduction = reduction


class Network(nn.Module):
    """Stem, stages, head: (B, in, H, W) -> (B, K) for a classifier of K classes.

    `features(x)` gives the pyramid, one map a reduction (the last stage that has it); `channels` and `reductions`
    describe it.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[Stage], head: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.head = head

    def _levels(self) -> list[int]:
        reductions = [stage.reduction for stage in self._stages()]
        return [i for i, r in enumerate(reductions) if i + 1 == len(reductions) or reductions[i + 1] != r]

    def _stages(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map of the pyramid."""
        return tuple(self._stages()[level].channels for level in self._levels())

    @property
    def reductions(self) -> tuple[int, ...]:
        """Input pixels per pixel of each map of the pyramid."""
        return tuple(self._stages()[level].reduction for level in self._levels())

    def features(self, x: Tensor) -> list[Tensor]:
        """The pyramid: maps (B, channels[i], ~H / reductions[i], ~W / reductions[i]), finest first."""
        levels = set(self._levels())
        x = self.stem(x)
        maps: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in levels:
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.head(x)
        return logits


def classifier(
    in_channels: int,
    num_classes: int,
    *,
    conv_channels: int | None = None,
    hidden_channels: int | None = None,
    dropout: float = 0.0,
    bias: bool = True,
    norm: Norm = nn.BatchNorm2d,
    act: Act = nn.ReLU6,
) -> nn.Sequential:
    """The usual head: [1x1 convolution], global mean, [hidden linear + activation], dropout, linear to (B, K)."""
    parts: list[nn.Module] = []
    if conv_channels is not None:
        parts.append(ConvNormAct(in_channels, conv_channels, norm=norm, act=act))
        in_channels = conv_channels
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(1)]
    if hidden_channels is not None:
        parts += [nn.Linear(in_channels, hidden_channels), act()]
        in_channels = hidden_channels
    if dropout:
        parts.append(nn.Dropout(dropout))
    parts.append(nn.Linear(in_channels, num_classes, bias=bias))
    return nn.Sequential(*parts)


def last_layer(network: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The name and module of the layer that makes the class scores: the last linear or convolution."""
    found = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not found:
        raise ModelError(
            f"a classifier needs a linear or convolution layer, got {type(network).__name__} with none"
        )
    return found[-1]


def replace_classifier(network: nn.Module, num_classes: int) -> None:
    """Give the network a new, freshly initialised last layer with `num_classes` outputs: in place."""
    name, old = last_layer(network)
    new: nn.Linear | nn.Conv2d
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    else:
        new = nn.Conv2d(old.in_channels, num_classes, 1, padding=old.padding, bias=old.bias is not None)  # type: ignore[arg-type]
    nn.init.normal_(new.weight, 0.0, 0.01)
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new)


def truncate(network: Network, stages: int) -> Network:
    """The stem and the first `stages` stages of a network with a plain classifier on top: a new network.

    What it keeps it shares with the original, so pretrained early stages stay pretrained.

    Raises:
        ModelError: the network has no such stage.
    """
    total = len(network.stages)
    if not 1 <= stages <= total:
        raise ModelError(
            f"a network is cut after stage 1 to {total}, got {stages}; write e.g. 'NAME[:{total - 1}]'"
        )
    kept = network._stages()[:stages]
    _, last = last_layer(network)
    num_classes = last.out_features if isinstance(last, nn.Linear) else last.out_channels
    head = classifier(kept[-1].channels, num_classes, dropout=0.1)
    cut = Network(network.stem, kept, head)
    replace_classifier(cut, num_classes)
    return cut
