"""The guard: hand-made mistakes that each detector must find, ordinary changes that it must leave alone, and releases.

The expected findings are written out by hand: the day, the reason, and when and by what the price was released.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import PRICES
from hypothesis import given, settings
from hypothesis import strategies as st
from markets import Market, markets
from test_reference import PROFILE, library_inputs

from tokenindex.adapters import Capture, adapter
from tokenindex.amounts import AMOUNT_MAX
from tokenindex.changes import PANEL, RATIO_MAX, Changes, _spread
from tokenindex.cli import main
from tokenindex.determination import Determination, determine
from tokenindex.documents import load
from tokenindex.errors import DeterminationError, InputDataError, MethodologyError
from tokenindex.exact import NANO
from tokenindex.guard import guard, held_on, hold, holds, input_report, unmatched
from tokenindex.home import Home, shipped
from tokenindex.inputs import Inputs
from tokenindex.methodology import Methodology
from tokenindex.records import Record, record
from tokenindex.selection import Grid, select
from tokenindex.tables import FINDINGS, HOLDS, JUDGMENTS, OBSERVATIONS, RATES, REGISTRY, SIGHTINGS, UNREAD
from tokenindex.verification import verify

TIX = (shipped("methodology") / "tix" / "1.0.0.toml").read_bytes()
START, _, _END = TIX.partition(b"[[guards]]")
REST = START + b"[[screens]]" + _END.partition(b"[[screens]]")[2]
"""The document without guards and release."""
RAW = Path(__file__).parents[2] / "shared/data/raw/litellm"
RELEASE = "\n[release]\nconfirming_sources = 1\ntolerance = 0.02\nlater_days = 1\n"
FIRST = datetime(2026, 3, 1, 6, tzinfo=UTC)
END = 60

Found = list[tuple[Any, ...]]


def at(day: float) -> datetime:
    return FIRST + timedelta(days=day)


def ruled(guards: str, release: str = RELEASE) -> Methodology:
    """Return tix with the guards `guards`, each as the body of its table."""
    tables = "".join(f"\n[[guards]]\n{body}\n" for body in guards.strip().split("\n\n"))
    return load(REST + tables.encode() + release.encode(), where="tix with guards")


def unguarded() -> Methodology:
    return load(b"guards = []\n" + REST + RELEASE.encode(), where="tix without guards")


def price(day: float, amount: str | None, component: str = "input", **facts: Any) -> dict[str, Any]:
    """Return an observation, seen on a day and known two hours later."""
    row: dict[str, Any] = {
        "source": "models.dev",
        "provider": "maker",
        "model": "one",
        "component": component,
        "service_tier": "standard",
        "region": "",
        "context_from": 0,
        "price": None if amount is None else Decimal(amount),
        "currency": "USD",
        "unit": "per_1m_tokens",
        "tax": "unknown",
        "valid_from": at(day),
        "date_kind": "first_seen",
        "known_at": at(day) + timedelta(hours=2),
        "capture": f"capture of day {day}",
        "locator": f"line {component}",
    }
    return row | facts


def other(day: float, amount: str, component: str = "input", **facts: Any) -> dict[str, Any]:
    """Return an observation of the same thing by another source."""
    return price(day, amount, component, source="litellm", provider="the-maker", model="maker/one", **facts)


def world(rows: list[dict[str, Any]], looks: dict[str, list[float]] | None = None, **tables: Any) -> Inputs:
    """Return inputs: `rows`, the days on which each source was looked at, and a registry that knows every model."""
    seen = [
        {"source": s, "seen_at": at(d), "complete": False, "known_at": at(d + 1 / 12), "capture": "", "locator": ""}
        for s, days in (looks or {}).items()
        for d in days
    ]  # fmt: skip
    facts = {"vendor": "maker", "kind": "text", "reference": "invented"}
    models = {(r["source"], r["provider"], r["model"]): r["model"].split("/")[-1] for r in rows}
    registry = [
        {"source": s, "provider": p, "model": m, "constituent": f"maker/{name}", "host": "vendor", **facts}
        for (s, p, m), name in models.items()
    ]
    return Inputs(
        observations=OBSERVATIONS.frame(rows),
        sightings=SIGHTINGS.frame(seen),
        registry=tables.pop("registry", REGISTRY.frame(registry)),
        **tables,
    )


def day_of(moment: datetime | None) -> float | None:
    """Return the day of a moment at which a row that was seen at six becomes known at eight; null stays null."""
    return None if moment is None else (moment - at(0) - timedelta(hours=2)) / timedelta(days=1)


def findings(inputs: Inputs, guards: str | Methodology, **facts: Any) -> Found:
    """Return reason, component, day found, day released and by what, of one source's findings, as first known."""
    methodology = ruled(guards) if isinstance(guards, str) else guards
    if "judgments" in facts:
        inputs = replace(inputs, judgments=facts["judgments"])
    found = guard(inputs, methodology, known_at=None, until=facts.get("until", at(END)))
    FINDINGS.check(found, where="test")
    return [
        (r["reason"], r["component"], day_of(r["held_from"]), day_of(r["released_at"]), r["released_by"])
        for r in found.filter(pl.col("source") == "models.dev").iter_rows(named=True)
    ]


def noted(reason: str, *of: tuple[str, float]) -> Found:
    """Return findings that were never released."""
    return [(reason, component, day, None, None) for component, day in of]


UNIT = 'rule = "unit_factor"\nfactors = [1_000, 1_000_000]\ntolerance = 0.05\nheld_until = "second_source"'
JUMP = 'rule = "unconfirmed_jump"\nbound = 10\nheld_until = "confirmed"'
FX = 'rule = "currency_factor"\ncurrencies = ["CNY"]\ntolerance = 0.05\nheld_until = "judgment"'
VAT = 'rule = "vat_factor"\nrates = [0.19]\ntolerance = 0.001\nheld_until = "not_held"'
SWAP = 'rule = "component_swapped"\ntolerance = 0.001\nheld_until = "judgment"'
ORDER = 'rule = "component_order"\nheld_until = "not_held"'
ALIAS = 'rule = "alias_repointed"\nheld_until = "not_held"'
TIERS = 'rule = "tiers_reordered"\nheld_until = "judgment"'
FROZEN = 'rule = "frozen"\ndays = 30'
STALE = 'rule = "stale_source"\ndays = 7'
APART = 'rule = "sources_disagree"\ntolerance = 0.02\nhosts = ["vendor"]\nheld_until = "not_held"'
FLAPS = 'rule = "flapping"\nchanges = 3\ndays = 5\nheld_until = "not_held"'
ZERO = 'rule = "promotional_zero"\nheld_until = "second_source"'


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("3000", ["unit_factor"]),
        ("0.003", ["unit_factor"]),
        ("3150", ["unit_factor"]),  # 1,050 times: the bound of the tolerance counts
        ("2850", ["unit_factor"]),
        ("3150.000003", []),
        ("3000000", ["unit_factor"]),
        ("0.000003", ["unit_factor"]),
        ("1.2", []),  # a cut by 60%
        ("300", []),
    ],
)
def test_a_factor_of_units(after: str, expected: list[str]) -> None:
    found = findings(world([price(0, "3"), price(5, after)]), UNIT)
    assert found == [(reason, "input", 5, None, None) for reason in expected]


def test_a_unit_is_compared_in_one_unit() -> None:
    rows = [price(0, "3"), price(5, "0.000003", unit="per_token"), price(6, "0.003", unit="per_1k_tokens")]
    assert findings(world(rows), UNIT) == []
    assert findings(world([price(0, "3"), price(5, "0.003", unit="per_token")]), UNIT) == noted(
        "unit_factor", ("input", 5)
    )


def test_a_first_price_is_compared_with_other_sources() -> None:
    assert findings(world([other(0, "3"), price(5, "3000")]), UNIT) == noted("unit_factor", ("input", 5))
    assert findings(world([other(0, "3"), price(5, "5")]), UNIT) == []
    assert findings(world([price(5, "3000")]), UNIT) == []  # nothing to compare with


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([price(5, "7.2"), price(5, "28.8", "output")], [("input", 5), ("output", 5)]),
        ([price(5, "7.56"), price(5, "30.24", "output")], [("input", 5), ("output", 5)]),  # 5% off: the bound
        ([price(5, "7.57"), price(5, "30.28", "output")], []),
        ([price(5, "0.14"), price(5, "0.56", "output")], [("input", 5), ("output", 5)]),  # the other way: a 7.14th
        ([price(5, "7.2")], []),  # only one component moved: a price list, not a currency
        ([price(5, "0.5"), price(5, "2", "output")], []),
    ],
)
def test_about_the_exchange_rate(rows: list[dict[str, Any]], expected: list[tuple[str, float]]) -> None:
    rates = [("USD", "1.25"), ("CNY", "9.00")]
    frame = [
        {"source": "ecb", "base": "EUR", "quote": q, "rate_date": date(2026, 3, 1), "rate": Decimal(r),
         "known_at": at(0), "capture": "", "locator": ""}
        for q, r in rates
    ]  # fmt: skip
    before = [price(0, "1"), price(0, "4", "output")]
    inputs = world([*before, *rows], rates=RATES.frame(frame))
    assert findings(inputs, FX) == noted("currency_factor", *expected)
    unknown = [row | {"known_at": at(9)} for row in frame]  # the rate was not known on the day of the change
    assert findings(world([*before, *rows], rates=RATES.frame(unknown)), FX) == []


def test_a_rate_over_another_base_that_is_known_later_changes_nothing() -> None:
    """The base with the first name in the alphabet must not take the place of the one that was there."""

    def told(base: str, day: float, **quotes: str) -> list[dict[str, Any]]:
        common = {"source": "ecb", "base": base, "rate_date": at(day).date(), "known_at": at(day)}
        return [common | {"quote": q, "rate": Decimal(r), "capture": "", "locator": ""} for q, r in quotes.items()]

    early, rows = told("EUR", 0, USD="1.25", CNY="9.00"), [price(1, "1"), price(5, "7.2")]
    late = told("AUD", 20, USD="0.65") + told("CNY", 20, USD="0.14")
    for rates in (early, early + late):
        assert findings(world(rows, rates=RATES.frame(rates)), FX) == noted("currency_factor", ("input", 5))


def test_a_currency_is_not_taken_for_itself() -> None:
    """A small change of a price in CNY lies within the tolerance of one CNY per CNY."""
    frame = [
        {"source": "ecb", "base": "EUR", "quote": q, "rate_date": date(2026, 3, 1), "rate": Decimal(r),
         "known_at": at(0), "capture": "", "locator": ""}
        for q, r in (("USD", "1.25"), ("CNY", "9.00"))
    ]  # fmt: skip
    rows = [price(1, "3", currency="CNY"), price(5, "3.1", currency="CNY")]
    assert findings(world(rows, rates=RATES.frame(frame)), FX) == []


def test_factors_at_the_bounds_do_not_wrap() -> None:
    """One component times 7.2, the other from the smallest price to the largest: they did not move alike."""
    panel = {f"{c}{was}": [10**15] for c in PANEL for was in ("", "_was")}
    panel |= {"input": [72 * 10**14], "output": [AMOUNT_MAX], "output_was": [1]}
    assert _spread(pl.DataFrame(panel, schema=dict.fromkeys(panel, pl.Int128)))[0] == RATIO_MAX


@pytest.mark.parametrize(
    ("after", "expected"), [("1.19", True), ("1.191", True), ("1.192", False), ("1.20", False), ("0.84034", True)]
)
def test_value_added_tax(after: str, expected: bool) -> None:
    rows = [price(0, "1"), price(0, "4", "output"), price(5, after), price(5, str(4 * Decimal(after)), "output")]
    assert findings(world(rows), VAT) == noted("vat_factor", ("input", 5), ("output", 5)) * expected
    assert findings(world(rows[:-1]), VAT) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([price(5, "4"), price(5, "1", "output")], [("input", 5), ("output", 5)]),
        ([price(5, "4.004"), price(5, "1.001", "output")], [("input", 5), ("output", 5)]),  # the bound
        ([price(5, "4.005"), price(5, "1", "output")], []),
        ([price(5, "4")], []),  # dearer input alone
        ([price(5, "0.5"), price(5, "2", "output")], []),
    ],
)
def test_components_swapped(rows: list[dict[str, Any]], expected: list[tuple[str, float]]) -> None:
    inputs = world([price(0, "1"), price(0, "4", "output"), *rows])
    assert findings(inputs, SWAP) == noted("component_swapped", *expected)


def test_a_first_price_swapped_against_another_source() -> None:
    there = [other(0, "1"), other(0, "4", "output")]
    assert findings(world([*there, price(5, "4"), price(5, "1", "output")]), SWAP) == noted(
        "component_swapped", ("input", 5), ("output", 5)
    )
    assert findings(world([*there, price(5, "1"), price(5, "4", "output")]), SWAP) == []


def test_output_below_input_and_cache_above_input() -> None:
    dear = [price(0, "1"), price(0, "0.5", "output"), price(0, "2", "cache_read")]
    assert findings(world(dear), ORDER) == noted("component_order", ("cache_read", 0), ("output", 0))
    assert findings(world([price(0, "1"), price(0, "1", "output"), price(0, "1", "cache_read")]), ORDER) == []


def test_an_alias_that_names_another_model() -> None:
    rows = [price(0, "1", alias_of="one-v1"), price(5, "1", alias_of="one-v2")]
    assert findings(world(rows), ALIAS) == noted("alias_repointed", ("input", 5))
    assert findings(world([rows[0], price(5, "2", alias_of="one-v1")]), ALIAS) == []


def test_a_name_that_takes_over_another_models_prices() -> None:
    pair = [price(0, "3"), price(0, "15", "output"), price(0, "5", model="two"), price(0, "25", "output", model="two")]
    moved = [price(5, "5"), price(5, "25", "output")]
    inputs = world([*pair, *moved])
    assert findings(inputs, ALIAS) == noted("alias_repointed", ("input", 5), ("output", 5))
    found = guard(inputs, ruled(ALIAS), known_at=None, until=at(END))
    assert found["cause"].unique().to_list() == ["all prices are now those of two: the name may stand for that model"]
    assert findings(world([*pair, moved[0]]), ALIAS) == []  # only one component
    assert findings(world([*pair, price(5, "5"), price(5, "24", "output")]), ALIAS) == []


def test_a_tier_list_in_another_order() -> None:
    before = [price(0, "1"), price(0, "2", context_from=128_000)]
    turned = [price(5, "2"), price(5, "1", context_from=128_000)]
    assert findings(world([*before, *turned]), TIERS) == noted("tiers_reordered", ("input", 5), ("input", 5))
    assert findings(world([*before, price(5, "2"), price(5, "1.5", context_from=128_000)]), TIERS) == []
    assert findings(world([*before, price(5, "2"), price(5, "4", context_from=128_000)]), TIERS) == []


def test_a_price_that_stands_still_though_it_is_seen_again() -> None:
    rows = [price(day, "3") for day in (0, 10, 20, 40)]
    assert findings(world(rows), FROZEN) == noted("frozen", ("input", 30))
    assert findings(world([*rows, price(29.9, "4"), price(30.1, "3")]), FROZEN) == []
    assert findings(world([price(0, "3"), price(20, None)]), FROZEN) == []
    assert findings(world(rows), FROZEN, until=at(29)) == []


def test_a_source_that_nobody_looked_at() -> None:
    looks: dict[str, list[float]] = {"models.dev": [0, 5, 13, 58]}
    inputs = world([price(0, "3")], looks)
    assert findings(inputs, STALE) == noted("stale_source", *((None, d) for d in (12, 20)))  # type: ignore[arg-type]
    assert findings(inputs, STALE, until=at(11)) == []


def test_sources_that_disagree() -> None:
    assert findings(world([other(0, "3"), price(5, "3.07")]), APART) == noted("sources_disagree", ("input", 5))
    assert findings(world([other(0, "3"), price(5, "3.06")]), APART) == []
    assert findings(world([other(0, "3", service_tier="batch"), price(5, "9")]), APART) == []
    assert findings(world([other(0, "3"), price(5, "21", currency="CNY")]), APART) == []


@pytest.mark.parametrize(
    ("after", "expected"), [("30", False), ("30.0001", True), ("0.3", False), ("0.29", True), ("0.6", False)]
)
def test_a_jump(after: str, expected: bool) -> None:
    assert findings(world([price(0, "3"), price(5, after)]), JUMP) == noted("unconfirmed_jump", ("input", 5)) * expected


def test_a_jump_over_a_withdrawal_and_not_over_a_currency() -> None:
    assert findings(world([price(0, "3"), price(2, None), price(5, "90")]), JUMP) == noted(
        "unconfirmed_jump", ("input", 5)
    )
    assert findings(world([price(0, "3"), price(5, "90", currency="CNY")]), JUMP) == []


def test_a_quote_that_flaps() -> None:
    rows = [price(0, "1"), price(10, "2"), price(12, "1"), price(15, "2"), price(15.1, "2"), price(30, "1")]
    assert findings(world(rows), FLAPS) == noted("flapping", ("input", 15))
    assert findings(world([*rows[:3], price(15.01, "2")]), FLAPS) == []
    assert findings(world([price(9, "3"), *rows[1:3]]), FLAPS) == []  # the first price is no change


def test_a_zero_that_is_no_price() -> None:
    assert findings(world([price(0, "3"), price(5, "0")]), ZERO) == noted("promotional_zero", ("input", 5))
    assert findings(world([other(0, "3"), price(5, "0")]), ZERO) == noted("promotional_zero", ("input", 5))
    assert findings(world([price(0, "0"), other(0, "0"), price(5, "0.1")]), ZERO) == []


# --- release ---


def jump(*more: dict[str, Any], looks: list[float] | None = None) -> Inputs:
    return world([price(0, "3"), price(5, "90"), *more], {"models.dev": looks or []})


def one(released: float | None, by: str | None) -> Found:
    return [("unconfirmed_jump", "input", 5, released, by)]


def test_another_source_releases() -> None:
    assert findings(jump(other(1, "90")), JUMP) == one(5, "second_source")  # it said so already
    assert findings(jump(other(8, "90")), JUMP) == one(8, "second_source")
    assert findings(jump(other(8, "88.2")), JUMP) == one(8, "second_source")  # 2%: the bound
    assert findings(jump(other(8, "88.19")), JUMP) == one(None, None)
    assert findings(jump(other(8, "90", service_tier="batch")), JUMP) == one(None, None)
    assert findings(jump(price(8, "90", model="two")), JUMP) == one(None, None)
    assert findings(jump(other(1, "90"), other(3, "3")), JUMP) == one(None, None)  # it no longer says so
    assert findings(jump(price(8, "3"), other(9, "90")), JUMP) == one(None, None)  # too late: it was taken back


def test_a_source_of_another_kind_of_host_does_not_release() -> None:
    inputs = jump(other(8, "90"))
    router = pl.when(pl.col("source") == "litellm").then(pl.lit("router")).otherwise("host").alias("host")
    inputs = Inputs(observations=inputs.observations, registry=inputs.registry.with_columns(router))
    assert findings(inputs, JUMP) == one(None, None)


def test_two_sources_can_be_asked_for() -> None:
    strict = ruled(JUMP, RELEASE.replace("confirming_sources = 1", "confirming_sources = 2"))
    third = price(9, "90", source="genai-prices")
    assert findings(jump(other(8, "90")), strict) == one(None, None)
    assert findings(jump(other(8, "90"), other(8.5, "91"), third), strict) == one(9, "second_source")


def test_a_later_day_releases_only_if_the_source_was_looked_at() -> None:
    assert findings(jump(looks=[]), JUMP) == one(None, None)
    assert findings(jump(looks=[0, 5]), JUMP) == one(None, None)
    assert findings(jump(looks=[0, 5, 5.5]), JUMP) == one(None, None)  # the same day
    assert findings(jump(looks=[0, 5, 9]), JUMP) == one(9, "second_day")
    assert findings(jump(price(9, "3"), looks=[0, 5, 9]), JUMP) == one(None, None)  # that look took it back
    assert findings(jump(price(9, "90"), looks=[0, 5, 9]), JUMP) == one(9, "second_day")  # a snapshot repeats it
    assert findings(jump(looks=[0, 5, 9]), JUMP, until=at(9)) == one(None, None)  # seen at six, known at eight
    twice = ruled(JUMP, RELEASE.replace("later_days = 1", "later_days = 2"))
    assert findings(jump(looks=[0, 5, 9, 9.1, 12]), twice) == one(12, "second_day")


def looked(
    rows: list[dict[str, Any]], days: list[float], *, complete: bool = True, unread: tuple[float, ...] = ()
) -> Inputs:
    """Return the inputs of a source of which each day's look is the capture that its rows name."""
    facts = {"source": "models.dev", "locator": "there"}
    seen = [{**facts, "seen_at": at(d), "known_at": at(d + 1 / 12), "capture": f"capture of day {d}"} for d in days]
    hidden = [
        {**facts, "known_at": at(d + 1 / 12), "capture": f"capture of day {d}", "reason": "not_a_price"} for d in unread
    ]
    inputs = world(rows, unread=UNREAD.frame(hidden))
    return replace(inputs, sightings=SIGHTINGS.frame([{**s, "complete": complete} for s in seen]))


def test_a_later_day_releases_only_if_it_showed_the_price() -> None:
    before, dear = [price(0, "3")], price(5, "90")
    assert findings(looked([*before, dear, price(9, "90")], [0, 5, 9]), JUMP) == one(9, "second_day")
    # it was not there on day 7
    assert findings(looked([*before, dear], [0, 5, 7]), JUMP) == one(None, None)
    assert findings(looked([*before, dear, price(9, "90")], [0, 5, 7, 9]), JUMP) == one(9, "second_day")
    # nobody knows whether it was there on day 7
    assert findings(looked([*before, dear], [0, 5, 7], unread=(7,)), JUMP) == one(None, None)
    assert findings(looked([*before, dear, price(9, "90")], [0, 5, 7, 9], unread=(7,)), JUMP) == one(9, "second_day")
    # day 7 was a look at another model alone
    answers = [*before, dear, price(7, "5", model="two"), price(9, "90")]
    assert findings(looked(answers, [0, 5, 7, 9], complete=False), JUMP) == one(9, "second_day")
    # a declared end, from when on nothing stood until day 9
    ended = price(5, "90", valid_to=at(6))
    assert findings(world([*before, ended, price(9, "90")], {"models.dev": [0, 5, 7, 9, 11]}), JUMP) == one(
        9, "second_day"
    )


def test_a_look_that_showed_another_price_starts_the_count_again() -> None:
    # on day 7 the source says 4 since day 2, which is older news than the 90 since day 5 and never comes into force
    since: dict[str, Any] = {"valid_from": at(5), "date_kind": "declared"}
    rows = [price(0, "3"), price(5, "90", **since), price(7, "4", valid_from=at(2), date_kind="declared")]
    rows += [price(day, "90", **since, known_at=at(day + 1 / 12)) for day in (8, 9)]
    assert findings(looked(rows, [0, 5, 7, 8, 9], complete=False), JUMP) == one(9, "second_day")
    assert findings(looked(rows[:-1], [0, 5, 7, 8], complete=False), JUMP) == one(None, None)
    twice = ruled(JUMP, RELEASE.replace("later_days = 1", "later_days = 2"))
    assert findings(looked(rows, [0, 5, 7, 8, 9], complete=False), twice) == one(None, None)


def test_a_rule_says_what_may_release() -> None:
    inputs = jump(other(12, "90"), looks=[0, 5, 9])
    for until, expected in {
        "confirmed": one(9, "second_day"),
        "second_day": one(9, "second_day"),
        "second_source": one(12, "second_source"),
        "judgment": one(None, None),
        "not_held": one(None, None),
    }.items():
        assert findings(inputs, JUMP.replace('"confirmed"', f'"{until}"')) == expected


def test_a_price_is_compared_with_the_one_that_was_believed() -> None:
    back = jump(price(8, "3"), looks=[])
    assert findings(back, JUMP) == one(None, None)  # 90 was never believed: going back is no change
    again = jump(price(8, "3"), price(9, "90"), price(10, "3"), looks=[])
    assert [f[2] for f in findings(again, JUMP)] == [5, 9]
    near = jump(price(8, "80"), looks=[])
    assert [f[2] for f in findings(near, JUMP)] == [5, 8]  # not compared with 90
    stood = jump(price(20, "3"), looks=[0, 5, 9])
    assert [f[2] for f in findings(stood, JUMP)] == [5, 20]  # 90 was confirmed: now 3 must be


# --- judgments ---


HEAD = "decided_at,decision,source,provider,model,component,price,valid_from,reason,decided_by,approved_by,reference\n"


def judged(*rows: str) -> pl.DataFrame:
    """Return the judgments of several files, each captured two hours after its decision."""
    found = [JUDGMENTS.empty()]
    for row in rows:
        content, known = (HEAD + row + "\n").encode(), datetime.fromisoformat(row.split(",")[0]) + timedelta(hours=2)
        facts = {"name": "judgments.csv", "adapter": "judgments", "source": "desk", "seen_at": known, "known_at": known}
        found.append(adapter("judgments").parse(content, Capture.of(content, **facts)).judgments)
    return pl.concat(found)


def line(day: float, decision: str, *, amount: str = "90", since: float = 5, reason: str = "the maker's page") -> str:
    moment = f"{at(day):%Y-%m-%dT%H:%M:%SZ}"
    what = f"models.dev,maker,one,input,{amount},{at(since):%Y-%m-%dT%H:%M:%SZ}"
    return f'{moment},{decision},{what},"{reason}","A. Person, administrator","B. Person, oversight",'


def test_a_judgment_releases() -> None:
    inputs = jump(price(6, "90"), looks=[])
    for judgments in (judged(line(7, "release")), judged(line(7, "release", since=6))):
        assert findings(inputs, JUMP, judgments=judgments) == one(7, "judgment")
        assert unmatched(replace(inputs, judgments=judgments)).is_empty()
    assert findings(inputs, JUMP, judgments=judged(line(3, "release"))) == one(5, "judgment")  # decided before
    lost = judged(line(7, "release", amount="91"))
    assert findings(inputs, JUMP, judgments=lost) == one(None, None)
    assert len(unmatched(replace(inputs, judgments=lost))) == 1


def test_a_judgment_of_a_price_that_was_never_in_force_concerns_no_other() -> None:
    """The 30 since day 4 is known on day 20 only, when the 3 of day 5 stands: in the order of dates it lies between."""
    inputs = world([price(0, "3"), price(4, "30", known_at=at(20)), price(5, "3")], {"models.dev": [0, 5]})
    assert findings(inputs, JUMP, judgments=judged(line(21, "hold", amount="30", since=4))) == []


def test_a_judgment_holds_what_no_rule_would() -> None:
    inputs = world([price(0, "3"), price(5, "4")], {"models.dev": [5, 9]})
    decisions = [line(7, "hold", amount="4"), line(12, "release", amount="4"), line(14, "hold", amount="4")]
    found = findings(inputs, JUMP, judgments=judged(*decisions))
    assert found == [("judgment", "input", 7, 12, "judgment"), ("judgment", "input", 14, None, None)]
    assert findings(inputs, ruled(JUMP), judgments=judged(*decisions), until=at(13)) == found[:1]
    assert findings(inputs, unguarded(), judgments=judged(*decisions)) == found
    judgments = replace(inputs, judgments=judged(*decisions))
    cause = guard(judgments, unguarded(), known_at=None, until=at(END))["cause"][0]
    assert cause == "the maker's page (A. Person, administrator, B. Person, oversight)"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (line(7, "release", reason=""), ["line 2", "missing_field", "when and why"]),
        (line(7, "release").replace('"A. Person, administrator"', ""), ["line 2", "missing_field"]),
        (line(7, "release").replace("B. Person, oversight", "a.  person, Administrator"), ["line 2", "two different"]),
        (line(7, "keep"), ["unknown_decision", "'keep'"]),
        (line(7, "release", amount="much"), ["not_a_price", "'much'"]),
    ],
)
def test_a_judgment_without_a_reason_is_refused(row: str, words: list[str]) -> None:
    with pytest.raises(InputDataError) as caught:
        judged(row)
    assert all(word in str(caught.value) for word in ["judgments.csv", *words])


def test_a_judgment_counts_from_when_it_was_captured() -> None:
    content = (HEAD + line(7, "release") + "\n").encode()
    facts = {"name": "judgments.csv", "adapter": "judgments", "source": "desk", "seen_at": at(9)}
    late = adapter("judgments").parse(content, Capture.of(content, known_at=at(9) + timedelta(hours=2), **facts))
    assert findings(jump(price(6, "90"), looks=[]), JUMP, judgments=late.judgments) == one(9, "judgment")
    with pytest.raises(InputDataError, match="decided_after_capture"):
        adapter("judgments").parse(content, Capture.of(content, known_at=at(6), **facts))


def test_judgments_are_captured_and_change_the_record(home: Home, tmp_path: Path) -> None:
    """A held price keeps the model's last one; the judgment that releases it is a capture of the record like any other."""
    wrong_prices(home, "alibaba,qwen3.7-max,output,standard,,0,750")
    day, moment = date(2026, 6, 26), home.known_at

    def fixed() -> tuple[Determination, Record]:
        methodology, inputs = home.methodology("tix", day), home.inputs()
        found = determine(methodology, inputs, dates=[day], known_at=moment)
        return found, record(found, day, inputs=inputs, captures=home.captures())

    before, _ = fixed()
    qwen = pl.col("constituent") == "qwen/qwen3.7-max"
    (kept,) = before.constituents_on(day).filter(qwen).to_dicts()
    (row,) = before.elementary_on(day).filter(qwen & (pl.col("component") == "output")).to_dicts()
    assert (row["price"], row["excluded_by"]) == (None, "held")
    assert kept["used_date"] == date(2026, 6, 19)
    path = tmp_path / "judgments.csv"
    what = "models.dev,alibaba,qwen3.7-max,output,750,2026-06-20T01:00:00Z"
    text = f'2026-06-21T00:00:00Z,release,{what},"seen on the page","A. Person, administrator","B. Person, oversight",'
    path.write_text(HEAD + text + "\n", encoding="utf-8")
    seen = datetime(2026, 6, 21, tzinfo=UTC)
    home.ingest(path, adapter_name="judgments", source="desk", seen_at=seen, known_at=seen)
    after, made = fixed()
    (row,) = after.elementary_on(day).filter(qwen & (pl.col("component") == "output")).to_dicts()
    assert (row["price"], row["excluded_by"]) == (Decimal(750), None)
    assert "judgments.csv" in [c["name"].split("_")[-1] for c in made.document["captures"]]
    assert len(list(verify(made.content, evidence=home.evidence()))) == 9


# --- spells ---


def test_held_rows_become_spells_that_selection_can_cut() -> None:
    rows = [price(0, "3"), price(5, "90"), price(6, "90"), other(8.5, "90")]
    inputs = world(rows, {s: [*range(END)] for s in ("models.dev", "litellm")})
    methodology = ruled(JUMP.replace('"confirmed"', '"second_source"') + "\n\n" + UNIT.replace("[1_000, ", "[30, "))
    held = holds(guard(inputs, methodology, known_at=None, until=at(END)))
    HOLDS.check(held, where="test")
    spell = (at(5) + timedelta(hours=2), at(8.5) + timedelta(hours=2), "unconfirmed_jump")
    assert [row[1:] for row in held.iter_rows()] == [spell, spell]
    days = [at(d).date() for d in range(END)]
    grid = Grid.of(methodology.calendar, [d for d in days if d >= methodology.calendar.opens], known_at=None)
    spells, _ = select(inputs, methodology.inputs, methodology.measures.currency, grid)
    cut = hold(spells, held, grid)
    lasts = (pl.col("i1") - pl.col("i0")).sum()
    assert cut.select(lasts).item() == spells.select(lasts).item()
    mine = cut.filter(pl.col("held_by").is_not_null()).sort("i0").select("i0", "i1", "price").rows()
    assert mine == [(5, 6, 90), (6, 9, 90)]  # released at half past the cut-off's day: the cut-off of day 9 sees it
    assert hold(spells, held.clear(), grid).filter(pl.col("held_by").is_not_null()).is_empty()


def test_a_price_released_at_once_is_held_over_no_spell() -> None:
    found = guard(jump(other(1, "90")), ruled(JUMP), known_at=None, until=at(END))
    mine = found.filter(pl.col("source") == "models.dev")
    assert len(mine) == 1
    assert holds(mine).is_empty()


@pytest.mark.parametrize("known", [True, False])
def test_changes_are_what_selection_has_in_force(inputs: Inputs, sample: Home, known: bool) -> None:
    day = date(2026, 6, 10)
    methodology = sample.methodology("tix", day)
    grid = Grid.of(methodology.calendar, [day], known_at=sample.known_at if known else None)
    mapped, _ = select(inputs, methodology.inputs, methodology.measures.currency, grid)
    rows = mapped.filter(pl.col("price").is_not_null() & ~pl.col("withdrawn"))["row"]
    cut_off = methodology.calendar.cut_off_at(day)
    sellers = inputs.spelled["seller"].unique()
    changes = Changes(inputs, grid.known_at, cut_off, sellers).bare.filter(pl.col("price").is_not_null())
    standing = changes.filter(pl.col("end").is_null() | (pl.col("end") > cut_off))
    covered = standing.select(row=pl.int_ranges("row", pl.col("last_row") + 1)).explode("row")["row"]
    assert set(rows) <= set(covered)
    assert len(standing) == rows.n_unique()


# --- laws ---


def many(seed: int) -> Inputs:
    """Return a small market in which much goes wrong."""
    pick = random.Random(seed)
    rows = []
    for source, provider, model in (
        ("models.dev", "maker", "one"),
        ("litellm", "x", "maker/one"),
        ("litellm", "x", "b/two"),
    ):
        for component, base in (("input", 3), ("output", 12)):
            for day in sorted(pick.sample(range(30), 5)):
                amount = str(
                    Decimal(base) * Decimal(pick.choice(["1", "1", "0.5", "1.19", "1000", "0", "20", "7.2", "4"]))
                )
                late = timedelta(hours=pick.choice([2, 2, 2, 60, 200]))
                facts = {"source": source, "provider": provider, "model": model}
                rows.append(price(day, pick.choice([amount] * 9 + [None]), component, known_at=at(day) + late, **facts))
    looks = {s: sorted(pick.sample(range(30), 15)) for s in ("models.dev", "litellm")}
    return world(rows, {s: [float(d) for d in days] for s, days in looks.items()})


IDENTITY = [c.name for c in FINDINGS.columns if c.name not in ("row", "last_row")]


def full() -> Methodology:
    return load(TIX, where="tix")


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), day=st.integers(1, 35), as_known=st.booleans())
def test_a_moment_is_judged_by_what_was_known_at_it(seed: int, day: int, as_known: bool) -> None:
    inputs, known_at, until = many(seed), at(45) if as_known else None, at(day)
    later = guard(inputs, full(), known_at=known_at, until=at(40)).select(IDENTITY)
    past = [pl.when(pl.col(c) <= until).then(c).alias(c) for c in ("released_at", "ended_at")]
    by = pl.when(pl.col("released_at") <= until).then("released_by").alias("released_by")
    expected = later.filter(pl.col("held_from") <= until).with_columns(*past, by)
    found = guard(inputs, full(), known_at=known_at, until=until).select(IDENTITY)
    assert found.sort(IDENTITY).equals(expected.sort(IDENTITY))
    if not as_known:  # rows and looks that become known later change nothing
        known = Inputs(
            observations=inputs.observations.filter(pl.col("known_at") <= until),
            sightings=inputs.sightings.filter(pl.col("known_at") <= until),
            registry=inputs.registry,
        )
        assert guard(known, full(), known_at=None, until=until).select(IDENTITY).equals(found)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_any_row_order_gives_the_same_findings(seed: int) -> None:
    inputs = many(seed)
    names = ("observations", "sightings", "registry")
    mixed = Inputs(**{n: getattr(inputs, n).sample(fraction=1, shuffle=True, seed=seed) for n in names})
    assert guard(inputs, full(), known_at=None, until=at(40)).equals(guard(mixed, full(), known_at=None, until=at(40)))


STRICT = """guards = [
{ rule = "unconfirmed_jump", bound = 1.4, held_until = "confirmed" },
{ rule = "unit_factor", factors = [10, 1000], tolerance = 0.1, held_until = "second_source" },
{ rule = "currency_factor", currencies = ["CNY", "EUR"], tolerance = 0.3, held_until = "second_day" },
{ rule = "vat_factor", rates = [0.02, 0.3], tolerance = 0.1, held_until = "confirmed" },
{ rule = "component_swapped", tolerance = 0.1, held_until = "judgment" },
{ rule = "component_order", held_until = "confirmed" },
{ rule = "alias_repointed", held_until = "confirmed" },
{ rule = "tiers_reordered", held_until = "confirmed" },
{ rule = "sources_disagree", tolerance = 0.02, hosts = ["vendor", "host"], held_until = "second_source" },
{ rule = "flapping", changes = 3, days = 14, held_until = "second_day" },
{ rule = "promotional_zero", held_until = "second_source" },
]"""
"""Guards that hold a good part of what an invented market says."""


def decided(inputs: Inputs, pick: random.Random) -> pl.DataFrame:
    """Return judgments of some of the rows, before and after these are known."""
    rows = inputs.observations.drop_nulls("price").sample(6, seed=pick.randrange(10**6)).to_dicts()
    words = {"reason": "so", "decided_by": "A", "approved_by": "B", "capture": "", "locator": ""}
    said = [
        {
            **{name: row[name] for name in ("source", "provider", "model", "component", "price", "valid_from")},
            "decision": pick.choice(["hold", "release"]),
            "decided_at": row["known_at"] + timedelta(hours=pick.choice([-100, -30, 0, 5, 100])),
        }
        for row in rows
    ]
    late = [timedelta(hours=pick.choice([0, 0, 20])) for _ in said]
    return JUDGMENTS.frame(
        [{**row, **words, "known_at": row["decided_at"] + by} for row, by in zip(said, late, strict=True)]
    )


def held_by(rows: pl.DataFrame, held: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Return each row that is in force on a date with the reason that holds it."""
    spells = hold(rows.filter(~pl.col("withdrawn")), held, grid)
    return spells.select("row", "held_by", i=pl.int_ranges("i0", "i1")).explode("i").sort("row", "i")


@settings(PROFILE, max_examples=15)
@given(market=markets(), as_known=st.booleans())
def test_what_is_held_on_a_date_hangs_on_nothing_that_entered_later(market: Market, as_known: bool) -> None:
    methodology = load(re.sub("^guards = .*$", STRICT, market.text, flags=re.MULTILINE).encode(), where="markets.py")
    inputs, pick = library_inputs(market.inputs), random.Random(market.text)
    inputs = replace(inputs, judgments=decided(inputs, pick))
    known_at, cut_off_at = market.known_at if as_known else None, methodology.calendar.cut_off_at
    days = [day for day in market.days if known_at is None or cut_off_at(day) <= known_at]
    sellers = inputs.spelled.filter(pl.col("source").is_in(["alpha", "beta", "gamma"]))["seller"].unique()
    for last in pick.sample(days, min(5, len(days))):
        grid = Grid.of(methodology.calendar, [pick.choice([d for d in days if d <= last]), last], known_at=known_at)
        until = holds(guard(inputs, methodology, known_at=known_at, until=grid.end, sellers=sellers))
        rows, _ = select(inputs, methodology.inputs, methodology.measures.currency, grid)
        found = held_by(rows, held_on(inputs, methodology, grid), grid)
        assert found.equals(held_by(rows, until, grid))


@pytest.mark.parametrize("until", [8, END])
def test_a_price_that_comes_back_did_not_stand_meanwhile(until: float) -> None:
    """The other source says 3 until day 4 and from day 9 on: a first price of 3,000 on day 6 has nothing beside it."""
    rows = [other(0, "3", valid_to=at(4)), other(9, "3"), price(6, "3000")]
    assert findings(world(rows), UNIT, until=at(until)) == []
    early = [other(0, "3"), price(6, "3000")]
    assert [f[2] for f in findings(world(early), UNIT, until=at(until))] == [6]


def test_components_that_come_back_did_not_move_together() -> None:
    """Both are gone from day 4 to 9; then the input is 19% dearer and the output what it was: that is no tax."""
    gone = [price(0, "10", valid_to=at(4)), price(0, "5", "output", valid_to=at(4))]
    assert findings(world([*gone, price(9, "11.9"), price(9, "5", "output")]), VAT) == []
    stood = [price(0, "10"), price(0, "5", "output"), price(9, "11.9"), price(9, "5.95", "output")]
    assert findings(world(stood), VAT) == noted("vat_factor", ("input", 9), ("output", 9))


def test_a_price_that_comes_back_confirms_from_then_on() -> None:
    gone = jump(other(1, "90", valid_to=at(4)), looks=[])
    assert findings(gone, JUMP) == one(None, None)
    back = jump(other(1, "90", valid_to=at(4)), other(9, "90"), looks=[])
    assert findings(back, JUMP) == one(9, "second_source")


def test_a_judgment_of_an_announced_price_counts_when_it_is_in_force() -> None:
    """On day 6 the 90 is told again, for day 8 on; on day 7 somebody releases that."""
    inputs = jump(price(8, "90", known_at=at(6)), looks=[])
    judgments = judged(line(7, "release", since=8))
    assert findings(inputs, JUMP, judgments=judgments, until=at(7.9)) == one(None, None)
    assert findings(inputs, JUMP, judgments=judgments) == one(8 - 1 / 12, "judgment")


def test_holds_are_made_once_for_every_date_and_every_document_of_the_same_guards(inputs: Inputs, sample: Home) -> None:
    day, days = date(2026, 6, 26), [date(2026, 6, 10), date(2026, 6, 26)]
    tix, other_index = (sample.methodology(name, day) for name in ("tix", "tix-cn"))
    grids = [Grid.of(tix.calendar, some, known_at=sample.known_at) for some in (days[:1], days)]
    found = held_on(inputs, tix, grids[0])
    assert held_on(inputs, tix, grids[1]) is found
    assert tix.guards == other_index.guards and hash(tix.guards) == hash(other_index.guards)
    for n in range(20):  # what is asked for again and again is not the first to be dropped
        inputs.once(("filling", n), dict)
        assert held_on(inputs, tix, grids[0]) is found
    held = [g for g in tix.guards if g.holds]
    assert held[0] != held[1]
    strict = replace(
        tix, guards=(*tix.guards[:-1], load(TIX.replace(b"bound = 10", b"bound = 9"), where="x").guards[-3])
    )
    assert strict.guards != tix.guards
    for changed in (
        replace(tix, guards=tix.guards[:1]),
        strict,
        replace(tix, release=replace(tix.release, later_days=2)),
    ):
        assert held_on(inputs, changed, grids[0]) is not found
    assert held_on(inputs, tix, replace(grids[0], known_at=None)) is not found
    inputs.forget()
    assert held_on(inputs, tix, grids[0]) is not found


def test_prices_at_the_bounds_do_not_overflow() -> None:
    assert max(AMOUNT_MAX * NANO, RATIO_MAX * NANO, (2**63 - 1) * NANO) < 2**125
    rows = [price(0, "0.000000000000001"), price(5, "99999999999999", unit="per_token")]
    found = findings(world([*rows, other(1, "99999999999999", unit="per_token")]), full())
    # a first price far from another source's, and a jump from it that the other source confirms at once
    assert [f for f in found if f[0] == "unconfirmed_jump"] == [
        ("unconfirmed_jump", "input", 5, 5, "second_source"),
    ]


# --- documents ---


def test_no_guards_find_nothing() -> None:
    assert unguarded().guards == ()
    assert guard(jump(), unguarded(), known_at=None, until=at(END)).is_empty()
    assert len(full().guards) == len({g.reason for g in full().guards}) == 13


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"[release]", b"[realease]", ["'realease'", "did you mean 'release'"]),
        (b"confirming_sources = 1", b"confirming_sources = 0", ["[release]", "1 to 10**6"]),
        (b"changes = 5", b"changes = 99999999999999999999", ["flapping", "10**6"]),
        (b'held_until = "second_source"', b'held_until = "never"', ["unit_factor", "'never'", "second_day"]),
        (b"tolerance = 0.05", b"tolerance = 2", ["tolerance", "between 0 and 1"]),
        (b"bound = 10", b"bound = 1", ["bound"]),
        (b"days = 365", b"days = 0", ["frozen", "days"]),
        (b'currencies = ["CNY"]', b'currencies = ["XXX"]', ["ISO 4217"]),
        (b"factors = [100,", b"factors = [1,", ["factors"]),
        (b'rule = "flapping"', b'rule = "flaping"', ["[[guards]] 12", "did you mean 'flapping'"]),
        (b'rule = "flapping"', b'rule = "flapping"\nsoon = 1', ["unknown key 'soon'"]),
    ],
)
def test_a_wrong_guard_is_refused(old: bytes, new: bytes, words: list[str]) -> None:
    assert old in TIX
    with pytest.raises(MethodologyError) as caught:
        load(START + TIX.removeprefix(START).replace(old, new, 1), where="x.toml")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_document_with_guards_can_be_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "guarded.toml"
    path.write_bytes(TIX)
    assert main(["methodology", "text", str(path)]) == 0
    out = capsys.readouterr().out
    assert "by a factor of about 100, 1,000, 10,000, 100,000 and 1,000,000 (within a share of 0.05)" in out
    assert "Other sources that must show the price: 1," in out


def test_guards_without_a_release_are_refused() -> None:
    with pytest.raises(MethodologyError, match="missing release"):
        load(REST + b'\n[[guards]]\nrule = "frozen"\ndays = 3\n', where="x.toml")


# --- the report ---


OPUS = "anthropic,claude-opus-4-8,output,standard,,0,25000"


def wrong_prices(home: Home, what: str = OPUS) -> None:
    """Put a unit error into a copied home: a multiple of the maker's price, seen on 20 June."""
    path = home.path.parent / "wrong.csv"
    seen = "2026-06-20T01:00:00Z"
    row = f"models.dev,{what},USD,per_1m_tokens,unknown,{seen},first_seen,{seen}"
    path.write_text("\n".join([PRICES, row, ""]), encoding="utf-8")
    moment = datetime(2026, 6, 20, 1, tzinfo=UTC)
    home.ingest(path, adapter_name="prices", source="wrong", seen_at=moment, known_at=moment)


def test_check_prints_what_is_held_and_why(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["check", "tix", "--home", str(home.path), "--date", "2026-06-26"]
    assert main(call) == 0
    assert "held        0 prices" in capsys.readouterr().out
    wrong_prices(home)
    assert main(call) == 10
    out = capsys.readouterr().out
    for words in (
        "held        1 prices of 1 constituents",
        "unit_factor: anthropic/claude-opus-4.8 output",
        "found     25000.000000000 USD per million tokens (before 25.000000000, others 25.000000000)",
        "about 1,000 times more than the price before: the unit is likely mistaken",
        "until 1 other source(s) within 2% of it or a judgment",
    ):
        assert words in out
    assert main([*call, "--json"]) == 10
    found = json.loads(capsys.readouterr().out)
    assert {r["reason"] for r in found["held"] if r["concerns"]} == {"unit_factor", "unconfirmed_jump"} - {
        r for r in ("unconfirmed_jump",) if len(found["held"]) == 1
    }
    assert found["sources"][0]["source"] == "genai-prices"


def test_a_report_refuses_the_future(sample: Home, inputs: Inputs) -> None:
    methodology = sample.methodology("tix", date(2026, 6, 26))
    with pytest.raises(DeterminationError, match="lies after"):
        input_report(inputs, methodology, day=date(2026, 7, 20), known_at=sample.known_at)
    with pytest.raises(DeterminationError, match="outside the calendar"):
        input_report(inputs, methodology, day=date(2036, 7, 20), known_at=None)


# --- a real mistake ---


@pytest.mark.skipif(not RAW.is_dir(), reason="the raw snapshots are not here")
def test_the_real_unit_error_is_found() -> None:
    """One host's gpt-oss-120b stood at 15,000 and 60,000 dollars per million tokens; it costs cents."""
    (path,) = RAW.glob("2026-08-21_*.json")
    seen = datetime(2026, 8, 21, tzinfo=UTC)
    content = path.read_bytes()
    facts = {"name": path.name, "adapter": "litellm", "source": "litellm", "seen_at": seen, "known_at": seen}
    parsed = adapter("litellm").parse(content, Capture.of(content, **facts))
    registry = Home.sample().registry
    host = registry.filter((pl.col("source") == "litellm") & (pl.col("model") == "groq/openai/gpt-oss-120b"))
    wandb = host.with_columns(provider=pl.lit("wandb"), model=pl.lit("wandb/openai/gpt-oss-120b"))
    before = [
        price(0, amount, component, source="genai-prices", provider="groq", model="openai/gpt-oss-120b")
        for component, amount in (("input", "0.15"), ("output", "0.60"))
    ]
    inputs = Inputs(
        observations=pl.concat([parsed.observations, OBSERVATIONS.frame(before)]),
        sightings=parsed.sightings,
        registry=pl.concat([registry, wandb]),
    )
    found = guard(inputs, full(), known_at=None, until=seen)
    mine = found.filter((pl.col("model") == "wandb/openai/gpt-oss-120b") & (pl.col("severity") == "hold"))
    assert set(mine.select("component", "reason", "price").rows()) == {
        ("input", "unit_factor", Decimal(15000)),
        ("output", "unit_factor", Decimal(60000)),
        ("input", "unconfirmed_jump", Decimal(15000)),
        ("output", "unconfirmed_jump", Decimal(60000)),
    }
