"""Identity: figures made by hand, and links that contradict the registry or each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tokenindex import Home, Inputs, cli, determine
from tokenindex.errors import InputDataError
from tokenindex.identity import checked_links, mapped_volume, other_names, successions
from tokenindex.tables import LINKS, REGISTRY, VOLUMES

SAID = datetime(2026, 6, 3, tzinfo=UTC)
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that goes well; return its stdout."""

    def run(*words: object) -> str:
        assert cli.main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return run


def volume(model: str, tokens: int | None, day: int, **more: Any) -> dict[str, Any]:
    period = {"period_start": date(2026, 6, day), "period_end": date(2026, 6, day), "partial": False, "known_at": SAID}
    seller = {"source": "router", "scope": "router", "provider": "r", "model": model}
    facts = {"component": "total", "service_tier": "standard", "capture": "c", "locator": "l"}
    return {**seller, **facts, **period, "tokens": tokens, **more}


def mapping(model: str, constituent: str, **more: Any) -> dict[str, Any]:
    facts = {"source": "router", "provider": "r", "vendor": constituent.partition("/")[0], "kind": "text"}
    return {**facts, "model": model, "constituent": constituent, "host": "router", "reference": "why", **more}


def link(start: str, end: str, kind: str = "successor", since: date = date(2026, 6, 1)) -> dict[str, Any]:
    return {"from_model": start, "to_constituent": end, "kind": kind, "since": since, "reference": "who says so"}


# volume ----------------------------------------------------------------------------------------------------------


def test_the_mapped_share_of_each_day() -> None:
    inputs = Inputs(
        volumes=VOLUMES.frame(
            [
                volume("a-1", 600, 1),
                volume("b", 300, 1, service_tier="free"),
                volume("x", 60, 1),
                volume("y", 40, 1),
                volume("a-1", 500, 2),
                volume("a-1", 700, 2, known_at=datetime(2026, 6, 5, tzinfo=UTC)),  # restated: counts once
                volume("x", 300, 2),
                volume("x", None, 2, component="input"),  # only the spend is known
                volume("b", 0, 3),
                volume("a-1", 10, 1, source="desk"),  # another source, which the registry does not map
            ]
        ),
        registry=REGISTRY.frame([mapping("a-1", "v/a"), mapping("b", "v/b", valid_to=date(2026, 6, 2))]),
    )
    shown = mapped_volume(inputs).rows()
    first, second, third = (date(2026, 6, day) for day in (1, 2, 3))
    assert shown == [
        ("desk", first, first, 10, 0, Decimal("0"), 1, "r a-1"),
        ("router", first, first, 1000, 900, Decimal("0.9"), 2, "r x"),
        ("router", second, second, 1000, 700, Decimal("0.7"), 1, "r x"),
        ("router", third, third, 0, 0, None, 1, "r b"),  # its mapping has ended
    ]
    before = mapped_volume(inputs, known_at=SAID).filter(source="router", period_start=second)
    assert before.select("tokens", "mapped", "share").row(0) == (800, 500, Decimal("0.625"))


def test_volume_of_nothing() -> None:
    assert mapped_volume(Inputs()).is_empty()


def test_the_sample_by_day(run: Run) -> None:
    rows = json.loads(run("unmapped", "--by-day", "--json"))
    assert len(rows) == 38
    assert {row["largest"] for row in rows} == {"openrouter other"}
    assert rows[-1]["tokens"] == "6781230881257"
    assert run("unmapped", "--by-day").splitlines()[-1].split()[:5] == [
        "openrouter-rankings", "2026-06-26", "2026-06-26", "6,781,230,881,257", "94.09%",
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        run("unmapped", "--by-day", "--prices")


# links -----------------------------------------------------------------------------------------------------------

KNOWN = REGISTRY.frame([mapping(name, f"v/{name}") for name in "abcd"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([link("v/a", "v/z")], "the registry knows no v/z"),
        ([link("v/z", "v/a")], "the registry knows no v/z"),
        ([link("v/latest", "v/z", "alias")], "the registry knows no v/z"),
        ([link("v/a", "v/b", "alias")], "v/a is a constituent itself"),
        ([link("v/a", "v/b"), link("v/a", "v/c")], "stands twice"),
        ([link("v/a", "v/a")], "v/a -> v/a is a circle"),
        ([link("v/a", "v/b"), link("v/b", "v/c"), link("v/c", "v/a")], "v/a -> v/b -> v/c -> v/a is a circle"),
        ([link("v/a", "v/b"), link("v/b", "v/a", "snapshot")], "v/a -> v/b -> v/a is a circle"),
    ],
)
def test_links_that_cannot_be(rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputDataError) as found:
        checked_links(LINKS.frame(rows), KNOWN, where="links.csv")
    assert said in str(found.value)
    assert "links.csv" in str(found.value)


def test_links_that_can_be() -> None:
    later = date(2026, 6, 15)
    rows = [
        link("v/a", "v/b"), link("v/a", "v/c", since=later), link("v/b", "v/d"), link("v/c", "v/d"),
        link("v/latest", "v/a", "alias"), link("v/latest", "v/b", "alias", since=later),
        link("v/a-0101", "v/a", "snapshot"),
    ]  # fmt: skip
    links = checked_links(LINKS.frame(rows), KNOWN, where="links.csv")
    assert other_names(links) == {"v/latest": "alias of v/b", "v/a-0101": "snapshot of v/a"}


def test_a_long_chain_is_no_circle() -> None:
    names = [f"v/{k}" for k in range(3_000)]
    registry = REGISTRY.frame([mapping(name, name) for name in names])
    rows = [link(a, b) for a, b in pairwise(names)]
    assert len(checked_links(LINKS.frame(rows), registry, where="links.csv")) == 2_999


def test_the_shipped_links_agree_with_the_shipped_registry() -> None:
    links = Home.sample().links
    assert set(links["kind"]) == {"successor", "alias", "snapshot"}
    assert links.row(by_predicate=pl.col("from_model") == "anthropic/claude-opus-4.7", named=True) == {
        "from_model": "anthropic/claude-opus-4.7",
        "to_constituent": "anthropic/claude-opus-4.8",
        "kind": "successor",
        "since": date(2026, 5, 27),
        "reference": "the next version of the maker's same line; router id anthropic/claude-opus-4.8 created on that day",
    }


def test_a_home_with_its_own_links_and_with_none(tmp_path: Path) -> None:
    home = Home.init(tmp_path / "home")
    assert home.links.equals(Home.sample().links)
    path = tmp_path / "home" / "links.csv"
    path.write_text("from_model,to_constituent,kind,since,reference\nv/a,openai/o3,twin,2026-06-01,why\n")
    with pytest.raises(InputDataError, match="column kind holds 'twin'"):
        _ = Home.open(home.path).links
    path.write_text("from_model,to_constituent,kind,since,reference\nv/a,openai/o9,alias,2026-06-01,why\n")
    with pytest.raises(InputDataError, match="knows no openai/o9"):
        _ = Home.open(home.path).links
    path.unlink()
    assert Home.open(home.path).links.is_empty()


def test_an_unmapped_spelling_says_what_it_is(run: Run, tmp_path: Path) -> None:
    home = Home.init(tmp_path / "home")
    file = tmp_path / "volumes.csv"
    file.write_text(
        "source,scope,provider,model,component,service_tier,period_start,period_end,tokens,partial,known_at\n"
        "s,router,openai,gpt-4o-2024-11-20,total,standard,2026-06-01,2026-06-01,30,false,2026-06-02\n"
        "s,router,p,openai/gpt-4o-2024-11-20,total,standard,2026-06-01,2026-06-01,20,false,2026-06-02\n"
        "s,router,p,gpt-4o-2024-11-20,total,standard,2026-06-01,2026-06-01,10,false,2026-06-02\n"
    )
    words = ("--adapter", "volumes", "--source", "s", "--seen-at", "2026-06-02T00:00:00Z")
    run("ingest", file, "--home", home.path, *words)
    found = [(row["tokens"], row["link"]) for row in json.loads(run("unmapped", "--home", home.path, "--json"))]
    assert found == [(30, "snapshot of openai/gpt-4o"), (20, "snapshot of openai/gpt-4o"), (10, None)]


# successions -----------------------------------------------------------------------------------------------------


def test_a_withdrawn_constituent_names_its_successor() -> None:
    home, day = Home.sample(), date(2026, 6, 29)
    found = determine(home.methodology("tix", day), home.inputs(), dates=[day], known_at=home.known_at)
    rows = successions(found, day, home.links)
    assert rows.select("constituent", "successor").rows() == [
        ("xiaomi/mimo-v2-flash", "xiaomi/mimo-v2.5"),
        ("anthropic/claude-3.5-haiku", "anthropic/claude-haiku-4.5"),
        ("qwen/qwen3-235b-a22b", "qwen/qwen3-235b-a22b-2507"),
    ]
    tokens = dict(found.constituents_on(day).select("constituent", "tokens").iter_rows())
    assert [row["successor_tokens"] for row in rows.iter_rows(named=True)] == [tokens[s] for s in rows["successor"]]
    # a link that begins later says nothing yet; neither does one to a model without volume, or from one that is on sale
    assert successions(found, day, home.links.with_columns(since=pl.lit(date(2026, 6, 30)))).is_empty()
    others = LINKS.frame([link("xiaomi/mimo-v2-flash", "openai/o1"), link("openai/gpt-5", "openai/gpt-5.1")])
    assert successions(found, day, others).is_empty()


def test_explain_names_successors(run: Run) -> None:
    words = ("explain", "tix", "--date", "2026-06-29")
    assert "xiaomi/mimo-v2-flash was withdrawn; its successor xiaomi/mimo-v2.5 since 2026-04-22 has" in run(*words)
    assert json.loads(run(*words, "--json"))["successors"][0]["successor"] == "xiaomi/mimo-v2.5"
    (earlier,) = json.loads(run("explain", "tix", "--date", "2026-06-10", "--json"))["successors"]
    assert earlier["constituent"] == "qwen/qwen3-235b-a22b"
