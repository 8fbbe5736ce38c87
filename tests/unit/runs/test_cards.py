"""Names that others wrote reach MODEL_CARD.md as text: no element of HTML, no link."""

from __future__ import annotations

import re
from types import SimpleNamespace

from gossamer.report.document import FitDocument, TaskPage
from gossamer.runs import publish
from gossamer.runs.compress.page import step_card

EVIL = '<img src=x onerror="alert(1)">[a](javascript:b)'


def _shown(card):
    assert "onerror" in card
    assert "<img" not in card
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", card)


def test_a_step():
    step = SimpleNamespace(method=EVIL, notes=[EVIL], refused=[SimpleNamespace(part=EVIL, reason=EVIL)])
    _shown(step_card(EVIL, [step]))


def test_a_run_that_trained():
    nothing = {name: [] for name in ("budget", "figures", "tried", "curves", "worst", "compression", "layers", "splits", "findings")}  # fmt: skip
    document = FitDocument(
        title=EVIL, created="now", command="gossamer fit x", met=True, headline=EVIL, labels=[EVIL], task=TaskPage(),
        flags=[EVIL], notes=[EVIL], provenance={"data": EVIL}, **nothing,
    )  # fmt: skip
    report = SimpleNamespace(dataset=SimpleNamespace(task="classify", labels=[EVIL, "plain"]))
    _shown(publish._card(document, report))
