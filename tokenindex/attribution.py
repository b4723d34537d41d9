"""Contributions: who moved the figure from one fixing date to the next, exactly.

*Reads* a determination that holds both dates. *Writes* one row a constituent. *Never* leaves a remainder: the
contributions and the rounding add up to the published change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from .basket import Basket
from .determination import Determination
from .errors import DeterminationError
from .exact import NANO, divide, money

SCHEMA = {"constituent": pl.String, "vendor": pl.String, "price_effect": pl.Int64, "mix_effect": pl.Int64}


@dataclass(frozen=True)
class Share:
    """A constituent on one date: its price in nano, and what one nano of it adds to the figure in nano."""

    vendor: str
    price: int
    factor: Fraction


def contributions(determination: Determination, *, start: date, end: date) -> pl.DataFrame:
    """Return what each constituent added to the change of the figure between two dates that were determined.

    The figure is the level for a fixed basket and the price for a usage-weighted mean. With the figure written as
    :math:`Σ f_i p_i`, the price effect of a constituent priced on both dates is its change of price at the factor
    :math:`f` of the start (basket) or of the end (mean); the mix effect is the rest: shares that moved, and constituents
    that came or went. For a mean, shares are valued against the mean of the start.

    Parameters
    ----------
    determination : Determination
        Holding both dates.
    start, end : date
        Fixing dates, with no change of basket between them except after `start` itself.

    Returns
    -------
    DataFrame
        ``constituent, vendor, price_effect, mix_effect, contribution`` in index points or currency, largest movement
        first, each rounded to nine decimals; the last row, ``(rounding)``, makes the sum the published change.

    Raises
    ------
    DeterminationError
        If one of the dates has no calculated figure, or a rebalance lies between them.
    """
    basket = _basket(determination, start, end)
    column = "price" if basket is None else "level"
    figures = [_calculated(determination, day, column) for day in (start, end)]
    before, after = (_shares(determination, day, basket) for day in (start, end))
    anchor = Fraction(0) if basket else sum((s.factor * s.price for s in before.values()), Fraction(0))
    rows: list[dict[str, Any]] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        change = (new.factor * (new.price - anchor) if new else 0) - (old.factor * (old.price - anchor) if old else 0)
        held = (old.factor if basket else new.factor) if old and new else Fraction(0)
        moved = held * (new.price - old.price) if old and new else Fraction(0)
        vendor = (new or old).vendor  # type: ignore[union-attr]
        rows.append(_row(name, vendor, moved, change - moved))
    left = figures[1] - figures[0] - sum(row["price_effect"] + row["mix_effect"] for row in rows)
    rows.sort(key=lambda row: (-abs(row["price_effect"] + row["mix_effect"]), row["constituent"]))
    frame = pl.DataFrame([*rows, _row("(rounding)", "", Fraction(0), Fraction(left))], schema=SCHEMA, orient="row")
    return frame.with_columns(contribution=pl.col("price_effect") + pl.col("mix_effect")).with_columns(
        money(c) for c in ("price_effect", "mix_effect", "contribution")
    )


def _row(name: str, vendor: str, price: Fraction, mix: Fraction) -> dict[str, Any]:
    effects = {"price_effect": price, "mix_effect": mix}
    return {"constituent": name, "vendor": vendor} | {k: divide(v.numerator, v.denominator) for k, v in effects.items()}


def _calculated(determination: Determination, day: date, column: str) -> int:
    figure: Decimal | None = determination.fixing(day)[column]
    if figure is None or determination.fixing(day)["dates_stale"] != 0:
        raise DeterminationError(f"no {column} was calculated for {day}", expected="two dates with calculated figures")
    return int(figure * NANO)


def _basket(determination: Determination, start: date, end: date) -> Basket | None:
    """Return the basket that both dates can be valued with: the one in force on `end`."""
    if not determination.baskets:
        return None
    number = determination.basket_number(end)
    basket = determination.baskets[number]
    if number and start < basket.takes_over_after:
        raise DeterminationError(
            f"the basket changed after {basket.takes_over_after}",
            expected=f"a start on or after that date for the end {end}",
            remedy="explain the two stretches one by one: the level is linked there",
        )
    return basket


def _shares(determination: Determination, day: date, basket: Basket | None) -> dict[str, Share]:
    """Return the constituents in use on `day`, with factors under `basket`, or under the volumes of the day itself."""
    rows = determination.constituents_on(day).filter(pl.col("used_price").is_not_null()).iter_rows(named=True)
    there = {r["constituent"]: (r["vendor"], int(r["used_price"] * NANO), r["quantity"]) for r in rows}
    if basket is None:
        used = {name: fact for name, fact in there.items() if fact[2] is not None}
        total = sum(int(q) for _, _, q in used.values())
        return {name: Share(vendor, price, Fraction(int(q), total)) for name, (vendor, price, q) in used.items()}
    members = [m for m in basket.members if m.constituent in there]
    scale = Fraction(basket.base_cost * NANO, sum(m.quantity * m.base_price for m in members) * basket.divisor)
    return {m.constituent: Share(m.vendor, there[m.constituent][1], m.quantity * scale) for m in members}
