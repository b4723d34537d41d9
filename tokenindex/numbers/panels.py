"""A panel: prices and quantities of items over periods, made once from anybody's long table.

*Reads* a table with the columns ``period, item, price`` and, for every formula that weighs, ``quantity``. *Writes* arrays
in the order of sorted periods and sorted items, so that the order of the rows cannot matter. *Never* fills a gap.

The one rule of missing observations: a row without a price (null or NaN) is the same as no row; where a formula weighs, so
is a row without a quantity. What is missing is counted in the column ``items`` and ``matched_share`` of every index and in
its settings, never imputed. (Two of the packages compared give different GEKS figures for an absent row and a null.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputDataError
from .faults import Duplicates, WrongSetting, choice, some

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

COLUMNS = ("period", "item", "price", "quantity")
SPARSE = 4
"""A panel is kept dense if it has at most this many cells a row of the table: then it is no larger than the table."""
SLACK = 1024
"""Cells that a small panel may have besides."""
CELLS = 1 << 16
"""Cells worked on at a time: four arrays of them stay in the cache of a processor."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some periods of a panel as dense arrays; price 1 and quantity 0 where an observation is missing.

    A price of 1 has a relative and a logarithm, and the quantity sees to it that it never counts.

    Attributes
    ----------
    prices, quantities : array, periods × items
    seen : array of bool or None
        Where there is an observation; None if everywhere.
    columns : array of int or None
        Which items of the panel the columns are; None for all of them.
    """

    prices: Floats
    quantities: Floats
    seen: Flags | None
    columns: Whole | None

    @property
    def mask(self) -> Flags:
        """Where there is an observation."""
        return np.ones(self.prices.shape, dtype=bool) if self.seen is None else self.seen

    def rows(self, start: int, stop: int) -> Block:
        """Return some of the periods."""
        seen = None if self.seen is None else self.seen[start:stop]
        return Block(self.prices[start:stop], self.quantities[start:stop], seen, self.columns)

    def of(self, keep: Flags) -> Block:
        """Return some of the columns."""
        seen = None if self.seen is None else self.seen[:, keep]
        columns = np.flatnonzero(keep) if self.columns is None else self.columns[keep]
        return Block(self.prices[:, keep], self.quantities[:, keep], seen, columns)


@dataclass(frozen=True, eq=False)
class Panel:
    """Prices and quantities by sorted period and item: what every function here also takes in place of a table.

    Make it once with `panel` when several indices are computed from one table.

    Attributes
    ----------
    periods, items : Series
        Sorted and without repetition.
    cells : array of int or None
        Number of each observation, period by period; None if the arrays are dense.
    prices, quantities : array
        One observation each, or dense as those of a `Block`. `quantities` is None without the column.
    seen, weighed : array of bool or None
        Where there is a price; where there is a quantity as well. None if everywhere.
    """

    periods: pl.Series
    items: pl.Series
    cells: Whole | None
    prices: Floats
    quantities: Floats | None
    seen: Flags | None
    weighed: Flags | None

    @property
    def shape(self) -> tuple[int, int]:
        """The number of periods and of items."""
        return len(self.periods), len(self.items)

    @cached_property
    def missing(self) -> int:
        """The number of cells without an observation, rows that are absent and rows without a price alike."""
        found = len(self.prices) if self.cells is not None else self.prices.size
        if self.cells is None and self.seen is not None:
            found = int(np.count_nonzero(self.seen))
        return self.shape[0] * self.shape[1] - found

    def position(self, period: object, *, name: str) -> int:
        """Return the number of a period.

        Raises
        ------
        WrongSetting
            If the table has no such period.
        """
        found = [n for n, known in enumerate(self.periods) if known == period]
        if not found:
            known = f"a period from {self.periods[0]} to {self.periods[-1]}"
            raise WrongSetting(f"{name} is {period!r}, which the table does not hold", expected=known)
        return found[0]

    def ready(self, *, weighted: bool, swapped: bool = False) -> Panel:
        """Return the panel as a formula sees it: without weights, or only where there are some; roles exchanged or not."""
        if not weighted and not swapped:
            return replace(self, quantities=np.ones(1), weighed=self.seen)
        if self.quantities is None:
            raise InputDataError("the formula uses quantities", expected="a column quantity", where="table")
        if not swapped and self.weighed is self.seen:
            return self
        prices, quantities, cells = self.prices, self.quantities, self.cells
        if self.weighed is not self.seen:
            assert self.weighed is not None
            if cells is not None:
                keep = self.weighed
                prices, quantities, cells = prices[keep], quantities[keep], cells[keep]
        seen = self.weighed if cells is None else None
        if swapped:
            prices, quantities = quantities, prices
            if seen is not None:
                prices, quantities = np.where(seen, prices, 1.0), quantities * seen
        return Panel(self.periods, self.items, cells, prices, quantities, seen, seen)

    @cached_property
    def _starts(self) -> Whole:
        assert self.cells is not None
        count, width = self.shape
        return np.searchsorted(self.cells, np.arange(count + 1, dtype=np.int64) * width)

    def row(self, period: int) -> tuple[Whole, Floats]:
        """Return the items of a period and their expenditure (their price where nothing weighs)."""
        quantities = self.quantities
        assert quantities is not None
        if self.cells is None:
            where = np.arange(self.shape[1]) if self.seen is None else np.flatnonzero(self.seen[period])
            value = self.prices[period][where]
            return where, value * (quantities[period][where] if quantities.ndim == 2 else 1.0)
        part = slice(self._starts[period], self._starts[period + 1])
        value = self.prices[part] * (quantities[part] if len(quantities) == len(self.cells) else 1.0)
        return self.cells[part] - period * self.shape[1], value

    @cached_property
    def counts(self) -> Whole:
        """The number of items with an observation in each period."""
        if self.cells is not None:
            return np.diff(self._starts)
        if self.seen is None:
            return np.full(self.shape[0], self.shape[1])
        return np.asarray(np.count_nonzero(self.seen, axis=1))

    @cached_property
    def totals(self) -> Floats:
        """The expenditure of each period."""
        assert self.quantities is not None
        if self.cells is None:
            return np.asarray(np.einsum("ij,ij->i", self.prices, self.quantities))
        values = np.r_[self.prices * self.quantities, 0.0]
        return np.where(self.counts > 0, np.add.reduceat(values, self._starts[:-1]), 0.0)

    def block(self, start: int, stop: int, columns: Whole | None = None) -> Block:
        """Return the periods from `start` to before `stop`; only the named columns, or all that are seen there."""
        quantities = self.quantities
        assert quantities is not None
        if self.cells is None:
            full = quantities.ndim == 2
            block = Block(
                self.prices[start:stop],
                quantities[start:stop] if full else np.broadcast_to(1.0, (stop - start, self.shape[1])),
                None if self.seen is None else self.seen[start:stop],
                None,
            )
            if columns is None or len(columns) == self.shape[1]:
                return block
            keep = np.zeros(self.shape[1], dtype=bool)
            keep[columns] = True
            return block.of(keep)
        return self._scattered(start, stop, columns)

    def _scattered(self, start: int, stop: int, columns: Whole | None) -> Block:
        assert self.cells is not None and self.quantities is not None
        part = slice(self._starts[start], self._starts[stop])
        period, item = np.divmod(self.cells[part], self.shape[1])
        if columns is None:
            columns = np.unique(item)
        place = np.searchsorted(columns, item)
        place[place == len(columns)] = 0
        inside = columns[place] == item if len(columns) else np.zeros(len(item), dtype=bool)
        where = ((period - start) * len(columns) + place)[inside]
        shape = (stop - start, len(columns))
        prices, seen = np.ones(shape), np.zeros(shape, dtype=bool)
        prices.ravel()[where] = self.prices[part][inside]
        seen.ravel()[where] = True
        if len(self.quantities) != len(self.cells):
            return Block(prices, np.broadcast_to(1.0, shape), seen, columns)
        quantities = np.zeros(shape)
        quantities.ravel()[where] = self.quantities[part][inside]
        return Block(prices, quantities, seen, columns)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Return runs of periods of which each fits the cache."""
        count, width = self.shape
        step = max(1, CELLS // max(1, width))
        return ((start, min(count, start + step)) for start in range(0, count, step))


def panel(table: Any, *, duplicates: str = "error") -> Panel:
    """Return the panel of a long table.

    Parameters
    ----------
    table : polars, pandas or Arrow table, mapping of columns, or Panel
        ``period`` (anything that sorts), ``item``, ``price``, and ``quantity`` where a formula weighs. Amounts at least 0.
    duplicates : {"error", "unit_value"}
        What to do with more than one row of an item in a period: refuse, or add up the volumes and take the unit value
        :math:`Σ p q / Σ q` as the price, which is right only if the rows are parts of one homogeneous volume.

    Raises
    ------
    InputDataError
        If a column is missing, a period or item is null, an amount is negative or infinite, or rows repeat.
    """
    choice("duplicates", duplicates, ("error", "unit_value"))
    if isinstance(table, Panel):
        return table
    frame = _amounts(_frame(table))
    if frame["price"].null_count():
        frame = frame.filter(pl.col("price").is_not_null())
    if frame.is_empty():
        raise InputDataError("no row has a price", where="table")
    periods, rows = _numbered(frame["period"])
    items, columns = _repeated(frame["item"], rows)
    cells = rows * len(items) + columns
    prices = frame["price"].to_numpy()
    quantities = frame["quantity"].to_numpy() if "quantity" in frame.columns else None
    if duplicates == "unit_value":
        cells, prices, quantities = _unit_values(cells, prices, quantities)
    return _arranged(periods, items, cells, prices, quantities)


def _frame(table: Any) -> pl.DataFrame:
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    lacking = [name for name in COLUMNS[:3] if name not in frame.columns]
    if lacking:
        raise InputDataError(f"no column {some(lacking)}", expected=", ".join(COLUMNS), where="table")
    frame = pl.DataFrame({name: frame[name] for name in COLUMNS if name in frame.columns})
    for name in ("period", "item"):
        if frame.schema[name] == pl.Categorical:
            # categories sort by first appearance in some versions, and the order of rows must not matter
            frame = frame.with_columns(pl.col(name).cast(pl.String))
        if frame.schema[name].is_float():
            frame = frame.with_columns(pl.col(name).fill_nan(None))
        if frame[name].null_count():
            raise InputDataError(f"{frame[name].null_count()} rows have no {name}", where="table")
    return frame


def _amounts(frame: pl.DataFrame) -> pl.DataFrame:
    """Return prices and quantities as floats, NaN as null, and refuse what cannot be an amount."""
    names = [name for name in COLUMNS[2:] if name in frame.columns]
    for name in names:
        if not (frame.schema[name].is_numeric() or frame.schema[name] == pl.Null):
            raise InputDataError(f"{name} is of type {frame.schema[name]}", expected="numbers", where="table")
    # column by column: a query would be handed to threads, which costs more than the work on a busy machine
    amounts = {name: _without_nan(frame[name].cast(pl.Float64)) for name in names}
    frame = pl.DataFrame({**frame.to_dict(), **amounts})
    for name in names:
        wrong = frame[name].min(), frame[name].max()
        if wrong[0] is not None and (wrong[0] < 0 or wrong[1] == float("inf")):  # type: ignore[operator]
            rows = frame.filter((pl.col(name) < 0) | pl.col(name).is_infinite())
            cells = [f"item {i} in period {t}" for t, i in rows.select("period", "item").iter_rows()]
            raise InputDataError(f"{name} of {some(cells)}", expected="a finite amount of at least 0", where="table")
    return frame


def _without_nan(amounts: pl.Series) -> pl.Series:
    """Return amounts with null for NaN."""
    return amounts.fill_nan(None) if np.isnan(amounts.to_numpy()).any() else amounts


def _numbered(column: pl.Series) -> tuple[pl.Series, Whole]:
    """Return the sorted entries of a column without repetition, and the position of each entry among them."""
    known = column.unique().sort()
    if column.dtype == pl.String:
        return known, column.cast(pl.Enum(known)).to_physical().to_numpy().astype(np.int64)
    if column.dtype.is_integer() or column.dtype.is_temporal():
        least = known.cast(pl.Int64)
        first, span = int(least[0]), int(least[-1]) - int(least[0]) + 1
        if span <= 4 * len(column) + 1024:
            place = np.zeros(span, dtype=np.int64)
            place[least.to_numpy() - first] = np.arange(len(known))
            return known, place[column.cast(pl.Int64).to_numpy() - first]
    ranks = pl.DataFrame({"known": known, "number": np.arange(len(known))})
    joined = column.to_frame("known").join(ranks, on="known", how="left", maintain_order="left")
    return known, joined["number"].to_numpy()


def _repeated(column: pl.Series, periods: Whole) -> tuple[pl.Series, Whole]:
    """Return what `_numbered` does, sooner if the same items follow each other in every period, as they often do."""
    change = np.flatnonzero(np.diff(periods[: len(column) // 2 + 1]))
    size = int(change[0]) + 1 if len(change) else len(column)
    times, rest = divmod(len(column), size)
    if rest == 0 and times == int(periods.max()) + 1 > 1:
        head = column.head(size)
        if (pl.concat([head] * times, rechunk=False) == column).all():
            known, places = _numbered(head)
            return known, np.tile(places, times)
    return _numbered(column)


def _unit_values(cells: Whole, prices: Floats, quantities: Floats | None) -> tuple[Whole, Floats, Floats]:
    """Return one row a cell: the volumes added up, in an order that is the same for any order of the rows."""
    if quantities is None:
        raise InputDataError("unit values weigh prices", expected="a column quantity", where="table")
    order = np.lexsort((quantities, prices, cells))
    cells, prices, quantities = cells[order], prices[order], quantities[order]
    first = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
    single = np.diff(np.r_[first, len(cells)]) == 1
    total = np.add.reduceat(quantities, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.add.reduceat(prices * quantities, first) / total
    # equal prices are their own unit value, whatever the rounding of the sums and even if nothing was sold
    same = np.maximum.reduceat(prices, first) == prices[first]
    value = np.where(single | same, prices[first], value)
    if not np.isfinite(value).all():
        raise InputDataError("rows to be joined have different prices and no quantity", where="table")
    return cells[first], value, total


def _arranged(periods: pl.Series, items: pl.Series, cells: Whole, prices: Floats, quantities: Floats | None) -> Panel:
    size = len(periods) * len(items)
    if size > SPARSE * len(cells) + SLACK:
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
        _refuse_repeats(periods, items, cells)
        weighed = None if quantities is None else ~np.isnan(quantities[order])
        if weighed is None or weighed.all():
            weighed = None
        ordered = None if quantities is None else quantities[order]
        return Panel(periods, items, cells, prices[order], ordered, None, weighed)
    shape = (len(periods), len(items))
    if len(cells) == size and np.array_equal(cells, np.arange(size)) and not _lacks(quantities):
        # a complete table in order is a panel as it stands
        whole = None if quantities is None else quantities.reshape(shape)
        return Panel(periods, items, None, prices.reshape(shape), whole, None, None)
    seen = np.zeros(size, dtype=bool)
    seen[cells] = True
    if np.count_nonzero(seen) != len(cells):
        _refuse_repeats(periods, items, np.sort(cells))
    where: Flags | None = None if len(cells) == size else seen.reshape(shape)
    dense = _spread(cells, prices, np.ones(shape))
    if quantities is None:
        return Panel(periods, items, None, dense, None, where, where)
    lacking = np.isnan(quantities)
    if not lacking.any():
        return Panel(periods, items, None, dense, _spread(cells, quantities, np.zeros(shape)), where, where)
    seen = seen.copy()
    seen[cells[lacking]] = False
    amounts = _spread(cells, np.where(lacking, 0.0, quantities), np.zeros(shape))
    return Panel(periods, items, None, dense, amounts, where, seen.reshape(shape))


def _lacks(quantities: Floats | None) -> bool:
    return quantities is not None and bool(np.isnan(quantities).any())


def _spread(cells: Whole, amounts: Floats, found: Floats) -> Floats:
    """Return an array with the amounts put into their cells."""
    found.ravel()[cells] = amounts
    return found


def _refuse_repeats(periods: pl.Series, items: pl.Series, cells: Whole) -> None:
    repeated = np.unique(cells[1:][cells[1:] == cells[:-1]])
    if len(repeated):
        raise Duplicates([(periods[int(c) // len(items)], items[int(c) % len(items)]) for c in repeated])
