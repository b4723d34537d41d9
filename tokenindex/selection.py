"""Selection: what was in force, and known, on each fixing date.

*Reads* the input tables, the registry, a methodology and a grid of fixing dates. *Writes* spells. *Never* drops a row
that was in force: it stays, and a screen gives it a reason.

A **spell** is a row with ``[i0, i1)``, the run of positions in the grid over which nothing about it changes. Prices stand
still on most days, so a spell is worked on once and not once a day; a batch of one date is a grid of one position. Facts
that change with time (mapping, freshness, exchange rate) are spells too, and cut the rows they are joined to.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

import polars as pl

from .errors import InputDataError
from .exact import ROWS_MAX, divide_columns
from .looks import NEVER, SNAPSHOT, Spots, by_spot, replaced
from .methodology import Allowed, Methodology
from .periods import Calendar
from .tables import JUDGMENTS, OBSERVATIONS, OFFER_KEY, QUOTE_KEY, RATES, REGISTRY, SIGHTINGS, UNREAD, VOLUMES

SELLER = ("source", "provider", "model")
_SLIM = (*SELLER, "capture", "currency")
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
_KEPT: Final = 8
"""Results that inputs keep for other indices of the same rules."""
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """The input tables of a determination, as the adapters and the registry give them.

    Any row order gives the same determination.
    """

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    unread: pl.DataFrame = field(default_factory=UNREAD.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    judgments: pl.DataFrame = field(default_factory=JUDGMENTS.empty)
    registry: pl.DataFrame = field(default_factory=REGISTRY.empty)
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, f.name)):,} {f.name}" for f in fields(self) if f.repr)
        return f"<Inputs {sizes}>"

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gives, made once for a key: indices that share rules share the work.

        The key names the rules that the result depends on besides these inputs.
        """
        if key not in self._kept:
            made = make()
            for oldest in list(self._kept)[: 1 - _KEPT]:
                self._kept.pop(oldest, None)
            self._kept[key] = made
        found: T = self._kept[key]
        return found

    def forget(self) -> None:
        """Drop what was kept for other indices; it is made again when it is asked for."""
        self._kept.clear()

    @cached_property
    def quotes(self) -> pl.DataFrame:
        """The observations in canonical order with the numbers of their quote, of their offer and of its blind spot.

        An offer is what its quotes for several prompt lengths and hours make together.
        """
        look = ["source", "capture", "known_at"]
        told = self.sightings.filter("complete").select(look).unique().with_columns(whole=pl.lit(True))
        rows = self.observations.join(told, on=look, how="left", maintain_order="left")
        whole = pl.col("whole").is_not_null()
        # a complete snapshot says what holds, also of the past; else the later date is the later word
        turn = {"first": ("known_at", "valid_from"), "then": ("valid_from", "known_at")}
        rows = rows.with_columns(pl.when(whole).then(a).otherwise(b).alias(name) for name, (a, b) in turn.items())
        ordered = rows.sort(*QUOTE_KEY, *turn, "price", "capture", "locator", nulls_last=True).drop(*turn, "whole")
        numbers = {"quote": pl.struct(QUOTE_KEY).rle_id(), "offer": pl.struct(OFFER_KEY).rle_id()}
        numbered = ordered.with_columns(**numbers, spot=pl.lit(0, dtype=pl.Int64)).with_row_index("row")
        if self.spots.offers.is_empty():
            return numbered
        offers = numbered.unique("offer", keep="first", maintain_order=True).drop("spot")
        spots = offers.join(self.spots.offers, on=[*SELLER, "component"], how="left", maintain_order="left")["spot"]
        return numbered.with_columns(spot=pl.lit(spots.fill_null(0)).gather(pl.col("offer")))

    @cached_property
    def spots(self) -> Spots:
        """The offers that some look could not read."""
        return Spots.of(self.observations, self.unread)

    @cached_property
    def usage(self) -> pl.DataFrame:
        """The volumes in canonical order with the number of their series, and the place of their constituent."""
        key = [*SELLER, "component", "service_tier", "period_start", "period_end"]
        ordered = (
            self.volumes.drop_nulls("tokens")
            .sort(*key, "known_at", "tokens", "capture", "locator")
            .with_row_index("row")
        )
        facts = self.mapping.select(*SELLER, "place", "valid_from", "valid_to")
        held = pl.col("period_start").is_between(pl.col("valid_from"), pl.col("valid_to"), closed="left")
        mapped = ordered.select("row", *SELLER, "period_start").join(facts, on=SELLER).filter(held)
        numbered = ordered.with_columns(series=pl.struct(key).rle_id())
        return numbered.join(mapped.select("row", "place"), on="row", how="left", maintain_order="left")

    @cached_property
    def mapping(self) -> pl.DataFrame:
        """The registry with the place of each constituent in alphabetical order.

        It is refused if two rows map the same seller at the same time or contradict each other.
        """
        span = [pl.col("valid_from").fill_null(date.min), pl.col("valid_to").fill_null(date.max)]
        rows = self.registry.with_columns(span).sort(*SELLER, "valid_from")
        again = rows.filter(pl.col("valid_from") < pl.col("valid_to").shift(1).over(SELLER))
        facts = (
            rows.group_by("constituent")
            .agg(pl.col("vendor", "kind").n_unique())
            .filter((pl.col("vendor") > 1) | (pl.col("kind") > 1))
        )
        never = rows.filter(pl.col("valid_to") <= pl.col("valid_from"))
        for wrong, found in (
            (again, "is mapped twice at the same time"),
            (facts, "has two vendors or two kinds"),
            (never, "is mapped until a day that is not after its first one"),
        ):
            if len(wrong):
                first = wrong.select(pl.col([c for c in (*SELLER, "constituent") if c in wrong.columns])).row(0)
                raise InputDataError(
                    f"{' '.join(first)} {found}",
                    where="registry",
                    expected="one constituent for a seller's spelling on a date",
                    remedy="correct the registry",
                )
        if rows["constituent"].n_unique() > ROWS_MAX:
            raise InputDataError(
                f"it names {rows['constituent'].n_unique():,} constituents",
                where="registry",
                expected=f"at most {ROWS_MAX:,}: more could leave the proven bounds of exact sums",
            )
        return rows.with_columns(place=pl.col("constituent").rank("dense").cast(pl.Int64) - 1)

    @cached_property
    def places(self) -> int:
        """Number of constituents in the registry."""
        return self.mapping["constituent"].n_unique()

    @cached_property
    def spelled(self) -> pl.DataFrame:
        """The mapping with rows of nulls for the times at which a seller's spelling is not mapped."""
        days = {"i0": pl.col("valid_from"), "i1": pl.col("valid_to")}
        facts = self.mapping.lazy().select(*SELLER, "constituent", "place", "vendor", "kind", "host", **days)
        return tile(facts, on=SELLER, start=date.min, end=date.max).collect(engine="in-memory")

    def universe(self, methodology: Methodology) -> pl.DataFrame:
        """Return ``constituent, vendor, place`` of every model of the registry that the methodology measures, in order."""
        wanted = pl.col("kind").is_in(list(methodology.measures.kinds))
        if methodology.measures.vendors:
            wanted &= pl.col("vendor").is_in(list(methodology.measures.vendors))
        return self.mapping.filter(wanted).select("constituent", "vendor", "place").unique().sort("place")

    @cached_property
    def currencies(self) -> frozenset[str]:
        """The currencies in which prices are observed."""
        return frozenset(self.observations["currency"].unique())


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

    def from_moment(self, moments: pl.Expr) -> pl.Expr:
        """Return the first position whose cut-off is not before each moment; null moments give the end."""
        ordered = pl.lit(self.frame["cut_off"])
        return ordered.search_sorted(moments.fill_null(NEVER), side="left").cast(pl.Int64)

    def from_date(self, days: pl.Expr) -> pl.Expr:
        """Return the first position on or after each date."""
        return pl.lit(self.frame["fixing_date"]).search_sorted(days, side="left").cast(pl.Int64)

    @property
    def last_moment(self) -> datetime:
        """The last moment that anything could become known."""
        last: datetime = self.frame["cut_off"][-1]
        return self.known_at or last


def visible(frame: pl.DataFrame, *, grid: Grid) -> pl.LazyFrame:
    """Return the rows known at the last moment that `grid` looks from."""
    return frame.lazy().filter(pl.col("known_at") <= grid.last_moment)


def split(rows: pl.LazyFrame, facts: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """Return `rows` with the columns of `facts`, cut where a fact changes; a row without facts keeps nulls."""
    cut = rows.join(facts.rename({"i0": "f0", "i1": "f1"}), on=list(on), how="left")
    return (
        cut.with_columns(i0=pl.max_horizontal("i0", "f0"), i1=pl.min_horizontal("i1", "f1"))
        .filter(pl.col("i0") < pl.col("i1"))
        .drop("f0", "f1")
    )


def tile(facts: pl.LazyFrame, *, on: Sequence[str], start: int | date, end: int | date) -> pl.LazyFrame:
    """Return disjoint `facts` with the gaps of each key filled by rows of nulls, so that they cover ``[start, end)``."""
    key, facts = list(on), facts.collect(engine="in-memory").lazy()  # used three times below
    kept = facts.filter(pl.col("i0") < pl.col("i1")).sort(*key, "i0").collect(engine="in-memory").lazy()
    before = kept.select(*key, i0=pl.col("i1").shift(1).over(key).fill_null(pl.lit(start)), i1="i0")
    last = pl.when(pl.col("i0") < pl.col("i1")).then("i1").max().fill_null(pl.lit(start))
    after = facts.group_by(key).agg(i0=last, i1=pl.lit(end).first())
    typed = [
        gap.with_columns(pl.col("i0", "i1").cast(pl.Int64 if isinstance(end, int) else pl.Date))
        for gap in (before, after)
    ]
    gaps = pl.concat(typed).filter(pl.col("i0") < pl.col("i1"))
    return pl.concat([kept, gaps], how="diagonal")


def union(spells: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """Return the positions covered by at least one spell of each key, as disjoint spells."""
    ordered = spells.filter(pl.col("i0") < pl.col("i1")).sort(*on, "i0", "i1")
    begins = (pl.col("i0") > pl.col("i1").cum_max().shift(1)).over(on).fill_null(True)
    runs = ordered.with_columns(run=begins.cum_sum()).group_by(*on, "run")
    return runs.agg(pl.col("i0").min(), pl.col("i1").max()).drop("run")


def entered(rows: pl.LazyFrame, *, seen: pl.Expr, of: str, grid: Grid) -> pl.LazyFrame:
    """Return rows ordered by `of` with the positions at which each is the last of its group among those that have entered.

    A row enters at `seen`, and leaves when any row after it enters: at the least of the later entries of its group. All
    groups are searched in one pass: a position counts on from ``group * (size + 1)``, so that later groups lie higher.
    """
    width = grid.size + 1
    group = pl.col(of).rle_id().cast(pl.Int64)
    later = (group * width + pl.col("i0")).shift(-1).reverse().cum_min().reverse()
    until = pl.when(later // width == group).then(later % width).otherwise(grid.size)
    return rows.with_columns(i0=grid.from_moment(seen)).with_columns(i1=until).filter(pl.col("i0") < pl.col("i1"))


def select(inputs: Inputs, allowed: Allowed, currency: str, grid: Grid) -> pl.DataFrame:
    """Return the observations in force on the grid as spells, with mapping, tier, freshness and exchange rate.

    Returns
    -------
    DataFrame
        The columns `SCREENED`, ``offer, row, i0, i1``, the registry's ``constituent, place, vendor, kind, host``,
        ``source_tier, withdrawn, unseen, unread`` and ``rate`` (nano index currency per unit of the price's currency).
    """
    tiers = [{"source": p.source, "host": h, "source_tier": p.tier} for p in allowed.prices for h in p.hosts]
    schema = {"source": pl.String, "host": pl.String, "source_tier": pl.Int64}
    rows = _in_force(inputs, grid)
    rows = split(rows, _mapping(inputs, grid), on=SELLER).collect(engine="in-memory").lazy()
    mapped = split(rows.drop_nulls("constituent"), _withdrawals(inputs, grid), on=[*SNAPSHOT, "spot"])
    mapped = split(mapped, _unseen(inputs, allowed, grid), on=["source"])
    mapped = _unread(mapped, inputs, allowed, grid)
    mapped = split(mapped, _rates(inputs, allowed, currency, grid), on=["currency"])
    mapped = mapped.join(pl.LazyFrame(tiers, schema=schema), on=["source", "host"], how="left")
    unmapped = rows.filter(pl.col("constituent").is_null())  # excluded whatever the other facts say
    facts = pl.concat([mapped, unmapped], how="diagonal").drop("known_at", "spot", *_SLIM).collect(engine="in-memory")
    observed = inputs.quotes.select(*SCREENED, "offer")[facts["row"]]
    gone = pl.col("price").is_null() | pl.col("ended") | pl.col("withdrawn").fill_null(False)
    unknown = {"unseen": pl.col("unseen").fill_null(True), "unread": pl.col("unread").fill_null(False)}
    return observed.hstack(facts).with_columns(withdrawn=gone, **unknown)


def _in_force(inputs: Inputs, grid: Grid) -> pl.LazyFrame:
    """Return each row with the positions at which it is the latest one of its quote that is valid and known.

    The latest is the one with the last ``valid_from``, then the last ``known_at``; in complete snapshots the one with the
    last ``known_at``, then the last ``valid_from``. Past its declared end it has `ended`.
    """
    rows = visible(inputs.quotes, grid=grid).filter(pl.col("valid_from") <= grid.frame["cut_off"][-1])
    seen = pl.col("valid_from") if grid.known_at else pl.max_horizontal("valid_from", "known_at")
    spells = entered(rows, seen=seen, of="quote", grid=grid).with_columns(end=grid.from_moment(pl.col("valid_to")))
    until = spells.with_columns(i1=pl.min_horizontal("i1", "end"), ended=pl.lit(False))
    beyond = spells.with_columns(i0=pl.max_horizontal("i0", "end"), ended=pl.lit(True))
    whole = pl.concat([until, beyond]).filter(pl.col("i0") < pl.col("i1"))
    return whole.select("row", "known_at", "spot", *_SLIM, "i0", "i1", "ended")


def _withdrawals(inputs: Inputs, grid: Grid) -> pl.LazyFrame:
    """Return, for each complete snapshot and spot, the positions from which a later one replaces it."""
    seen = visible(inputs.sightings.filter("complete"), grid=grid).with_columns(enters=_enters(grid))
    spells = {"i0": grid.from_moment(pl.col("gone")), "i1": pl.lit(grid.size, dtype=pl.Int64)}
    gone = replaced(seen, inputs.spots.blind).select(*SNAPSHOT, "spot", **spells, withdrawn=pl.lit(True))
    return tile(gone, on=[*SNAPSHOT, "spot"], start=0, end=grid.size)


def _enters(grid: Grid) -> pl.Expr:
    """Return the moment from which a look counts."""
    return pl.col("seen_at") if grid.known_at else pl.max_horizontal("seen_at", "known_at")


def _mapping(inputs: Inputs, grid: Grid) -> pl.LazyFrame:
    """Return the registry as spells."""
    return inputs.spelled.lazy().with_columns(i0=grid.from_date(pl.col("i0")), i1=grid.from_date(pl.col("i1")))


def _unseen(inputs: Inputs, allowed: Allowed, grid: Grid) -> pl.LazyFrame:
    """Return the spells over which each source was looked at within the allowed number of days."""
    merged = union(_fresh(inputs, allowed, grid), on=["source"]).with_columns(unseen=pl.lit(False))
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
    looks = by_spot(_fresh(inputs, allowed, grid), blind).filter(pl.col("spot") > 0)
    for name, recent, on in (
        ("read", looks.filter("reads"), ["source", "spot"]),
        ("own", looks.filter(~pl.col("reads")), [*SNAPSHOT, "spot"]),
    ):
        spells = union(recent, on=on).with_columns(pl.lit(True).alias(name))
        rows = split(rows, tile(spells, on=on, start=0, end=grid.size), on=on)
    neither = (pl.col("spot") > 0) & pl.col("read").is_null() & pl.col("own").is_null()
    return rows.with_columns(unread=neither).drop("read", "own")


def _rates(inputs: Inputs, allowed: Allowed, currency: str, grid: Grid) -> pl.LazyFrame:
    """Return nano index currency per unit of every other currency, as a cross of two reference rates of one day.

    A rate enters when its day was first published, corrected or not, and holds for `max_rate_age_days` or until the next.
    """
    limit = timedelta(days=allowed.max_rate_age_days)
    unit = pl.LazyFrame({"currency": [currency], "i0": [0], "i1": [grid.size], "rate": [10**9]})
    if inputs.currencies <= {currency}:
        return unit
    wanted = (pl.col("source") == allowed.rates) & (pl.col("rate_date") >= grid.dates[0] - limit)
    legs = _legs(visible(inputs.rates, grid=grid).filter(wanted), grid).collect(engine="in-memory").lazy()
    ours = legs.filter(pl.col("quote") == currency).select("base", "rate_date", ours="nano", ours_known="known_at")
    order = ["quote", "rate_date", "ours_known", "ours", "known_at", "nano", "base"]
    cross = legs.filter(pl.col("quote") != currency).join(ours, on=["base", "rate_date"]).sort(order)
    seen = pl.max_horizontal("known_at", "ours_known", pl.col("rate_date").cast(pl.Datetime("us", "UTC")))
    facts = entered(cross, seen=seen, of="quote", grid=grid).select(
        "i0",
        currency="quote",
        i1=pl.min_horizontal("i1", grid.from_date(pl.col("rate_date") + limit + timedelta(days=1))),
        rate=divide_columns(pl.col("ours").cast(pl.Int128) * 10**9, pl.col("nano")).cast(pl.Int64),
    )
    return pl.concat([tile(facts, on=["currency"], start=0, end=grid.size), unit], how="diagonal")


def _legs(rates: pl.LazyFrame, grid: Grid) -> pl.LazyFrame:
    """Return ``base, quote, rate_date, known_at, nano``: every revision, or the last one where one moment is looked from.

    A unit of the base is worth one of itself on every day that has a rate.
    """
    nano = pl.col("rate").to_physical().cast(pl.Int64)
    ordered = rates.select("base", "quote", "rate_date", "known_at", nano=nano).sort("known_at", "nano")
    if grid.known_at:
        days = ordered.group_by("base", "quote", "rate_date", maintain_order=True)
        ordered = days.agg(pl.col("known_at").first(), pl.col("nano").last())
    midnight = pl.col("rate_date").cast(pl.Datetime("us", "UTC"))
    own = ordered.with_columns(quote="base", known_at=midnight, nano=pl.lit(10**9, dtype=pl.Int64)).unique()
    return pl.concat([ordered, own])
