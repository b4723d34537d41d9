"""The determination: from observations to fixings, in stages that can be called one by one.

*Reads* a methodology, input tables and dates. *Writes* the constituents, the baskets and the fixings. *Never* asks for
the clock, the disk, the network, the environment or chance: the same arguments give the same bytes.

The stages work on spells (see `tokenindex.selection`) until a constituent has its price, and on one row per constituent
and date from there on. Each appends its columns and rounds its own result; only `consolidate`, `spread` and `fix` change
the grain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import polars as pl

from .basket import Basket, Note, Priced, basket_table, form_baskets, rebalance_dates
from .constituents import (
    accept,
    consolidate,
    count_usage,
    flag_outliers,
    observed,
    relate,
    screen,
    spread,
)
from .errors import DeterminationError
from .exact import NANO, divide_columns, money, step_of
from .fixings import fix, in_basket, weigh
from .inputs import Inputs
from .methodology import Methodology
from .rules.formulas import FixedBasket
from .selection import SCREENED, Grid
from .tables import CONSTITUENTS, ELEMENTARY, QUOTE_KEY, STANDARDISED


def determine(
    methodology: Methodology,
    inputs: Inputs,
    *,
    dates: Sequence[date],
    known_at: datetime | None,
    earlier: Determination | None = None,
) -> Determination:
    """Return the fixings of `dates`, with everything they were made of.

    Parameters
    ----------
    methodology : Methodology
        One version of one index.
    inputs : Inputs
        The input tables, in any row order.
    dates : sequence of date
        Fixing dates, any number, in any order.
    known_at : datetime or None
        None: each fixing sees what was known at its own cut-off ("as first published"). A moment: every fixing sees
        what was known then ("as recomputed").
    earlier : Determination, optional
        A determination by the same methodology and moment, from the same `Inputs` object, whose baskets need not be
        formed again. The fixings and their records are the same with and without it.

    Raises
    ------
    DeterminationError
        If a date is not a fixing date of the calendar or its cut-off lies after `known_at`, `earlier` is of another
        methodology, moment or inputs, or a sum would exceed the proven bounds.
    """
    _refuse_future(methodology, dates, known_at=known_at)
    before = _before(earlier, methodology, inputs, dates, known_at=known_at)
    rebalances = _rebalances(methodology, dates, after=before[0])
    grid = _grid(methodology, dates, rebalances, known_at=known_at)
    key = ("observed", methodology.asks, grid)
    seen, unmapped = inputs.once(key, lambda: observed(inputs, methodology, grid))
    rows = screen(seen, methodology)
    elementary, pieces = consolidate(rows, methodology, inputs.universe(methodology), size=grid.size)
    counted = ("usage", methodology.volumes, grid)
    usage = inputs.once(counted, lambda: count_usage(inputs, methodology.volumes, grid))
    prices = flag_outliers(relate(spread(pieces, grid), methodology), methodology)
    priced = accept(prices, methodology).with_columns(tokens=usage.of(prices))
    baskets, notes = _baskets(methodology, rebalances, priced, grid, before=before)
    constituents = weigh(priced, baskets, methodology, grid)
    published = methodology.calendar.lookback(dates, length=methodology.carried)
    fixings = fix(constituents, baskets, usage.windows, methodology, grid, published=published)
    frames = Frames(inputs.quotes, rows, unmapped, elementary, pieces, constituents, fixings)
    return Determination(methodology, tuple(sorted(set(dates))), known_at, tuple(baskets), tuple(notes), grid, frames)


def _refuse_future(methodology: Methodology, dates: Sequence[date], *, known_at: datetime | None) -> None:
    last = max(dates, default=None)
    if last:
        methodology.calendar.number(last)
    if known_at and last and methodology.calendar.cut_off_at(last) > known_at:
        raise DeterminationError(
            f"the cut-off of {last} lies after {known_at:%Y-%m-%d %H:%M}Z, the moment that is looked from",
            expected="dates whose cut-off has passed by then",
            remedy="ask for an earlier date, or look from a later moment",
        )


def _before(
    earlier: Determination | None,
    methodology: Methodology,
    inputs: Inputs,
    dates: Sequence[date],
    *,
    known_at: datetime | None,
) -> tuple[list[Basket], list[Note]]:
    """Return the baskets of an earlier determination up to the last date, and the notes up to the last of them."""
    if earlier is None or not earlier.baskets:
        return [], []
    theirs = (earlier.methodology.sha256, earlier.methodology.index, earlier.known_at)
    if theirs != (methodology.sha256, methodology.index, known_at) or earlier.frames.quotes is not inputs.quotes:
        raise DeterminationError(
            f"the earlier determination is of {earlier.methodology!r} as known at {earlier.known_at}",
            expected=f"{methodology!r} as known at {known_at}, from the same Inputs object",
        )
    baskets = [b for b in earlier.baskets if b.takes_over_after <= max(dates)]
    return baskets, [n for n in earlier.notes if baskets and n.rebalance <= baskets[-1].takes_over_after]


def _rebalances(
    methodology: Methodology, dates: Sequence[date], *, after: Sequence[Basket] = ()
) -> list[tuple[date, date]]:
    """Return announcement and rebalance dates of the baskets to form, which follow those that are there."""
    if not dates:
        raise DeterminationError("no dates were asked for", remedy="name at least one fixing date")
    if not isinstance(methodology.formula, FixedBasket):
        return []
    pairs = rebalance_dates(methodology.formula, methodology.calendar, last=max(dates))
    return [pair for pair in pairs if not after or pair[1] > after[-1].takes_over_after]


def _grid(
    methodology: Methodology,
    dates: Sequence[date],
    rebalances: Sequence[tuple[date, date]],
    *,
    known_at: datetime | None,
) -> Grid:
    """Return the dates asked for, the dates that formed their baskets, and the lookback of all of them."""
    wanted = [*dates, *(day for pair in rebalances for day in pair)]
    days = methodology.calendar.lookback(wanted, length=methodology.lookback)
    return Grid.of(methodology.calendar, days, known_at=known_at)


def _baskets(
    methodology: Methodology,
    rebalances: list[tuple[date, date]],
    priced: pl.DataFrame,
    grid: Grid,
    *,
    before: tuple[list[Basket], list[Note]],
) -> tuple[list[Basket], list[Note]]:
    if not isinstance(methodology.formula, FixedBasket):
        return [], []
    positions = {day: i for i, day in enumerate(grid.dates)}
    names, vendors = (priced[fact].gather_every(grid.size).to_list() for fact in ("constituent", "vendor"))
    wanted = sorted({positions[day] for pair in rebalances for day in pair})
    at = [i + code * grid.size for i in wanted for code in range(len(names))]  # every date has every constituent
    facts = [priced[fact].gather(at).to_list() for fact in ("used", "tokens", "used_number")]

    def on(day: date) -> Priced:
        start, today = wanted.index(positions[day]) * len(names), methodology.calendar.number(day)
        used, tokens, numbers = (fact[start : start + len(names)] for fact in facts)
        return Priced(names, vendors, used, tokens, [number == today for number in numbers])

    baskets, notes = form_baskets(
        methodology.formula,
        rebalances,
        on=on,
        after=before[0],
        rungs=methodology.waterfall,
        step=step_of(methodology.publication.level_decimals),
    )
    return baskets, [*before[1], *notes]


@dataclass(frozen=True)
class Frames:
    """The working frames: observations, spells, pieces, and one row per constituent or per date of the grid.

    Observations that the registry does not map stand in ``unmapped``, without the facts that nobody asks of them.
    """

    quotes: pl.DataFrame
    rows: pl.DataFrame
    unmapped: pl.DataFrame
    elementary: pl.DataFrame
    pieces: pl.DataFrame
    constituents: pl.DataFrame
    fixings: pl.DataFrame


@dataclass(frozen=True, repr=False)
class Determination:
    """Fixings and everything they were made of. Frames are polars; ``.to_pandas()`` and ``.to_arrow()`` are one call."""

    methodology: Methodology
    dates: tuple[date, ...]
    known_at: datetime | None
    baskets: tuple[Basket, ...]
    notes: tuple[Note, ...]
    grid: Grid
    frames: Frames

    @cached_property
    def fixings(self) -> pl.DataFrame:
        """The FIXINGS of the dates asked for, one row a date."""
        return self.frames.fixings.filter(pl.col("fixing_date").is_in(list(self.dates)))

    @cached_property
    def constituents(self) -> pl.DataFrame:
        """The CONSTITUENTS of the dates asked for, one row a constituent and date."""
        return self._constituents([self._position(day) for day in self.dates])

    @cached_property
    def basket(self) -> pl.DataFrame:
        """The BASKET table of every basket that the dates depend on; empty for a formula without one."""
        return basket_table(self.baskets)

    def only(self, day: date) -> Grid:
        """Return the grid of one of the dates alone: what could be seen for it, and no more."""
        self._position(day)
        return Grid((day,), self.grid.calendar, self.known_at)

    def basket_number(self, day: date) -> int:
        """Return the number of the basket in force on one of the dates.

        Raises
        ------
        DeterminationError
            If no basket is in force on it.
        """
        number = in_basket(self.baskets, self.grid)[self._position(day)]
        if number is None:
            raise DeterminationError(f"no basket is in force on {day}", expected="a date from the base date on")
        return number

    def fixing(self, day: date) -> dict[str, Any]:
        """Return the fixing of one of the dates as a dictionary."""
        self._position(day)
        return self.fixings.row(by_predicate=pl.col("fixing_date") == day, named=True)

    def constituents_on(self, day: date) -> pl.DataFrame:
        """Return the CONSTITUENTS of one date, one row a constituent."""
        return self._constituents([self._position(day)])

    def elementary_on(self, day: date) -> pl.DataFrame:
        """Return the ELEMENTARY prices of one date, one row a constituent and component."""
        i = self._position(day)
        pieces = self.frames.pieces.filter((pl.col("i0") <= i) & (pl.col("i1") > i))
        rows = self.frames.elementary.join(pieces.select("piece"), on="piece", how="semi")
        dated = rows.with_columns(money("price"), fixing_date=pl.lit(day))
        return ELEMENTARY.conform(dated).sort("constituent", "component")

    def observations_on(self, day: date) -> pl.DataFrame:
        """Return the STANDARDISED observations in force on one date, used or not, one row a quote."""
        i = self._position(day)
        there = (pl.col("i0") <= i) & (pl.col("i1") > i)
        unmapped = self.frames.unmapped.filter(there).with_columns(excluded_by=pl.lit("unmapped"))
        facts = self.frames.rows.filter(there).drop(*SCREENED, "offer", "bracket", "own")
        rows = pl.concat([facts, unmapped], how="diagonal")
        rest = self.frames.quotes.drop("row")[rows["row"]]
        public = rows.hstack(rest).with_columns(money("standard_price"), money("rate"), fixing_date=pl.lit(day))
        return STANDARDISED.conform(public).sort(*QUOTE_KEY, "constituent", nulls_last=True)

    def _position(self, day: date) -> int:
        if day not in self.dates:
            raise DeterminationError(
                f"{day} was not determined", expected=f"one of the {len(self.dates)} dates asked for"
            )
        return self.grid.dates.index(day)

    def _constituents(self, positions: list[int]) -> pl.DataFrame:
        rows = self.frames.constituents.filter(pl.col("i").is_in(positions))
        ratio = divide_columns(pl.col("price").cast(pl.Int128) * NANO, pl.col("previous"))
        share = divide_columns(pl.col("basis").cast(pl.Int128) * NANO, pl.col("basis").cast(pl.Int128).sum().over("i"))
        calendar = pl.lit(pl.Series(self.methodology.calendar.dates, dtype=pl.Date))
        rows = rows.with_columns(relative=ratio, weight=share, used_price="used").with_columns(
            *(money(c) for c in ("price", "relative", "used_price", "weight")),
            fixing_date=calendar.gather(pl.col("number")),
            used_date=calendar.gather(pl.col("used_number")),
        )
        return CONSTITUENTS.conform(rows).sort("fixing_date", "constituent")

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.fixings._repr_html_()}".replace("<Determination", "&lt;Determination", 1)

    def __repr__(self) -> str:
        days = f"{self.dates[0]}" + (f" to {self.dates[-1]}" if len(self.dates) > 1 else "")
        states = self.fixings["status"].value_counts(sort=True).rows()
        return f"<Determination {self.methodology.index} {days}: " + ", ".join(f"{n} {s}" for s, n in states) + ">"
