"""Packages that can be called: `gossamer.train(...)` is the verb, whichever of package and function came first."""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from typing import Any

__all__ = ["callable_package"]


class _Callable(types.ModuleType):
    @property
    def _verb(self) -> Any:
        return getattr(importlib.import_module("gossamer.verbs"), self.__name__.rpartition(".")[2])

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._verb(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._verb)


def callable_package(name: str) -> None:
    """Make the package of this name stand for the verb of its last name as well."""
    sys.modules[name].__class__ = _Callable
