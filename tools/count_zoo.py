"""Count every network of the catalogue on the meta device and write src/gossamer/zoo/counted.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from gossamer._files import write_text
from gossamer.cost.meter import measure
from gossamer.nn.network import Architecture
from gossamer.zoo.build import build
from gossamer.zoo.catalogue import CATALOGUE
from gossamer.zoo.counted import DETECTOR_SIZES, SIZES, Counted

TABLE = Path(__file__).parents[1] / "src/gossamer/zoo/counted.csv"


def count_entry(name: str) -> Iterator[tuple[int, Counted]]:
    """(size, count) at every size the table holds for an entry; what a class costs is what one more adds."""
    entry = CATALOGUE[name]
    with torch.device("meta"):
        network, other = (
            build(name, num_classes=count).eval() for count in (entry.num_classes, entry.num_classes + 1)
        )
    assert isinstance(network, Architecture)
    sizes = SIZES if entry.task == "classify" else DETECTOR_SIZES
    for size in sorted({*sizes, entry.input, *entry.grid}):
        if size >= network.min_input:
            cost, more = (measure(each, (1, 3, size, size)) for each in (network, other))
            yield (
                size,
                Counted(cost.params, cost.macs, more.params - cost.params, more.macs - cost.macs),
            )


def main() -> None:
    lines = ["name,size,params,macs,class_params,class_macs"]
    lines += [
        ",".join(map(str, (name, size, *count))) for name in CATALOGUE for size, count in count_entry(name)
    ]
    write_text(TABLE, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
