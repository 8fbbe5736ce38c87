"""What `gossamer export` was asked for."""

from __future__ import annotations

from typing import NamedTuple

from gossamer.deploy.runtimes import get_runtime
from gossamer.errors import GossamerError, nearest
from gossamer.fit.compress_config import SubjectConfig
from gossamer.types import PRECISIONS, Precision

__all__ = ["ExportConfig", "Target", "read_targets"]


class Target(NamedTuple):
    """A runtime and a precision; written `runtime:precision`, fp32 where nobody says."""

    runtime: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime}:{self.precision}"


class ExportConfig(SubjectConfig):
    """The arguments of `gossamer export`; `data` is empty where there are no pictures."""

    to: str

    @property
    def targets(self) -> tuple[Target, ...]:
        return read_targets(self.to)

    def checked(self) -> ExportConfig:
        """The same, or an error where a value makes no sense.

        Raises:
            GossamerError: one line for a person.
            UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
        """
        self.check_subject()
        targets = self.targets
        if not self.data and (lossy := [t for t in targets if t.precision == "int8"]):
            raise GossamerError(
                f"{lossy[0]} is calibrated on pictures and judged by them, none were given; add --data FOLDER"
            )
        return self


def read_targets(text: str) -> tuple[Target, ...]:
    """Read `onnxruntime:int8,openvino,litert:fp16`.

    Raises:
        GossamerError: none, one twice, or a precision that the runtime does not have.
        UnknownRuntimeError, MissingExtraError: there is no such runtime, or it is not installed.
    """
    found: list[Target] = []
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
        if target in found:
            raise GossamerError(f"each target is written once, got {target} twice; leave one out")
        found.append(target)
    if not found:
        raise GossamerError(f"--to names runtimes, got {text!r}; write e.g. --to onnxruntime:int8,openvino")
    return tuple(found)
