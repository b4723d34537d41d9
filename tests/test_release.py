"""Paid prices of several contributors: figures worked out by hand, and that nothing of one contributor gets out."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.errors import MethodologyError
from tokenindex.exact import TOKENS_MAX
from tokenindex.release import Released, release
from tokenindex.tables import OBSERVATIONS, VOLUMES

DAY = date(2026, 6, 1)
EARLY, LATE, KNOWN = (datetime(2026, 6, day, 6, tzinfo=UTC) for day in (2, 3, 4))
RULES: dict[str, Any] = {
    "contributors_min": 3,
    "tokens_min": 1000,
    "share_max": Fraction(1, 2),
    "source": "paid",
    "known_at": KNOWN,
}
CELL = ("acme", "one", "input", "standard", DAY, "USD")


def volume(source: str, **change: Any) -> dict[str, Any]:
    return {
        "source": source,
        "scope": "own",
        "provider": "acme",
        "model": "one",
        "component": "input",
        "service_tier": "standard",
        "period_start": DAY,
        "period_end": DAY,
        "tokens": None,
        "spend": None,
        "partial": False,
        "known_at": EARLY,
        "reference": f"account of {source}",
        "capture": "0" * 64,
        "locator": "line 2",
        **change,
    }


def both(source: str, tokens: int, spend: str, **change: Any) -> dict[str, Any]:
    return volume(source, tokens=tokens, spend=Decimal(spend), currency="USD", **change)


def apart(source: str, tokens: int, spend: str, **change: Any) -> list[dict[str, Any]]:
    """What a usage report and a cost report say."""
    return [volume(source, tokens=tokens, **change), volume(source, spend=Decimal(spend), currency="USD", **change)]


def released(*rows: dict[str, Any], **rules: Any) -> Released:
    return release(VOLUMES.frame(rows), **{**RULES, **rules})


def withheld(found: Released) -> list[tuple[Any, ...]]:
    return found.withheld.rows()


THREE = [*apart("Alpha Corp", 1000, "0.002"), *apart("Beta GmbH", 2000, "0.005"), both("Gamma Ltd", 1500, "0.0031")]


def test_three_contributors_are_one_price_and_one_volume() -> None:
    found = released(*THREE)
    # 0.0101 dollars over 4,500 tokens are 2.2444444444… dollars a million
    assert found.prices.select(
        "source", "provider", "model", "component", "service_tier", "price", "currency"
    ).rows() == [("paid", "acme", "one", "input", "standard", Decimal("2.244444444"), "USD")]
    assert found.volumes.select("source", "scope", "tokens", "spend", "currency", "partial").rows() == [
        ("paid", "own", 4500, Decimal("0.0101"), "USD", False)
    ]
    assert withheld(found) == []
    found.prices.pipe(OBSERVATIONS.check, where="prices")
    found.volumes.pipe(VOLUMES.check, where="volumes")


def test_a_daily_paid_price_holds_for_its_day_and_is_declared() -> None:
    row = released(*THREE).prices.row(0, named=True)
    assert (row["valid_from"], row["valid_to"]) == (
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 6, 2, tzinfo=UTC),
    )
    assert (row["date_kind"], row["unit"], row["tax"], row["region"]) == ("declared", "per_1m_tokens", "unknown", "")
    assert (row["known_at"], row["context_from"], row["context_to"]) == (KNOWN, 0, None)


@pytest.mark.parametrize(
    ("spends", "price"),
    [
        (("0.000000001", "0", "0"), "0.000000333"),  # a billionth over 3,000 tokens
        (("1", "1", "1"), "1000"),
        (("0", "0", "0"), "0"),
        (("1000000", "1000000", "1000000"), "1000000000"),
    ],
)
def test_prices_are_exact_and_rounded_once(spends: tuple[str, ...], price: str) -> None:
    rows = [both(name, 1000, spend) for name, spend in zip("abc", spends, strict=True)]
    found = released(*rows)
    if Decimal(price) > 10**6:
        assert withheld(found) == [(*CELL, "out_of_range")]
    else:
        assert found.prices["price"].to_list() == [Decimal(price)]


@pytest.mark.parametrize(("tokens", "price"), [(16 * 10**5, "0.000000002"), (48 * 10**5, "0.000000002")])
def test_half_even(tokens: int, price: str) -> None:
    # 4 and 12 billionths over 1.6 and 4.8 million tokens: 2.5 billionths a million
    spend = f"0.0000000{'04' if tokens < 2 * 10**6 else '12'}"
    rows = [both("a", tokens // 4, spend), both("b", tokens // 4, "0"), both("c", tokens // 2, "0")]
    assert released(*rows).prices["price"].to_list() == [Decimal(price)]


@pytest.mark.parametrize(
    ("rows", "rules", "reason"),
    [
        (THREE[:4], {}, "too_few_contributors"),
        (THREE, {"contributors_min": 4}, "too_few_contributors"),
        (THREE, {"tokens_min": 4501}, "too_few_tokens"),
        (THREE, {"share_max": Fraction(4, 9) - Fraction(1, 10**20)}, "dominated"),
        (THREE, {"share_max": Decimal("0.44")}, "dominated"),
        ([*THREE[2:], both("Alpha Corp", 8000, "1")], {}, "dominated"),
        ([{**row, "component": "total"} for row in THREE], {}, "no_component"),
        ([both(name, TOKENS_MAX // 2, "1") for name in "abc"], {}, "out_of_range"),
    ],
)
def test_a_cell_that_is_withheld(rows: list[dict[str, Any]], rules: dict[str, Any], reason: str) -> None:
    found = released(*rows, **rules)
    assert (found.prices.height, found.volumes.height) == (0, 0)
    assert [row[-1] for row in withheld(found)] == [reason]


@pytest.mark.parametrize("rules", [{"tokens_min": 4500}, {"share_max": Fraction(4, 9)}, {"contributors_min": 2}])
def test_the_limits_themselves_are_allowed(rules: dict[str, Any]) -> None:
    assert released(*THREE, **rules).prices.height == 1


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 0},
        {"spend": None, "currency": None},
        {"partial": True},
        {"period_end": DAY + timedelta(days=1)},
        {"contained_in": "Beta GmbH"},
        {"scope": "router"},
        {"known_at": KNOWN + timedelta(seconds=1)},
        {"provider": "other"},
        {"service_tier": "batch"},
        {"currency": "EUR"},
    ],
)
def test_who_does_not_count(change: dict[str, Any]) -> None:
    found = released(*THREE[:4], {**THREE[4], **change})
    assert found.prices.is_empty()
    assert {row[-1] for row in withheld(found)} == {"too_few_contributors"}


def test_tokens_without_spend_and_spend_without_tokens_are_cells_that_are_withheld() -> None:
    found = released(volume("a", tokens=5), volume("b", spend=Decimal(1), currency="USD", model="two"))
    assert withheld(found) == [
        (*CELL[:-1], None, "too_few_contributors"),
        ("acme", "two", *CELL[2:], "too_few_contributors"),
    ]


def test_the_latest_rows_that_were_known_count() -> None:
    corrected = [
        volume("Alpha Corp", tokens=1900, known_at=LATE),
        volume("Alpha Corp", spend=Decimal("0.0025"), currency="USD", known_at=LATE),
        both("Gamma Ltd", 1600, "0.0032", known_at=LATE),
    ]
    # 0.0025 + 0.005 + 0.0032 dollars over 1900 + 2000 + 1600 tokens
    assert released(*corrected, *THREE).volumes.select("tokens", "spend").rows() == [(5500, Decimal("0.0107"))]
    before = released(*corrected, *THREE, known_at=LATE - timedelta(seconds=1))
    assert before.volumes.select("tokens", "spend").rows() == [(4500, Decimal("0.0101"))]


def test_a_complete_day_is_not_undone_by_a_later_partial_look() -> None:
    later = both("Gamma Ltd", 3, "0.1", known_at=LATE, partial=True)
    assert released(*THREE, later).volumes["tokens"].to_list() == [4500]


def test_two_ways_of_reporting_that_contradict_each_other_leave_a_contributor_out() -> None:
    found = released(*THREE, volume("Gamma Ltd", tokens=1600, known_at=LATE))
    assert withheld(found) == [(*CELL, "too_few_contributors")]
    newer = released(*THREE, volume("Gamma Ltd", tokens=1600, known_at=EARLY - timedelta(days=1)))
    assert newer.volumes["tokens"].to_list() == [4500]


def test_cells_are_apart() -> None:
    other = [{**row, "period_start": DAY + timedelta(days=1), "period_end": DAY + timedelta(days=1)} for row in THREE]
    tiers = [{**row, "service_tier": "batch"} for row in THREE]
    found = released(*other, *tiers, *THREE[:4], *[{**row, "component": "output"} for row in THREE])
    assert found.prices.select("component", "service_tier", "valid_from").rows() == [
        ("input", "batch", datetime(2026, 6, 1, tzinfo=UTC)),
        ("input", "standard", datetime(2026, 6, 2, tzinfo=UTC)),
        ("output", "standard", datetime(2026, 6, 1, tzinfo=UTC)),
    ]
    assert withheld(found) == [(*CELL, "too_few_contributors")]


@pytest.mark.parametrize(
    "rules",
    [
        {"contributors_min": 1},
        {"contributors_min": 0},
        {"tokens_min": 0},
        {"share_max": Fraction(0)},
        {"share_max": Fraction(3, 2)},
        {"known_at": datetime(2026, 6, 4)},  # noqa: DTZ001
    ],
)
def test_parameters_that_would_show_somebody_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(MethodologyError) as caught:
        released(*THREE, **rules)
    assert caught.value.where == "release" and caught.value.expected


def test_any_row_order_gives_the_same_bytes() -> None:
    rows = [*THREE, *[{**row, "model": "two"} for row in THREE], *[{**row, "component": "output"} for row in THREE[:2]]]
    expected = released(*rows)
    for seed in range(20):
        random.Random(seed).shuffle(rows)
        found = released(*rows)
        assert (found.prices_csv(), found.volumes_csv()) == (expected.prices_csv(), expected.volumes_csv())
        assert found.withheld.equals(expected.withheld)


# --- nothing of one contributor ------------------------------------------------------------------------------------


def test_nothing_of_a_contributor_stands_in_what_is_written() -> None:
    private = [
        both("Delta SA", 777_777, "9.87654321", model="ft:one:delta-sa::id"),
        *apart("Alpha Corp", 31_337, "0.5", model="two"),
    ]
    found = released(*THREE, *private)
    told = found.prices_csv() + found.volumes_csv()
    told += str(found.prices.rows()).encode() + str(found.volumes.rows()).encode()
    for secret in (
        "Alpha",
        "Beta",
        "Gamma",
        "Delta",
        "delta",
        "ft:",
        "two",
        "account of",
        "777",
        "31337",
        "31_337",
        "0" * 64,
    ):
        assert secret.encode() not in told
    for number in (1000, 2000, 1500, "0.002,", "0.005", "0.0031"):
        assert f",{number},".encode() not in told
    assert len(found.withheld) == 2
    assert set(found.withheld.columns) == {
        "provider",
        "model",
        "component",
        "service_tier",
        "day",
        "currency",
        "reason",
    }


def test_a_contributor_that_is_withheld_changes_nothing_that_is_written() -> None:
    alone = released(*THREE)
    for extra in (
        both("Delta SA", 10**6, "5", model="two"),
        volume("Delta SA", tokens=10**6),
        both("Delta SA", 0, "5"),
    ):
        beside = released(*THREE, extra)
        assert (beside.prices_csv(), beside.volumes_csv()) == (alone.prices_csv(), alone.volumes_csv())


# --- the project's own form ----------------------------------------------------------------------------------------


def read(content: bytes, name: str) -> Parsed:
    facts: dict[str, Any] = {"name": name, "adapter": name, "source": "desk", "seen_at": KNOWN, "known_at": KNOWN}
    return adapter(name).parse(content, Capture.of(content, **facts)).checked(where=name)


def test_the_bytes_give_back_the_rows() -> None:
    names = ["one", 'a "quoted", name', "line\nbreak", "ünï/ço:dé", "=1+1"]
    rows = [{**row, "model": name, "provider": "acme, inc"} for name in names for row in THREE]
    found = released(*rows)
    prices, volumes = read(found.prices_csv(), "prices"), read(found.volumes_csv(), "volumes")
    assert prices.rejects.is_empty() and volumes.rejects.is_empty()
    assert prices.observations.equals(found.prices)
    assert volumes.volumes.equals(found.volumes)
    assert sorted(found.prices["model"]) == sorted(names)


def test_the_bytes_themselves() -> None:
    found = released(*THREE)
    assert found.volumes_csv().decode().splitlines() == [
        "source,scope,provider,model,component,service_tier,period_start,period_end,tokens,requests,spend,currency,partial,"
        "contained_in,known_at,reference,licence",
        "paid,own,acme,one,input,standard,2026-06-01,2026-06-01,4500,,0.0101,USD,false,,2026-06-04T06:00:00.000000Z,"
        "average of at least 3 contributors,",
    ]
    header, line = found.prices_csv().decode().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert {name: cell for name, cell in cells.items() if cell not in ("", '""')} == {
        "source": "paid",
        "provider": "acme",
        "model": "one",
        "component": "input",
        "service_tier": "standard",
        "context_from": "0",
        "price": "2.244444444",
        "currency": "USD",
        "unit": "per_1m_tokens",
        "tax": "unknown",
        "valid_from": "2026-06-01T00:00:00.000000Z",
        "valid_to": "2026-06-02T00:00:00.000000Z",
        "date_kind": "declared",
        "known_at": "2026-06-04T06:00:00.000000Z",
        "reference": "average of at least 3 contributors",
    }


def test_a_release_of_nothing_is_an_empty_snapshot() -> None:
    for found in (released(), released(*THREE[:2])):
        for content, name in ((found.prices_csv(), "prices"), (found.volumes_csv(), "volumes")):
            parsed = read(content, name)
            assert parsed.observations.is_empty() and parsed.volumes.is_empty()
            assert parsed.rejects["reason"].to_list() == ["empty_snapshot"]


# --- against a naive second way ------------------------------------------------------------------------------------


def test_random_contributions_agree_with_fractions() -> None:
    dice = random.Random(7)
    for _ in range(60):
        names, models = "abcdef"[: dice.randint(1, 6)], ("one", "two")
        used = {
            (name, model): (dice.randint(0, 3000), Decimal(dice.randint(0, 10**7)) / 10**9)
            for name, model in itertools.product(names, models)
            if dice.random() < 0.8
        }
        rows = []
        for (name, model), (tokens, spend) in used.items():
            split = dice.random() < 0.5
            made = (
                apart(name, tokens, str(spend), model=model) if split else [both(name, tokens, str(spend), model=model)]
            )
            rows += made
        found = {row["model"]: row for row in released(*rows).prices.iter_rows(named=True)}
        for model in models:
            shares = [share for (_, of), share in used.items() if of == model and share[0] > 0]
            total = sum(tokens for tokens, _ in shares)
            allowed = len(shares) >= 3 and total >= 1000 and 2 * max(tokens for tokens, _ in shares) <= total
            assert (model in found) == allowed
            if allowed:
                exact = Fraction(sum(Fraction(spend) for _, spend in shares) * 10**6, total)
                assert Fraction(found[model]["price"]) == Fraction(round(exact * 10**9), 10**9)


def test_frames_of_any_order_of_columns_of_an_adapter_can_be_released() -> None:
    lines = [
        "source,scope,provider,model,component,service_tier,period_start,period_end,tokens,spend,currency,partial,known_at"
    ]
    lines += [f"{name},own,acme,one,input,standard,2026-06-01,2026-06-01,1000,2,USD,false,2026-06-02" for name in "abc"]
    volumes = read(("\n".join(lines) + "\n").encode(), "volumes").volumes
    found = release(pl.concat([volumes, volumes]), **RULES)
    assert found.prices["price"].to_list() == [Decimal(2000)]
