"""Quality change: prices of the same thing on two dates, links where one thing follows another, and marked imputation.

*Reads* a long table of anybody's: period, item, price. *Writes* relatives, linked prices and completed tables. *Never*
lets an imputed price pass for an observed one: every cell that was made up says how.

Results are float64, for research only: they are not made to be published, and a product of ratios may differ in the last
digits between machines. An absent row and a null price are the same. Hedonic methods are in `tokenindex.hedonics`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from .errors import InputDataError

ARITHMETIC: Final = "float64, research only"
"""What every result of this module and of `tokenindex.hedonics` says of itself."""


def prices_of(table: Any, *, period: str, item: str, price: str, others: Sequence[str] = ()) -> pl.DataFrame:
    """Return the rows that have a price as ``period, item, price`` in canonical order, with `others` as they are.

    Raises
    ------
    InputDataError
        If a column is missing, an item has two rows in one period, a price is not a number above 0, or a name is null.
    """
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    if missing := [name for name in (period, item, price, *others) if name not in frame.columns]:
        raise InputDataError(f"there is no column {missing[0]!r}", expected=f"one of {', '.join(frame.columns)}")
    if not frame.schema[price].is_numeric():
        raise InputDataError(f"the column is of {frame.schema[price]}", expected="numbers", where=price)
    named = frame.select(
        *(pl.col(name) for name in others), period=period, item=item, price=pl.col(price).cast(pl.Float64)
    )
    rows = named.select("period", "item", "price", *others).drop_nulls("price").sort("period", "item", nulls_last=True)
    if (nameless := rows.filter(pl.col("period").is_null() | pl.col("item").is_null())).height:
        raise InputDataError(f"{nameless.height} rows have no period or no item", expected="both in every row")
    if (twice := rows.filter(pl.struct("period", "item").is_duplicated())).height:
        raise InputDataError(
            f"{twice['item'][0]} has several rows in {twice['period'][0]}",
            expected="one price an item and period",
            remedy="take the unit value of a period first",
        )
    if (wrong := rows.filter(~((pl.col("price") > 0) & pl.col("price").is_finite()))).height:
        raise InputDataError(f"a price is not above 0: {wrong.row(0)[:3]}", expected="prices above 0", where=price)
    return rows


def matched_relatives(table: Any, *, period: str, item: str, price: str) -> pl.DataFrame:
    """Return the price relatives of the items that have a price in a period and in the one before.

    Parameters
    ----------
    table : DataFrame
        Polars, or anything that exports an Arrow stream; any row order. The periods are those that occur in it.
    period, item, price : str
        Names of the columns.

    Returns
    -------
    DataFrame
        ``period, item, previous`` (the period before), ``price_before, price, relative``, and ``matched``, the share of the
        items of either period that are in both; ordered by period and item.

    Examples
    --------
    >>> table = pl.DataFrame({"t": [1, 1, 2, 2], "m": ["a", "b", "a", "c"], "p": [2.0, 5.0, 3.0, 9.0]})
    >>> matched_relatives(table, period="t", item="m", price="p").select("item", "relative", "matched").rows()
    [('a', 1.5, 0.3333333333333333)]
    """
    rows = prices_of(table, period=period, item=item, price=price)
    periods = rows.select("period").unique(maintain_order=True).with_columns(previous=pl.col("period").shift())
    counts = rows.group_by("period").len("items")
    before = rows.rename({"period": "previous", "price": "price_before"})
    pairs = rows.join(periods, on="period").join(before, on=["previous", "item"])
    both = pairs.group_by("period").len("both")
    sizes = pairs.join(both, on="period").join(counts, on="period")
    sizes = sizes.join(counts.rename({"period": "previous", "items": "items_before"}), on="previous")
    union = pl.col("items").cast(pl.Float64) + pl.col("items_before") - pl.col("both")
    return sizes.select(
        "period",
        "item",
        "previous",
        "price_before",
        "price",
        relative=pl.col("price") / pl.col("price_before"),
        matched=pl.col("both") / union,
    ).sort("period", "item")


@dataclass(frozen=True)
class Link:
    """Two items joined at a period in which both had a price; `factor` is how much more the new one is."""

    old: Any
    new: Any
    at: Any
    factor: float
    prices: pl.DataFrame
    """``period, price, item`` (whose price it was) and ``linked``: whether it was multiplied by the factor."""
    arithmetic: str = ARITHMETIC


def overlap_link(table: Any, *, period: str, item: str, price: str, old: Any, new: Any, at: Any) -> Link:
    """Return the series of an item that another one follows, in prices of the new one.

    With both prices on the market in the overlap period :math:`a`, their ratio is taken as the difference in quality:
    before :math:`a` the price is :math:`p_{old}(t) · p_{new}(a) / p_{old}(a)`, from :math:`a` on :math:`p_{new}(t)`.

    References: Consumer Price Index Manual (ILO and others, 2020), overlap method of quality adjustment.

    Parameters
    ----------
    table, period, item, price
        As in `matched_relatives`.
    old, new
        The items.
    at
        The overlap period.

    Raises
    ------
    InputDataError
        If one of the two has no price in the overlap period.
    """
    rows = prices_of(table, period=period, item=item, price=price)
    there = {
        name: rows.filter((pl.col("item") == name) & (pl.col("period") == at))["price"].to_list() for name in (old, new)
    }
    for name, found in there.items():
        if not found:
            raise InputDataError(f"{name} has no price in {at}", expected="a period in which both have one")
    factor = there[new][0] / there[old][0]
    before = rows.filter((pl.col("item") == old) & (pl.col("period") < at))
    after = rows.filter((pl.col("item") == new) & (pl.col("period") >= at))
    series = pl.concat([
        before.with_columns(price=pl.col("price") * factor, linked=pl.lit(True)),
        after.with_columns(linked=pl.lit(False)),
    ])  # fmt: skip
    return Link(old, new, at, factor, series.select("period", "price", "item", "linked").sort("period"))


def carry_forward(table: Any, *, period: str, item: str, price: str, max_periods: int) -> pl.DataFrame:
    """Return the table with the last price of an item in periods in which it has none, marked.

    Parameters
    ----------
    table, period, item, price
        As in `matched_relatives`.
    max_periods : int
        Periods in a row over which a price is carried, at least 1; afterwards there is no row.

    Returns
    -------
    DataFrame
        ``period, item, price, imputed_by`` (null for an observed price, else ``carry_forward``) and ``age``, the periods
        since the price was observed; ordered by period and item. Nothing is imputed before the first price.
    """
    if max_periods < 1:
        raise ValueError("max_periods must be at least 1")
    grid = _grid(prices_of(table, period=period, item=item, price=price))
    filled = grid.with_columns(
        price=pl.col("price").forward_fill().over("item", order_by="number"),
        seen=pl.when(pl.col("price").is_not_null()).then("number").forward_fill().over("item", order_by="number"),
    ).with_columns(age=pl.col("number") - pl.col("seen"))
    kept = filled.filter(pl.col("age") <= max_periods)
    return kept.select(
        "period",
        "item",
        "price",
        imputed_by=pl.when(pl.col("age") > 0).then(pl.lit("carry_forward")),
        age="age",
    ).sort("period", "item")


def class_mean(table: Any, *, period: str, item: str, price: str, item_class: str, min_matched: int) -> pl.DataFrame:
    """Return the table with missing prices moved as their class moved, marked.

    A missing :math:`p_i(t)` is :math:`p_i(t-1) · (Π_j p_j(t) / p_j(t-1))^{1/n}` over the :math:`n` items :math:`j` of its
    class with observed prices in both periods (a Jevons index): an imputed price is never evidence for another one. The
    price before may itself be imputed.

    Parameters
    ----------
    table, period, item, price
        As in `matched_relatives`.
    item_class : str
        Column with the class of the item, the same in all its rows.
    min_matched : int
        Items that must be matched in the class, at least 1. With fewer the item has no price from then on until it is
        observed again.

    Returns
    -------
    DataFrame
        ``period, item, price, imputed_by`` (null for an observed price, ``class_mean``, or ``not_imputable`` with a null
        price) and ``matched``, the number of relatives behind an imputed one; ordered by period and item. Nothing is
        imputed before the first price.

    Raises
    ------
    InputDataError
        If an item is in two classes or in none.
    """
    if min_matched < 1:
        raise ValueError("min_matched must be at least 1")
    rows = prices_of(table, period=period, item=item, price=price, others=[item_class] if item_class != item else [])
    classes = rows.select("item", group=pl.col(item_class if item_class != item else "item")).unique()
    if (wrong := classes.filter(pl.col("item").is_duplicated() | pl.col("group").is_null()).sort("item")).height:
        raise InputDataError(f"{wrong['item'][0]} has no class, or several", expected="one class an item")
    grid = _grid(rows.select("period", "item", "price")).join(classes, on="item")
    moved = _class_relatives(grid)
    cells: list[tuple[Any, Any, float | None, str | None, int | None]] = []
    last: dict[Any, float | None] = {}
    for when, number, name, group, observed in grid.sort("number", "item").select(
        "period", "number", "item", "group", "price"
    ).iter_rows():  # fmt: skip
        if observed is not None:
            last[name] = observed
            cells.append((when, name, observed, None, None))
        elif name in last:
            relatives = moved.get((group, number), [])
            before = last[name] if len(relatives) >= min_matched else None
            last[name] = None if before is None else before * math.exp(math.fsum(relatives) / len(relatives))
            mark = "not_imputable" if before is None else "class_mean"
            cells.append((when, name, last[name], mark, len(relatives)))
    kinds: dict[str, Any] = {"price": pl.Float64, "imputed_by": pl.String, "matched": pl.Int64}
    schema = {"period": grid.schema["period"], "item": grid.schema["item"], **kinds}
    return pl.DataFrame(cells, schema=schema, orient="row").sort("period", "item")


def _grid(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every item in every period, with the number of the period; the price is null where there is none."""
    periods = rows.select("period").unique(maintain_order=True).with_row_index("number")
    items = rows.select("item").unique()
    every = periods.with_columns(pl.col("number").cast(pl.Int64)).join(items, how="cross")
    return every.join(rows, on=["period", "item"], how="left")


def _class_relatives(grid: pl.DataFrame) -> dict[tuple[Any, int], list[float]]:
    """Return the logarithms of the observed relatives by class and number of the later period."""
    before = pl.col("price").shift().over("item", order_by="number")
    pairs = grid.with_columns(before=before).drop_nulls(["price", "before"]).sort("number", "item")
    found: dict[tuple[Any, int], list[float]] = {}
    for group, number, now, then in pairs.select("group", "number", "price", "before").iter_rows():
        found.setdefault((group, number), []).append(math.log(now / then))
    return found
