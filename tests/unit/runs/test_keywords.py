"""Python keywords become the config that the command line would make."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossamer.errors import GossamerError
from gossamer.runs.compress.config import CompressConfig
from gossamer.runs.config import of_keywords


def test_one_text_is_a_list_of_one():
    one = of_keywords(CompressConfig, {"model": "mobilenet_v2", "method": "prune:macs=50%"})
    several = of_keywords(CompressConfig, {"model": "mobilenet_v2", "method": ["prune:macs=50%"]})
    assert one == several
    assert one.method == ("prune:macs=50%",)


def test_paths_are_texts_and_shares_are_read():
    made = of_keywords(
        CompressConfig,
        {"model": Path("a/bundle"), "data": Path("pictures"), "apply": Path("plan.json"), "max_drop": "2%"},
    )
    assert (made.model, made.data, made.apply) == ("a/bundle", "pictures", ("plan.json",))
    assert made.max_drop == pytest.approx(0.02)
    made.check()


def test_a_share_that_is_none_is_named():
    with pytest.raises(GossamerError, match=r"^max_drop is a share between 0 and 1 .*, got 'much'"):
        of_keywords(CompressConfig, {"model": "mobilenet_v2", "max_drop": "much"})
