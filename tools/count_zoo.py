"""Count every network of the catalogue on the meta device and write src/gossamer/zoo/counted.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from gossamer._files import write_text
from gossamer.cost.meter import measure
from gossamer.nn.network import Network, last_layer
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.counted import SIZES, Counted

TABLE = Path(__file__).parents[1] / "src/gossamer/zoo/counted.csv"


def count_entry(name: str) -> Iterator[tuple[int, Counted]]:
    """(size, count) at every size the table holds for an entry."""
    entry = CATALOGUE[name]
    with torch.device("meta"):
        network = build(name).eval()
    assert isinstance(network, Network)
    last_name, last = last_layer(network)
    class_params = sum(p[0].numel() for p in last.parameters())
    for size in sorted({*SIZES, entry.input, *entry.grid}):
        if size >= network.min_input:
            cost = measure(network, (1, 3, size, size))
            class_macs = (
                next(layer.macs for layer in cost.layers if layer.name == last_name) // entry.num_classes
            )
            yield size, Counted(cost.params, cost.macs, class_params, class_macs)


def main() -> None:
    lines = ["name,size,params,macs,class_params,class_macs"]
    lines += [
        ",".join(map(str, (name, size, *count))) for name in CATALOGUE for size, count in count_entry(name)
    ]
    write_text(TABLE, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
