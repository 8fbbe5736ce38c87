"""The main job: check, shortlist, train, compress, verify, publish; each stage a module, each result a file."""

from __future__ import annotations

from gossamer._callable import callable_package

callable_package(__name__)
