"""Bilateral indices: direct against one base, or linked from period to period.

*Reads* a long table or a panel. *Writes* an `Index`. *Never* compares other than matched items.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from ..errors import InputDataError
from .faults import NoOverlap, choice, needs, some
from .formulas import SPLITS, contributions, formula_of
from .index import Index
from .panels import Block, Panel, panel
from .parts import Cross, Formula, Mean, Pairs


def bilateral(
    table: Any,
    *,
    formula: str,
    base: object,
    of: str = "price",
    sigma: float | None = None,
    weight_period: object = None,
    duplicates: str = "error",
) -> Index:
    """Return the direct index of every period against one base, over the items that both have.

    Parameters
    ----------
    table : polars, pandas or Arrow table, mapping of columns, or Panel
        ``period, item, price, quantity``, see `tokenindex.numbers.panels.panel`.
    formula : str
        A name of `tokenindex.numbers.formulas.FORMULAS`, or ``lloyd_moulton``; the equations stand there.
    base : period
        The index is 1 there.
    of : {"price", "quantity"}
        The quantity index is the same formula with prices and quantities exchanged.
    sigma : float
        Elasticity of substitution, for ``lloyd_moulton`` only.
    weight_period : period
        For the Lowe and Young formulas only.
    duplicates : {"error", "unit_value"}
        What to do with rows that repeat.

    Raises
    ------
    InputDataError
        See `panel`; a zero price under a formula of relatives; `NoOverlap` if a period shares no item with the base.

    Examples
    --------
    >>> table = {"period": [1, 1, 2, 2], "item": ["a", "b", "a", "b"], "price": [1, 2, 2, 2], "quantity": [3, 1, 1, 3]}
    >>> bilateral(table, formula="laspeyres", base=1).frame["index"].to_list()
    [1.0, 1.6]
    """
    request = _Request(table, formula, of, sigma, weight_period, duplicates)
    return request.index("direct", request.panel.position(base, name="base"))


def links(
    table: Any,
    *,
    formula: str,
    of: str = "price",
    sigma: float | None = None,
    weight_period: object = None,
    duplicates: str = "error",
) -> Index:
    """Return the index of every period against the one before: null in the first, ready for `Index.chain`.

    Parameters are those of `bilateral`, without a base.
    """
    return _Request(table, formula, of, sigma, weight_period, duplicates).index("links", None)


def chained(
    table: Any,
    *,
    formula: str,
    of: str = "price",
    sigma: float | None = None,
    weight_period: object = None,
    duplicates: str = "error",
) -> Index:
    """Return the product of the links from period to period, 1 in the first.

    A chained weighted index drifts where items come and go or prices bounce: on the seasonal items of Turvey (PPI Manual
    2004, chapter 22) chained Fisher ends at 0.356 and GEKS at 1.440. Parameters are those of `bilateral`, without a base;
    for another base there is `Index.rebase`.
    """
    found = links(table, formula=formula, of=of, sigma=sigma, weight_period=weight_period, duplicates=duplicates)
    return found.chain()


class _Request:
    """One call: the arguments, checked, and the panel as the formula sees it."""

    def __init__(
        self, table: Any, name: str, of: str, sigma: float | None, weight_period: object, duplicates: str
    ) -> None:
        self.formula: Formula = formula_of(name, sigma=sigma, weight_period=weight_period)
        choice("of", of, ("price", "quantity"))
        given = panel(table, duplicates=duplicates)
        swapped = of == "quantity"
        self.panel = given.ready(weighted=self.formula.weighs, swapped=swapped)
        self.weight: int | None = None
        if weight_period is not None:
            self.weight = self.panel.position(weight_period, name="weight_period")
        self.name = name
        self.settings = {
            "formula": name,
            "of": of,
            "sigma": sigma,
            "weight_period": weight_period,
            "duplicates": duplicates,
            "missing_cells": self.panel.missing,
        }

    def index(self, kind: str, base: int | None) -> Index:
        """Return the index of the request, against a base or the period before."""
        settings = self.settings if base is None else {**self.settings, "base": self.panel.periods[base]}
        if self.formula.relative:
            refuse_zeros(self.panel, f"{self.name} takes relatives")
        values, items, shares = [], [], []
        with np.errstate(invalid="ignore", divide="ignore"):
            for start, stop, pairs in comparisons(self.panel, base, self.weight):
                found = self.formula.value(pairs)
                self._check(found, pairs, start, base)
                values.append(found)
                items.append(pairs.items.astype(np.int64))
                shares.append(_shares(self.panel, pairs, start, stop, items[-1], self.formula.weighs))
        return Index(
            kind=kind,
            frame=_frame(self.panel, values, items, shares),
            settings=settings,
            panel=self.panel,
            split=lambda split: self._contributions(base, split),
        )

    def _check(self, found: Any, pairs: Pairs, start: int, base: int | None) -> None:
        wrong = np.flatnonzero(~((pairs.items > 0) & np.isfinite(found)))
        if len(wrong):
            periods = self.panel.periods
            raise NoOverlap(
                [(periods[start + n - 1 if base is None else base], periods[start + n]) for n in wrong.tolist()]
            )

    def _contributions(self, base: int | None, split: str | None) -> pl.DataFrame:
        crossed = isinstance(self.formula, Cross) and self.formula.geometric
        needs("split", split, crossed and self.name != "tornqvist", "fisher and cswd are split in several ways")
        if split is not None:
            choice("split", split, SPLITS)
        if isinstance(self.formula, Cross | Mean):
            refuse_zeros(self.panel, "contributions take relatives")
        pieces = []
        with np.errstate(invalid="ignore", divide="ignore"):
            for start, _, pairs in comparisons(self.panel, base, self.weight):
                found = contributions(self.formula, pairs, split=split)
                row, column = np.nonzero(pairs.ones)
                pieces.append(_listed(self.panel, start, base, row, column, pairs.columns, found[row, column]))
        return pl.concat(pieces)


def _listed(
    panel: Panel, start: int, base: int | None, row: Any, column: Any, columns: Any, found: Any
) -> pl.DataFrame:
    """Return one row an item and comparison."""
    period = row + start
    since = period - 1 if base is None else np.full(len(row), base)
    item = column if columns is None else columns[column]
    return pl.DataFrame(
        {
            "period": panel.periods.gather(period),
            "since": panel.periods.gather(since),
            "item": panel.items.gather(item),
            "contribution": found,
        }
    )


def comparisons(panel: Panel, base: int | None, weight: int | None) -> Iterator[tuple[int, int, Pairs]]:
    """Yield runs of periods with their comparisons: each against the base, or against the period before."""
    against = None if base is None or panel.cells is None else panel.row(base)[0]
    for begin, stop in panel.pieces():
        start = begin if base is not None else max(begin, 1)
        if start >= stop:
            continue
        if base is None:
            whole = panel.block(start - 1, stop)
            before, current = whole.rows(0, stop - start), whole.rows(1, stop - start + 1)
        else:
            before, current = panel.block(base, base + 1, against), panel.block(start, stop, against)
        yield start, stop, Pairs(before, current, _weights(panel, weight, current))


def _weights(panel: Panel, weight: int | None, current: Block) -> Block | None:
    if weight is None:
        return None
    return panel.block(weight, weight + 1, current.columns)


def _shares(panel: Panel, pairs: Pairs, start: int, stop: int, items: Any, weighs: bool) -> Any:
    """Return the share of the matched items in the current expenditure, or number, of the period."""
    if pairs.both is None:
        return np.ones(stop - start)
    counts = panel.counts[start:stop]
    if not weighs:
        return items / counts
    return np.where(items == counts, 1.0, np.minimum(1.0, pairs.spent / panel.totals[start:stop]))


def _frame(panel: Panel, values: list[Any], items: list[Any], shares: list[Any]) -> pl.DataFrame:
    """Return the table of an index; a first period that was compared with nothing is null."""
    lead = len(panel.periods) - sum(map(len, values))

    def column(parts: list[Any], kind: type[pl.DataType]) -> pl.Series:
        known = [pl.Series(np.concatenate(parts), dtype=kind)] if parts else []
        return pl.concat([pl.Series([None] * lead, dtype=kind), *known])

    return pl.DataFrame(
        {
            "period": panel.periods,
            "index": column(values, pl.Float64),
            "items": column(items, pl.Int64),
            "matched_share": column(shares, pl.Float64),
            "window": pl.Series([None] * len(panel.periods), dtype=pl.Int64),
            "splice_factor": pl.Series([None] * len(panel.periods), dtype=pl.Float64),
        }
    )


def refuse_zeros(panel: Panel, reason: str) -> None:
    """Refuse prices of zero where a relative or a logarithm is taken of them."""
    if panel.positive:
        return
    if panel.cells is not None:
        zero = panel.cells[panel.prices == 0]
    else:
        empty = panel.prices == 0
        zero = np.flatnonzero(empty if panel.seen is None else empty & panel.seen)
    if len(zero):
        width = len(panel.items)
        cells = [f"item {panel.items[c % width]} in period {panel.periods[c // width]}" for c in zero.tolist()]
        raise InputDataError(
            f"{reason}, and these are 0: {some(cells)}",
            expected="amounts above 0, or a ratio of sums such as fisher",
            where="table",
        )
