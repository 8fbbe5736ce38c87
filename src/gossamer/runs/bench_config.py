"""The options of `gossamer bench`."""

from __future__ import annotations

from gossamer._text import whole_number
from gossamer.errors import GossamerError
from gossamer.runs.config import ONLINE
from gossamer.runs.model_config import parse_input
from gossamer.runs.options import Config, config, option

__all__ = ["SORTS", "BenchConfig"]

SORTS = {"latency": "p50_ms", "macs": "macs", "params": "params", "size": "size_bytes", "name": "model"}


@config
class BenchConfig(Config):
    """What is timed."""

    models: tuple[str, ...] = option(
        ..., "Catalogue names, timm:NAME, bundle folders or files of the runtime.", positional=True
    )
    on: str = option("onnxruntime", "Runtime.")
    threads: str = option("1", "Thread counts, e.g. 1,2.")
    input: str | None = option(
        None, "BANDSxHEIGHTxWIDTH of networks, and of files with open sizes, e.g. 3x224x224."
    )
    seconds: float = option(2.0, "Time spent on each file and thread count.", least=0.001, most=3600)
    sort: str = option("latency", "latency, macs, params, size or name.", choices=tuple(SORTS))
    compare: bool = option(False, "Ratios to the first model, with their interval.")
    online: bool = option(False, ONLINE)
    seed: int = option(0, "Seed of the weights of networks by name.", least=0, most=2**31)

    @property
    def counts(self) -> list[int]:
        """Of threads.

        Raises:
            GossamerError: they are no list of whole numbers.
        """
        counts = [whole_number(part) or 0 for part in self.threads.split(",")]
        if not all(1 <= count <= 1024 for count in counts):
            raise GossamerError(
                f"--threads is a list of whole numbers from 1 to 1,024, got {self.threads!r}; write e.g. 1,2"
            )
        return list(dict.fromkeys(counts))

    def check(self) -> None:
        """As of every config; threads and input can be understood.

        Raises:
            GossamerError: one line for a person.
        """
        super().check()
        _ = self.counts
        if self.input is not None:
            parse_input(self.input)
        if not self.models:
            raise GossamerError("bench times models, got none; name a network, a bundle or a file")
