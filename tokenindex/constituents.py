"""Constituents: from observations in force to one price in use and one volume for each model and date.

*Reads* spells of observations and of volumes. *Writes* elementary prices, and one row a constituent and date. *Never*
drops a constituent of the universe: one without a price has a reason.

Prices stay on spells and pieces (runs of dates over which nothing changes) until they are blended, and are spread over the
dates then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from .errors import DeterminationError
from .exact import NANO, PRICE_MAX, TOKENS_MAX, divide_columns
from .guard import held_on, hold
from .inputs import Inputs
from .methodology import Methodology, Volumes
from .offers import alone, evaluate, reach
from .selection import Grid, select
from .spells import union
from .units import COMPONENTS
from .volumes import select_volumes

_COMPONENT = pl.Enum(COMPONENTS)
_NO_QUOTE = (
    "unmapped", "not_in_universe", "source_not_allowed", "component_not_used", "withdrawn", "source_unseen",
    "unreadable", "service_tier", "prompt_length",
)  # fmt: skip
"""Why a row says nothing of what the index measures on a date, whatever its price."""
_UNPRICED = ("not_positive", "price_bounds", "no_exchange_rate", "price_too_large")
"""Why a row that is an offer has no price that can be used: what it offers is on sale all the same."""


def observed(inputs: Inputs, methodology: Methodology, grid: Grid) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the observations in force with their standard price and ``held_by``, what the guards hold them back for.

    Those that the registry does not map come apart, as ``row, i0, i1``.
    """
    rows, unmapped = select(inputs, methodology.inputs, methodology.measures.currency, grid)
    return standardise(hold(rows, held_on(inputs, methodology, grid), grid)), unmapped


def standardise(rows: pl.DataFrame) -> pl.DataFrame:
    """Append ``standard_price``: nano index currency per million tokens, from ``own`` in the price's own currency.

    The unit was converted first, now the currency is; each result is rounded half-even to nine decimals. Null where there
    is no price, no rate, or more than a million currency units per million tokens.
    """
    size = pl.col("own").abs().cast(pl.Int128) * pl.col("rate")
    converted = rows.select(divide_columns(size, pl.lit(NANO, dtype=pl.Int128))).to_series()
    small = pl.when(pl.lit(converted) <= PRICE_MAX).then(pl.lit(converted)).cast(pl.Int64)
    return rows.with_columns(standard_price=small * pl.col("own").sign())


def screen(rows: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``reach`` and ``excluded_by``: the first reason that keeps a row out; null where it is used."""
    vendors = list(methodology.measures.vendors)
    outside = ~pl.col("kind").is_in(list(methodology.measures.kinds))
    if vendors:
        outside |= ~pl.col("vendor").is_in(vendors)
    workload = methodology.workload
    rows = rows.with_columns(reach(rows, workload).alias("reach"))
    reasons = [
        ("not_in_universe", outside),
        ("source_not_allowed", pl.col("source_tier").is_null()),
        ("component_not_used", ~pl.col("component").is_in(workload.components)),
        ("withdrawn", pl.col("withdrawn")),
        ("source_unseen", pl.col("unseen")),
        ("unreadable", pl.col("unread")),
        ("service_tier", ~pl.col("service_tier").is_in(workload.service_tiers)),
        ("prompt_length", pl.col("reach") == 0),
        *((s.reason, s.applies) for s in methodology.screens),
        ("no_exchange_rate", pl.col("rate").is_null()),
        ("price_too_large", pl.col("standard_price").is_null()),
        ("not_positive", pl.col("standard_price") <= 0),  # also a price that rounds to nothing
    ]
    # what is held comes last: it would be used
    return rows.with_columns(excluded_by=pl.coalesce(_first(reasons), "held_by"))


def _first(reasons: Sequence[tuple[str, pl.Expr]]) -> pl.Expr:
    """Return the first reason that applies; null where none does."""
    if not reasons:  # a gathered literal is not as long as the frame
        return pl.lit(None, dtype=pl.String)
    numbers = [pl.when(applies).then(pl.lit(n, dtype=pl.UInt8)) for n, (_, applies) in enumerate(reasons)]
    names = pl.Series([reason for reason, _ in reasons], dtype=pl.String)
    return pl.lit(names).gather(pl.coalesce(*numbers, pl.lit(None, dtype=pl.UInt8)))


def consolidate(
    rows: pl.DataFrame, methodology: Methodology, universe: pl.DataFrame, *, size: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return elementary prices by constituent, component and piece, and blended prices by constituent and piece.

    A piece is a run of dates over which no usable observation of a constituent changes. The pieces of every constituent of
    the universe cover the whole grid. A price that is held back takes part without a price: a worse source is not asked
    because a better one is doubted. So does one that cannot be used: nothing stands in for a component that is sold.
    """
    names = universe.with_columns(code=pl.int_range(pl.len()))
    code = pl.lit(names["place"]).search_sorted(pl.col("place")).cast(pl.Int64)
    usable = _taking_part(rows).with_columns(code=code)
    # one number for a constituent and a position, and its rank among all ends of spells
    ends = {end: pl.col("code") * (size + 1) + pl.col(end) for end in ("i0", "i1")}
    whole = names.select(i0=pl.col("code") * (size + 1), i1=pl.col("code") * (size + 1) + size)
    cuts = pl.concat(
        [part.to_series() for f in (usable.select(**ends), whole) for part in (f.select("i0"), f.select("i1"))]
    )
    cuts = cuts.unique().sort()
    # the last cut of a constituent begins no piece: as many as there are constituents before
    rank = {end: pl.lit(cuts).search_sorted(number).cast(pl.Int64) - pl.col("code") for end, number in ends.items()}
    facts = ("source", "source_tier", "held", "standard_price")
    spans = usable.with_columns(kind=_kind(pl.col("component")), piece=pl.int_ranges(rank["i0"], rank["i1"]))
    quote = pl.col("piece") * len(COMPONENTS) + pl.col("kind")
    simple = alone(spans, methodology.workload)
    members = spans.filter(simple).select(*facts, "kind", "piece").explode("piece").select(*facts, quote=quote)
    if not simple.all():
        parts = spans.filter(~simple).explode("piece").with_columns(quote=quote)
        members = pl.concat([members, evaluate(parts, methodology.workload).select(members.columns)])
    pieces = _pieces(cuts, names, size=size)
    elementary = _elementary(_consolidated(members, methodology), pieces, methodology)
    return elementary, _blend(elementary, pieces, methodology)


def _taking_part(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what consolidation asks of the rows that are used, held, on sale without a price, or whose hours stay open."""
    out = pl.col("excluded_by")
    held = out.eq_missing(pl.col("held_by"))  # nothing else excludes it; null: used
    facts = rows.select(
        *("place", "component", "offer", "source", "source_tier", "i0", "i1", "reach"),
        *("context_from", "context_to", "time_from", "time_to", "time_zone"),
        barred=~held,
        unpriced=out.is_in(_UNPRICED).fill_null(False),
        held=pl.col("held_by").is_not_null() & held,
        hours=pl.col("time_from").is_not_null() & ~out.is_in(_NO_QUOTE),
        standard_price=pl.when(out.is_null()).then("standard_price"),
    )
    offers = facts.select(pl.col("offer").filter(~pl.col("barred")).unique()).to_series()
    # hours whose own quote a screen keeps out are not those of the quote beside it: that offer leaves them open
    open_ = pl.col("hours") & pl.col("offer").is_in(offers.implode())
    return facts.filter(~pl.col("barred") | pl.col("unpriced") | open_)


def _pieces(cuts: pl.Series, names: pl.DataFrame, *, size: int) -> pl.DataFrame:
    """Return ``code, i0, i1, piece, constituent, vendor, place``, the pieces of each constituent in order."""
    ends = pl.DataFrame({"cut": cuts}).select(
        code=pl.col("cut") // (size + 1), i0=pl.col("cut") % (size + 1), i1=pl.col("cut").shift(-1) % (size + 1)
    )
    pieces = ends.filter(pl.col("i0") < size).with_columns(piece=pl.int_range(pl.len()))
    return pieces.with_columns(
        pl.lit(names[name]).gather(pl.col("code")).alias(name) for name in ("constituent", "vendor", "place")
    )


def _consolidated(members: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Return one price a quote, in order; none where the best tier is held, or every offer is incomplete."""
    priced = members.filter(pl.col("standard_price").is_not_null())
    found = methodology.consolidation(priced, "quote")
    if len(priced) == len(members):
        return found
    doubted = members.filter(pl.col("standard_price").is_null())
    doubted = doubted.group_by("quote").agg(held=pl.col("source_tier").filter("held").min())
    both = found.join(doubted, on="quote", how="full", coalesce=True).sort("quote")
    absent = pl.col("source_tier").is_null()
    held = pl.col("held").is_not_null() & (absent | (pl.col("held") < pl.col("source_tier")))
    reason = pl.when(held).then(pl.lit("held")).when(absent).then(pl.lit("no_usable_price")).otherwise("excluded_by")
    counts = ("quotes", "agreeing", "sources")
    return both.with_columns(
        *(pl.when(held | absent).then(0).otherwise(name).cast(pl.Int64).alias(name) for name in counts),
        *(pl.when(~held).then(fact).alias(fact) for fact in ("source_tier", "price")),
        excluded_by=reason,
    ).drop("held")


def _kind(component: pl.Expr) -> pl.Expr:
    """Return the number of a component; with the piece it makes the number of a quote."""
    return component.cast(_COMPONENT).to_physical().cast(pl.Int64)


def _elementary(found: pl.DataFrame, pieces: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Return every component of the blend for every piece, with a declared stand-in where a component is not sold."""
    workload = methodology.workload
    parts = pl.DataFrame(
        {"component": list(workload.mix), "parts": list(workload.mix.values())},
        schema={"component": _COMPONENT, "parts": pl.Int64},
    ).with_columns(instead=pl.Series([workload.instead.get(name) for name in workload.mix], dtype=_COMPONENT))
    needed = pieces.select("constituent", "piece").join(parts, how="cross", maintain_order="left_right")
    numbers = pl.lit(found["quote"])

    def place_of(component: str) -> pl.Expr:
        wanted = pl.col("piece") * len(COMPONENTS) + _kind(pl.col(component))
        at = numbers.search_sorted(wanted, side="left")
        return pl.when(numbers.gather(at, null_on_oob=True) == wanted).then(at)

    needed = needed.with_columns(own=place_of("component"), other=place_of("instead"))
    imputed = pl.col("own").is_null() & pl.col("other").is_not_null()
    facts = ["price", "source_tier", "quotes", "agreeing", "sources", "excluded_by"]
    at = pl.coalesce("own", "other")
    return needed.select(
        "constituent",
        "piece",
        "component",
        "parts",
        pl.when(imputed).then("instead").alias("imputed_from"),
        *(pl.lit(found[fact]).gather(at).alias(fact) for fact in facts),
    ).with_columns(excluded_by=pl.when(pl.col("quotes").is_null()).then(pl.lit("not_quoted")).otherwise("excluded_by"))


def _blend(elementary: pl.DataFrame, pieces: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Return the pieces with the blended price: :math:`Σ parts · price / Σ parts`; null if a component lacks a price."""
    parts = methodology.workload.mix.values()

    def each(fact: str) -> list[pl.Expr]:  # one column a component: they stand in the order of the mix in every piece
        return [pl.col(fact).gather_every(len(parts), offset) for offset in range(len(parts))]

    prices = [price.cast(pl.Int128) * n for price, n in zip(each("price"), parts, strict=True)]
    total = pl.sum_horizontal(*prices, ignore_nulls=False)
    blended = elementary.select(
        pl.max_horizontal(each("source_tier")),
        pl.min_horizontal(each("sources")),
        pl.min_horizontal(each("excluded_by")),
        price=divide_columns(total, pl.lit(sum(parts), dtype=pl.Int128)).cast(pl.Int64),
    )
    return pieces.hstack(blended)


def spread(pieces: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Return one row for every constituent and date of the grid, ordered so; ``row = code * size + i``."""
    dated = pieces.with_columns(i=pl.int_ranges("i0", "i1")).drop("i0", "i1", "piece").explode("i")
    number = pl.lit(grid.frame["number"]).gather(pl.col("i"))
    return dated.with_columns(row=pl.int_range(pl.len()), number=number)


def _last(present: pl.Expr, *, before: bool) -> pl.Expr:
    """Return the row of the last date on which `present` holds for the same constituent, up to or before this one."""
    rows = pl.when(present).then("row").forward_fill()
    rows = rows.shift(1) if before else rows
    return pl.when(rows >= pl.col("row") - pl.col("i")).then(rows)


def relate(constituents: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``previous``, the last price before the date within `carry_dates`, and ``log_relative`` in nano."""
    found = constituents.with_columns(_at=_last(pl.col("price").is_not_null(), before=True))
    recent = pl.col("number") - pl.col("number").gather(pl.col("_at")) <= methodology.inputs.carry_dates
    found = found.with_columns(previous=pl.when(recent).then(pl.col("price").gather(pl.col("_at")))).drop("_at")
    log = (pl.col("price") / pl.col("previous")).log() * NANO
    return found.with_columns(log_relative=log.round().cast(pl.Int64))


def flag_outliers(constituents: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``outlier_by``: the first rule that does not believe the price; null where it is believed."""
    return constituents.with_columns(outlier_by=_first([(rule.reason, rule.applies) for rule in methodology.outliers]))


def accept(constituents: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``used``, ``used_tier`` and ``used_number``: the last believed price within `carry_dates`, and its date."""
    believed = pl.col("price").is_not_null() & pl.col("outlier_by").is_null()
    found = constituents.with_columns(_at=_last(believed, before=False))
    recent = pl.col("number") - pl.col("number").gather(pl.col("_at")) <= methodology.inputs.carry_dates
    at = found.select(pl.when(recent).then("_at")).to_series()
    facts = {"used": "price", "used_tier": "source_tier", "used_number": "number"}
    return constituents.hstack([found[column].gather(at).alias(name) for name, column in facts.items()])


@dataclass(frozen=True)
class Window:
    """The window of volumes of a date: its complete days, and all tokens known in it, mapped or not."""

    days: int
    tokens: int


@dataclass(frozen=True)
class Usage:
    """The window of every date of a grid, and the tokens of each constituent in it.

    `tokens` stands at ``place * size + i``; null where the window has too few complete days or none of its tokens.
    """

    windows: list[Window]
    tokens: pl.Series

    def of(self, constituents: pl.DataFrame) -> pl.Series:
        """Return the tokens of `constituents`, one row a constituent and date."""
        rows = pl.col("place") * len(self.windows) + pl.col("i")
        tokens = constituents.select(tokens=pl.lit(self.tokens).gather(rows)).to_series()
        if (tokens > TOKENS_MAX).any():
            raise DeterminationError(f"a constituent has more than {TOKENS_MAX} tokens in one window")
        return tokens.cast(pl.Int64)


def count_usage(inputs: Inputs, rule: Volumes, grid: Grid) -> Usage:
    """Return the complete volumes in the lagged window of every date."""
    volumes = select_volumes(inputs, rule, grid)
    window = _windows(volumes, grid)
    return Usage(window, _tokens(volumes, window, rule, inputs.places, grid))


def _windows(volumes: pl.DataFrame, grid: Grid) -> list[Window]:
    tokens = pl.col("tokens").cast(pl.Int128)
    periods = volumes.group_by("period_start", "period_end", "i0", "i1").agg(tokens.sum())
    days = periods.lazy().with_columns(day=pl.date_ranges("period_start", "period_end")).explode("day")
    known = union(days, on=["day"]).collect(engine="in-memory")
    complete = _running(known, pl.lit(1, dtype=pl.Int64), length=grid.size)
    return [Window(*pair) for pair in zip(complete, _running(periods, tokens, length=grid.size), strict=True)]


def _running(spells: pl.DataFrame, amount: pl.Expr, *, length: int, start: pl.Expr | int = 0) -> pl.Series:
    """Return the total of `amount` over the spells in force at each of `length` rows: a spell lasts from ``start + i0``."""
    total = pl.zeros(length + 1, dtype=pl.Int64, eager=True)  # the last row is beyond all: spells end there
    for end, sign in (("i0", 1), ("i1", -1)):
        changes = spells.lazy().select(row=start + pl.col(end), change=amount * sign).sort("row")
        # in order, a group is a run: that is several times faster
        sums = changes.group_by("row", maintain_order=True).agg(pl.col("change").sum()).collect(engine="in-memory")
        none = pl.zeros(length + 1, dtype=sums["change"].dtype, eager=True)
        total = total + none.scatter(sums["row"], sums["change"])
    return total.cum_sum().head(length)


def _tokens(volumes: pl.DataFrame, window: Sequence[Window], rule: Volumes, places: int, grid: Grid) -> pl.Series:
    counted = volumes.filter(pl.col("counted") & pl.col("place").is_not_null())
    # half the width is twice as fast, where no total can leave it
    narrow = (counted["tokens"].cast(pl.Int128).sum() or 0) < 2**63
    amount = pl.col("tokens").cast(pl.Int64 if narrow else pl.Int128)
    # a spell that lasts ends on the first row of the next constituent, so one running total serves them all
    total = _running(counted, amount, length=places * grid.size, start=pl.col("place") * grid.size)
    enough = pl.Series([w.days >= rule.min_days for w in window], dtype=pl.Boolean)
    days = pl.lit(enough).gather(pl.int_range(pl.len()) % grid.size)
    return total.to_frame("tokens").select(pl.when((pl.col("tokens") > 0) & days).then("tokens")).to_series()
