"""Selection: what was in force, and known, on each fixing date.

*Reads* the input tables, the registry, a methodology and a grid of fixing dates. *Writes* spells. *Never* drops a row
that was in force: it stays, and a screen gives it a reason.

A **spell** is a row with ``[i0, i1)``, the run of positions in the grid over which nothing about it changes. Prices stand
still on most days, so a spell is worked on once and not once a day; a batch of one date is a grid of one position. Facts
that change with time (mapping, freshness, exchange rate) are spells too, and cut the rows they are joined to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import polars as pl

from .errors import InputDataError
from .exact import divide_columns
from .methodology import Methodology
from .periods import Calendar
from .tables import OBSERVATIONS, QUOTE_KEY, RATES, REGISTRY, SIGHTINGS, VOLUMES

SELLER = ("source", "provider", "model")
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Inputs:
    """The input tables of a determination, as the adapters and the registry give them.

    Any row order gives the same determination.
    """

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    registry: pl.DataFrame = field(default_factory=REGISTRY.empty)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in self.__dataclass_fields__)
        return f"<Inputs {sizes}>"

    @cached_property
    def quotes(self) -> pl.DataFrame:
        """The observations in canonical order with the number of their quote; a declared end is a withdrawal."""
        ended = self.observations.filter(pl.col("valid_to").is_not_null()).with_columns(
            valid_from="valid_to", price=pl.lit(None, dtype=OBSERVATIONS.schema["price"])
        )
        order = [*QUOTE_KEY, "valid_from", "known_at", "price", "capture", "locator"]
        ordered = pl.concat([self.observations, ended]).sort(order, nulls_last=True)
        return ordered.with_columns(quote=pl.struct(QUOTE_KEY).rle_id())

    @cached_property
    def mapping(self) -> pl.DataFrame:
        """The registry, refused if two rows map the same seller at the same time or contradict each other."""
        span = [pl.col("valid_from").fill_null(date.min), pl.col("valid_to").fill_null(date.max)]
        rows = self.registry.with_columns(span).sort(*SELLER, "valid_from")
        again = rows.filter(pl.col("valid_from") < pl.col("valid_to").shift(1).over(SELLER))
        facts = rows.group_by("constituent").agg(pl.col("vendor", "kind").n_unique()).filter(
            (pl.col("vendor") > 1) | (pl.col("kind") > 1)
        )
        for wrong, found in ((again, "is mapped twice at the same time"), (facts, "has two vendors or two kinds")):
            if len(wrong):
                first = wrong.select(pl.col([c for c in (*SELLER, "constituent") if c in wrong.columns])).row(0)
                raise InputDataError(
                    f"{' '.join(first)} {found}",
                    where="registry",
                    expected="one constituent for a seller's spelling on a date",
                    remedy="correct the registry",
                )
        return rows


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
        return pl.DataFrame(
            {
                "i": range(self.size),
                "number": [self.calendar.number(d) for d in self.dates],
                "fixing_date": self.dates,
                "cut_off": [self.calendar.cut_off_at(d) for d in self.dates],
            },
            schema={"i": pl.Int64, "number": pl.Int64, "fixing_date": pl.Date, "cut_off": pl.Datetime("us", "UTC")},
        )

    def from_moment(self, moments: pl.Series) -> pl.Series:
        """Return the first position whose cut-off is not before each moment; null moments give the end."""
        return self.frame["cut_off"].search_sorted(moments.fill_null(_NEVER), side="left").cast(pl.Int64)

    def from_date(self, days: pl.Series) -> pl.Series:
        """Return the first position on or after each date."""
        return self.frame["fixing_date"].search_sorted(days, side="left").cast(pl.Int64)


def visible(frame: pl.DataFrame, *, grid: Grid) -> pl.DataFrame:
    """Return the rows known at the last moment that `grid` looks from."""
    return frame.filter(pl.col("known_at") <= (grid.known_at or grid.frame["cut_off"][-1]))


def split(rows: pl.DataFrame, facts: pl.DataFrame, *, on: Sequence[str]) -> pl.DataFrame:
    """Return `rows` with the columns of `facts`, cut where a fact changes; a row without facts keeps nulls."""
    cut = rows.join(facts.rename({"i0": "f0", "i1": "f1"}), on=list(on), how="left")
    return (
        cut.with_columns(i0=pl.max_horizontal("i0", "f0"), i1=pl.min_horizontal("i1", "f1"))
        .filter(pl.col("i0") < pl.col("i1"))
        .drop("f0", "f1")
    )


def tile(facts: pl.DataFrame, *, on: Sequence[str], size: int) -> pl.DataFrame:
    """Return disjoint `facts` with the gaps of each key filled by rows of nulls, so that they cover ``[0, size)``."""
    kept = facts.filter(pl.col("i0") < pl.col("i1")).sort(*on, "i0")
    key = list(on)
    before = kept.select(*key, i0=pl.col("i1").shift(1, fill_value=0).over(key), i1="i0")
    after = kept.group_by(key).agg(i0=pl.col("i1").max(), i1=pl.lit(size, dtype=pl.Int64))
    empty = facts.select(key).unique().join(kept.select(key).unique(), on=key, how="anti")
    never = empty.select(*key, i0=pl.lit(0, dtype=pl.Int64), i1=pl.lit(size, dtype=pl.Int64))
    gaps = pl.concat([before, after, never]).filter(pl.col("i0") < pl.col("i1"))
    return pl.concat([kept, gaps], how="diagonal")


def select(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return the observations in force on the grid as spells, with mapping, tier, freshness and exchange rate.

    Returns
    -------
    DataFrame
        The columns of OBSERVATIONS, ``i0, i1, quote``, the registry's ``constituent, vendor, kind, host``,
        ``source_tier``, ``withdrawn``, ``unseen`` and ``rate`` (nano index currency per unit of the price's currency).
    """
    rows = _in_force(inputs, grid)
    rows = split(rows, _withdrawals(inputs, grid), on=["capture"])
    rows = split(rows, _mapping(inputs, grid), on=SELLER)
    rows = split(rows, _unseen(inputs, methodology, grid), on=["source"])
    rows = split(rows, _rates(inputs, methodology, grid), on=["currency"])
    tiers = [{"source": p.source, "host": h, "source_tier": p.tier} for p in methodology.inputs.prices for h in p.hosts]
    schema = {"source": pl.String, "host": pl.String, "source_tier": pl.Int64}
    return rows.join(pl.DataFrame(tiers, schema=schema), on=["source", "host"], how="left").with_columns(
        withdrawn=pl.col("price").is_null() | pl.col("withdrawn").fill_null(False), unseen=pl.col("unseen").fill_null(True)
    )


def _in_force(inputs: Inputs, grid: Grid) -> pl.DataFrame:
    """Return each row with the positions at which it is the latest one of its quote that is valid and known.

    The latest is the one with the last ``valid_from``, then the last ``known_at``. A row enters at its `seen` moment,
    and leaves when any later one enters.
    """
    last = grid.frame["cut_off"][-1]
    rows = visible(inputs.quotes, grid=grid).filter(pl.col("valid_from") <= last)
    if grid.known_at is None:
        rows = rows.with_columns(seen=pl.max_horizontal("valid_from", "known_at"))
        until = pl.col("seen").shift(-1).reverse().cum_min().reverse().over("quote")
    else:
        rows = rows.with_columns(seen="valid_from")
        until = pl.when(pl.col("quote") == pl.col("quote").shift(-1)).then(pl.col("seen").shift(-1))
    rows = rows.with_columns(until=until)
    return (
        rows.with_columns(i0=grid.from_moment(rows["seen"]), i1=grid.from_moment(rows["until"]))
        .filter(pl.col("i0") < pl.col("i1"))
        .drop("seen", "until")
    )


def _withdrawals(inputs: Inputs, grid: Grid) -> pl.DataFrame:
    """Return, for each complete snapshot, the positions from which a later one replaces it."""
    seen = visible(inputs.sightings.filter("complete"), grid=grid).sort("source", "seen_at", "known_at", "capture")
    when = pl.col("seen_at") if grid.known_at else pl.max_horizontal("seen_at", "known_at")
    later = seen.with_columns(when=when.shift(-1).reverse().cum_min().reverse().over("source"))
    gone = later.select("capture", i0=grid.from_moment(later["when"]), i1=pl.lit(grid.size, dtype=pl.Int64))
    return tile(gone.with_columns(withdrawn=pl.lit(True)), on=["capture"], size=grid.size)


def _mapping(inputs: Inputs, grid: Grid) -> pl.DataFrame:
    """Return the registry as spells."""
    rows = inputs.mapping
    facts = rows.select(*SELLER, "constituent", "vendor", "kind", "host").with_columns(
        i0=grid.from_date(rows["valid_from"]), i1=grid.from_date(rows["valid_to"])
    )
    return tile(facts, on=SELLER, size=grid.size)


def _unseen(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return the spells over which each source was looked at within the allowed number of days."""
    limit = timedelta(days=methodology.inputs.max_days_unseen)
    days = visible(inputs.sightings, grid=grid).sort("source", "seen_at")
    enters = days["seen_at"] if grid.known_at else days.select(pl.max_horizontal("seen_at", "known_at")).to_series()
    fresh = days.select(
        "source",
        i0=grid.from_moment(enters),
        i1=grid.from_date((days["seen_at"] + limit).dt.date() + timedelta(days=1)),
    ).filter(pl.col("i0") < pl.col("i1"))
    begins = pl.col("i0") > pl.col("i1").cum_max().shift(1).over("source")
    merged = (
        fresh.sort("source", "i0", "i1")
        .with_columns(run=begins.fill_null(True).cum_sum())
        .group_by("source", "run")
        .agg(pl.col("i0").min(), pl.col("i1").max(), unseen=pl.lit(False))
        .drop("run")
    )
    return tile(merged, on=["source"], size=grid.size)


def _rates(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return nano index currency per unit of every other currency, as a cross of two reference rates of one day.

    A rate enters when its day was first published, corrected or not, and holds for `max_rate_age_days` or until the next.
    """
    currency, limit = methodology.measures.currency, timedelta(days=methodology.inputs.max_rate_age_days)
    known = visible(inputs.rates.filter(pl.col("source") == methodology.inputs.rates), grid=grid)
    days = known.sort("base", "quote", "rate_date", "known_at", "rate").group_by("base", "quote", "rate_date")
    latest = days.agg(pl.col("rate").last(), pl.col("known_at").first() if grid.known_at else pl.col("known_at").last())
    nano = latest.select("base", "quote", "rate_date", "known_at", nano=pl.col("rate").to_physical().cast(pl.Int64))
    own = nano.select("base", "rate_date", "known_at", quote="base", nano=pl.lit(10**9, dtype=pl.Int64)).unique()
    per_base = pl.concat([nano, own.select(nano.columns)])
    ours = per_base.filter(pl.col("quote") == currency).select("base", "rate_date", "known_at", ours="nano")
    cross = per_base.filter(pl.col("quote") != currency).join(ours, on=["base", "rate_date"]).with_columns(
        known=pl.max_horizontal("known_at", "known_at_right", pl.col("rate_date").cast(pl.Datetime("us", "UTC")))
    )
    cross = cross.sort("quote", "rate_date", "known", "base").unique(["quote", "rate_date"], keep="last", maintain_order=True)
    facts = cross.select(
        currency="quote",
        i0=grid.from_moment(cross["known"]),
        end=grid.from_date(cross["rate_date"] + limit + timedelta(days=1)),
        rate=divide_columns(pl.col("ours").cast(pl.Int128) * 10**9, pl.col("nano")).cast(pl.Int64),
    ).filter(pl.col("i0") < pl.col("end"))
    nexts = pl.col("i0").shift(-1).over("currency").fill_null(grid.size)
    facts = facts.with_columns(i1=pl.min_horizontal("end", nexts)).drop("end").filter(pl.col("i0") < pl.col("i1"))
    unit = pl.DataFrame({"currency": [currency], "i0": [0], "i1": [grid.size], "rate": [10**9]})
    return pl.concat([tile(facts, on=["currency"], size=grid.size), unit], how="diagonal")


def select_volumes(inputs: Inputs, methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Return the complete volumes of the allowed sources as spells of the dates whose window they belong to.

    Returns
    -------
    DataFrame
        The columns of VOLUMES, ``i0, i1``, ``constituent, vendor, kind`` (null where unmapped) and ``counted``: the
        tokens are of an allowed class of service.
    """
    rule, key = methodology.volumes, [*SELLER, "component", "service_tier", "period_start", "period_end"]
    known = visible(inputs.volumes, grid=grid).filter(pl.col("source").is_in(list(rule.sources)))
    inside = pl.col("contained_in").is_in(list(rule.sources)).fill_null(False)
    rows = known.filter(~inside).sort(*key, "known_at", "tokens", "capture", "locator")
    if grid.known_at is None:
        rows = rows.with_columns(k0=grid.from_moment(rows["known_at"]))
        rows = rows.with_columns(k1=pl.col("k0").shift(-1).over(key).fill_null(grid.size))
    else:
        rows = rows.unique(key, keep="last", maintain_order=True)
        rows = rows.with_columns(k0=pl.lit(0, dtype=pl.Int64), k1=pl.lit(grid.size, dtype=pl.Int64))
    first = grid.from_date(rows["period_end"] + timedelta(days=rule.lag_days))
    after = grid.from_date(rows["period_start"] + timedelta(days=rule.lag_days + rule.window_days))
    spells = (
        rows.with_columns(first=first, after=after)
        .with_columns(i0=pl.max_horizontal("first", "k0"), i1=pl.min_horizontal("after", "k1"))
        .filter((pl.col("i0") < pl.col("i1")) & ~pl.col("partial"))
        .drop("first", "after", "k0", "k1")
    )
    span = pl.col("period_start").is_between(pl.col("valid_from"), pl.col("valid_to"), closed="left")
    facts = inputs.mapping.select(*SELLER, "constituent", "vendor", "kind", "valid_from", "valid_to")
    mapped = spells.join(facts, on=list(SELLER), how="inner").filter(span).drop("valid_from", "valid_to")
    same = ["capture", "locator", "i0"]
    whole = pl.concat([mapped, spells.join(mapped.select(same), on=same, how="anti")], how="diagonal")
    return whole.with_columns(counted=pl.col("service_tier").is_in(list(rule.service_tiers))).sort(*key, "i0")
