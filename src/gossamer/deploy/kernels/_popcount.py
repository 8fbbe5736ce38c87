"""The population count as LLVM knows it, so that a loop over words becomes vector instructions where there are some."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

__all__ = ["popcount"]


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Bits of a 64-bit word that are 1 (llvm.ctpop.i64)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
