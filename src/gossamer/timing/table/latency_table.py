"""How long blocks take on a platform: a table in one SQLite file, to be filled, kept and passed on.

A row is one exported graph (a block, or a whole network with the kind `network`) on one platform. A platform is what
changes the time of the same graph: processor, vector instructions, runtime with its version, threads, precision.
Every row is written in a transaction of its own, so what was measured before an interruption is kept and several
processes can fill one file. Nothing here needs torch.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform as system
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from gossamer._files import cache_folder, write_text
from gossamer._machine import describe_machine, versions
from gossamer.errors import DataError, RunFolderError
from gossamer.types import Precision

__all__ = ["LatencyTable", "Platform", "Row", "block_key", "default_path"]

_APPLICATION = 0x676F736C
"""`gosl`: what SQLite's header says of a table of ours."""
_VERSION = 2
_WAIT_SECONDS = 60.0
_ISA = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
"""Flags of /proc/cpuinfo that change which kernels a runtime picks; asimd is 64-bit Arm's name for NEON."""
_SHOWN = {"avx512f": "avx512", "avx512_vnni": "vnni", "asimd": "neon"}


@dataclass(frozen=True)
class Platform:
    """What a time is true for. `str()` of it is the id that rows are kept under."""

    cpu: str
    isa: tuple[str, ...]
    """Vector instructions, such as avx2, avx512, vnni, neon."""
    runtime: str
    runtime_version: str
    threads: int
    precision: Precision

    @classmethod
    def here(
        cls, *, runtime: str = "onnxruntime", threads: int = 1, precision: Precision = "fp32"
    ) -> Platform:
        """This machine with an installed runtime."""
        cpu = str(describe_machine()["cpu"])
        return cls(cpu, _instructions(), runtime, versions([runtime]).get(runtime, "?"), threads, precision)

    @property
    def channel_block(self) -> int:
        """Channels that kernels work on at once: other widths are filled up to it, or leave the fast kernels."""
        return 16 if "avx512" in self.isa else 8

    def __str__(self) -> str:
        isa = "+".join(self.isa) or "-"
        runtime = f"{self.runtime} {self.runtime_version}"
        return " | ".join((self.cpu, isa, runtime, f"{self.threads} thread(s)", self.precision))


def _instructions(file: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """The flags that matter, in a fixed order; of an unknown system its machine name."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return (system.machine(),)
    flags: set[str] = set()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return tuple(_SHOWN.get(flag, flag) for flag in _ISA if flag in flags)


@dataclass(frozen=True)
class Row:
    """One graph on one platform; sizes are those of the first input and first output, one picture at a time."""

    platform: str
    key: str
    """`block_key` of the exported graph."""
    kind: str
    """The class of the block; `network` for a whole network."""
    latency_ms: float
    """Mean of the fastest half of the runs."""
    spread: float
    """Difference between the figures of the even and the odd rounds, as a share of `latency_ms`."""
    runs: int
    macs: int
    bytes_moved: int
    """Activations read and written by every operator, and the parameters once."""
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int
    """Largest side of a convolution."""
    stride: int
    date: str
    """UTC, ISO 8601."""
    provenance: str
    """Who measured it under what load, or where it was taken from."""


_TYPES = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}
_PARSE: Mapping[str, Any] = {"str": str, "int": int, "float": float}
_COLUMNS = tuple(field.name for field in fields(Row))
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS rows ("
    + ", ".join(f"{field.name} {_TYPES[str(field.type)]} NOT NULL" for field in fields(Row))
    + ", PRIMARY KEY (platform, key))",
    "CREATE TABLE IF NOT EXISTS calibrations (platform TEXT PRIMARY KEY, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS forms (form TEXT PRIMARY KEY, key TEXT NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


def default_path() -> Path:
    """The table of this person: latency.sqlite in the cache folder."""
    return cache_folder() / "latency.sqlite"


class LatencyTable:
    """A table in a file, made on the first write. Safe to use from several processes at once.

    Every method raises DataError where the file is damaged or not a table of ours, RunFolderError where it cannot
    be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else Path(path)

    def put(self, row: Row) -> None:
        """Write a row and commit; one with the same platform and key gives way."""
        marks = ", ".join("?" * len(_COLUMNS))
        with self._writing() as base:
            base.execute(f"INSERT OR REPLACE INTO rows VALUES ({marks})", astuple(row))

    def rows(self, platform: Platform | str | None = None) -> list[Row]:
        """The rows of a platform, of all without one, in the order of platform and key."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM rows"
        values: tuple[str, ...] = ()
        if platform is not None:
            query, values = f"{query} WHERE platform = ?", (str(platform),)
        with self._reading() as base:
            if base is None:
                return []
            return [Row(*found) for found in base.execute(f"{query} ORDER BY platform, key", values)]

    def find(self, platform: Platform | str, keys: Iterable[str]) -> dict[str, Row]:
        """Key -> row, for those of the keys that the platform has."""
        wanted = set(keys)
        return {row.key: row for row in self.rows(platform) if row.key in wanted}

    def put_forms(self, forms: Mapping[str, str]) -> None:
        """Keep the keys of forms (`Unit.form`), so that they can be looked up without an export."""
        with self._writing() as base:
            base.executemany("INSERT OR REPLACE INTO forms VALUES (?, ?)", forms.items())

    def forms(self) -> dict[str, str]:
        """Form -> key, for every form that was ever exported into this table."""
        with self._reading() as base:
            return {} if base is None else dict(base.execute("SELECT form, key FROM forms"))

    def put_calibration(self, platform: Platform | str, document: Mapping[str, Any]) -> None:
        """Keep a calibration, a JSON object, for a platform; an earlier one gives way."""
        text = json.dumps(document, allow_nan=False)
        with self._writing() as base:
            base.execute("INSERT OR REPLACE INTO calibrations VALUES (?, ?)", (str(platform), text))

    def calibration(self, platform: Platform | str) -> dict[str, Any] | None:
        """The calibration of a platform, None where there is none."""
        with self._reading() as base:
            if base is None:
                return None
            query = "SELECT document FROM calibrations WHERE platform = ?"
            found = base.execute(query, (str(platform),)).fetchone()
        if found is None:
            return None
        try:
            document: dict[str, Any] = json.loads(found[0])
        except ValueError as error:
            raise _damaged(self.path, "its calibration is no JSON") from error
        return document

    def to_csv(self, path: Path, platform: Platform | str | None = None) -> int:
        """Write the rows (of one platform, or all) as CSV with a header line; how many there were."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        rows = self.rows(platform)
        writer.writerows(astuple(row) for row in rows)
        write_text(path, text.getvalue())
        return len(rows)

    def from_csv(self, path: Path) -> int:
        """Take in what `to_csv` wrote, all or nothing; how many rows there were.

        Raises:
            DataError: the file is missing, has other columns or a value of the wrong kind.
        """
        rows = list(_read_csv(path))
        marks = ", ".join("?" * len(_COLUMNS))
        with self._writing() as base:
            base.executemany(f"INSERT OR REPLACE INTO rows VALUES ({marks})", map(astuple, rows))
        return len(rows)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that cannot write; None where there is no table yet."""
        if not self.path.exists():
            yield None
            return
        with self._named_errors():
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS)) as base:
                yield base if _is_ours(base, self.path) else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed on a clean exit, undone otherwise."""
        with self._named_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)) as base:
                base.execute("BEGIN IMMEDIATE")
                if not _is_ours(base, self.path):
                    for statement in _SCHEMA:
                        base.execute(statement)
                yield base
                base.execute("COMMIT")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise RunFolderError(
                f"the latency table {self.path} cannot be used: {error}; "
                "check the folder and its rights, or name another file"
            ) from error
        except sqlite3.DatabaseError as error:
            raise _damaged(self.path, str(error)) from error


def _is_ours(base: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds our tables; False where it is empty.

    Raises:
        DataError: it belongs to another program or a later version.
    """
    (application,) = base.execute("PRAGMA application_id").fetchone()
    (version,) = base.execute("PRAGMA user_version").fetchone()
    (tables,) = base.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        return False
    if application != _APPLICATION:
        raise DataError(f"{path} is a database of another program, no latency table; name another file")
    if version < _VERSION:
        raise DataError(
            f"{path} is a latency table of the older format {version}, this version writes {_VERSION}; "
            "delete it and measure again, or name another file"
        )
    if version > _VERSION:
        raise DataError(
            f"{path} is a latency table of format {version}, this version knows {_VERSION}; "
            "update gossamer or name another file"
        )
    return True


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is no latency table that can be read ({reason}); delete it and measure again, or name another file"
    )


def _read_csv(path: Path) -> Iterator[Row]:
    try:
        lines = list(csv.reader(path.read_text().splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}; name a CSV file that to_csv wrote") from error
    if not lines or tuple(lines[0]) != _COLUMNS:
        raise DataError(f"{path} is no latency table: its first line must be {','.join(_COLUMNS)}")
    kinds = [_PARSE[str(field.type)] for field in fields(Row)]
    for number, line in enumerate(lines[1:], 2):
        try:
            yield Row(*(kind(text) for kind, text in zip(kinds, line, strict=True)))
        except ValueError as error:
            raise DataError(
                f"line {number} of {path} is no row of a latency table: {error}; correct or delete it"
            ) from error


def block_key(model: bytes) -> str:
    """What makes two ONNX graphs the same to a runtime, as 32 hexadecimal digits.

    Operators, attributes, shapes and dtypes, and who feeds whom count; names, the order in the file and the values
    of weights do not. Whole-number constants (sizes, pads, slices) count by value.
    """
    import onnx

    graph_of = onnx.load_from_string(model)
    graph = graph_of.graph
    known = {tensor.name: _tensor_digest(tensor) for tensor in graph.initializer}
    for place, value in enumerate(graph.input):
        known.setdefault(value.name, _digest("input", place, value.type.SerializeToString().hex()))
    nodes: list[str] = []
    for node in graph.node:
        if node.op_type == "Identity":  # the exporter's word for "the same values as that constant"
            known[node.output[0]] = known.get(node.input[0], "")
            continue
        attributes = sorted(_attribute(attribute) for attribute in node.attribute)
        feeds = [known.get(name, "") for name in node.input]
        made = _digest(node.domain, node.op_type, attributes, feeds, len(node.output))
        nodes.append(made)
        known.update({name: _digest(made, place) for place, name in enumerate(node.output)})
    opsets = sorted((opset.domain, opset.version) for opset in graph_of.opset_import)
    outputs = [known.get(value.name, "") for value in graph.output]
    return _digest(opsets, sorted(nodes), outputs)


def _tensor_digest(tensor: Any) -> str:
    """Shape and dtype; of whole numbers the values too."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    whole = values.tolist() if values.dtype.kind in "iub" and values.size <= 64 else None
    return _digest("constant", tensor.data_type, list(tensor.dims), whole)


def _attribute(attribute: Any) -> str:
    from onnx import AttributeProto, helper

    if attribute.type == AttributeProto.TENSOR:
        return f"{attribute.name}={_tensor_digest(attribute.t)}"
    return f"{attribute.name}={helper.get_attribute_value(attribute)!r}"


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
