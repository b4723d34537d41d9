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
from .constituents import consolidate, screen, standardise
from .determination import Determination
from .errors import DeterminationError
from .exact import NANO, divide, money

EFFECTS = ("price_effect", "fx_effect", "blend_effect", "mix_effect", "entry_effect", "exit_effect")


@dataclass(frozen=True)
class Share:
    """A constituent on one date: its price in nano, and what one nano of it adds to the figure in nano.

    `fresh` says whether the price was observed for the date itself.
    """

    vendor: str
    price: int
    factor: Fraction
    fresh: bool


def contributions(
    determination: Determination,
    *,
    start: date,
    end: date,
    by: str = "constituent",
    before: Determination | None = None,
) -> pl.DataFrame:
    """Return what each constituent, or each vendor, added to the change of the figure between two dates, and why.

    The figure is the level for a fixed basket and the price for a usage-weighted mean. With the figure written as
    :math:`Σ f_i p_i`, a constituent priced on both dates adds :math:`f (p_e - p_s)` by its price, at the factor :math:`f`
    of the start (basket) or of the end (mean). Of that the exchange rates did :math:`f (p_e - p'_e)`, where :math:`p'_e` is
    the price of the end worked out again at the rates of the start. The rest of what it adds is the mix: shares that
    moved; or all of it is the entry or the exit of one that is priced on one of the dates only. For a mean, shares are
    valued against the mean of the start.

    Within one document the blend cannot move. Where a new version of a mean takes over with another workload, `before` is
    the determination by the old one: of the price of the start, the blend did :math:`f (p'_s - p_s)`, with :math:`p'_s` the
    price of the start by the new version. No effect of a tokenizer: every figure is per token as its vendor counts it.

    Parameters
    ----------
    determination : Determination
        Holding both dates.
    start, end : date
        Fixing dates, with no change of basket between them except after `start` itself.
    by : str
        ``constituent`` or ``vendor``.
    before : Determination, optional
        By the version of the document that was in force on `start`, holding that date; `determination` is then by the one
        in force on `end`. For means: a basket is linked where its document changes.

    Returns
    -------
    DataFrame
        ``constituent, vendor`` (or ``vendor``), ``price_effect, fx_effect, blend_effect, mix_effect, entry_effect,
        exit_effect, contribution`` in index points or currency, largest movement first, each rounded to nine decimals;
        the last row, ``(rounding)``, makes the sum the published change.

    Raises
    ------
    DeterminationError
        If one of the dates has no calculated figure, a rebalance lies between them, or `by` is something else.
    """
    if by not in ("constituent", "vendor"):
        raise DeterminationError(f"contributions by {by!r}", expected="by constituent or by vendor")
    basket = _basket(determination, start, end)
    column = "price" if basket is None else "level"
    if basket is not None and before is not None:
        raise DeterminationError("a basket before and after a change of its document", expected="a usage-weighted mean")
    old_version = before or determination
    figures = [_calculated(old_version, start, column), _calculated(determination, end, column)]
    first, last = _shares(old_version, start, basket), _shares(determination, end, basket)
    blended = _shares(determination, start, basket) if before else first
    anchor = Fraction(0) if basket else sum((s.factor * s.price for s in first.values()), Fraction(0))
    frozen = _at_rates_of(determination, start, day=end)
    rows: list[dict[str, Any]] = []
    for name in sorted(first.keys() | last.keys()):
        old, new = first.get(name), last.get(name)
        vendor = (new or old).vendor  # type: ignore[union-attr]
        effects = _effects(old, blended.get(name), new, anchor, frozen.get(name), of_start=basket is not None)
        rows.append({"constituent": name, "vendor": vendor, **effects})
    if by == "vendor":
        rows = _by_vendor(rows)
    left = figures[1] - figures[0] - sum(row[effect] for row in rows for effect in EFFECTS)
    rows.sort(key=lambda row: (-abs(sum(row[effect] for effect in EFFECTS)), row[by]))
    rounding = {"constituent": "(rounding)", "vendor": "" if by == "constituent" else "(rounding)"}
    rows.append({**rounding, **dict.fromkeys(EFFECTS, 0), "price_effect": left})
    names = ["constituent", "vendor"] if by == "constituent" else ["vendor"]
    schema = dict.fromkeys(names, pl.String) | dict.fromkeys(EFFECTS, pl.Int64)
    frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema, orient="row")
    return frame.with_columns(contribution=pl.sum_horizontal(EFFECTS)).with_columns(
        money(c) for c in (*EFFECTS, "contribution")
    )


def _effects(
    old: Share | None, blended: Share | None, new: Share | None, anchor: Fraction, frozen: int | None, *, of_start: bool
) -> dict[str, int]:
    """Return what one constituent adds, in nano: by price, exchange rates, blend, mix, entry and exit."""
    zero = Fraction(0)
    change = (new.factor * (new.price - anchor) if new else zero) - (old.factor * (old.price - anchor) if old else zero)
    price = fx = blend = mix = entry = gone = zero
    if old and new:
        factor = old.factor if of_start else new.factor
        fx = factor * (new.price - frozen) if frozen is not None and new.fresh else zero
        blend = factor * (blended.price - old.price) if blended else zero
        price = factor * (new.price - old.price) - fx - blend
        mix = change - price - fx - blend
    elif new:
        entry = change
    else:
        gone = change
    found = zip(EFFECTS, (price, fx, blend, mix, entry, gone), strict=True)
    return {name: divide(effect.numerator, effect.denominator) for name, effect in found}


def _by_vendor(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        whole = sums.setdefault(row["vendor"], {"vendor": row["vendor"], **dict.fromkeys(EFFECTS, 0)})
        for effect in EFFECTS:
            whole[effect] += row[effect]
    return list(sums.values())


def _at_rates_of(determination: Determination, start: date, *, day: date) -> dict[str, int]:
    """Return the price of each constituent on `day`, in nano, worked out at the exchange rates in force on `start`."""
    frames, dates = determination.frames, determination.grid.dates
    currency = pl.lit(frames.quotes["currency"]).gather(pl.col("row"))
    rows = frames.rows.with_columns(currency=currency)
    there, here = (rows.filter((pl.col("i0") <= i) & (pl.col("i1") > i)) for i in map(dates.index, (start, day)))
    rates = dict(there.drop_nulls("rate").select("currency", "rate").unique().iter_rows())
    frozen = here.with_columns(
        i0=pl.lit(0, dtype=pl.Int64),
        i1=pl.lit(1, dtype=pl.Int64),
        rate=pl.col("currency").replace_strict(rates, default=None, return_dtype=pl.Int64),
    ).drop("currency", "standard_price", "reach", "excluded_by")
    universe = frames.pieces.select("constituent", "vendor", "place").unique().sort("place")
    screened = screen(standardise(frozen), determination.methodology)
    _, pieces = consolidate(screened, determination.methodology, universe, size=1)
    return dict(pieces.drop_nulls("price").select("constituent", "price").iter_rows())


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
    there = {
        r["constituent"]: (r["vendor"], int(r["used_price"] * NANO), r["quantity"], r["used_date"] == day) for r in rows
    }
    if basket is None:
        used = {name: fact for name, fact in there.items() if fact[2] is not None}
        total = sum(int(q) for _, _, q, _ in used.values())
        return {
            name: Share(vendor, price, Fraction(int(q), total), new) for name, (vendor, price, q, new) in used.items()
        }
    members = [m for m in basket.members if m.constituent in there]
    scale = Fraction(basket.base_cost * NANO, sum(m.quantity * m.base_price for m in members) * basket.divisor)
    return {
        m.constituent: Share(m.vendor, there[m.constituent][1], m.quantity * scale, there[m.constituent][3])
        for m in members
    }
