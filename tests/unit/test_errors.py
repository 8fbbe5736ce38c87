"""The exception tree: exit codes, hints, and the drawing in the docstring."""

from __future__ import annotations

import pytest

from gossamer import errors
from gossamer.errors import GoalNotMetError, GossamerError, MissingExtraError, nearest

CHILDREN = sorted(name for name in errors.__all__ if name.endswith("Error") and name != "GossamerError")


@pytest.mark.parametrize("name", CHILDREN)
def test_every_error_is_a_child_and_stands_in_the_drawing(name):
    assert issubclass(getattr(errors, name), GossamerError)
    assert f"── {name} " in (errors.__doc__ or "")


def test_all_holds_every_class_of_the_module():
    defined = {k for k, v in vars(errors).items() if isinstance(v, type) and issubclass(v, GossamerError)}
    assert defined == {*CHILDREN, "GossamerError"}


@pytest.mark.parametrize("name", CHILDREN)
def test_exit_codes_are_those_of_the_contract(name):
    expected = {"GoalNotMetError": 1, "MissingExtraError": 3}.get(name, 2)
    assert getattr(errors, name).exit_code == expected
    assert GossamerError.exit_code == 2


def test_a_missing_extra_gives_the_line_to_install_it():
    error = MissingExtraError("training", "torch", "train")
    assert str(error) == "training needs torch, which is not installed; pip install 'gossamer[train]'"
    assert not isinstance(error, GoalNotMetError)


def test_nearest_hints_or_lists():
    assert nearest("mobilnet", ["mobilenet", "shufflenet"]) == "did you mean 'mobilenet'?"
    assert nearest("zzz", ["beta", "alpha"]) == "known: alpha, beta"


def test_of_many_known_names_a_few_are_told():
    names = [f"name{i:03}" for i in range(50)]
    assert nearest("zzz", names) == f"known: {', '.join(names[:12])} and 38 more"
    assert nearest("zzz", names[:40]) == f"known: {', '.join(names[:40])}"
    assert nearest("nme017", names) == "did you mean 'name017'?"
