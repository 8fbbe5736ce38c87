"""Training on Lightning: recipe, module, loop."""

from __future__ import annotations

from gossamer._callable import callable_package

callable_package(__name__)
