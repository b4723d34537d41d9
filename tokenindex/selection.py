"""Selection: what was in force, and known, on each fixing date.

*Reads* the input tables, the registry, a methodology and a grid of fixing dates. *Writes* spells. *Never* drops a row
that was in force: it stays, and a screen gives it a reason.

A **spell** is a row with ``[i0, i1)``, the run of positions in the grid over which nothing about it changes. Prices stand
still on most days, so a spell is worked on once and not once a day; a batch of one date is a grid of one position. Facts
that change with time (mapping, freshness, exchange rate) are spells too, and cut the rows they are joined to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from .exact import NANO, divide_columns
from .inputs import Inputs
from .looks import SNAPSHOT, by_spot, replaced
from .methodology import Allowed
from .periods import Calendar
from .spells import split, tile, union
from .tables import NEVER, UTC, instant

SCREENED = (
    "source",
    "component",
    "service_tier",
    "region",
    "context_from",
    "context_to",
    "marginal",
    "time_from",
    "time_to",
    "time_zone",
    "alias_of",
    "price",
    "unit",
    "date_kind",
)
"""The columns of an observation that the stages look at; the others stay in `Inputs.quotes` under the same ``row``."""


@dataclass(frozen=True)
class Grid:
    """The fixing dates worked on, in order; position ``i`` is a row."""

    dates: tuple[date, ...]
    calendar: Calendar
    known_at: datetime | None

    @classmethod
    def of(cls, calendar: Calendar, days: Sequence[date], *, known_at: datetime | None) -> Grid:
        """Return the grid of `days`."""
        return cls(tuple(sorted(set(days))), calendar, known_at)

    @property
    def size(self) -> int:
        """Number of dates."""
        return len(self.dates)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row a date: position, number in the calendar, date and cut-off."""
        numbers = [self.calendar.number(d) for d in self.dates]
        days = pl.DataFrame(
            {"number": numbers, "fixing_date": self.dates}, {"number": pl.Int64, "fixing_date": pl.Date}
        )
        # the clock of a calendar is a fixed distance from UTC
        after_midnight = self.end.replace(tzinfo=None) - datetime.combine(self.dates[-1], time())
        cut_off = pl.col("fixing_date").cast(UTC) + pl.lit(after_midnight)
        return days.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("i"), "number", "fixing_date", cut_off=cut_off)

    def from_moment(self, moments: pl.Expr) -> pl.Expr:
        """Return the first position whose cut-off is not before each moment; null moments give the end."""
        return self._cut_offs.search_sorted(moments.fill_null(NEVER), side="left").cast(pl.Int64)

    def from_date(self, days: pl.Expr) -> pl.Expr:
        """Return the first position on or after each date."""
        return pl.lit(self.frame["fixing_date"]).search_sorted(days, side="left").cast(pl.Int64)

    @cached_property
    def _cut_offs(self) -> pl.Expr:
        return pl.lit(self.frame["cut_off"])

    @property
    def end(self) -> datetime:
        """The cut-off of the last date."""
        return self.calendar.cut_off_at(self.dates[-1])

    @property
    def last_moment(self) -> datetime:
        """The last moment that anything could become known."""
        return self.known_at or self.end


def visible(frame: pl.DataFrame, *, grid: Grid) -> pl.LazyFrame:
    """Return the rows known at the last moment that `grid` looks from."""
    return frame.lazy().filter(pl.col("known_at") <= instant(grid.last_moment))


def entered(rows: pl.LazyFrame, *, seen: pl.Expr, of: pl.Expr, grid: Grid) -> pl.LazyFrame:
    """Return rows in order of `of` with the positions at which each is the last of its group among those that have entered.

    `of` is the number of the group. A row enters at `seen`, and leaves when any row after it enters: at the least of the
    later entries of its group. All groups are searched in one pass: a position counts on from ``of * size``, so that those
    of later groups lie beyond the grid.
    """
    start = of.cast(pl.Int64) * grid.size
    later = (start + pl.col("i0")).shift(-1).reverse().cum_min().reverse() - start
    until = pl.min_horizontal(later, pl.lit(grid.size, dtype=pl.Int64))
    return rows.with_columns(i0=grid.from_moment(seen)).with_columns(i1=until).filter(pl.col("i0") < pl.col("i1"))


def select(inputs: Inputs, allowed: Allowed, currency: str, grid: Grid) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the observations in force on the grid as spells, with mapping, tier, freshness and exchange rate.

    Returns
    -------
    mapped : DataFrame
        The columns `SCREENED`, ``offer, bracket, own, row, i0, i1``, the registry's ``constituent, place, vendor, kind,
        host``, ``source_tier, withdrawn, unseen, unread`` and ``rate`` (nano index currency per unit of the price's
        currency).
    unmapped : DataFrame
        ``row, i0, i1`` of those that the registry does not map: nothing else is asked about them.
    """
    sold = _sold(inputs, allowed, grid)
    at_seller = sold.lazy().select("seller", "fact", "i0", "i1", mapped=pl.col("place").is_not_null())
    rows = split(_in_force(inputs, grid), at_seller, on=["seller"]).collect(engine="in-memory")
    known = _unread(rows.filter("mapped").lazy().drop("seller", "mapped"), inputs, allowed, grid)
    rated = split(known, _rates(inputs, allowed, currency, grid), on=["currency"]).collect(engine="in-memory")
    observed = inputs.quotes.select(*SCREENED, "offer", "bracket", "own")[rated["row"]]
    named = sold.drop("seller", "source", "thing", "fact", "i0", "i1")[rated["fact"]]
    facts = rated.select("row", "i0", "i1", "rate", "unread", withdrawn=pl.col("ended") | observed["price"].is_null())
    unmapped = rows.filter(~pl.col("mapped").fill_null(False)).select("row", "i0", "i1")
    return observed.hstack(facts).hstack(named), unmapped


def _in_force(inputs: Inputs, grid: Grid) -> pl.LazyFrame:
    """Return each row with the positions at which it is the latest one of its quote that is valid and known.

    The latest is the one with the last ``valid_from``, then the last ``known_at``; in complete snapshots the one with the
    last ``known_at``, then the last ``valid_from``. Past its declared end, and where a later complete snapshot that could
    read it has replaced its own, it has `ended`.
    """
    rows = visible(inputs.quotes, grid=grid).filter(pl.col("valid_from") <= instant(grid.end))
    seen = pl.col("valid_from") if grid.known_at else pl.max_horizontal("valid_from", "known_at")
    gone = pl.lit(_replaced(inputs, grid)).gather(pl.col("look"))
    ends = pl.min_horizontal(grid.from_moment(pl.col("valid_to")), gone)
    spells = entered(rows, seen=seen, of=pl.col("quote"), grid=grid)
    spells = spells.select("row", "seller", "currency", "i0", "i1", end=ends)
    until = spells.with_columns(i1=pl.min_horizontal("i1", "end"), ended=pl.lit(False))
    beyond = spells.with_columns(i0=pl.max_horizontal("i0", "end"), ended=pl.lit(True))
    return pl.concat([until, beyond]).filter(pl.col("i0") < pl.col("i1")).drop("end")


def _replaced(inputs: Inputs, grid: Grid) -> pl.Series:
    """Return, for each complete look by its number, the position from which a later one replaces it."""
    seen = inputs.looks.filter(pl.col("known_at") <= instant(grid.last_moment))
    last = replaced(seen.with_columns(enters=_enters(grid))).select("look", i0=grid.from_moment(pl.col("gone")))
    every = pl.repeat(grid.size, len(inputs.looks), dtype=pl.Int64, eager=True)  # as many as numbers, or more
    return every.scatter(last["look"], last["i0"])


def _enters(grid: Grid) -> pl.Expr:
    """Return the moment from which a look counts."""
    return pl.col("seen_at") if grid.known_at else pl.max_horizontal("seen_at", "known_at")


def _sold(inputs: Inputs, allowed: Allowed, grid: Grid) -> pl.DataFrame:
    """Return what is known of each seller as spells with a number, ``fact``; a seller that is not mapped has nulls."""
    tiers = [{"source": p.source, "host": h, "source_tier": p.tier} for p in allowed.prices for h in p.hosts]
    schema = {"source": pl.String, "host": pl.String, "source_tier": pl.Int64}
    spans = {"i0": grid.from_date(pl.col("i0")), "i1": grid.from_date(pl.col("i1"))}
    named = inputs.spelled.lazy().with_columns(**spans).filter(pl.col("i0") < pl.col("i1"))
    ranked = named.join(pl.LazyFrame(tiers, schema=schema), on=["source", "host"], how="left")
    seen = split(ranked, _unseen(inputs, allowed, grid).lazy(), on=["source"])
    return seen.with_columns(pl.col("unseen").fill_null(True)).collect(engine="in-memory").with_row_index("fact")


def _unseen(inputs: Inputs, allowed: Allowed, grid: Grid) -> pl.DataFrame:
    """Return the spells over which each source was looked at within the allowed number of days."""
    fresh = _fresh(inputs, allowed, grid)
    merged = union(fresh, on=["source"]).with_columns(unseen=pl.lit(False)).collect(engine="in-memory")
    return tile(merged, on=["source"], start=0, end=grid.size)


def _fresh(inputs: Inputs, allowed: Allowed, grid: Grid) -> pl.LazyFrame:
    """Return the spell after each look over which it counts as recent."""
    beyond = timedelta(days=allowed.max_days_unseen + 1)
    spell = {"i0": grid.from_moment(_enters(grid)), "i1": grid.from_date(pl.col("seen_at").dt.date() + beyond)}
    return visible(inputs.sightings, grid=grid).select(*SNAPSHOT, **spell)


def _unread(rows: pl.LazyFrame, inputs: Inputs, allowed: Allowed, grid: Grid) -> pl.LazyFrame:
    """Return the rows, cut where ``unread`` changes: no recent look could read what they quote, nor was it theirs."""
    blind = inputs.spots.blind
    if blind.is_empty():
        return rows.with_columns(unread=pl.lit(False))
    looks = by_spot(_fresh(inputs, allowed, grid), blind).filter(pl.col("spot") > 0).collect(engine="in-memory").lazy()
    rows = rows.join(inputs.quotes.lazy().select("row", *SNAPSHOT, "spot"), on="row")
    for name, recent, on in (
        ("read", looks.filter("reads"), ["source", "spot"]),
        ("own", looks.filter(~pl.col("reads")), [*SNAPSHOT, "spot"]),
    ):
        spells = union(recent, on=on).with_columns(pl.lit(True).alias(name)).collect(engine="in-memory")
        rows = split(rows, tile(spells, on=on, start=0, end=grid.size).lazy(), on=on)
    neither = (pl.col("spot") > 0) & pl.col("read").is_null() & pl.col("own").is_null()
    return rows.with_columns(unread=neither).drop("read", "own", *SNAPSHOT, "spot")


def _rates(inputs: Inputs, allowed: Allowed, currency: str, grid: Grid) -> pl.LazyFrame:
    """Return nano index currency per unit of every other currency, as a cross of two reference rates of one day.

    A rate enters when its day was first published, corrected or not, and holds for `max_rate_age_days` or until the next.
    """
    limit = timedelta(days=allowed.max_rate_age_days)
    unit = pl.LazyFrame({"currency": [currency], "i0": [0], "i1": [grid.size], "rate": [NANO]})
    if inputs.currencies <= {currency}:
        return unit
    wanted = (pl.col("source") == allowed.rates) & (pl.col("rate_date") >= grid.dates[0] - limit)
    legs = _legs(visible(inputs.rates, grid=grid).filter(wanted), grid).collect(engine="in-memory").lazy()
    ours = legs.filter(pl.col("quote") == currency).select("base", "rate_date", ours="nano", ours_known="known_at")
    order = ["quote", "rate_date", "ours_known", "ours", "known_at", "nano", "base"]
    cross = legs.filter(pl.col("quote") != currency).join(ours, on=["base", "rate_date"]).sort(order)
    seen = pl.max_horizontal("known_at", "ours_known", pl.col("rate_date").cast(UTC))
    entering = entered(cross, seen=seen, of=pl.col("quote").rle_id(), grid=grid).select(
        "i0",
        currency="quote",
        i1=pl.min_horizontal("i1", grid.from_date(pl.col("rate_date") + limit + timedelta(days=1))),
        rate=divide_columns(pl.col("ours").cast(pl.Int128) * NANO, pl.col("nano")).cast(pl.Int64),
    )
    facts = tile(entering.collect(engine="in-memory"), on=["currency"], start=0, end=grid.size)
    return pl.concat([facts.lazy(), unit], how="diagonal")


def _legs(rates: pl.LazyFrame, grid: Grid) -> pl.LazyFrame:
    """Return ``base, quote, rate_date, known_at, nano``: every revision, or the last one where one moment is looked from.

    A unit of the base is worth one of itself on every day that has a rate.
    """
    nano = pl.col("rate").to_physical().cast(pl.Int64)
    ordered = rates.select("base", "quote", "rate_date", "known_at", nano=nano).sort("known_at", "nano")
    if grid.known_at:
        days = ordered.group_by("base", "quote", "rate_date", maintain_order=True)
        ordered = days.agg(pl.col("known_at").first(), pl.col("nano").last())
    midnight = pl.col("rate_date").cast(UTC)
    own = ordered.with_columns(quote="base", known_at=midnight, nano=pl.lit(NANO, dtype=pl.Int64)).unique()
    return pl.concat([ordered, own])
