"""Columns: a long table of anybody's as sorted periods and items, the cell of each row, and its amounts.

*Reads* a table with the columns ``period, item, price`` and perhaps ``quantity``. *Writes* arrays, one entry a row with a
price. *Never* believes an order: rows that follow each other as in a panel are found by comparing all of them, which only
saves the numbering of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputDataError
from .faults import some

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

NAMES = ("period", "item", "price", "quantity")
SAMPLE = 1 << 14
"""Rows in which the names of a long column are looked for first: they are mostly all there."""
_LARGEST = 1 << 62
NARROW = frozenset({pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32})


@dataclass(frozen=True, eq=False)
class Columns:
    """The rows of a table that have a price.

    Attributes
    ----------
    periods, items : Series
        Sorted and without repetition.
    cells : array of int or None
        The number of the cell of each row, period by period; None if every cell has a row and they stand in order.
    prices, quantities : array
        One entry a row, 0 or more; a quantity is not a number where there is none. `quantities` is None without the column.
    lacking : bool
        Whether some rows have no quantity.
    """

    periods: pl.Series
    items: pl.Series
    cells: Whole | None
    prices: Floats
    quantities: Floats | None
    lacking: bool


def columns(table: Any) -> Columns:
    """Return the columns of a table.

    Raises
    ------
    InputDataError
        If a column is missing or of no use, a period or item is null, an amount is negative or infinite, or nothing has a
        price.
    """
    frame = _frame(table)
    prices, unpriced = _amounts(frame, "price")
    quantities: Floats | None = None
    lacking = False
    if "quantity" in frame.columns:
        quantities, lacking = _amounts(frame, "quantity")
    period, item = frame["period"], frame["item"]
    if unpriced:
        known = ~np.isnan(prices)
        prices = prices[known]
        period, item = period.filter(pl.Series(known)), item.filter(pl.Series(known))
        if quantities is not None:
            quantities = quantities[known]
            lacking = bool(np.isnan(quantities).any())
    if not len(prices):
        raise InputDataError("no row has a price", where="table")
    return Columns(*_located(period, item), prices, quantities, lacking)


def _frame(table: Any) -> pl.DataFrame:
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    lacking = [name for name in NAMES[:3] if name not in frame.columns]
    if lacking:
        raise InputDataError(f"no column {some(lacking)}", expected=", ".join(NAMES), where="table")
    frame = pl.DataFrame({name: frame[name] for name in NAMES if name in frame.columns})
    for name in ("period", "item"):
        if frame.schema[name].is_float():
            frame = frame.with_columns(pl.col(name).fill_nan(None))
        if frame[name].null_count():
            raise InputDataError(f"{frame[name].null_count()} rows have no {name}", where="table")
    return frame


def _amounts(frame: pl.DataFrame, name: str) -> tuple[Floats, bool]:
    """Return a column as floats, not a number for null, and whether there are such; refuse what cannot be an amount."""
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise InputDataError(f"{name} is of type {column.dtype}", expected="numbers", where="table")
    # arrays and no query, which would be handed to threads: that costs more than the work on a busy machine
    amounts: Floats = column.cast(pl.Float64).to_numpy()
    least, most = amounts.min(initial=0.0), amounts.max(initial=0.0)
    lacking = bool(np.isnan(least))
    if lacking:
        least, most = np.fmin.reduce(amounts, initial=0.0), np.fmax.reduce(amounts, initial=0.0)
    if least < 0 or most == np.inf:
        wrong = frame.filter(pl.Series((amounts < 0) | np.isinf(amounts))).select("period", "item").iter_rows()
        cells = [f"item {item} in period {period}" for period, item in wrong]
        raise InputDataError(f"{name} of {some(cells)}", expected="a finite amount of at least 0", where="table")
    return amounts, lacking


def _located(period: pl.Series, item: pl.Series) -> tuple[pl.Series, pl.Series, Whole | None]:
    """Return the sorted periods and items, and the cell of each row."""
    heads = _heads(period)
    size = 0 if heads is None else _cycle(item, heads)
    if heads is not None and size:
        periods, rows = _numbered(period.gather(heads))
        items, places = _numbered(item.head(size))
        if _ascending(rows) and _ascending(places):
            return periods, items, None
        return periods, items, (rows[:, None] * len(items) + places).ravel()
    periods, cells = _repeated(period, heads)
    items, places = _repeated(item, _heads(item))
    cells *= len(items)
    cells += places
    return periods, items, cells


def _ascending(numbers: Whole) -> bool:
    return np.array_equal(numbers, np.arange(len(numbers)))


def _heads(column: pl.Series) -> Whole | None:
    """Return where runs of equal entries begin; None if there are not few runs."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.to_physical()
    if len(column) > 2 * SAMPLE and _changes(column.head(SAMPLE)).sum() > SAMPLE // 2:
        return None
    changes = _changes(column).arg_true().to_numpy()
    return np.append(0, changes + 1).astype(np.int64) if 4 * len(changes) < len(column) else None


def _changes(column: pl.Series) -> pl.Series:
    return column.slice(1) != column.slice(0, len(column) - 1)


def _cycle(item: pl.Series, heads: Whole) -> int:
    """Return the number of items if all runs of periods have the same ones in the same order, or else 0."""
    size, rest = divmod(len(item), len(heads))
    if rest or len(heads) < 2 or not np.array_equal(heads, np.arange(len(heads)) * size):
        return 0
    return size if (item.slice(size) == item.slice(0, len(item) - size)).all() else 0


def _repeated(column: pl.Series, heads: Whole | None) -> tuple[pl.Series, Whole]:
    """Return what `_numbered` does, by runs if they are known."""
    if heads is None:
        return _numbered(column)
    known, places = _numbered(column.gather(heads))
    return known, np.repeat(places, np.diff(heads, append=len(column)))


def _numbered(column: pl.Series) -> tuple[pl.Series, Whole]:
    """Return the sorted entries of a column without repetition, and the position of each entry among them."""
    if column.dtype == pl.String:
        return _named(column)
    if column.dtype in (pl.Categorical, pl.Enum):
        return _categories(column)
    if column.dtype.is_integer() or column.dtype.is_temporal():
        numbers = column.to_physical()
        if numbers.dtype in NARROW and (found := _counted(numbers.to_numpy())):
            return pl.Series(column.name, found[0], numbers.dtype).cast(column.dtype), found[1]
    known = column.unique().sort()
    ranks = pl.DataFrame({"known": known, "number": np.arange(len(known))})
    joined = column.to_frame("known").join(ranks, on="known", how="left", maintain_order="left")
    return known, joined["number"].to_numpy(writable=True)


def _counted(numbers: NDArray[Any]) -> tuple[Whole, Whole] | None:
    """Return the same for whole numbers that lie close together, or evenly apart, as moments do; None for others."""
    first, room, step = int(numbers.min()), 4 * len(numbers) + 1024, 1
    if int(numbers.max()) - first >= _LARGEST:
        return None
    places = np.subtract(numbers, first, dtype=np.int64)
    if places.max() >= room:
        step = max(1, int(np.gcd.reduce(np.unique(places[:SAMPLE]))))
        steps = places // step
        if steps.max() >= room or not np.array_equal(steps * step, places):
            return None
        places = steps
    used = np.zeros(int(places.max()) + 1, dtype=bool)
    for some_rows in (places[:SAMPLE], places):
        if not used.all():
            used[some_rows] = True
    known = np.flatnonzero(used) * step + first
    return known, places if used.all() else (np.cumsum(used) - 1).take(places)


def _categories(column: pl.Series) -> tuple[pl.Series, Whole]:
    """Return the same for an enumeration, or for categories as texts: those are numbered by first appearance somewhere."""
    numbers, places = _numbered(column.to_physical())
    row = np.zeros(len(numbers), dtype=np.int64)
    row[places] = np.arange(len(places))
    if column.dtype == pl.Enum:
        return column.gather(row), places
    known, ranks = _named(column.gather(row).cast(pl.String))
    return known, ranks.take(places)


def _named(column: pl.Series) -> tuple[pl.Series, Whole]:
    """Return the same for texts."""
    known = column.head(SAMPLE).unique().sort()
    numbers = column.cast(pl.Enum(known), strict=False)
    if numbers.null_count():
        known = column.unique().sort()
        numbers = column.cast(pl.Enum(known))
    return known, numbers.to_physical().to_numpy().astype(np.int64)
