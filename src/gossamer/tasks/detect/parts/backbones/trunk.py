"""The part of a network of the zoo that a detector looks through: stem and the stages up to the coarsest map it needs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.network import Network

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """Maps of some reductions of a network, finest first: (B, bands, H, W) -> [(B, channels[i], ~H / reductions[i], ...)].

    The network loses its head and the stages behind the last map, in place.

    Raises:
        ModelError: it has no map of one of the reductions.
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
        if missing := [reduction for reduction in reductions if reduction not in own]:
            raise ModelError(
                f"a detector looks at maps of reductions {', '.join(map(str, reductions))}, {name} has none of "
                f"{', '.join(map(str, missing))}; use a backbone that has, such as mobilenet_v2"
            )
        network.cut_behind(max(reductions))
        self.network = network
        self.min_input = network.min_input
        self.reductions = tuple(reductions)
        self.channels = tuple(network.channels[own.index(reduction)] for reduction in reductions)

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps.

        Raises:
            ModelError: the input is too small for the strides.
        """
        maps = self.network.features(x)
        return [maps[self.network.reductions.index(reduction)] for reduction in self.reductions]
