"""An invented market of any size, and the methodology documents that fit it.

    from market import documents, market

Compares nothing by itself: `fixing.py` and `batch.py` measure on what it gives. `market` makes the input tables of the
library from a seed (integers all the way, so the same seed gives the same tables everywhere); `documents` makes
variations of `methodology/tix/1.0.0.toml` whose calendar and base date fit those tables.

Two sources quote every constituent of about 25 vendors: input and output, and cache reads for four of five. A price
changes about every 30 days; each source tells it up to four days late and now and then wrongly (ten times as much, or
zero), which it takes back two days later; now and then one or both withdraw an offer for a while. Both are looked at
every day. A router counts the tokens of each constituent every day.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from tokenindex import Inputs, load
from tokenindex.methodology import Methodology
from tokenindex.tables import OBSERVATIONS, REGISTRY, SIGHTINGS, UTC, VOLUMES

FIRST: Final = date(2023, 9, 1)
WARM_UP: Final = 45
"""Days of prices and volumes before the base date: the first basket needs a window of volumes."""
SOURCES: Final = ("alpha", "beta")
USAGE: Final = "usage"
EVERY: Final = 30
"""Mean number of days between two changes of a price."""
COMPONENTS: Final = {"input": 100, "cache_read": 10, "output": 500}
"""Price of each component in percent of the constituent's input price."""
DOCUMENT: Final = Path(__file__).parent.parent / "methodology" / "tix" / "1.0.0.toml"
MIX: Final = "{ input = 242, cache_read = 726, output = 32 }"
PARAMETER_SETS: Final[dict[str, dict[str, str]]] = {
    "broad": {},
    "wide": {"max_constituents": "100", "model_cap": "0.10", "rebalance_day": "1", "announce_dates": "5"},
    "fast": {"window_days": "14", "carry_dates": "10", "agreement": "0.05"},
    "plain": {"mix": "{ input = 750, cache_read = 1, output = 249 }", "cutoff": "3", "max_constituents": "20"},
}

Change = tuple[int, int | None]
"""Day (0 is `FIRST`) and price in nano per million tokens; None is a withdrawal."""


def base_date() -> date:
    """Return the base date of the documents: the first day with a fixing."""
    return FIRST + timedelta(days=WARM_UP)


def fixing_dates(days: int) -> list[date]:
    """Return the `days` fixing dates from the base date on."""
    return [base_date() + timedelta(days=k) for k in range(days)]


def market(*, constituents: int = 300, days: int = 1_000, vendors: int = 25, seed: int = 1) -> Inputs:
    """Return the input tables of a market with `days` fixing dates (and `WARM_UP` days before them)."""
    pick = random.Random(seed)
    length = WARM_UP + days
    names = [(f"vendor{k % vendors:02}", f"model{k:04}") for k in range(constituents)]
    return Inputs(
        observations=_observations(pick, names, length),
        volumes=_volumes(pick, names, length),
        sightings=_sightings(length),
        registry=_registry(names),
    )


def documents(days: int, *, count: int = 12) -> list[Methodology]:
    """Return `count` methodologies: parameter sets, each for its blend, for output alone and for input alone."""
    found = []
    for name, changes in PARAMETER_SETS.items():
        whole = replace(load(document(name, days, changes).encode(), where=name), guards=())  # plain pandas has none
        found += [whole, whole.for_component("output"), whole.for_component("input")]
    if count > len(found):
        raise ValueError(f"there are {len(found)} documents, not {count}")
    return found[:count]


def document(name: str, days: int, changes: dict[str, str]) -> str:
    """Return the text of `methodology/tix` for this market with some of its keys changed."""
    fit = {"index": f'"{name}"', "base_date": str(base_date()), "dates": "5"}  # dates: of the outlier rule worse_tier
    return fitted(DOCUMENT.read_text(encoding="utf-8"), days, fit | changes)


def fitted(text: str, days: int, changes: dict[str, str]) -> str:
    """Return a shipped document that fits this market, with some of its keys changed."""
    for real, invented in zip(("models.dev", "litellm", "openrouter-rankings"), (*SOURCES, USAGE), strict=True):
        text = text.replace(f'"{real}"', f'"{invented}"')
    fit = {"effective_from": str(base_date()), "opens": str(FIRST), "closes": str(fixing_dates(days)[-1])}
    for key, value in (fit | changes).items():
        # the first of several is that of the index's own workload
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        if not count:
            raise ValueError(f"{key} does not stand in {DOCUMENT.name}")
    return text


def _observations(pick: random.Random, names: list[tuple[str, str]], length: int) -> pl.DataFrame:
    """Return the prices, one row a change that a source tells."""
    rows: list[tuple[str, str, str, str, int, int | None]] = []
    for vendor, model in names:
        truth = list(_truth(pick, length))
        sold = [name for name in COMPONENTS if name != "cache_read" or pick.random() < 0.8]
        for source in SOURCES:
            for component in sold:
                told = _told(pick, truth, COMPONENTS[component], length)
                rows += [(source, vendor, model, component, day, price) for day, price in told]
    columns = ("source", "provider", "model", "component", "day", "nano")
    frame = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    moment = _moment(pl.col("day"), hour=6)
    price = pl.col("nano").cast(pl.Decimal(38, 0)) * pl.lit("0.000000001").cast(pl.Decimal(38, 9))
    return OBSERVATIONS.conform(
        frame.with_columns(
            service_tier=pl.lit("standard"),
            region=pl.lit(""),
            context_from=0,
            price=price,
            currency=pl.lit("USD"),
            unit=pl.lit("per_1m_tokens"),
            tax=pl.lit("excluded"),
            valid_from=moment,
            date_kind=pl.lit("first_seen"),
            known_at=moment + pl.duration(hours=2),
            capture=pl.format("{}-{}", "source", "day"),
            locator=pl.format("/{}/{}", "model", "component"),
        )
    )


def _truth(pick: random.Random, length: int) -> Iterator[tuple[int, int, bool]]:
    """Yield day, input price in micro, and whether the offer pauses: at the start, then about every `EVERY` days."""
    price, day = pick.randrange(50_000, 5_000_000), 0
    while day < length:
        yield day, price, pick.random() < 0.02
        price = max(20_000, min(20_000_000, price * pick.choice((50, 80, 90, 95, 98, 102, 105, 110, 120, 160)) // 100))
        day += pick.randrange(1, 2 * EVERY)


def _told(pick: random.Random, truth: list[tuple[int, int, bool]], percent: int, length: int) -> Iterator[Change]:
    """Yield the changes of one component as one source tells them."""
    for (day, price, pauses), (until, *_) in zip(truth, [*truth[1:], (length,)], strict=True):
        start = min(day + pick.choice((0, 0, 0, 0, 1, 2, 4)), until - 1) if day else 0
        nano, wrong = price * percent * 10, pick.random()
        if wrong < 0.02 and until - start > 3:
            yield start, 0 if wrong < 0.005 else nano * 10
            start += 2
        yield start, nano
        if (pauses or wrong > 0.99) and until - start > 12:
            yield start + 5, None
            yield start + 5 + pick.randrange(1, 6), nano


def _volumes(pick: random.Random, names: list[tuple[str, str]], length: int) -> pl.DataFrame:
    """Return the tokens of every constituent on every day, known the day after."""
    sizes = [10 ** pick.randrange(6, 10) * pick.randrange(1, 10) for _ in names]
    models = pl.DataFrame({"provider": [v for v, _ in names], "model": [m for _, m in names], "size": sizes})
    shares = [pick.randrange(50, 150) for _ in range(length * len(names))]
    day = pl.DataFrame({"day": range(length)})
    frame = models.join(day, how="cross").with_columns(share=pl.Series(shares))
    return VOLUMES.conform(
        frame.with_columns(
            source=pl.lit(USAGE),
            scope=pl.lit("router"),
            component=pl.lit("total"),
            service_tier=pl.lit("standard"),
            period_start=_day(pl.col("day")),
            period_end=_day(pl.col("day")),
            tokens=pl.col("size") * pl.col("share"),
            partial=False,
            known_at=_moment(pl.col("day") + 1, hour=1),
            capture=pl.format("{}-{}", pl.lit(USAGE), "day"),
            locator=pl.format("/{}", "model"),
        )
    )


def _sightings(length: int) -> pl.DataFrame:
    """Return the daily looks at both sources; withdrawals stand in the prices themselves."""
    frame = pl.DataFrame({"day": range(length)}).join(pl.DataFrame({"source": SOURCES}), how="cross")
    seen = _moment(pl.col("day"), hour=6)
    return SIGHTINGS.conform(
        frame.with_columns(
            seen_at=seen,
            complete=False,
            known_at=seen + pl.duration(hours=2),
            locator=pl.lit(""),
            capture=pl.format("{}-{}", "source", "day"),
        )
    )


def _registry(names: list[tuple[str, str]]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "source": source,
            "provider": vendor,
            "model": model,
            "vendor": vendor,
            "constituent": f"{vendor}/{model}",
            "kind": "text",
            "host": "router" if source == USAGE else "vendor",
            "reference": "invented",
        }
        for vendor, model in names
        for source in (*SOURCES, USAGE)
    ]
    return REGISTRY.frame(rows)


def _day(number: pl.Expr) -> pl.Expr:
    return pl.lit(FIRST) + pl.duration(days=number)


def _moment(number: pl.Expr, *, hour: int) -> pl.Expr:
    return (pl.lit(datetime.combine(FIRST, time(hour))) + pl.duration(days=number)).cast(UTC)
