"""A network: stem, stages, head. Every architecture of the zoo is one of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.blocks.reparameterised import RepConv
from gossamer.nn.layers import Act, ConvNormAct, GridPool, Norm
from gossamer.nn.modes import in_eval

__all__ = [
    "Architecture",
    "Network",
    "Stage",
    "StageList",
    "classifier",
    "hidden_classifier",
    "last_layer",
    "replace_classifier",
    "shipped_params",
    "truncate",
]


class Stage(nn.Sequential):
    """Blocks in a row; `channels` and `reduction` describe what comes out."""

    def __init__(self, blocks: Sequence[nn.Module], *, channels: int, reduction: int) -> None:
        super().__init__(*blocks)
        self.channels = channels
        self.reduction = reduction


class StageList:
    """Stages being built: blocks go in, channels and reduction are kept count of.

    `channels` is what the next block is given, `reduction` the input pixels per pixel there.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        self.channels = channels
        self.reduction = reduction
        self._done: list[Stage] = []
        self._blocks: list[nn.Module] = []

    def add(self, block: nn.Module, *, channels: int | None = None, stride: int = 1) -> None:
        """Put a block behind the last; `channels` is what it makes (the same as it takes, without)."""
        self._blocks.append(block)
        self.channels = self.channels if channels is None else channels
        self.reduction *= stride

    def end_stage(self) -> None:
        """The blocks since the last call are a stage."""
        self._done.append(Stage(self._blocks, channels=self.channels, reduction=self.reduction))
        self._blocks = []

    def stages(self) -> list[Stage]:
        """Every stage; blocks left over make the last."""
        if self._blocks:
            self.end_stage()
        return self._done


class Architecture(nn.Module):
    """What is put together of this package's blocks: a norm stands right behind its convolution in one `Sequential`, so that
    `fuse` folds it, and the network itself knows which layers take the picture and which give the classes."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Names of parts that training alone runs: they do not ship, and are not counted."""

    maps_part: ClassVar[str] = ""
    """Name of the part that gives a list of maps, finest first, which a student's are held against; none where stages do."""

    def image_layers(self) -> list[str]:
        """The names of the convolutions that take the input picture: the first one and those beside it."""
        first = next(name for name, module in self.named_modules() if isinstance(module, nn.Conv2d))
        for name, module in self.named_modules():
            if isinstance(module, RepConv) and first.startswith(f"{name}."):
                return [f"{name}.{k}" for k, part in module.named_modules() if isinstance(part, nn.Conv2d)]
        return [first]

    def replace_classes(self, num_classes: int) -> None:
        """Make the layers that give class scores anew, for so many classes: in place."""
        _replace_last(self, num_classes)

    def new_parts(self) -> list[nn.Module]:
        """What is not pretrained where the rest is, and so learns at the whole rate: what gives the answers."""
        return [last_layer(self)[1]]

    def drop_training_parts(self) -> None:
        """Take off what only training runs: in place."""
        for name in self.training_only:
            setattr(self, name, None)


def shipped_params(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of a network without those of parts that training alone runs."""
    dropped = network.training_only if isinstance(network, Architecture) else ()
    return [p for name, p in network.named_parameters() if name.partition(".")[0] not in dropped]


class Network(Architecture):
    """Stem, stages, head: (B, in, H, W) -> (B, K) for a classifier of K classes.

    Stem and the first `held` stages, where there are any, are run forwards alone: nothing in them is trained.

    `features(x)` gives the pyramid, one map a reduction (the last stage that has it); `channels` and `reductions`
    describe it. H and W are at least `min_input`, the reduction of the last stage unless the builder says more.
    """

    def __init__(
        self, stem: nn.Module, stages: Sequence[Stage], head: nn.Module, *, min_input: int | None = None
    ) -> None:
        super().__init__()
        self.held = 0
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.min_input = stages[-1].reduction if min_input is None else min_input

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

    def hold(self, reduction: int) -> None:
        """Train nothing that reduces the picture by so much or less; 0 trains all."""
        for part in self._held_parts():
            part.requires_grad_(True)
        self.held = sum(stage.reduction <= reduction for stage in self._stages())
        for part in self._held_parts():
            part.requires_grad_(False)
        self.train(self.training)

    def _held_parts(self) -> list[nn.Module]:
        return [self.stem, *list(self.stages)[: self.held]] if self.held else []

    def train(self, mode: bool = True) -> Network:
        """As torch's; what is held stays in eval mode."""
        super().train(mode)
        for part in self._held_parts():
            part.eval()
        return self

    def _trained(self, index: int) -> torch.autograd.grad_mode.set_grad_enabled:
        """Gradients as they are asked for, none in the stem (-1) and the stages that are held."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and (not self.held or index >= self.held))

    def run_stage(self, stage: nn.Module, x: Tensor, image: Tensor) -> Tensor:
        """One stage on the map before it; `image` is the network's input, for networks that look at it again."""
        result: Tensor = stage(x)
        return result

    def cut_behind(self, reduction: int) -> None:
        """Drop the head and the stages behind the last map of this reduction, for who looks at features only: in place."""
        kept = [index for index, stage in enumerate(self._stages()) if stage.reduction <= reduction]
        self.stages = self.stages[: kept[-1] + 1]
        self.head = nn.Identity()

    def features(self, x: Tensor) -> list[Tensor]:
        """The pyramid: maps (B, channels[i], ~H / reductions[i], ~W / reductions[i]), finest first.

        Raises:
            ModelError: the input is too small for the strides.
        """
        self._check_size(x)
        levels = set(self._levels())
        image = x
        with self._trained(-1):
            x = self.stem(x)
        maps: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            with self._trained(index):
                x = self.run_stage(stage, x, image)
            if index in levels:
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        self._check_size(x)
        image = x
        with self._trained(-1):
            x = self.stem(x)
        for index, stage in enumerate(self.stages):
            with self._trained(index):
                x = self.run_stage(stage, x, image)
        logits: Tensor = self.head(x)
        return logits

    def _check_size(self, image: Tensor) -> None:
        if torch.jit.is_tracing():  # type: ignore[attr-defined]  # sizes are tensors there, and the exporter has run the network before
            return
        if image.shape[2] < self.min_input or image.shape[3] < self.min_input:
            raise ModelError(
                f"the input must be at least {self.min_input} x {self.min_input} pixels for a network that reduces by "
                f"{self._stages()[-1].reduction}, got {image.shape[2]} x {image.shape[3]}; enlarge it or cut the network, NAME[:k]"
            )


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


def hidden_classifier(
    in_channels: int, num_classes: int, *, grid: int, hidden_channels: int, dropout: float
) -> nn.Sequential:
    """The head before global means: means over a grid, two hidden linear layers with dropout, linear to (B, K)."""
    return nn.Sequential(
        GridPool(grid),
        nn.Flatten(1),
        nn.Linear(in_channels * grid**2, hidden_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_channels, hidden_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_channels, num_classes),
    )


def last_layer(network: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The name and module of the layer that makes the class scores: the last linear or convolution.

    Raises:
        ModelError: it has neither.
    """
    found = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not found:
        raise ModelError(
            f"a classifier needs a linear or convolution layer, got {type(network).__name__} with none"
        )
    return found[-1]


def replace_classifier(network: nn.Module, num_classes: int) -> None:
    """Give the network new, freshly initialised layers for `num_classes` classes: in place.

    Of a network of others it is the last linear layer or convolution.
    """
    if isinstance(network, Architecture):
        network.replace_classes(num_classes)
    else:
        _replace_last(network, num_classes)


def _replace_last(network: nn.Module, num_classes: int) -> None:
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


def truncate(network: Network, blocks: int | Sequence[int]) -> Network:
    """The stem and the first stages of a network with a plain classifier on top: a new network.

    `blocks` is how many stages are kept, or how many blocks of each of the first stages. What it keeps it shares with
    the original, so pretrained early stages stay pretrained.

    Raises:
        ModelError: the network has no such stage or block.
    """
    stages = network._stages()
    counts = [len(stage) for stage in stages[:blocks]] if isinstance(blocks, int) else list(blocks)
    if not 1 <= (blocks if isinstance(blocks, int) else len(counts)) <= len(stages):
        raise ModelError(
            f"a network is cut after stage 1 to {len(stages)}, got {blocks}; write e.g. 'NAME[:{len(stages) - 1}]'"
        )
    for number, (count, stage) in enumerate(zip(counts, stages, strict=False), 1):
        if not 1 <= count <= len(stage):
            raise ModelError(
                f"stage {number} has {len(stage)} block{'s' * (len(stage) > 1)}, got {count} of them to keep; "
                f"write e.g. 'NAME[:{','.join(str(len(each)) for each in stages[: len(counts)])}]'"
            )
    kept = [
        stage if count == len(stage) else Stage(list(stage)[:count], channels=0, reduction=stage.reduction)
        for count, stage in zip(counts, stages, strict=False)
    ]
    _, last = last_layer(network)
    num_classes = last.out_features if isinstance(last, nn.Linear) else last.out_channels
    _set_channels(network, kept)
    head = classifier(kept[-1].channels, num_classes, dropout=0.1)
    padded = network.min_input <= stages[-1].reduction
    smallest = kept[-1].reduction if padded else network.min_input
    cut = type(network)(network.stem, kept, head, min_input=smallest)
    replace_classifier(cut, num_classes)
    return cut


def _set_channels(network: Network, kept: Sequence[Stage]) -> None:
    """Look what stages that were kept in part make: a block need not make what its stage makes."""
    first = network.get_submodule(network.image_layers()[0])
    assert isinstance(first, nn.Conv2d)
    side = max(network.min_input, network._stages()[-1].reduction)
    image = first.weight.new_zeros(1, first.in_channels, side, side)
    with in_eval(network), torch.no_grad():
        x = network.stem(image)
        for stage in kept:
            try:
                with in_eval(stage):
                    x = network.run_stage(stage, x, image)
            except RuntimeError as error:
                raise ModelError(
                    f"stage {kept.index(stage) + 1} needs all blocks of the one before it ({error}); keep them, or cut the "
                    "last stage only"
                ) from error
            if not stage.channels:
                stage.channels, stage.reduction = x.shape[1], side // x.shape[2]
