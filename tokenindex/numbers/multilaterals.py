"""Multilateral indices: all periods of a window compared with each other, the windows spliced to a series.

*Reads* a long table or a panel. *Writes* an `Index`. *Never* revises a figure, and never computes the bilateral of two
periods twice: a window of T periods is one T × T matrix, to which a new period adds a row and a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from .bilaterals import refuse_zeros
from .columns import Flags, Floats
from .faults import Disconnected, NoOverlap, WrongSetting, choice, needs
from .formulas import FORMULAS
from .index import Index
from .matrices import LOGS, Side, geary_khamis, log_bilaterals, parts_of, side, time_dummies
from .panels import CELLS, Block, Panel, panel
from .parts import Formula, Pairs, geometric_weights
from .splices import Series, Splice, Window, spliced

GEKS = ("geks_fisher", "geks_tornqvist", "geks_walsh", "geks_jevons")
INTERSECTION = tuple(f"intersection_{name}" for name in GEKS)
METHODS = (*GEKS, *INTERSECTION, "geary_khamis", "wtpd", "tpd")
UNWEIGHTED = ("geks_jevons", "intersection_geks_jevons", "tpd")


def multilateral(
    table: Any,
    *,
    method: str,
    window: int | None = None,
    splice: str | None = None,
    midpoint: str | None = None,
    start: str | None = None,
    weights: str | None = None,
    duplicates: str = "error",
) -> Index:
    """Return the multilateral index of one window that holds every period, or of windows spliced to a series.

    The GEKS level of a period is the geometric mean of its bilaterals against all periods of the window,
    :math:`\\ln P_{0t} = Σ_k (\\ln P_{0k} + \\ln P_{kt}) / T` (CPI Manual: Concepts and Methods 2020, chapter 10; Ivancic,
    Diewert and Fox 2011; ``geks_tornqvist`` is the CCDI index). The intersection GEKS takes each of the two over the
    items of all three periods, 0, k and t; as that is not transitive, the series is the product of its movements from
    period to period (Lamboray and Krsinich 2015). ``geary_khamis``, ``tpd`` and ``wtpd`` are the systems of equations of
    `tokenindex.numbers.matrices`.

    Parameters
    ----------
    table : polars, pandas or Arrow table, mapping of columns, or Panel
        ``period, item, price, quantity``; no quantity for ``geks_jevons`` and ``tpd``.
    method : str
        One of `METHODS`.
    window : int, optional
        Number of periods computed together, at least 2; without it one window holds them all.
    splice : str
        One of `tokenindex.numbers.splices.SPLICES`, required with `window`.
    midpoint : {"new", "old"}
        For the splices ``half`` and ``hasp``: of which window the middle is meant.
    start : {"full", "expanding"}
        How the first `window` periods are filled: from one full window (as in every package compared if nothing is said)
        or each from the periods so far. Required for ``fbew`` and ``fbmw``.
    weights : {"shares", "expenditure"}
        For ``wtpd``: expenditure shares within a period (Diewert, Rao; most packages, and right, since a period with
        more turnover should not weigh more) or raw expenditure (StatsNZ): 2.1% apart on the data of the manual.
    duplicates : {"error", "unit_value"}
        What to do with rows that repeat.

    Raises
    ------
    InputDataError
        See `tokenindex.numbers.panels.panel`; a zero price where a logarithm is taken; `Disconnected` if the periods of a
        window fall into blocks; `NoOverlap` if a GEKS has no bilateral for two periods of a connected window.

    Examples
    --------
    >>> table = {"period": [1, 1, 2, 2], "item": ["a", "b", "a", "b"], "price": [1, 1, 2, 8], "quantity": [1, 1, 1, 1]}
    >>> multilateral(table, method="geks_jevons").frame["index"].round(9).to_list()
    [1.0, 4.0]
    """
    choice("method", method, METHODS)
    needs("weights", weights, method == "wtpd", "wtpd weighs observations in one of two ways")
    if weights is not None:
        choice("weights", weights, ("shares", "expenditure"))
    needs("splice", splice, window is not None, "windows are spliced")
    seen = panel(table, duplicates=duplicates).ready(weighted=method not in UNWEIGHTED)
    if method.endswith((*LOGS, "tpd")):
        refuse_zeros(seen, f"{method} takes logarithms")
    rule = _rule(len(seen.periods), window, splice, midpoint, start)
    plan = rule.plan(len(seen.periods))
    series = spliced(rule, list(_Engine(method, weights, seen, rule.window).windows(plan)), len(seen.periods))
    settings = {
        "method": method,
        "window": window,
        "splice": splice,
        "midpoint": midpoint,
        "start": start,
        "weights": weights,
        "duplicates": duplicates,
        "missing_cells": seen.missing,
    }
    return Index(
        kind="multilateral" if window is None else "spliced",
        frame=_frame(seen, series, plan, weighted=method not in UNWEIGHTED),
        settings=settings,
        panel=seen,
        links=series.links,
        split=(lambda split: _factors(seen, method, rule, plan, split)) if method in GEKS else None,
    )


def _rule(count: int, window: int | None, splice: str | None, midpoint: str | None, start: str | None) -> Splice:
    if window is None:
        needs("midpoint", midpoint, False, "windows are spliced")
        needs("start", start, False, "windows are spliced")
        return Splice(name="movement", window=max(count, 2), midpoint=None, start=None)
    assert splice is not None
    if isinstance(window, bool) or not isinstance(window, int) or window < 2:
        raise WrongSetting(f"window is {window!r}", expected="a number of periods of at least 2")
    if window > count and start != "expanding":
        raise WrongSetting(
            f"window is {window}, and there are {count} periods",
            expected="no more than the periods",
            remedy="say start='expanding', or the figures would be revised until the first window is full",
        )
    return Splice(name=splice, window=window, midpoint=midpoint, start=start)


@dataclass(frozen=True)
class _Engine:
    """The levels of windows, from pieces of the panel that overlap by one window."""

    method: str
    weights: str | None
    panel: Panel
    width: int

    def windows(self, plan: list[tuple[int, int]]) -> Iterator[Window]:
        """Yield the windows of a plan in order."""
        known: _Piece | None = None
        stops = [*range(self.width, len(self.panel.periods), self.width), len(self.panel.periods)]
        following = iter(plan)
        ready = next(following, None)
        for begin, stop in pairwise([0, *stops]):
            low = max(0, begin - self.width + 1)
            known = self._piece(low, stop, known)
            while ready is not None and ready[1] < stop:
                first, last = ready
                yield Window(first, self._levels(known, first - low, last + 1 - low))
                ready = next(following, None)

    def _piece(self, low: int, stop: int, known: _Piece | None) -> _Piece:
        block = self.panel.block(low, stop)
        kind = self.method.rpartition("_")[2]
        if self.method in GEKS:
            return _Piece(low, block, _matrix(kind, block, low, known))
        if self.method in INTERSECTION:
            return _Piece(low, block, _intersections(kind, block, low, known))
        if self.method == "geary_khamis":
            return _Piece(low, block, block.quantities)
        observed = block.mask if self.weights is None else block.prices * block.quantities
        weights = np.asarray(observed, dtype=np.float64)
        if self.weights == "shares":
            weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return _Piece(low, block, weights)

    def _levels(self, piece: _Piece, start: int, stop: int) -> Floats:
        """Return the logarithms of the levels of a window, given as rows of the piece."""
        if self.method in GEKS:
            inside = piece.numbers[start:stop, start:stop]
            levels: Floats = inside.sum(axis=0) / (stop - start)
            if not np.isfinite(levels).all():
                self._refuse(np.isfinite(inside), piece.low + start)
            return levels
        if self.method in INTERSECTION:
            inside = piece.numbers[start + 1 : stop, start:stop]
            moves = inside.sum(axis=1) / (stop - start)
            if not np.isfinite(moves).all():
                self._refuse_moves(np.isfinite(inside), piece.low + start)
            return np.append(0.0, np.cumsum(moves))
        prices, numbers = piece.block.prices[start:stop], piece.numbers[start:stop]
        if self.method == "geary_khamis":
            levels, linked = geary_khamis(prices, numbers)
        else:
            levels, linked = time_dummies(numbers, np.log(prices))
        if not np.isfinite(levels).all():
            self._refuse(linked, piece.low + start)
        return levels

    def _refuse(self, linked: Flags, first: int) -> None:
        """Raise the error of a window in which some periods cannot be compared."""
        blocks, periods = parts_of(linked), self.panel.periods
        if len(blocks) > 1:
            raise Disconnected([[periods[first + n] for n in block.tolist()] for block in blocks])
        apart = np.argwhere(~linked & np.tri(len(linked), dtype=bool).T).tolist()
        raise NoOverlap([(periods[first + a], periods[first + b]) for a, b in apart])

    def _refuse_moves(self, found: Flags, first: int) -> None:
        periods = self.panel.periods
        apart = np.argwhere(~found).tolist()
        raise NoOverlap([(f"{periods[first + s]}, {periods[first + s + 1]}", periods[first + k]) for s, k in apart])


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some periods from `low` on, and what the method needs of them: a matrix of logarithms, or weights."""

    low: int
    block: Block
    numbers: Floats


def _kept(low: int, size: int, known: _Piece | None) -> tuple[Floats, int]:
    """Return a matrix in which the pairs that are known already stand, and how many periods these are."""
    found = np.full((size, size), np.nan)
    if known is None:
        return found, 0
    old = known.numbers[low - known.low :, low - known.low :]
    found[: len(old), : len(old)] = old
    return found, len(old)


def _matrix(kind: str, block: Block, low: int, known: _Piece | None) -> Floats:
    """Return the logarithms of all bilaterals of a piece, of which only those with a new period are computed."""
    found, old = _kept(low, len(block.prices), known)
    terms = side(kind, block)
    fresh = log_bilaterals(kind, terms.rows(slice(old, None)), terms)
    found[old:] = fresh
    found[:old, old:] = -fresh[:, :old].T
    return found


def _intersections(kind: str, block: Block, low: int, known: _Piece | None) -> Floats:
    """Return the movement into each period (row) by way of each other (column), over the items of all three."""
    size = len(block.prices)
    found, old = _kept(low, size, known)
    terms, mask = side(kind, block), block.mask
    for row in range(1, size):
        both: Side = terms.of(mask[row - 1] & mask[row])
        new = slice(old if row < old else 0, size)
        before, after = log_bilaterals(kind, both.rows(slice(row - 1, row + 1)), both.rows(new))
        found[row, new] = before - after
    return found


def _frame(panel: Panel, series: Series, plan: list[tuple[int, int]], *, weighted: bool) -> pl.DataFrame:
    items, shares = _matched(panel, plan, weighted=weighted)
    return pl.DataFrame(
        {
            "period": panel.periods,
            "index": np.exp(series.levels),
            "items": pl.Series(items, dtype=pl.Int64),
            "matched_share": shares,
            "window": pl.Series(series.lengths, dtype=pl.Int64),
            "splice_factor": np.exp(series.factors),
        }
    )


def _matched(panel: Panel, plan: list[tuple[int, int]], *, weighted: bool) -> tuple[Any, Floats]:
    """Return how many items of each period have another observation in its window, and their share."""
    count, width = panel.shape
    if panel.seen is None and panel.cells is None:
        found = float(count > 1)
        return np.full(count, width) * int(found), np.full(count, found)
    if panel.cells is None:
        return _matched_densely(panel, plan, weighted=weighted)
    items, shares = np.full(count, width), np.ones(count)
    times = np.zeros(width, dtype=np.int64)
    rows: dict[int, Any] = {}
    low = high = done = 0
    for first, last in plan:
        while high <= last:
            rows[high] = panel.row(high)
            times[rows[high][0]] += 1
            high += 1
        while low < first:
            times[rows.pop(low)[0]] -= 1
            low += 1
        for period in range(done, last + 1):
            where, value = rows[period]
            again = times[where] > 1
            items[period] = np.count_nonzero(again)
            part = value if weighted else np.ones(len(where))
            shares[period] = part[again].sum() / max(part.sum(), np.finfo(float).tiny)
        done = last + 1
    return items, np.minimum(shares, 1.0)


def _matched_densely(panel: Panel, plan: list[tuple[int, int]], *, weighted: bool) -> tuple[Any, Floats]:
    """Return the same from dense arrays, many periods at once."""
    assert panel.seen is not None
    ends = np.array(plan) + np.array([0, 1])
    of = np.searchsorted(ends[:, 1], np.arange(len(panel.periods)), side="right")  # the first window of each period
    step = max(int(np.diff(ends).max()), CELLS // panel.shape[1])
    items, shares = [], []
    for start in range(0, len(of), step):
        windows, block = ends[of[start : start + step]], panel.block(start, min(start + step, len(of)))
        low, high = int(windows[0, 0]), int(windows[-1, 1])
        so_far = np.zeros((high - low + 1, panel.shape[1]), dtype=np.int32)
        np.cumsum(panel.seen[low:high], axis=0, out=so_far[1:])
        again = (so_far[windows[:, 1] - low] - so_far[windows[:, 0] - low] > 1) & block.mask
        part = block.values if weighted else block.mask
        items.append(np.count_nonzero(again, axis=1))
        shares.append((part * again).sum(axis=1) / np.maximum(part.sum(axis=1), np.finfo(float).tiny))
    return np.concatenate(items), np.minimum(np.concatenate(shares), 1.0)


def _factors(panel: Panel, method: str, rule: Splice, plan: list[tuple[int, int]], split: str | None) -> pl.DataFrame:
    """Return the factor of each item in a GEKS (Webster and Tarnow-Mordi 2019, and the same for its splices).

    Each bilateral is :math:`Σ w_i \\ln x_i` with its geometric weights; the logarithm of a GEKS is a mean of such sums, and
    that of a spliced one a sum of differences of these: the same splice of each item's part.
    """
    needs("split", split, False, "fisher and cswd are split in several ways")
    refuse_zeros(panel, "contributions take relatives")
    count, width = panel.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = spliced(rule, list(_parts(panel, FORMULAS[method.rpartition("_")[2]], plan)), count).levels
    return pl.DataFrame(
        {
            "period": panel.periods.gather(np.repeat(np.arange(count), width)),
            "since": panel.periods.gather(np.zeros(count * width, dtype=np.int64)),
            "item": pl.concat([panel.items] * count),
            "factor": np.exp(parts).ravel(),
        }
    )


def _parts(panel: Panel, formula: Formula, plan: list[tuple[int, int]]) -> Iterator[Window]:
    """Yield what each item adds to the logarithm of each level of each window.

    The sums over the window are kept, and only the bilaterals of the period that comes or goes are computed.
    """
    every = np.arange(panel.shape[1])
    sums = np.zeros((0, panel.shape[1]))
    low = high = 0

    def against(period: int) -> Floats:
        """Return the parts of the bilaterals from a period to each of the window."""
        pairs = Pairs(panel.block(period, period + 1, every), panel.block(low, high, every), None)
        return geometric_weights(formula, pairs) * pairs.logs

    for first, last in plan:
        while high <= last:
            high += 1
            steps = against(high - 1)
            sums = np.vstack([sums, np.zeros((1, panel.shape[1]))])
            sums += steps
            sums[-1] = -steps.sum(axis=0)
        while low < first:
            steps = against(low)
            sums = (sums - steps)[1:]
            low += 1
        yield Window(first, sums / (last + 1 - first))
