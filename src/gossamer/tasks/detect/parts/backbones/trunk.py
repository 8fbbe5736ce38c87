"""The part of a network of the zoo that a detector looks through: stem and the stages up to the coarsest map it needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.blocks import InvertedResidual
from gossamer.nn.layers import ConvNormAct
from gossamer.nn.network import Network, Stage

__all__ = ["Trunk", "keep_last_conv", "widen_before"]


class Trunk(nn.Module):
    """Maps of some reductions of a network, finest first: (B, bands, H, W) -> [(B, channels[i], ~H / reductions[i], ...)].

    The network loses its head and the stages behind the last map, in place. Maps coarser than its coarsest are maxima of
    the one before.

    Raises:
        ModelError: it has no map of one of the finer reductions.
    """

    def __init__(
        self, network: nn.Module, reductions: Sequence[int] = (8, 16, 32), *, label: str = ""
    ) -> None:
        super().__init__()
        name = label or type(network).__name__
        if not isinstance(network, Network):
            raise ModelError(
                f"a backbone is a network of the catalogue, got {name}; `gossamer zoo` lists them"
            )
        own = network.reductions
        deeper = [reduction for reduction in reductions if reduction > max(own)]
        missing = [reduction for reduction in reductions if reduction not in own and reduction not in deeper]
        if missing or len(deeper) == len(reductions):
            raise ModelError(
                f"a detector looks at maps of reductions {', '.join(map(str, reductions))}, {name} has none of "
                f"{', '.join(map(str, missing or deeper))}; use a backbone that has, such as mobilenet_v2"
            )
        network.cut_behind(max(reductions))
        self.network = network
        self.min_input = network.min_input
        self.reductions = tuple(reductions)
        self.channels = tuple(
            network.channels[own.index(min(reduction, max(own)))] for reduction in reductions
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps.

        Raises:
            ModelError: the input is too small for the strides.
        """
        own = dict(zip(self.network.reductions, self.network.features(x), strict=True))
        maps: list[Tensor] = []
        for reduction in self.reductions:
            maps.append(own[reduction] if reduction in own else F.max_pool2d(maps[-1], 2, ceil_mode=True))
        return maps


def widen_before(network: Network, reduction: int) -> None:
    """Let the stage before the first of this reduction end inside the block that reduces, where it is wide: in place.

    The block's expansion becomes the last of the stage before (MnasFPN and SSDLite look there).

    Raises:
        ModelError: the block that reduces has no expansion.
    """
    stages = [stage for stage in network.stages if isinstance(stage, Stage)]
    index = next(index for index, stage in enumerate(stages) if stage.reduction == reduction)
    block: nn.Module = stages[index][0]
    if not isinstance(block, InvertedResidual):
        raise ModelError(
            f"a level inside a block is the expansion of an inverted residual, got {type(block).__name__}"
        )
    before, conv = stages[index - 1], block.expand.get_submodule("0")
    before.append(block.expand)
    before.channels = int(conv.out_channels)  # type: ignore[arg-type]
    block.expand = nn.Identity()


def keep_last_conv(network: Network) -> None:
    """Let the last stage end with the 1x1 convolution that the classifier begins with: in place.

    Raises:
        ModelError: it begins with none.
    """
    last = network.stages[-1]
    conv = network.head[0] if isinstance(network.head, nn.Sequential) and len(network.head) else None
    if not isinstance(conv, ConvNormAct) or not isinstance(last, Stage):
        raise ModelError(
            f"the classifier of {type(network).__name__} begins with no 1x1 convolution; keep its last stage"
        )
    last.append(conv)
    last.channels = int(conv[0].out_channels)  # type: ignore[arg-type]
