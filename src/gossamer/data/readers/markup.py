"""XML of others, read so that it can do no harm: no DTD and with it no entities, a size and a depth to end at."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from gossamer.data.readers.annotated import bytes_of
from gossamer.errors import DataError

__all__ = ["tree_of"]

_MOST_BYTES = 16_000_000
_DEEPEST = 64


def tree_of(path: Path) -> Element:
    """The root element of an XML file.

    Raises:
        DataError: it cannot be read, is no XML, or has a DTD.
    """
    data = bytes_of(path, _MOST_BYTES)
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"annotations in XML nest {_DEEPEST} deep at most, {path} goes deeper; mend it")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_arguments: object) -> None:
        raise DataError(f"annotations in XML have no DTD, {path} has one; take the line <!DOCTYPE ...> out")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ParseError, ValueError, AssertionError, LookupError) as error:
        raise DataError(f"annotations of VOC are XML, {path} is none ({error}); mend it") from error
