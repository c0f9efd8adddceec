"""`usagestream report --html`: a page that is complete in itself, and obeys nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from usagestream import Outcome, UsageRecord, UsageReport, UsageSource
from usagestream_adapters.cli import main
from usagestream_adapters.report import Page

from .conftest import NOON, Filer, Recorder

VOID = ("meta",)
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\u202eb\x00", "&amp;")


class Parsed(HTMLParser):
    """Tags, attributes and text of a page; every tag must be closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.rows and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def page(*records: UsageRecord, by: str = "model", **asked: Any) -> str:
    """The page of these."""
    report = UsageReport(by.split(","), **asked)
    made = Page(report)
    for each in records:
        report.add(each)
        made.add(each)
    return made.html(made=NOON)


def test_a_page_loads_nothing_and_runs_nothing(record: Recorder) -> None:
    """No script, no address, and a policy that says so to the browser."""
    text = page(record(tags={"customer": "acme"}))
    parsed = Parsed(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    assert not {"src", "href", "style", "onclick"} & {a for _, attrs in parsed.tags for a in attrs}
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    policies = [attrs.get("content") for tag, attrs in parsed.tags if tag == "meta"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_whatever_is_in_them(record: Recorder, name: str) -> None:
    """Of a model, a tag and its value, a profile, and what was asked for."""
    made = record(name, tags={name: name}, profile=name)
    text = page(made, by=f"profile,tag:{name}", where={f"tag:{name}": name})
    parsed = Parsed(text)
    assert {tag for tag, _ in parsed.tags} <= _TAGS
    assert all(not attr.startswith("on") for _, attrs in parsed.tags for attr in attrs)
    shown = name.replace("\u202e", "\\u202e").replace("\x00", "\\x00")
    assert [shown, "", "0.001010 USD", "1", "1,000", "100"] in parsed.rows
    assert "\u202e" not in text
    assert "\x00" not in text


_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "h1", "p", "dl", "div"),
    *("dt", "dd", "b", "small", "section", "h2", "figure", "svg", "rect", "span", "ul", "li", "i"),
    *("details", "summary", "table", "thead", "tr", "th", "tbody", "td", "bdi", "footer"),
}


def test_cost_by_day_has_a_bar_and_a_row_for_each_day(record: Recorder) -> None:
    """Days without a stream too; each part says what it is."""
    later = NOON + timedelta(days=2)
    parsed = Parsed(page(record("a"), record("b", rate="3", at=later)))
    rows = [row for row in parsed.rows if row[0].startswith("2026-")]
    assert rows == [
        ["2026-11-20", "", "0.001010 USD"],
        ["2026-11-21", "", ""],
        ["2026-11-22", "0.003030 USD", ""],
    ]
    assert "2026-11-22, b: 0.003030 USD" in parsed.texts
    assert "up to 0.003030 USD" in parsed.texts
    assert ("details", {}) in parsed.tags


def test_models_past_the_seventh_are_others(record: Recorder) -> None:
    """There are eight colours."""
    parsed = Parsed(page(*(record(f"m{index}", rate=str(20 - index)) for index in range(12))))
    (row,) = [row for row in parsed.rows if row[0] == "2026-11-20"]
    assert len(row) == 9
    assert row[-1] == "0.05555 USD"
    assert ["day", *(f"m{index}" for index in range(7)), "others"] in parsed.rows
    assert "And 2 more." in parsed.texts


def test_a_long_span_has_a_bar_for_each_month(record: Recorder) -> None:
    """Past three months, days are too thin to look at."""
    days = [record(at=NOON - timedelta(days=day)) for day in range(0, 400, 4)]
    parsed = Parsed(page(*days))
    months = [row for row in parsed.rows if row[0].startswith("20") and len(row[0]) == 7]
    assert len(months) == 14
    assert "Cost by month and model" in parsed.texts


def test_days_that_are_far_apart_are_no_axis(record: Recorder) -> None:
    """Two streams that years lie between are two bars."""
    parsed = Parsed(page(record(), record(at=NOON - timedelta(days=3650))))
    assert len([row for row in parsed.rows if row[0].startswith("20")]) == 2


def test_bars_are_of_tokens_where_nothing_has_a_price(record: Recorder) -> None:
    """A page without prices is still worth a look."""
    parsed = Parsed(page(record(rate=None)))
    assert "Tokens by day and model" in parsed.texts
    assert ["gpt-4o", "", "1,100 tokens", "1", "1,000", "100"] in parsed.rows


def test_what_has_no_price_says_so(record: Recorder) -> None:
    """Beside those that have one."""
    parsed = Parsed(page(record(), record("o3", rate=None)))
    assert ["o3", "", "no price", "1", "1,000", "100"] in parsed.rows
    assert "1 without a price" in parsed.texts


def test_what_was_refused_has_no_cost_and_lacks_no_price(record: Recorder) -> None:
    """There was nothing to bill."""
    refused = record("o3", read=None, written=None, source="unknown", outcome="rejected")
    assert ["o3", "", "\u2013", "1", "\u2013", "\u2013"] in Parsed(page(record(), refused)).rows


def test_cards_keep_reported_and_estimated_apart(record: Recorder) -> None:
    """And other currencies."""
    guess = record(source=UsageSource.ESTIMATED, rate="30")
    details = {"cache_read_tokens": 250, "reasoning_tokens": 40}
    texts = Parsed(page(record(counts=details), guess, record(currency="EUR"))).texts
    for said in ("0.001010 USD", "and 0.03030 USD estimated", "0.001010 EUR", "25 % of it cached"):
        assert said in texts
    assert "40 of them reasoning" in texts
    assert "67 % of usage reported" in texts


def test_outcomes_and_kinds_have_their_rows(record: Recorder) -> None:
    """Most first; failures in the colour of failures."""
    records = [record(), record(), record(outcome=Outcome.FAILED)]
    parsed = Parsed(page(*records))
    assert parsed.rows.index(["completed", "", "2", "67 %"]) + 1 == parsed.rows.index(
        ["failed", "", "1", "33 %"]
    )
    assert ["input", "", "3,000", "\u2013"] in parsed.rows
    assert ("rect", {"class": "c3", "width": "33.33", "height": "1"}) in parsed.tags


def test_latencies_have_a_histogram_and_quantiles(record: Recorder) -> None:
    """Of each model that has any."""
    records = [record(first=0.5), record(first=3.0), record("none", first=None)]
    parsed = Parsed(page(*records))
    assert ["gpt-4o", "", "0.49 s", "3.03 s"] in parsed.rows
    assert "371 ms to 524 ms: 1" in parsed.texts
    assert not any(row[0] == "none" and len(row) == 4 for row in parsed.rows)
    assert "Time to the first chunk" not in Parsed(page(record(first=None))).texts


def test_tags_are_those_that_streams_have(record: Recorder) -> None:
    """Eight at most, those that were asked for first."""
    tags = {f"t{index}": "x" for index in range(12)}
    texts = Parsed(page(record(tags=tags), by="model,tag:asked")).texts
    shown = [text for text in texts if text.startswith("By ")]
    assert shown == ["By asked", *(f"By t{index}" for index in range(7)), "By model, tag:asked"]


def test_reports_can_be_filled_by_somebody_else(record: Recorder) -> None:
    """Who has grouped already adds no record to the page."""
    made = Page(UsageReport(["tag:a"]))
    for report in made.reports:
        report.add(record(tags={"a": "b"}))
    assert ["b", "", "0.001010 USD", "1", "1,000", "100"] in Parsed(made.html()).rows


def test_a_tag_of_too_many_values_is_not_kept(
    record: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id of each stream is nothing to look at."""
    monkeypatch.setattr("usagestream_adapters.report._page._MOST_VALUES", 3)
    texts = Parsed(page(*(record(tags={"id": str(index)}) for index in range(9)))).texts
    assert "More than 3 values." in texts


def test_what_is_left_out_is_on_no_chart(record: Recorder) -> None:
    """The heading says what was asked."""
    berlin = ZoneInfo("Europe/Berlin")
    since = datetime(2026, 11, 20, tzinfo=berlin)
    asked: dict[str, Any] = {"since": since, "timezone": berlin, "where": {"profile": ["", "p"]}}
    early = record("early", at=NOON - timedelta(days=1))
    texts = Parsed(page(record(), early, **asked)).texts
    assert "early" not in texts
    heading = "2026-11-20 00:00 to 2026-11-20 | profile is (none) or p | times in Europe/Berlin"
    assert f"{heading} | made 2026-11-20 13:00" in texts


def test_a_page_of_nothing_says_so(record: Recorder) -> None:
    """No chart of nothing."""
    parsed = Parsed(page(by="model,day", until=datetime(2026, 1, 1, tzinfo=UTC)))
    assert "svg" not in {tag for tag, _ in parsed.tags}
    assert any(text.startswith("the beginning to 2026-01-01") for text in parsed.texts)


def test_the_command_writes_a_page(record: Recorder, filed: Filer, tmp_path: Path) -> None:
    """At the path that is named; long groups are cut."""
    records = [record(f"m{index}", tags={"a": "b"}) for index in range(250)]
    out = tmp_path / "page.html"
    words = ["report", str(filed(records)), "--by", "model,tag:a", "--html"]
    assert CliRunner().invoke(main, [*words, str(out)]).exit_code == 0
    assert "And 50 more." in Parsed(out.read_text("utf-8")).texts
    failed = CliRunner().invoke(main, [*words, str(tmp_path / "no" / "page")])
    assert "cannot be written" in failed.stderr


@pytest.mark.parametrize(("days", "few"), [(4, True), (5, False)])
def test_a_few_days_are_no_wall(record: Recorder, days: int, few: bool) -> None:
    """Their bars take a part of the page's width."""
    text = page(*(record(at=NOON + timedelta(days=day)) for day in range(days)))
    classes = [attrs.get("class") for tag, attrs in Parsed(text).tags if tag == "figure"]
    assert (classes[0] == "few") is few
    assert ".few{max-width:" in text
