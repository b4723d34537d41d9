"""The library against the naive second implementation in `reference`, and both against numbers worked out by hand."""

from __future__ import annotations

import csv
import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from markets import Market, markets
from reference import Reference, capped_shares, nano, percentile, whole_weights

from tokenindex.determination import Determination, determine
from tokenindex.methodology import Methodology, load
from tokenindex.selection import Inputs
from tokenindex.tables import OBSERVATIONS, RATES, REGISTRY, SIGHTINGS, VOLUMES

HOME = Path(__file__).parent.parent
SAMPLE = HOME / "sample_data"
INPUT_TABLES = {
    "observations": OBSERVATIONS,
    "volumes": VOLUMES,
    "sightings": SIGHTINGS,
    "rates": RATES,
    "registry": REGISTRY,
}
COUNTS = ("status", "rung", "dates_stale", "constituents", "carried", "vendors", "members", "volume_days")
AMOUNTS = ("price", "level", "coverage", "volume_coverage", "p01", "p25", "p75", "p99")
TIERS = ("weight_tier_1", "weight_tier_2", "weight_tier_3")
Rows = dict[str, list[dict[str, Any]]]


def library_inputs(rows: Rows) -> Inputs:
    """Return the rows as the library takes them."""
    return Inputs(**{name: table.frame(rows[name]) for name, table in INPUT_TABLES.items()})


def in_nano(amount: Decimal | None) -> int | None:
    """Return a public amount in nano."""
    return None if amount is None else nano(amount)


def wide(number: Decimal | int | None) -> int | None:
    """Return a public whole number as an integer."""
    return None if number is None else int(number)


def fixing_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the comparable fields of a fixing of the library."""
    fields: dict[str, Any] = {name: found[name] for name in (*COUNTS, "oldest_price_dates")}
    fields |= {name: in_nano(found[name]) for name in (*AMOUNTS, *TIERS)}
    return fields | {"volume": wide(found["volume"])}


def expected_fixing(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the same fields of a fixing of the reference."""
    names = (*COUNTS, "oldest_price_dates", *AMOUNTS, *TIERS, "volume")
    return {name: facts[name] for name in names}


def constituents_of(determination: Determination, day: date) -> dict[str, dict[str, Any]]:
    """Return the comparable fields of the constituents with a price, a price in use, or a weight."""
    found = {}
    for row in determination.constituents_on(day).to_dicts():
        if row["price"] is None and row["used_price"] is None and row["weight"] is None:
            continue
        priced = row["price"] is not None
        found[row["constituent"]] = {
            "vendor": row["vendor"],
            "price": in_nano(row["price"]),
            "source_tier": row["source_tier"] if priced else None,
            "sources": row["sources"] if priced else None,
            "relative": in_nano(row["relative"]),
            "outlier_by": row["outlier_by"],
            "used_price": in_nano(row["used_price"]),
            "used_date": row["used_date"],
            "tokens": row["tokens"],
            "quantity": wide(row["quantity"]),
            "weight": in_nano(row["weight"]),
        }
    return found


def expected_constituents(reference: Reference, day: date) -> dict[str, dict[str, Any]]:
    """Return the same fields of the reference."""
    found = {name: dict(row) for name, row in reference.constituents(day).items()}
    for row in found.values():
        del row["used_tier"]
    if reference.document["formula"]["rule"] != "fixed_basket":  # a weight is shown as a share of all tokens
        whole = sum(row["weight"] or 0 for row in found.values())
        for row in found.values():
            row["weight"] = None if row["weight"] is None else round(Fraction(row["weight"] * 10**9, whole))
    return found


def elementary_of(determination: Determination, day: date) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the elementary prices of a date and what they were made of."""
    found = {}
    for row in determination.elementary_on(day).to_dicts():
        facts = {"price": in_nano(row["price"]), "excluded_by": row["excluded_by"], "imputed_from": row["imputed_from"]}
        if row["excluded_by"] != "not_quoted":
            facts |= {name: row[name] for name in ("source_tier", "quotes", "agreeing", "sources")}
            found[row["constituent"], row["component"]] = facts
    return found


def observations_of(rows: Iterable[dict[str, Any]], *, library: bool) -> Counter[tuple[Any, ...]]:
    """Return the observations in force with rate, standard price and reason code."""
    names = ("source", "provider", "model", "component", "service_tier", "region", "context_from", "time_from")
    return Counter(
        (
            *(row[name] for name in names),
            *(row[name] for name in ("capture", "locator", "constituent", "source_tier", "excluded_by")),
            in_nano(row["rate"]) if library else row["rate"],
            in_nano(row["standard_price"]) if library else row["standard_price"],
        )
        for row in rows
    )


def baskets_of(determination: Determination) -> list[dict[str, Any]]:
    """Return the library's baskets in order."""
    found = []
    for basket in determination.baskets:
        rows = determination.basket.filter(determination.basket["takes_over_after"] == basket.takes_over_after).to_dicts()
        found.append(
            {
                "announced_on": basket.announced_on,
                "takes_over_after": basket.takes_over_after,
                "divisor": wide(rows[0]["divisor"]),
                "quantities": {row["constituent"]: wide(row["quantity"]) for row in rows},
                "weights": {row["constituent"]: in_nano(row["weight"]) for row in rows},
                "base_prices": {row["constituent"]: in_nano(row["base_price"]) for row in rows},
            }
        )
    return found


def expected_baskets(reference: Reference, until: date) -> list[dict[str, Any]]:
    """Return the same of the reference."""
    if reference.document["formula"]["rule"] != "fixed_basket":
        return []
    return [{k: v for k, v in basket.items() if k != "shares"} for basket in reference.baskets(until)]


def compare(
    methodology: Methodology,
    reference: Reference,
    inputs: Inputs,
    days: list[date],
    *,
    observations: bool = True,
) -> Determination:
    """Assert that library and reference agree on every date, stage by stage, and return the library's answer."""
    found = determine(methodology, inputs, dates=days, known_at=reference.known_at)
    for day in days:
        if observations:
            mine = observations_of(found.observations_on(day).to_dicts(), library=True)
            assert mine == observations_of(reference.in_force(day), library=False), day
        elementary = {k: v for k, v in reference.elementary(day).items() if v["excluded_by"] != "not_quoted"}
        assert elementary_of(found, day) == elementary, day
        assert constituents_of(found, day) == expected_constituents(reference, day), day
    assert baskets_of(found) == expected_baskets(reference, max(days))
    for day in days:
        assert fixing_of(found.fixing(day)) == expected_fixing(reference.fixing(day)), day
    return found
