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

from ..errors import InputDataError
from .columns import Columns, Flags, Floats, Whole, columns
from .faults import Duplicates, WrongSetting, choice

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
    part_of : (Block, slice) or None
        The block whose rows these are: what is computed of it serves all its parts.
    """

    prices: Floats
    quantities: Floats
    seen: Flags | None
    columns: Whole | None
    part_of: tuple[Block, slice] | None = None

    @cached_property
    def values(self) -> Floats:
        """The expenditures."""
        if self.part_of is None:
            return self.prices * self.quantities
        block, rows = self.part_of
        return block.values[rows]

    @property
    def mask(self) -> Flags:
        """Where there is an observation."""
        return np.ones(self.prices.shape, dtype=bool) if self.seen is None else self.seen

    def rows(self, start: int, stop: int) -> Block:
        """Return some of the periods."""
        rows = slice(start, stop)
        seen = None if self.seen is None else self.seen[rows]
        return Block(self.prices[rows], self.quantities[rows], seen, self.columns, (self, rows))

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

    @cached_property
    def positive(self) -> bool:
        """Whether no price is zero."""
        return bool(self.prices.all())

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
    given = columns(table)
    if duplicates == "unit_value":
        given = _unit_values(given)
    return _arranged(given)


def _unit_values(given: Columns) -> Columns:
    """Return one row a cell: the volumes added up, in an order that is the same for any order of the rows."""
    prices, quantities, cells = given.prices, given.quantities, given.cells
    if quantities is None:
        raise InputDataError("unit values weigh prices", expected="a column quantity", where="table")
    if cells is None:
        return given
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
    return replace(given, cells=cells[first], prices=value, quantities=total)


def _arranged(given: Columns) -> Panel:
    """Return the panel of rows of which each has a cell of its own."""
    periods, items, cells, quantities = given.periods, given.items, given.cells, given.quantities
    shape = (len(periods), len(items))
    if cells is None and not given.lacking:
        # a complete table in order is a panel as it stands
        whole = None if quantities is None else quantities.reshape(shape)
        return Panel(periods, items, None, given.prices.reshape(shape), whole, None, None)
    if cells is None:
        cells = np.arange(shape[0] * shape[1])
    if shape[0] * shape[1] > SPARSE * len(cells) + SLACK:
        return _sparse(given, cells)
    complete = len(cells) == shape[0] * shape[1]
    prices = _spread(cells, given.prices, np.full(shape, np.nan if complete else 1.0))
    seen = None if complete else _marked(cells, shape)
    # as many rows as cells, and none empty, is one row each
    if np.isnan(prices.min()) if seen is None else np.count_nonzero(seen) < len(cells):
        _refuse_repeats(given, np.sort(cells))
    if quantities is None:
        return Panel(periods, items, None, prices, None, seen, seen)
    if not given.lacking:
        return Panel(periods, items, None, prices, _spread(cells, quantities, np.zeros(shape)), seen, seen)
    known = ~np.isnan(quantities)
    amounts = _spread(cells[known], quantities[known], np.zeros(shape))
    return Panel(periods, items, None, prices, amounts, seen, _marked(cells[known], shape))


def _sparse(given: Columns, cells: Whole) -> Panel:
    order = np.argsort(cells, kind="stable")
    cells, prices = cells[order], given.prices[order]
    _refuse_repeats(given, cells)
    if given.quantities is None:
        return Panel(given.periods, given.items, cells, prices, None, None, None)
    quantities = given.quantities[order]
    weighed = ~np.isnan(quantities) if given.lacking else None
    return Panel(given.periods, given.items, cells, prices, quantities, None, weighed)


def _spread(cells: Whole, amounts: Floats, found: Floats) -> Floats:
    """Return an array with the amounts put into their cells."""
    found.ravel()[cells] = amounts
    return found


def _marked(cells: Whole, shape: tuple[int, int]) -> Flags:
    """Return which cells are named."""
    found = np.zeros(shape, dtype=bool)
    found.ravel()[cells] = True
    return found


def _refuse_repeats(given: Columns, cells: Whole) -> None:
    """Refuse cells that occur more than once, given in ascending order."""
    repeated, width = np.unique(cells[1:][cells[1:] == cells[:-1]]), len(given.items)
    if len(repeated):
        raise Duplicates([(given.periods[int(c) // width], given.items[int(c) % width]) for c in repeated])
