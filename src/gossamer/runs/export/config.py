"""The options of `gossamer export`."""

from __future__ import annotations

from typing import NamedTuple

from gossamer.errors import GossamerError, nearest
from gossamer.runs.model_config import ModelConfig
from gossamer.runs.options import config, option
from gossamer.types import PRECISIONS, Precision

__all__ = ["ExportConfig", "Target", "read_targets"]

_ENDED = ("onnxruntime", "openvino")
"""Runtimes whose files are graphs that can be edited, with an operator for every ending."""


class Target(NamedTuple):
    """A runtime and a precision; written `runtime:precision`, fp32 where nobody says."""

    runtime: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime}:{self.precision}"


@config
class ExportConfig(ModelConfig):
    """What an export was asked for."""

    to: str = option(
        ..., "Runtimes, with a precision where it is not fp32: onnxruntime:int8,openvino.", group="Goal"
    )

    uint8: bool = option(
        False,
        "Beside each file for onnxruntime one that takes a picture's bytes and gives shares.",
        group="Goal",
    )

    nms: bool = option(
        False,
        "Files for onnxruntime and openvino suppress in their graph: they give what stays, best first.",
        group="Goal",
    )

    @property
    def targets(self) -> tuple[Target, ...]:
        return read_targets(self.to)

    def check(self) -> None:
        """As of every config; and the targets are there, with pictures where they need them.

        Raises:
            GossamerError: one line for a person.
            UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
        """
        super().check()
        targets = self.targets
        if self.uint8 and not any(target.runtime == "onnxruntime" for target in targets):
            raise GossamerError(
                f"--uint8 is for files of onnxruntime, got --to {self.to}; add onnxruntime, or leave --uint8 out"
            )
        if self.nms and (other := [t for t in targets if t.runtime not in _ENDED]):
            raise GossamerError(
                f"--nms is for files of {' and '.join(_ENDED)}, got {other[0]}; leave it out, or export to those alone"
            )
        if not self.data and (lossy := [t for t in targets if t.precision == "int8"]):
            raise GossamerError(
                f"{lossy[0]} is calibrated on pictures and judged by them, none were given; add --data FOLDER"
            )


def read_targets(text: str) -> tuple[Target, ...]:
    """Read `onnxruntime:int8,openvino,litert:fp16`.

    Raises:
        GossamerError: none, one twice, or a precision that the runtime does not have.
        UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
    """
    from gossamer.deploy.runtimes import get_runtime

    targets: list[Target] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, wanted = item.partition(":")
        runtime = get_runtime(name.strip(), making=True)
        precision = next((p for p in PRECISIONS if p == (wanted.strip() or "fp32")), None)
        if precision is None or precision not in runtime.precisions:
            raise GossamerError(
                f"{name} has {', '.join(runtime.precisions)}, got {wanted.strip()!r}; "
                f"{nearest(wanted, runtime.precisions) or f'write e.g. {name}:{runtime.precisions[-1]}'}"
            )
        target = Target(name.strip(), precision)
        if target in targets:
            raise GossamerError(f"each target is written once, got {target} twice; leave one out")
        targets.append(target)
    if not targets:
        raise GossamerError(f"--to names runtimes, got {text!r}; write e.g. --to onnxruntime:int8,openvino")
    return tuple(targets)
