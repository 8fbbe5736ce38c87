"""What `python -m benchmarks.guidelines` wrote, and what it says: which networks are slower, and which are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

__all__ = ["NOTICEABLE", "Measured", "Network", "Series", "Status", "Verdict", "read", "verdict"]

NOTICEABLE = 0.05
"""A network is slower where its whole interval lies above 1 + this, faster where it lies below 1 - this."""
Status = Literal["holds", "holds in part", "does not hold", "is reversed", "is mixed"]


class Network(NamedTuple):
    """One network beside the one it is held against."""

    name: str
    base: str
    macs: int
    macs_ratio: float
    ran_macs: int
    """With the channels that the runtime filled up."""
    blocked: float
    """Share of the convolutions in the runtime's blocked layout."""
    p50_ms: float
    p95_ms: float
    ratio: float
    low: float
    high: float
    state: str

    @property
    def per_mac(self) -> float:
        """Time a mac over the base's."""
        return self.ratio / self.macs_ratio

    @property
    def short(self) -> str:
        """The name without its channels."""
        return self.name.partition(" (")[0]


class Series(NamedTuple):
    """Networks that were timed in the same rounds."""

    guideline: str
    series: str
    threads: int
    networks: tuple[Network, ...]

    @property
    def others(self) -> list[Network]:
        """Those that are held against another."""
        return [network for network in self.networks if network.name != network.base]

    def base_of(self, network: Network) -> Network:
        """What the network is held against."""
        return next(one for one in self.networks if one.name == network.base)


class Measured(NamedTuple):
    """The whole file."""

    setting: dict[str, Any]
    groups: tuple[Series, ...]

    @property
    def threads(self) -> list[int]:
        """The thread counts, the first is the one that the text is about."""
        return list(dict.fromkeys(group.threads for group in self.groups))

    def of(self, guideline: str, threads: int) -> list[Series]:
        """All series of a guideline on so many threads."""
        return [one for one in self.groups if (one.guideline, one.threads) == (guideline, threads)]


class Verdict(NamedTuple):
    """What a series says of its guideline."""

    status: Status
    slower: Sequence[Network]
    same: Sequence[Network]
    faster: Sequence[Network]


def read(path: Path) -> Measured:
    """The file of `python -m benchmarks.guidelines --out`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    groups = tuple(
        Series(
            group["guideline"],
            group["series"],
            group["threads"],
            tuple(Network(**network) for network in group["networks"]),
        )
        for group in document.pop("groups")
    )
    return Measured(document, groups)


def verdict(series: Series) -> Verdict:
    """Every guideline says that what is held against another is slower; G5 says it of the time a mac."""
    slower, same, faster = [], [], []
    for one in series.others:
        scale = one.macs_ratio if series.guideline == "G5" else 1.0
        if one.low / scale > 1 + NOTICEABLE:
            slower.append(one)
        elif one.high / scale < 1 - NOTICEABLE:
            faster.append(one)
        else:
            same.append(one)
    status: Status
    if slower and faster:
        status = "is mixed"
    elif slower:
        status = "holds in part" if same else "holds"
    else:
        status = "is reversed" if faster else "does not hold"
    return Verdict(status, slower, same, faster)
