"""The report of a run: its data (`document`) and the page a person reads (`html`)."""

from __future__ import annotations

from gossamer._callable import callable_package

callable_package(__name__)
