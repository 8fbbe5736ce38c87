"""The main job: check, shortlist, train, compress, verify, publish; each stage a module, each result a file.

The package can be called: `gossamer.fit("pictures/", within="latency<=5ms")` is `gossamer.fit.api.fit`, whichever of
the two names is imported first.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gossamer.fit.api import FitResult


class _Callable(types.ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> FitResult:
        """See `gossamer.fit.api.fit`."""
        from gossamer.fit.api import fit

        return fit(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
