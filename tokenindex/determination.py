"""The determination: from observations to fixings, in seven stages that can be called one by one.

*Reads* a methodology, input tables and dates. *Writes* the constituents, the baskets and the fixings. *Never* asks for
the clock, the disk, the network, the environment or chance: the same arguments give the same bytes.

The stages work on spells (see `tokenindex.selection`) until a constituent has its price, and on one row per constituent
and date from there on. Each appends its columns and rounds its own result; only `consolidate` and `fix` change the grain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import accumulate
from typing import Any

import polars as pl

from .basket import Basket, Note, Priced, basket_table, form_baskets, level_of, rebalance_dates
from .errors import DeterminationError
from .exact import NANO, PRICE_MAX, TOKENS_MAX, WIDE, divide, divide_columns, money, wide_sum
from .methodology import Methodology
from .rules.formulas import FixedBasket
from .rules.waterfall import CarryForward, Minimums, NoFixing
from .selection import SCREENED, Grid, Inputs, select, select_volumes, union
from .tables import CONSTITUENTS, ELEMENTARY, FIXINGS, QUOTE_KEY, STANDARDISED
from .units import COMPONENTS, PER_MTOK

_COMPONENT = pl.Enum(COMPONENTS)
PERCENTILES = {"p01": 1, "p25": 25, "p75": 75, "p99": 99}


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
        A determination by the same methodology, inputs and moment, whose baskets need not be formed again. The fixings
        and their records are the same with and without it.

    Raises
    ------
    DeterminationError
        If a date is not a fixing date of the calendar, `earlier` is of another methodology or moment, or a sum would
        exceed the proven bounds.
    """
    before = _before(earlier, methodology, dates, known_at=known_at)
    rebalances = _rebalances(methodology, dates, after=before[0])
    grid = _grid(methodology, dates, rebalances, known_at=known_at)
    rows = screen(standardise(select(inputs, methodology, grid)), methodology)
    elementary, pieces = consolidate(rows, methodology, inputs.universe(methodology), size=grid.size)
    volumes = select_volumes(inputs, methodology, grid)
    window = windows(volumes, grid)
    prices = flag_outliers(relate(spread(pieces, grid), methodology), methodology)
    priced = accept(prices, methodology).with_columns(tokens=lagged_tokens(prices, volumes, window, methodology, grid))
    baskets, notes = _baskets(methodology, rebalances, priced, grid, before=before)
    constituents = weigh(priced, baskets, methodology, grid)
    published = methodology.calendar.lookback(dates, length=methodology.carried)
    fixings = fix(constituents, baskets, window, methodology, grid, published=published)
    frames = Frames(inputs.quotes, rows, elementary, pieces, constituents, fixings)
    return Determination(methodology, tuple(sorted(set(dates))), known_at, tuple(baskets), tuple(notes), grid, frames)


def _before(
    earlier: Determination | None, methodology: Methodology, dates: Sequence[date], *, known_at: datetime | None
) -> tuple[list[Basket], list[Note]]:
    """Return the baskets of an earlier determination up to the last date, and the notes up to the last of them."""
    if earlier is None or not earlier.baskets:
        return [], []
    theirs = (earlier.methodology.sha256, earlier.methodology.component, earlier.known_at)
    if theirs != (methodology.sha256, methodology.component, known_at):
        raise DeterminationError(
            f"the earlier determination is of {earlier.methodology!r} as known at {earlier.known_at}",
            expected=f"{methodology!r} as known at {known_at}",
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


def standardise(rows: pl.DataFrame) -> pl.DataFrame:
    """Append ``standard_price``: nano index currency per million tokens, from the source's unit and currency.

    The unit is converted first, then the currency; each result is rounded half-even to nine decimals. Null where there
    is no price, no rate, or more than a million currency units per million tokens.
    """
    per_mtok = pl.col("unit").replace_strict(
        {u: f.numerator for u, f in PER_MTOK.items()}, default=None, return_dtype=pl.Int64
    )
    rows = rows.with_columns(_factor=per_mtok, _raw=pl.col("price").to_physical())
    bounded = pl.col("_raw").abs() <= pl.lit(PRICE_MAX * 10**15, dtype=pl.Int128) // pl.col("_factor")
    sign = pl.when(pl.col("price") < 0).then(-1).otherwise(1)
    size = divide_columns(pl.col("_raw").abs() * pl.col("_factor"), pl.lit(10**15, dtype=pl.Int128))
    rows = rows.with_columns(_size=pl.when(bounded).then(size))
    converted = divide_columns(pl.col("_size") * pl.col("rate"), pl.lit(NANO, dtype=pl.Int128))
    small = pl.when(converted <= PRICE_MAX).then(converted).cast(pl.Int64)
    return rows.with_columns(standard_price=small * sign).drop("_factor", "_raw", "_size")


def screen(rows: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``excluded_by``: the first reason that keeps a row out; null where it is used."""
    vendors = list(methodology.measures.vendors)
    outside = ~pl.col("kind").is_in(list(methodology.measures.kinds))
    if vendors:
        outside |= ~pl.col("vendor").is_in(vendors)
    components = [*methodology.blend.mix, *methodology.blend.instead.values()]
    reasons = [
        ("unmapped", pl.col("constituent").is_null()),
        ("not_in_universe", outside),
        ("source_not_allowed", pl.col("source_tier").is_null()),
        ("component_not_used", ~pl.col("component").is_in(components)),
        ("withdrawn", pl.col("withdrawn")),
        ("source_unseen", pl.col("unseen")),
        *((s.reason, s.applies) for s in methodology.screens),
        ("no_exchange_rate", pl.col("rate").is_null()),
        ("price_too_large", pl.col("standard_price").is_null()),
        ("not_positive", pl.col("standard_price") <= 0),  # also a price that rounds to nothing
    ]
    return rows.with_columns(excluded_by=_first(reasons))


def _first(reasons: Sequence[tuple[str, pl.Expr]]) -> pl.Expr:
    return pl.coalesce(*(pl.when(applies).then(pl.lit(reason)) for reason, applies in reasons), pl.lit(None, pl.String))


def consolidate(
    rows: pl.DataFrame, methodology: Methodology, universe: pl.DataFrame, *, size: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return elementary prices by constituent, component and piece, and blended prices by constituent and piece.

    A piece is a run of dates over which no usable observation of a constituent changes. The pieces of every constituent of
    the universe cover the whole grid.
    """
    names = universe.sort("constituent").with_row_index("code").with_columns(pl.col("code").cast(pl.Int64))
    usable = rows.filter(pl.col("excluded_by").is_null()).join(names.select("constituent", "code"), on="constituent")
    # one number for a constituent and a position, and its rank among all ends of spells
    ends = {end: pl.col("code") * (size + 1) + pl.col(end) for end in ("i0", "i1")}
    whole = names.select(i0=pl.col("code") * (size + 1), i1=pl.col("code") * (size + 1) + size)
    cuts = pl.concat(
        [part.to_series() for f in (usable.select(**ends), whole) for part in (f.select("i0"), f.select("i1"))]
    )
    cuts = cuts.unique().sort()
    # the last cut of a constituent begins no piece: as many as there are constituents before
    rank = {end: pl.lit(cuts).search_sorted(number).cast(pl.Int64) - pl.col("code") for end, number in ends.items()}
    members = usable.select(
        pl.col("component").cast(_COMPONENT),
        "source",
        "source_tier",
        "standard_price",
        piece=pl.int_ranges(rank["i0"], rank["i1"]),
    ).explode("piece")
    pieces = _pieces(cuts, names, size=size)
    elementary = _elementary(methodology.consolidation(members, ["piece", "component"]), pieces, methodology)
    return elementary, _blend(elementary, pieces)


def _pieces(cuts: pl.Series, names: pl.DataFrame, *, size: int) -> pl.DataFrame:
    """Return ``constituent, vendor, code, piece, i0, i1``, the pieces of each constituent in order."""
    ends = pl.DataFrame({"cut": cuts}).select(
        code=pl.col("cut") // (size + 1), i0=pl.col("cut") % (size + 1), i1=pl.col("cut").shift(-1) % (size + 1)
    )
    pieces = ends.filter(pl.col("i0") < size).with_columns(piece=pl.int_range(pl.len()))
    return pieces.with_columns(
        pl.lit(names[name]).gather(pl.col("code")).alias(name) for name in ("constituent", "vendor")
    )


def _elementary(found: pl.DataFrame, pieces: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Return every component of the blend for every piece, with a declared stand-in where a component is not sold."""
    blend = methodology.blend
    parts = pl.DataFrame(
        {"component": list(blend.mix), "parts": list(blend.mix.values())},
        schema={"component": _COMPONENT, "parts": pl.Int64},
    ).with_columns(instead=pl.Series([blend.instead.get(name) for name in blend.mix], dtype=_COMPONENT))
    needed = pieces.select("constituent", "piece").join(parts, how="cross")
    own = needed.join(found, on=["piece", "component"], how="left", maintain_order="left")
    other = own.join(
        found,
        left_on=["piece", "instead"],
        right_on=["piece", "component"],
        how="left",
        suffix="_other",
        maintain_order="left",
    )
    absent = pl.col("quotes").is_null()
    facts = ["price", "source_tier", "quotes", "agreeing", "sources", "excluded_by"]
    return other.select(
        "constituent",
        "piece",
        "component",
        "parts",
        pl.when(absent & pl.col("quotes_other").is_not_null()).then("instead").alias("imputed_from"),
        *(pl.when(absent).then(f"{fact}_other").otherwise(fact).alias(fact) for fact in facts),
    ).with_columns(excluded_by=pl.when(pl.col("quotes").is_null()).then(pl.lit("not_quoted")).otherwise("excluded_by"))


def _blend(elementary: pl.DataFrame, pieces: pl.DataFrame) -> pl.DataFrame:
    """Return the pieces with the blended price: :math:`Σ parts · price / Σ parts`; null if a component lacks a price."""
    blended = elementary.group_by("piece").agg(
        total=(pl.col("price").cast(pl.Int128) * pl.col("parts")).sum(),
        parts=pl.col("parts").sum(),
        missing=pl.col("price").null_count(),
        source_tier=pl.col("source_tier").max(),
        sources=pl.col("sources").min(),
        excluded_by=pl.col("excluded_by").drop_nulls().sort().first(),
    )
    mean = divide_columns(pl.col("total"), pl.col("parts")).cast(pl.Int64)
    return (
        pieces.join(blended, on="piece", how="left", maintain_order="left")
        .with_columns(price=pl.when(pl.col("missing") == 0).then(mean))
        .drop("total", "parts", "missing")
    )


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
    found = found.with_columns(previous=pl.when(recent).then(pl.col("price").gather(pl.col("_at"))))
    log = (pl.col("price") / pl.col("previous")).log() * NANO
    return found.with_columns(log_relative=log.round().cast(pl.Int64)).drop("_at")


def flag_outliers(constituents: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``outlier_by``: the first rule that does not believe the price; null where it is believed."""
    return constituents.with_columns(outlier_by=_first([(rule.reason, rule.applies) for rule in methodology.outliers]))


def accept(constituents: pl.DataFrame, methodology: Methodology) -> pl.DataFrame:
    """Append ``used``, ``used_tier`` and ``used_number``: the last believed price within `carry_dates`, and its date."""
    believed = pl.col("price").is_not_null() & pl.col("outlier_by").is_null()
    found = constituents.with_columns(_at=_last(believed, before=False))
    recent = pl.col("number") - pl.col("number").gather(pl.col("_at")) <= methodology.inputs.carry_dates
    facts = {"used": "price", "used_tier": "source_tier", "used_number": "number"}
    return found.with_columns(
        pl.when(recent).then(pl.col(column).gather(pl.col("_at"))).alias(name) for name, column in facts.items()
    ).drop("_at")


@dataclass(frozen=True)
class Window:
    """The window of volumes of a date: its complete days, and all tokens known in it, mapped or not."""

    days: int
    tokens: int


def windows(volumes: pl.DataFrame, grid: Grid) -> list[Window]:
    """Return the window of every date of the grid."""
    periods = volumes.lazy().select("period_start", "period_end", "i0", "i1").unique()
    days = periods.with_columns(day=pl.date_ranges("period_start", "period_end")).explode("day")
    complete = _running(union(days, on=["day"]).with_columns(days=1).collect(engine="in-memory"), "days", grid)
    tokens = _running(volumes, "tokens", grid)
    return [Window(*pair) for pair in zip(complete, tokens, strict=True)]


def _running(spells: pl.DataFrame, amount: str, grid: Grid) -> list[int]:
    """Return the total of the column `amount` over the spells in force at each position."""
    total = pl.col(amount).cast(pl.Int128).sum()
    begins, ends = (dict(spells.group_by(end).agg(total).iter_rows()) for end in ("i0", "i1"))
    return list(accumulate(begins.get(i, 0) - ends.get(i, 0) for i in range(grid.size)))


def lagged_tokens(
    constituents: pl.DataFrame,
    volumes: pl.DataFrame,
    window: Sequence[Window],
    methodology: Methodology,
    grid: Grid,
) -> pl.Series:
    """Return the tokens of each constituent in the window of each date, in the order of `constituents`.

    Null where the window has fewer complete days than `min_days`, or no tokens of the constituent.
    """
    codes = constituents.filter(pl.col("i") == 0).select("constituent", "code")
    counted = volumes.filter("counted").join(codes, on="constituent")
    enough = pl.Series([w.days >= methodology.volumes.min_days for w in window], dtype=pl.Boolean)
    # half the width is twice as fast, where no total can leave it
    narrow = (counted["tokens"].cast(pl.Int128).sum() or 0) < 2**63
    amount = pl.col("tokens").cast(pl.Int64 if narrow else pl.Int128)
    begins = counted.select(row=pl.col("code") * grid.size + pl.col("i0"), change=amount)
    # a spell that lasts ends on the first row of the next constituent, so one running total serves them all
    ends = counted.select(row=pl.col("code") * grid.size + pl.col("i1"), change=amount * -1)
    changes = pl.concat([begins, ends]).group_by("row").agg(pl.col("change").sum())
    changes = changes.filter(pl.col("row") < len(constituents))
    total = (
        pl.zeros(len(constituents), dtype=changes["change"].dtype, eager=True)
        .scatter(changes["row"], changes["change"])
        .cum_sum()
    )
    there = (pl.lit(total) > 0) & pl.lit(enough).gather(pl.col("i"))
    tokens = constituents.select(tokens=pl.when(there).then(pl.lit(total))).to_series()
    if (tokens > TOKENS_MAX).any():
        raise DeterminationError(f"a constituent has more than {TOKENS_MAX} tokens in one window")
    return tokens.cast(pl.Int64)


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
    wanted = sorted({positions[day] for pair in rebalances for day in pair})
    kept = priced.filter(pl.col("i").is_in(wanted)).select("i", "constituent", "vendor", "used", "tokens")
    dated = kept.partition_by("i", as_dict=True, include_key=False)
    baskets, notes = form_baskets(
        methodology.formula,
        rebalances,
        on=lambda day: [Priced(*row) for row in dated[(positions[day],)].iter_rows()],
        after=before[0],
        step=_step(methodology.publication.level_decimals),
    )
    return baskets, [*before[1], *notes]


def _step(decimals: int) -> int:
    return int(10 ** (9 - decimals))


def weigh(priced: pl.DataFrame, baskets: Sequence[Basket], methodology: Methodology, grid: Grid) -> pl.DataFrame:
    """Append ``quantity``, ``basis`` (what weight is a share of), ``base_price`` and ``basket`` of the members."""
    if not isinstance(methodology.formula, FixedBasket):
        tokens = pl.col("tokens")
        return priced.with_columns(
            quantity=tokens, basis=tokens, base_price=pl.lit(None, pl.Int64), basket=pl.lit(None, pl.Int64)
        )
    codes = priced.filter(pl.col("i") == 0).select("constituent", "code")
    members = pl.DataFrame(
        [(b.number, m.constituent, m.quantity, m.weight, m.base_price) for b in baskets for m in b.members],
        schema={
            "basket": pl.Int64,
            "constituent": pl.String,
            "quantity": pl.Int64,
            "basis": pl.Int64,
            "base_price": pl.Int64,
        },
        orient="row",
    )
    dates = pl.DataFrame(
        {"i": range(grid.size), "basket": _in_basket(baskets, grid)}, schema={"i": pl.Int64, "basket": pl.Int64}
    )
    dated = dates.drop_nulls().join(members.join(codes, on="constituent"), on="basket")
    facts = dated.select("basket", "quantity", "basis", "base_price", row=pl.col("code") * grid.size + pl.col("i"))
    return priced.join(facts, on="row", how="left", maintain_order="left")


def _in_basket(baskets: Sequence[Basket], grid: Grid) -> list[int | None]:
    """Return the number of the basket in force on each date: a basket takes over after its rebalance date."""
    found: list[int | None] = []
    for day in grid.dates:
        older = [b.number for b in baskets if b.takes_over_after < day or (b.number == 0 and b.takes_over_after == day)]
        found.append(older[-1] if older else None)
    return found


def fix(
    constituents: pl.DataFrame,
    baskets: Sequence[Basket],
    window: Sequence[Window],
    methodology: Methodology,
    grid: Grid,
    *,
    published: Sequence[date],
) -> pl.DataFrame:
    """Return the FIXINGS of the dates `published`: exact sums, one division each, then the waterfall."""
    dates = grid.frame.filter(pl.col("fixing_date").is_in(list(published)))
    rows = []
    for fact in _sums(constituents, dates).iter_rows(named=True):
        seen, day = window[fact["i"]], grid.dates[fact["i"]]
        row = _figures(fact, baskets[fact["basket"]] if fact["basket"] is not None else None, methodology)
        row["volume_days"], row["volume"] = seen.days, seen.tokens or None
        row["volume_coverage"] = divide(int(fact["used_tokens"]) * NANO, seen.tokens) if seen.tokens else None
        row["reason"] = _why_none(fact, row, methodology, day)
        rows.append(row)
    _waterfall(rows, dates["number"].to_list(), methodology)
    identity = {"index": methodology.index, "version": methodology.version, "currency": methodology.measures.currency}
    dated = zip(rows, dates["fixing_date"], strict=True)
    return FIXINGS.frame_of_nano([{**identity, **row, "fixing_date": day} for row, day in dated])


def _sums(constituents: pl.DataFrame, dates: pl.DataFrame) -> pl.DataFrame:
    """Return the exact sums of every one of `dates`, one row a date."""
    asked = pl.col("i").is_in(dates["i"].implode())
    members = constituents.filter(asked & pl.col("quantity").is_not_null())
    used = members.filter(pl.col("used").is_not_null()).sort("i", "used", "constituent")
    q, p, basis = pl.col("quantity"), pl.col("used"), pl.col("basis")
    used = used.with_columns(
        below=q.cast(WIDE).cum_sum().over("i") * 100,
        all=q.cast(WIDE).sum().over("i"),
        age=pl.col("number") - pl.col("used_number"),
    )
    sums = used.group_by("i").agg(
        cost=wide_sum(q, p),
        base=wide_sum(q, pl.col("base_price").fill_null(0)),
        quantity=wide_sum(q),
        weight=basis.cast(WIDE).sum(),
        fresh=basis.filter(pl.col("age") == 0).cast(WIDE).sum(),
        constituents=pl.len().cast(pl.Int64),
        carried=(pl.col("age") > 0).sum().cast(pl.Int64),
        vendors=pl.col("vendor").n_unique().cast(pl.Int64),
        used_tokens=pl.col("tokens").cast(WIDE).sum(),
        oldest_price_dates=pl.col("age").max(),
        **{f"tier_{t}": basis.filter(pl.col("used_tier") == t).cast(WIDE).sum() for t in (1, 2, 3)},
        **{name: p.filter(pl.col("below") >= pl.col("all") * pct).first() for name, pct in PERCENTILES.items()},
    )
    whole = members.group_by("i").agg(
        members=pl.len().cast(pl.Int64), all_weight=basis.cast(WIDE).sum(), basket=pl.col("basket").first()
    )
    counts = ("constituents", "carried", "vendors", "members", "used_tokens")
    return (
        dates.select("i")
        .join(whole, on="i", how="left")
        .join(sums, on="i", how="left")
        .sort("i")
        .with_columns(pl.col(*counts).fill_null(0))
    )


def _figures(fact: dict[str, Any], basket: Basket | None, methodology: Methodology) -> dict[str, Any]:
    """Return the calculated figures of one date in nano; None where there is nothing to calculate."""
    kept = ("constituents", "carried", "vendors", "members", "oldest_price_dates", *PERCENTILES)
    row: dict[str, Any] = {name: fact[name] for name in kept} | {"price": None, "level": None, "coverage": None}
    if not fact["constituents"]:
        return row
    cost, quantity = int(fact["cost"]), int(fact["quantity"])
    step = _step(methodology.publication.price_decimals)
    if basket is None:
        row["price"] = divide(cost, quantity * step) * step
    else:
        there, whole = int(fact["base"]), basket.base_cost
        cost, quantity = cost * whole, sum(m.quantity for m in basket.members) * there
        row["price"] = divide(cost, quantity * step) * step
        row["level"] = level_of(cost, there * basket.divisor, step=_step(methodology.publication.level_decimals))
    row["coverage"] = divide(int(fact["fresh"]) * NANO, int(fact["all_weight"]))
    for tier in (1, 2, 3):
        row[f"weight_tier_{tier}"] = divide(int(fact[f"tier_{tier}"]) * NANO, int(fact["weight"]))
    return row


def _why_none(fact: dict[str, Any], row: dict[str, Any], methodology: Methodology, day: date) -> str | None:
    """Return why nothing could be calculated; None if there is a figure."""
    if row["price"] is not None:
        return None
    formula = methodology.formula
    if isinstance(formula, FixedBasket):
        if day < formula.base_date:
            return "before_base_date"
        return "no_price" if fact["members"] else "no_basket"
    return "no_price" if row["volume_days"] >= methodology.volumes.min_days else "too_few_volume_days"


def _waterfall(rows: list[dict[str, Any]], numbers: list[int], methodology: Methodology) -> None:
    """Give each row the first rung that holds; a figure that was not published as calculated is replaced or removed."""
    calculated: tuple[int, dict[str, Any]] | None = None
    for n, row in zip(numbers, rows, strict=True):
        for number, rung in enumerate(methodology.waterfall, start=1):
            row["rung"], row["status"] = number, rung.status
            if isinstance(rung, Minimums):
                short = _short(row, rung)
                row["reason"] = row["reason"] or (short and f"below_minimum {short}") or None
                if not short:
                    row["reason"] = row["reason"] if number > 1 else None
                    row["dates_stale"], calculated = 0, (n, dict(row))
                    break
            elif isinstance(rung, CarryForward):
                if calculated and n - calculated[0] <= rung.max_dates:
                    row["dates_stale"] = n - calculated[0]
                    row |= {name: calculated[1][name] for name in ("price", "level")}
                    break
            elif isinstance(rung, NoFixing):
                row |= {"price": None, "level": None, "dates_stale": None}
                break


def _short(row: dict[str, Any], rung: Minimums) -> str:
    """Return the names of the minimums that the row misses."""
    if row["price"] is None:
        return "price"
    tests = {name: row[name] < getattr(rung, name) for name in ("constituents", "vendors", "coverage")}
    return ", ".join(name for name, missed in tests.items() if missed)


@dataclass(frozen=True)
class Frames:
    """The working frames: observations, spells, pieces, and one row per constituent or per date of the grid."""

    quotes: pl.DataFrame
    rows: pl.DataFrame
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
        number = _in_basket(self.baskets, self.grid)[self._position(day)]
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
        rows = self.frames.rows.filter((pl.col("i0") <= i) & (pl.col("i1") > i))
        rest = self.frames.quotes.drop(SCREENED)[rows["row"]].drop("row")
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
