"""Fixings: from constituents and baskets to the published figures and the waterfall.

*Reads* one row a constituent and date, and the baskets. *Writes* one row a date. *Never* publishes a figure that no rung
of the waterfall allows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from .basket import Basket, level_of
from .constituents import Window
from .exact import NANO, WIDE, divide, step_of, wide_sum
from .methodology import Methodology
from .rules.formulas import FixedBasket
from .rules.waterfall import CarryForward, Minimums, NoFixing
from .selection import Grid
from .tables import FIXINGS

PERCENTILES = {"p01": 1, "p25": 25, "p75": 75, "p99": 99}


def weigh(priced: pl.DataFrame, baskets: Sequence[Basket], methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Append ``quantity``, ``basis`` (what weight is a share of), ``base_price`` and ``basket`` of the members."""
    if not isinstance(methodology.formula, FixedBasket):
        tokens = pl.col("tokens")
        return priced.with_columns(
            quantity=tokens, basis=tokens, base_price=pl.lit(None, pl.Int64), basket=pl.lit(None, pl.Int64)
        )
    # rows stand in order of constituent and date: those of a basket are found by place, and nothing is joined
    codes = {name: code for code, name in enumerate(priced["constituent"].gather_every(grid.size))}
    unknown: list[int | None] = [None for _ in range(len(baskets) * len(codes))]
    facts = {name: unknown.copy() for name in ("basket", "quantity", "basis", "base_price")}
    for k, basket in enumerate(baskets):
        for m in basket.members:
            if m.constituent in codes:
                at, there = k * len(codes) + codes[m.constituent], (basket.number, m.quantity, m.weight, m.base_price)
                for name, fact in zip(facts, there, strict=True):
                    facts[name][at] = fact
    numbers = {b.number: k for k, b in enumerate(baskets)}
    dated = [None if n is None else numbers[n] for n in in_basket(baskets, grid)]
    of_date = pl.lit(pl.Series(dated, dtype=pl.Int64)).gather(pl.col("i"))
    place = priced.select(of_date * len(codes) + pl.col("code")).to_series()
    tables = {name: pl.Series(name, fact, dtype=pl.Int64) for name, fact in facts.items()}
    return priced.hstack([table.gather(place) for table in tables.values()])


def in_basket(baskets: Sequence[Basket], grid: Grid) -> list[int | None]:
    """Return the number of the basket in force on each date: a basket takes over after its rebalance date."""
    # the first basket is in force on its date itself
    begins = [(b.takes_over_after - timedelta(days=b.number == 0), b.number) for b in baskets]
    days, numbers = [day for day, _ in begins], [number for _, number in begins]
    found = (bisect_left(days, day) for day in grid.dates)
    return [numbers[n - 1] if n else None for n in found]


def fix(
    constituents: pl.DataFrame,
    baskets: Sequence[Basket],
    window: Sequence[Window],
    methodology: Methodology,
    grid: Grid,
    *,
    published: Sequence[date],
) -> pl.DataFrame:
    """Return the FIXINGS of the dates `published`: exact sums, one division each, then the waterfall."""
    dates = grid.frame.filter(pl.col("fixing_date").is_in(list(published)))
    rows = []
    for fact in _sums(constituents, dates).iter_rows(named=True):
        seen, day = window[fact["i"]], grid.dates[fact["i"]]
        row = _figures(fact, baskets[fact["basket"]] if fact["basket"] is not None else None, methodology)
        row["volume_days"], row["volume"] = seen.days, seen.tokens or None
        row["volume_coverage"] = divide(int(fact["used_tokens"]) * NANO, seen.tokens) if seen.tokens else None
        row["reason"] = _why_none(fact, row, methodology, day)
        rows.append(row)
    _waterfall(rows, dates["number"].to_list(), methodology)
    identity = {"index": methodology.index, "version": methodology.version, "currency": methodology.measures.currency}
    dated = zip(rows, dates["fixing_date"], strict=True)
    return FIXINGS.frame_of_nano([{**identity, **row, "fixing_date": day} for row, day in dated])


def _sums(constituents: pl.DataFrame, dates: pl.DataFrame) -> pl.DataFrame:
    """Return the exact sums of every one of `dates`, one row a date."""
    asked = pl.col("i").is_in(dates["i"].implode())
    facts = ("i", "number", "vendor", "tokens", "used", "used_number", "used_tier")
    weighed = constituents.select(*facts, "quantity", "basis", "base_price", "basket")
    members = weighed.filter(pl.col("quantity").is_not_null() & asked)
    # constituents stand in order of their name: at one price the first name is first
    used = members.filter(pl.col("used").is_not_null()).sort("i", "used", maintain_order=True)
    q, p, basis = pl.col("quantity"), pl.col("used"), pl.col("basis")
    used = used.with_columns(
        below=q.cast(WIDE).cum_sum().over("i") * 100,
        all=q.cast(WIDE).sum().over("i"),
        age=pl.col("number") - pl.col("used_number"),
    )
    sums = used.group_by("i").agg(
        cost=wide_sum(q, p),
        base=wide_sum(q, pl.col("base_price").fill_null(0)),
        quantity=wide_sum(q),
        weight=basis.cast(WIDE).sum(),
        fresh=basis.filter(pl.col("age") == 0).cast(WIDE).sum(),
        constituents=pl.len().cast(pl.Int64),
        carried=(pl.col("age") > 0).sum().cast(pl.Int64),
        vendors=pl.col("vendor").n_unique().cast(pl.Int64),
        used_tokens=pl.col("tokens").cast(WIDE).sum(),
        oldest_price_dates=pl.col("age").max(),
        **{f"tier_{t}": basis.filter(pl.col("used_tier") == t).cast(WIDE).sum() for t in (1, 2, 3)},
        **{name: p.filter(pl.col("below") >= pl.col("all") * pct).first() for name, pct in PERCENTILES.items()},
    )
    whole = members.group_by("i").agg(
        members=pl.len().cast(pl.Int64), all_weight=basis.cast(WIDE).sum(), basket=pl.col("basket").first()
    )
    counts = ("constituents", "carried", "vendors", "members", "used_tokens")
    return (
        dates.select("i")
        .join(whole, on="i", how="left")
        .join(sums, on="i", how="left")
        .sort("i")
        .with_columns(pl.col(*counts).fill_null(0))
        .with_columns(pl.col(WIDE).cast(pl.Int128))  # whole numbers of Python, and not decimals
    )


def _figures(fact: dict[str, Any], basket: Basket | None, methodology: Methodology) -> dict[str, Any]:
    """Return the calculated figures of one date in nano; None where there is nothing to calculate."""
    kept = ("constituents", "carried", "vendors", "members", "oldest_price_dates", *PERCENTILES)
    row: dict[str, Any] = {name: fact[name] for name in kept} | {"price": None, "level": None, "coverage": None}
    if not fact["constituents"]:
        return row
    cost, quantity = int(fact["cost"]), int(fact["quantity"])
    step = step_of(methodology.publication.price_decimals)
    if basket is None:
        row["price"] = divide(cost, quantity * step) * step
    else:
        there, whole = int(fact["base"]), basket.base_cost
        cost, quantity = cost * whole, basket.quantity * there
        row["price"] = divide(cost, quantity * step) * step
        row["level"] = level_of(cost, there * basket.divisor, step=step_of(methodology.publication.level_decimals))
    row["coverage"] = divide(int(fact["fresh"]) * NANO, int(fact["all_weight"]))
    for tier in (1, 2, 3):
        row[f"weight_tier_{tier}"] = divide(int(fact[f"tier_{tier}"]) * NANO, int(fact["weight"]))
    return row


def _why_none(fact: dict[str, Any], row: dict[str, Any], methodology: Methodology, day: date) -> str | None:
    """Return why nothing could be calculated; None if there is a figure."""
    if row["price"] is not None:
        return None
    formula = methodology.formula
    if isinstance(formula, FixedBasket):
        if day < formula.base_date:
            return "before_base_date"
        return "no_price" if fact["members"] else "no_basket"
    if row["volume_days"] < methodology.volumes.min_days:
        return "too_few_volume_days"
    return "no_price" if fact["members"] else "no_volume"


def _waterfall(rows: list[dict[str, Any]], numbers: list[int], methodology: Methodology) -> None:
    """Give each row the first rung that holds; a figure that was not published as calculated is replaced or removed."""
    calculated: tuple[int, dict[str, Any]] | None = None
    for n, row in zip(numbers, rows, strict=True):
        for number, rung in enumerate(methodology.waterfall, start=1):
            row["rung"], row["status"] = number, rung.status
            if isinstance(rung, Minimums):
                short = _short(row, rung)
                row["reason"] = row["reason"] or (short and f"below_minimum {short}") or None
                if not short:
                    row["reason"] = row["reason"] if number > 1 else None
                    row["dates_stale"], calculated = 0, (n, dict(row))
                    break
            elif isinstance(rung, CarryForward):
                if calculated and n - calculated[0] <= rung.max_dates:
                    row["dates_stale"] = n - calculated[0]
                    row |= {name: calculated[1][name] for name in ("price", "level", *PERCENTILES)}
                    break
            elif isinstance(rung, NoFixing):
                row |= {"price": None, "level": None, "dates_stale": None, **dict.fromkeys(PERCENTILES)}
                break


def _short(row: dict[str, Any], rung: Minimums) -> str:
    """Return the names of the minimums that the row misses."""
    if row["price"] is None:
        return "price"
    tests = {name: row[name] < getattr(rung, name) for name in ("constituents", "vendors", "coverage")}
    return ", ".join(name for name, missed in tests.items() if missed)
