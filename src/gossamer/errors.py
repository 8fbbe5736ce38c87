"""Every error a user can meet. Messages give the rule, the value and the next step, in one line.

GossamerError                what every error below is; exit code 2 unless its class says otherwise
├── BudgetError              a budget text that cannot be understood, or a value that cannot be met by anything
├── DataError                pictures, folders or labels that cannot be used
├── ModelError               an unknown network, a wrong argument, weights that do not fit
├── BundleError              a bundle or exported file that is missing, damaged or not ours
├── RunFolderError           an output folder that is taken, read-only, full, or of another run
├── UnknownRuntimeError      a runtime name that the table of runtimes does not hold
├── MissingExtraError        a part of gossamer that is not installed (exit code 3)
└── GoalNotMetError          the work is done and saved, but the budget or the guard was not met (exit code 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BudgetError",
    "BundleError",
    "DataError",
    "GoalNotMetError",
    "GossamerError",
    "MissingExtraError",
    "ModelError",
    "RunFolderError",
    "UnknownRuntimeError",
    "nearest",
]


_MOST_NAMES, _FIRST_NAMES = 40, 12


class GossamerError(Exception):
    """The root of the tree: something a person can put right."""

    exit_code = 2


class BudgetError(GossamerError):
    """A budget that cannot be understood or cannot be met by any network."""


class DataError(GossamerError):
    """Data that cannot be used."""


class ModelError(GossamerError):
    """A network that cannot be built or weights that do not fit it."""


class BundleError(GossamerError):
    """A bundle or exported file that is missing, damaged or not ours."""


class RunFolderError(GossamerError):
    """An output folder that cannot be used."""


class UnknownRuntimeError(GossamerError):
    """A runtime that the table of runtimes does not hold."""


class MissingExtraError(GossamerError):
    """A part of gossamer that is not installed."""

    exit_code = 3

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; pip install 'gossamer[{extra}]'"
        )


class GoalNotMetError(GossamerError):
    """The work is done and the best result saved, but the goal was not met."""

    exit_code = 1


def nearest(name: str, known: Iterable[str], *, count: int = 1) -> str:
    """A hint for a misspelt name: "did you mean 'x'?" with up to `count` names, or the known ones when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        *others, last = [repr(word) for word in close]
        return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
    if len(names) > _MOST_NAMES:
        return f"known: {', '.join(names[:_FIRST_NAMES])} and {len(names) - _FIRST_NAMES} more"
    return "known: " + ", ".join(names)
