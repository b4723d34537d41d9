"""Paperwork: every parameter of a document is said, no other number is, and every item that is asked for is there."""

from __future__ import annotations

import calendar
import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tokenindex import ledger, paperwork, provisions, sentences
from tokenindex.cli import main
from tokenindex.documents import ORDER, SECTIONS, load
from tokenindex.errors import InputDataError
from tokenindex.home import Home, shipped
from tokenindex.methodology import Methodology, PriceInput, Prompts, Workload
from tokenindex.publication import publish
from tokenindex.rules import RULES

TIX = (shipped("methodology") / "tix" / "1.0.0.toml").read_bytes()
OTHER = {
    b"weekdays = [1, 2, 3, 4, 5, 6, 7]": b"weekdays = [1, 4]",
    b"closed = []": b"closed = [2026-12-24, 2026-12-31]",
    b"vendors = []": b'vendors = ["openai", "z-ai"]',
    b'allowed = ["release", "hold"]': b"allowed = []",
    b"vintages = { final = 0 }": b"vintages = { provisional = 1, final = 30 }",
    b'allowed = [""]': b'allowed = ["", "eu"]',
    b"instead = {}": b'instead = { output = "input" }',
    b"approvers = 2": b"approvers = 3",
    b'held_until = "confirmed"': b'held_until = "judgment"',
    b'held_until = "not_held"': b'held_until = "second_day"',
    b"cutoff = 5": b"cutoff = 4.50",
    b"base_level = 1000": b"base_level = 123456.75",
}


def other() -> Methodology:
    """Return a document in which much is otherwise."""
    text = TIX
    for old, new in OTHER.items():
        assert old in text
        text = text.replace(old, new)
    return load(text, where="other")


def documents() -> list[Methodology]:
    """Return the shipped documents and another."""
    return [*Home.sample().documents(), other()]


def fields(template: str) -> set[str]:
    return set(re.findall(r"\{([\w.]+)\}", template))


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every entry of a document with its key; an empty list or table as itself."""
    if isinstance(node, Mapping) and node:
        for name, part in node.items():
            yield from leaves(part, name)
    elif isinstance(node, list) and node:
        for part in node:
            yield from leaves(part, key)
    else:
        yield key, node


def numbers(text: str) -> list[str]:
    """Return the numbers in a text, without commas between thousands."""
    return [found.replace(",", "") for found in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)*", text)]


def written(node: Any) -> Counter[str]:
    """Return the numbers of a part of a document as it writes them; weekdays are words in a text."""
    return Counter(n for key, leaf in leaves(node) if key != "weekdays" for n in numbers(str(leaf)))


def said_sections(m: Methodology) -> dict[str, str]:
    """Return the sections of the text by the names of the document."""
    _, *parts = re.split(r"^## .* \(`(\w+)`\)\n", paperwork.methodology_text(m), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


# the methodology in words


def test_every_rule_has_a_sentence_that_names_every_parameter() -> None:
    assert {slot: set(rules) for slot, rules in sentences.SENTENCES.items()} == {s: set(r) for s, r in RULES.items()}
    for slot, rules in RULES.items():
        for name, factory in rules.items():
            wanted = set(inspect.signature(factory).parameters)
            assert fields(sentences.SENTENCES[slot][name]) == wanted, name


def test_every_section_has_a_title_and_a_sentence_that_names_every_key() -> None:
    assert tuple(sentences.TITLES) == ORDER
    factories = {**SECTIONS, "workloads": Workload}
    assert set(sentences.SECTIONS) == set(factories)
    for section, factory in factories.items():
        assert fields(sentences.SECTIONS[section]) == set(inspect.signature(factory).parameters), section
    assert fields(sentences.PARTS["prices"]) == set(inspect.signature(PriceInput).parameters)
    assert fields(sentences.PARTS["prompts"]) == set(inspect.signature(Prompts).parameters)
    assert set(sentences.OPENINGS) | set(factories) | {"consolidation", "formula"} == set(ORDER)


@pytest.mark.parametrize("m", documents(), ids=repr)
def test_the_text_holds_the_numbers_of_the_document_each_as_often_and_no_other(m: Methodology) -> None:
    said = said_sections(m)
    assert tuple(said) == ORDER
    for section, text in said.items():
        assert Counter(numbers(text)) == written(m.tables[section]), section
    head = paperwork.methodology_text(m).partition("\n## ")[0]
    assert numbers(head.replace(m.sha256, "").replace("SHA-256", "")) == []


@pytest.mark.parametrize("m", documents(), ids=repr)
def test_the_text_holds_every_word_of_the_document(m: Methodology) -> None:
    for section, text in said_sections(m).items():
        for key, leaf in leaves(m.tables[section]):
            if key == "weekdays":
                assert f"{calendar.day_name[leaf - 1]}" in text
            elif isinstance(leaf, str):
                assert (leaf or '`""`') in text, (section, key)
            elif leaf in ([], {}):
                wanted = {
                    "vendors": "every vendor",
                    "allowed": "nothing",
                    "closed": "one: none",
                    "instead": "place: none",
                }
                assert wanted[key] in text, (section, key)


def test_words_of_a_document_that_is_otherwise() -> None:
    said = said_sections(other())
    assert (
        said["calendar"]
        .strip()
        .startswith("There is a fixing on every Monday and Thursday. Dates of these without one: ")
    )
    assert "2026-12-24 and 2026-12-31" in said["calendar"]
    assert "`provisional` 1 and `final` 30" in said["publication"]
    assert "It is held back until a judgment releases it (`judgment`)." in said["guards"]
    assert "`input` for `output`" in said["workloads"]
    assert "123456.75 on 2026-06-01" in said["formula"]
    empty = load(
        re.sub(rb"\[\[screens\]\].*?(?=\[\[workloads\]\])", b"", TIX, count=1, flags=re.DOTALL).replace(
            b"[identity]", b"screens = []\n\n[identity]", 1
        ),
        where="x",
    )
    assert said_sections(empty)["screens"].strip().endswith("No rule.")


# the statement

ARTICLE_27 = [
    *(f"Article 27(1)({letter})" for letter in "abcd"),
    *(f"Article 27(2)({letter})" for letter in "abcdefg"),
    "Article 27(2a)",
]
DELEGATED = [
    *(f"Article 1(1)({letter})" for letter in "abcd"),
    *(f"Article 1(2)({letter})" for letter in "abc"),
    *(f"Article 1(3)({letter})" for letter in "abc"),
    *("Article 1(4)", "Article 1(5)", "Articles 2 to 5", "Article 6"),
]
LAW = r"\(EU\) \d{4}/\d+|Articles? \d+(?:\(\w+\))*(?: to \d+)?|SHA-256|`[0-9a-f]{64}`"


def test_the_statement_has_every_item_of_the_law_in_order() -> None:
    text = paperwork.benchmark_statement(load(TIX, where="tix"))
    wanted = [*ARTICLE_27, *(f"Delegated Regulation, {item}" for item in DELEGATED)]
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == wanted
    rows = paperwork.statement_rows(load(TIX, where="tix"))
    assert [row["provision"] for row in rows] == wanted
    assert all(row["says"] or row["sections"] or row["open"] for row in rows)


@pytest.mark.parametrize("m", documents(), ids=repr)
def test_the_statement_holds_no_number_but_those_of_the_document_and_of_the_law(m: Methodology) -> None:
    text = paperwork.benchmark_statement(m)
    assert set(numbers(re.sub(LAW, "", text))) <= set(written(dict(m.tables)))
    for n in ("max_days_unseen", "carry_dates", "max_rate_age_days"):
        assert f"{m.tables['inputs'][n]}" in text.partition("Article 27(1)(b)")[0]
    assert m.measures.statement in text.partition("Article 27(1)(b)")[0]
    assert str(m.calendar.closes) in text.partition("Article 27(1)(c)")[2].partition("Article 27(1)(d)")[0]


def test_the_statement_quotes_a_section_once_and_points_to_it_then() -> None:
    m = load(TIX, where="tix")
    text = paperwork.benchmark_statement(m)
    quoted = {name for item in provisions.ITEMS for name in item.quotes}
    assert {"inputs", "volumes", "formula", "waterfall", "restatement", "judgment"} <= quoted
    for name in quoted:
        assert text.count(sentences.section_text(m, name)) == 1, name
    assert "**When inputs are thin**\n\nSee Article 27(1)(a)." in text


def test_what_only_the_administrator_can_say_is_open() -> None:
    text = paperwork.benchmark_statement(load(TIX, where="tix"))
    for field in ("the ISIN, or that there is none", "the rationale for adopting this methodology", "the dates"):
        assert f"\nTo be stated by the administrator: {field}.\n" in text
    number = sum(len(item.open) for item in provisions.ITEMS)
    assert text.count("To be stated by the administrator: ") == number + 1  # and whether the law applies at all


# the principles

TITLES = (  # Principles for Financial Benchmarks, FR07/13, chapter 2
    "Overall Responsibility of the Administrator",
    "Oversight of Third Parties",
    "Conflicts of Interest for Administrators",
    "Control Framework for Administrators",
    "Internal Oversight",
    "Benchmark Design",
    "Data Sufficiency",
    "Hierarchy of Data Inputs",
    "Transparency of Benchmark Determinations",
    "Periodic Review",
    "Content of the Methodology",
    "Changes to the Methodology",
    "Transition",
    "Submitter Code of Conduct",
    "Internal Controls over Data Collection",
    "Complaints Procedures",
    "Audits",
    "Audit Trail",
    "Cooperation with Regulatory Authorities",
)


def test_the_principles_are_all_there_with_what_is_left() -> None:
    text = paperwork.principles(load(TIX, where="tix"))
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", text, flags=re.MULTILINE)
    assert [(int(number), title) for number, title, _, _ in rows] == [*enumerate(TITLES, start=1)]
    assert not any(numbers(cell) for row in rows for cell in row[1:])
    assert "On record" not in text


def test_entries_of_the_ledger_are_counted_where_they_are_evidence() -> None:
    assert set(provisions.KINDS) == set(ledger.BODIES)
    rows = paperwork.principle_rows(counts={"publication": 1234, "cessation": 1})
    assert rows[8]["on_record"] == {"publication": 1234}
    assert rows[12]["on_record"] == {"cessation": 1}
    assert rows[3]["on_record"] == {"key": 0}
    assert rows[17]["on_record"] == {**dict.fromkeys(provisions.KINDS, 0), "publication": 1234, "cessation": 1}
    assert {kind for row in rows[:17] for kind in row["on_record"]} == set(provisions.KINDS)
    text = paperwork.principles(load(TIX, where="tix"), counts={"publication": 1234})
    assert "On record: publication 1,234. |" in text
    with pytest.raises(InputDataError, match="'publications'"):
        paperwork.principles(load(TIX, where="tix"), counts={"publications": 1})


def test_entries_of_an_index_are_those_of_its_workloads_and_components_too() -> None:
    named = ["tix", "tix.output", "tix:agentic", "tix:agentic.output", "tix-cn", "tix-level"]
    entries = [{"kind": "publication", "body": {"index": name}} for name in named]
    entries += [{"kind": "key", "body": {"public_key": "…"}}, {"kind": "restatement", "body": {"index": "tix-cn"}}]
    found = paperwork.counted(entries, index="tix")
    assert found == {**dict.fromkeys(provisions.KINDS, 0), "publication": 4, "key": 1}


def test_the_ledger_of_a_home_is_counted(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    publish(home, ["anthropic-output"], days=[date(2026, 6, 25)], at=datetime(2026, 7, 2, tzinfo=UTC), key=None)
    assert main(["methodology", "principles", "anthropic-output", "--home", str(home.path)]) == 0
    assert "On record: publication 1. |" in capsys.readouterr().out
    assert main(["methodology", "principles", "tix", "--home", str(home.path)]) == 0
    assert "On record: publication 0. |" in capsys.readouterr().out


# both


def test_every_command_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    m = load(TIX, where="tix")
    text = paperwork.benchmark_statement(m) + paperwork.principles(m)
    named = set(re.findall(r"`tokenindex ([a-z ]+)`", text))
    assert {"verify", "methodology impact", "unmapped"} <= named
    assert text.count("`tokenindex") == len(re.findall(r"`tokenindex [a-z ]+`", text))
    for command in named:
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--help"])
        assert end.value.code == 0, command
    capsys.readouterr()
