"""What `measure` and `bench` look at: a network by its name, a bundle, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gossamer.cost.figures import Cost

__all__ = ["Subject", "at_sizes", "subject_of"]


class Subject(NamedTuple):
    """What is measured: a network that is exported where a file is needed, or a file."""

    name: str
    cost: Cost
    shape: tuple[int, ...]
    """(bands, H, W); of a file whatever its input has behind the batch."""
    network: Any = None
    path: Path | None = None

    @property
    def layers(self) -> set[str]:
        """The names that nodes of the file may belong to."""
        return set() if self.network is None else {name for name, _ in self.network.named_modules() if name}

    @property
    def precision(self) -> str:
        return "fp32" if self.path is None else "as stored"

    def file(self, folder: str, runtime_name: str, *, names: bool = False) -> Path:
        """The file itself, or an export of the network made in the folder."""
        if self.path is not None:
            return self.path
        from gossamer.deploy.runtimes import get_runtime

        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder, f"model{get_runtime(runtime_name).suffix}")
        from gossamer.runs.model import plain_contract

        contract = plain_contract(self.shape)
        if names:
            from gossamer.deploy.runtimes.onnxruntime.export import export

            export(self.network, contract, path, names=True)
        else:
            get_runtime(runtime_name).export(self.network, contract, path)
        return path


def _file_subject(path: Path, input: str | None) -> Subject:
    from gossamer.cost.onnx_count import count_onnx
    from gossamer.errors import GossamerError
    from gossamer.runs.model_config import parse_input

    if not path.is_file():
        raise GossamerError(
            f"a model is a name, a bundle or a file, got {path}, which does not exist; check the path"
        )
    cost = count_onnx(path, None if input is None else (1, *parse_input(input)))
    return Subject(str(path), cost, cost.input[1:], path=path)


def _network_subject(model: str, input: str | None, seed: int, *, fused: bool, online: bool) -> Subject:
    import importlib.util

    from gossamer.errors import MissingExtraError

    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("measuring a network", "torch", "train")
    from gossamer.cost.meter import measure
    from gossamer.runs.plain import load_network

    network, shape = load_network(model, input, seed, online=online)
    if fused:
        from gossamer.nn.edits.fuse import fuse

        network = fuse(network)
    return Subject(model, measure(network, (1, *shape)), shape, network=network)


def subject_of(
    model: str, input: str | None, seed: int, *, fused: bool = False, online: bool = False
) -> Subject:
    """The counted network or file; weights that lie on a hub are fetched only `online`.

    Raises:
        GossamerError: there is none of that name, or a file is to be fused.
    """
    from gossamer.errors import GossamerError

    if Path(model).suffix != ".onnx":
        return _network_subject(model, input, seed, fused=fused, online=online)
    if fused:
        raise GossamerError(f"--fused is for networks, {model} is a file, which is as it ships; leave it out")
    return _file_subject(Path(model), input)


def at_sizes(subject: Subject, sizes: str) -> list[Subject]:
    """The subject at each of several sides, `128,160x224`.

    Raises:
        GossamerError: a side is no whole number from 1, or the subject is a file.
    """
    from gossamer._text import whole_number
    from gossamer.cost.meter import measure_sizes
    from gossamer.errors import GossamerError

    if subject.network is None:
        raise GossamerError(f"--sizes is for networks, {subject.name} is a file of one size; leave it out")
    shapes = []
    for text in sizes.lower().split(","):
        sides = [whole_number(side) or 0 for side in text.split("x")]
        if len(sides) > 2 or not all(1 <= side <= 16_384 for side in sides):
            raise GossamerError(
                f"--sizes is a list of sides or HEIGHTxWIDTH, got {text!r}; write e.g. 128,160x224"
            )
        shapes.append((subject.shape[0], sides[0], sides[-1]))
    costs = measure_sizes(subject.network, [(1, *shape) for shape in shapes])
    return [subject._replace(cost=cost, shape=shape) for cost, shape in zip(costs, shapes, strict=True)]
