import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import report_samples as samples

from gossamer.report.document import BudgetLine, Figure
from gossamer.report.html import render

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Balance(HTMLParser):
    """Collects the text and fails on a tag that is closed out of order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def pictures_of(page):
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


DOCUMENTS = {
    "sample": samples.sample(),
    "empty": samples.empty(),
    "two": samples.of_classes(["yes", "no"]),
    "hundred": samples.of_classes([f"class {i}" for i in range(100)]),
    "evil": samples.of_classes([EVIL, "雪 & 'frost'", 'a "quoted" name', "x" * 200]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
class TestEveryPage:
    def test_tags_balance_and_charts_are_well_formed(self, name):
        page = render(DOCUMENTS[name])
        assert Balance(page).open == []
        assert len(pictures_of(page)) >= (0 if name == "empty" else 7)

    def test_nothing_is_fetched(self, name):
        page = Balance(render(DOCUMENTS[name]))
        assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"} == set()
        for tag, attributes in page.tags:
            assert "href" not in attributes
            assert tag != "img" or attributes["src"].startswith("data:image/jpeg;base64,")
        text = render(DOCUMENTS[name])
        assert not re.search(r"https?:|@import|//[a-z]", re.sub(r"base64,[^\"]*", "", text))
        assert set(re.findall(r"url\((.)", text)) <= {"#"}

    def test_same_document_same_bytes_and_small(self, name):
        page = render(DOCUMENTS[name])
        assert page == render(DOCUMENTS[name].model_copy(deep=True))
        assert len(re.sub(r"base64,[^\"]*", "", page).encode()) < 150_000

    def test_every_reference_in_a_chart_exists_once(self, name):
        page = render(DOCUMENTS[name])
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


class TestAnswer:
    def test_stands_before_the_evidence(self):
        page = render(samples.sample())
        order = [
            "Budget met",
            "names 92.6 %",
            "at most 5 ms",
            "measured",
            "Read the measured",
            "What was decided",
        ]
        order += [
            "Everything that was tried",
            "Compression",
            "Training",
            "Class by class",
            "The worst mistakes",
        ]
        order += ["Where the cost lies", "The pictures", "How to make this again"]
        body = Balance(page).text
        places = [body.index(words) for words in order]
        assert places == sorted(places)

    @pytest.mark.parametrize(
        ("line", "words", "fill"),
        [
            (("latency", "<=", 5.0, 2.0, True), ("at most 5 ms", "40 % of the limit"), "40.0"),
            (("latency", "<", 5.0, 6.1, False), ("below 5 ms", "22 % over the limit"), "100.0"),
            (("size", "<=", 1e6, 40e6, False), ("at most 1 MB", "40 times the limit"), "100.0"),
            (("memory", "<=", 1e6, None, False), ("at most 1 MB", "cannot be judged"), "0.0"),
            (
                ("accuracy", ">=", 0.92, 0.912, False),
                ("at least 92.0 %", "0.8 points below the floor"),
                "100.0",
            ),
            (("accuracy", ">", 0.9, 1.0, True), ("above 90.0 %", "10.0 points above the floor"), "90.0"),
        ],
    )
    def test_budget_line(self, line, words, fill):
        row = BudgetLine(**dict(zip(("metric", "op", "limit", "measured", "met"), line, strict=True)))
        page = render(samples.empty().model_copy(update={"budget": [row]}))
        text = Balance(page).text
        assert all(word in text for word in words)
        assert ("✓" if row.met else "✕") + " " + row.measured_text in text
        assert f'<i style="width:{fill}%">' in page

    def test_not_met_is_said(self):
        page = Balance(render(samples.sample().model_copy(update={"met": False}))).text
        assert "Budget not met" in page
        assert "Budget met" not in page

    def test_origin_of_each_figure_is_shown_and_explained_once(self):
        figures = [
            Figure(label="a", value="1", origin="predicted"),
            Figure(label="b", value="2", origin="predicted"),
        ]
        text = Balance(render(samples.empty().model_copy(update={"figures": figures}))).text
        assert text.count("predicted") == 3
        assert "timed or scored" not in text

    @pytest.mark.parametrize("count", range(1, 13))
    def test_tiles_leave_at_most_one_place_free(self, count):
        figures = [Figure(label=f"f{i}", value="1", origin="measured") for i in range(count)]
        page = render(samples.empty().model_copy(update={"figures": figures}))
        columns = int(re.search(r"--cols:(\d+)", page)[1])
        assert 1 <= columns <= 5
        assert -count % columns <= 1


class TestTables:
    def test_tried_are_sorted_and_folded(self):
        page = render(samples.sample())
        statuses = re.findall(r'chip st-[a-z-]+">([a-z ]+)</span></td><td class="n">160', page)
        order = ["chosen", "trained", "shortlisted", "over budget", "passed over", "refused"]
        assert statuses == sorted(statuses, key=order.index)
        assert len(statuses) == 24
        assert "Show the other 13" in page

    def test_short_lists_are_not_folded(self):
        page = render(samples.sample().model_copy(update={"tried": samples.tried()[:14]}))
        assert page.count("<details>") == 1

    def test_drop_reads_as_change(self):
        text = Balance(render(samples.sample())).text
        assert "−0.6 points" in text
        assert "none" in text

    def test_findings_come_worst_first_and_are_counted(self):
        text = Balance(render(samples.sample())).text
        assert "1 error, 1 warning, 1 note" in text
        assert text.index("D101") < text.index("D104") < text.index("D112")

    def test_weakest_class_first(self):
        page = render(samples.sample())
        shares = [float(share) for share in re.findall(r'meter"><i style="width:([0-9.]+)%', page)]
        assert len(shares) == 7
        assert shares == sorted(shares)


class TestEscaping:
    def test_evil_words_stay_words_everywhere(self):
        evil = samples.of_classes([EVIL, "b"])
        update = dict.fromkeys(("title", "created", "command", "headline"), EVIL)
        update |= {"flags": [EVIL], "notes": [EVIL], "provenance": {EVIL: EVIL}}
        for field in ("budget", "figures", "tried", "curves", "worst", "compression", "layers", "findings"):
            update[field] = [poison(row) for row in getattr(evil, field)]
        page = render(evil.model_copy(update=update))
        parsed = Balance(page)
        assert parsed.open == []
        assert "script" not in {tag for tag, _ in parsed.tags}
        assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
        assert parsed.text.count(EVIL) > 60

    def test_control_characters_keep_charts_well_formed(self):
        page = render(samples.of_classes(["bell\x07", "escape\x1b[0m"]))
        assert len(pictures_of(page)) >= 7

    def test_command_is_copied_verbatim(self):
        document = samples.sample()
        assert document.command in Balance(render(document)).text


def poison(row):
    keep = {"op", "status", "origin", "severity", "precision" if hasattr(row, "status") else ""}
    return row.model_copy(update={k: EVIL for k, v in row if isinstance(v, str) and k not in keep})


class TestEmpty:
    def test_sections_without_rows_are_left_out(self):
        text = Balance(render(samples.empty())).text
        for words in ("Compression", "Training", "Class by class", "worst", "cost lies", "with care"):
            assert words not in text[text.index("Budget not met") :]
        assert "No network was tried." in text
        assert "nothing to report" in text

    @pytest.mark.parametrize("field", [name for name, value in samples.sample() if isinstance(value, list)])
    def test_any_one_list_may_be_empty(self, field):
        page = render(samples.sample().model_copy(update={field: []}))
        assert Balance(page).open == []
